//! Builds the services of a process on their stores, their keys and the log, and joins them to one
//! server.

use std::sync::Arc;

use cancellation::{CaseOperations, Jwks, Roster};
use event_store::StoreOptions;
use keys::{Jwk, JwkSet, SigningKey};
use messaging::ConsumerHandle;
use policy::Packs;
use service_kit::{Config, Server, config::EventLogPlace, server::Gate};
use tonic::server::NamedService;
use types::{Clock, ParticipantName};

use super::{
    BeforeLog, Guest, Role, StartError,
    engines::Engines,
    keyring::Keyring,
    messages_directory,
    part::{Cause, Part},
    readiness::Watched,
};
use crate::operations::Operations;

/// What receipts are sealed with.
const RECEIPT_KEY: &str = "receipt";
/// What verification tokens are signed with.
const TOKEN_KEY: &str = "token";

/// Everything, ready to be bound and run.
pub(super) struct Composed {
    pub(super) server: Server,
    pub(super) parts: Vec<Part>,
    pub(super) watched: Vec<Watched>,
    pub(super) engines: Engines,
}

/// What services are built from.
struct Bench {
    engines: Engines,
    keyring: Keyring,
    roster: Roster,
    packs: Arc<Packs>,
    clock: Arc<dyn Clock>,
    member: Arc<str>,
    batched_signatures: bool,
    /// The public keys of the participants in this process.
    own_keys: Vec<Jwk>,
    /// Whether participants of other processes can be met on the log.
    alone: bool,
}

impl Bench {
    /// Opens the engines and the keys that the configuration names.
    async fn open(
        config: Config,
        (roster, packs): (Roster, Packs),
        clock: Arc<dyn Clock>,
        before_log: Option<Box<BeforeLog>>,
    ) -> Result<Self, StartError> {
        let keyring = Keyring::new(&config.shared_dir, config.kek()?);
        let alone = matches!(config.event_log, EventLogPlace::Embedded { .. });
        let backlog_events_max = config.limits.backlog_events_max as u64;
        let options = StoreOptions { backlog_events_max, ..StoreOptions::default() };
        let mut engines =
            Engines::open(config.event_store, options, config.event_log, config.topics, clock.clone())
                .await?;
        if let Some(before) = before_log {
            engines.log = before(engines.log);
        }
        Ok(Self {
            engines,
            keyring,
            roster,
            packs: Arc::new(packs),
            clock,
            member: config.member_id.into(),
            batched_signatures: config.batched_signatures,
            own_keys: Vec::new(),
            alone,
        })
    }

    /// A store and a key of its own for a participant, whose public half the roster is told.
    async fn participant(&mut self, name: &str) -> Result<participant::Options, StartError> {
        let store = self.engines.store(name).await?;
        let key = self.keyring.signing(name)?;
        self.introduce(name, &key);
        let (log, clock, member) = (self.engines.log.clone(), self.clock.clone(), self.member.clone());
        Ok(participant::Options {
            store,
            log,
            key,
            clock,
            member,
            batched_signatures: self.batched_signatures,
        })
    }

    fn operations(&self, ready: &[Watched], cases: Option<(CaseOperations, Gate)>) -> Operations {
        let reading = ready.iter().map(Watched::reading).collect();
        Operations::new(self.engines.stores.clone(), reading, self.clock.clone(), cases)
    }

    /// Saves a coordinator in the same process from waiting for what the participant announces.
    fn introduce(&mut self, name: &str, key: &SigningKey) {
        self.own_keys.push(key.jwk().owned_by(name));
        if let Ok(name) = ParticipantName::parse(name) {
            self.roster.add_keys(&name, &[key.jwk()]);
        }
    }
}

fn cannot_start<E: Into<Cause>>(service: &str) -> impl FnOnce(E) -> StartError {
    move |error| StartError::Service { service: service.into(), source: error.into() }
}

fn watched<S: NamedService>(name: &str, _: &S, consumer: &ConsumerHandle) -> Watched {
    Watched::new(name, Some(S::NAME), consumer)
}

/// Builds the services of these roles. The coordinator comes last, since it is told the keys of those
/// beside it.
pub(super) async fn build(
    config: Config,
    roles: Vec<Role>,
    rules: (Roster, Packs),
    clock: Arc<dyn Clock>,
    guests: Vec<Guest>,
    before_log: Option<Box<BeforeLog>>,
) -> Result<Composed, StartError> {
    let messages_dir = messages_directory(&config.shared_dir);
    let bytes_max = config.limits.message_bytes_max;
    let mut server = Server::builder(config.limits).descriptors(proto::DESCRIPTORS);
    let mut bench = Bench::open(config, rules, clock, before_log).await?;
    let (mut parts, mut ready) = (Vec::new(), Vec::new());

    /// Builds a service when its role is wanted, adds it to the server, and has it run.
    macro_rules! add {
        ($role:expr, $name:ident, $options:expr) => {
            if roles.contains(&$role) {
                let service = $name::build($options).await.map_err(cannot_start(stringify!($name)))?;
                let grpc = service.grpc().max_decoding_message_size(bytes_max);
                let watched = watched(stringify!($name), &grpc, &service.consumer());
                server = server.gated(grpc, watched.gate());
                ready.push(watched);
                parts.push(Part::new(stringify!($name), |stop| service.run(stop)));
            }
        };
    }
    /// The options of a service that needs a secret beside what every participant has.
    macro_rules! with_secret {
        ($name:ident $(, $field:ident: $value:expr)*) => {
            $name::Options {
                participant: bench.participant(stringify!($name)).await?,
                secret: bench.keyring.secret(stringify!($name))?,
                $($field: $value,)*
            }
        };
    }
    add!(
        Role::Identity,
        identity,
        with_secret!(identity, vault: bench.keyring.vault("identity")?,
            token_key: bench.keyring.signing(TOKEN_KEY)?, messages_dir: messages_dir,
            packs: bench.packs.clone())
    );
    add!(Role::Subscription, subscription, with_secret!(subscription, packs: Some(bench.packs.clone())));
    add!(Role::Payscore, payscore, with_secret!(payscore));
    add!(Role::Wallet, wallet, with_secret!(wallet, packs: Some(bench.packs.clone())));
    add!(Role::Retention, retention, with_secret!(retention, packs: bench.packs.clone()));
    for guest in guests {
        let name = guest.name().to_string();
        let options = bench.participant(&name).await?;
        let (part, guest) = guest.start(options).await.map_err(cannot_start(&name))?;
        parts.push(part);
        ready.push(guest);
    }
    let mut cases = None;
    if roles.contains(&Role::Cancellation) {
        let coordinator = coordinator(&mut bench).await?;
        let jwks: Jwks = coordinator.jwks();
        let grpc = coordinator.grpc().max_decoding_message_size(bytes_max);
        let watched = watched(cancellation::NAME, &grpc, &coordinator.consumer());
        cases = Some((coordinator.operations(), watched.gate()));
        server = server.gated(grpc, watched.gate()).jwks(move || jwks.json());
        ready.push(watched);
        parts.push(Part::new(cancellation::NAME, |stop| coordinator.run(stop)));
    } else {
        let own: JwkSet = std::mem::take(&mut bench.own_keys).into_iter().collect();
        server = server.jwks(move || own.to_json());
    }
    let operations = bench.operations(&ready, cases);
    server = server.service(operations.grpc().max_decoding_message_size(bytes_max));
    Ok(Composed { server, parts, watched: ready, engines: bench.engines })
}

async fn coordinator(bench: &mut Bench) -> Result<cancellation::Service, StartError> {
    let name = cancellation::NAME;
    let without = bench.roster.without_keys();
    if bench.alone && !without.is_empty() {
        return Err(StartError::KeysMissing(without));
    }
    let options = cancellation::Options {
        store: bench.engines.store(name).await?,
        log: bench.engines.log.clone(),
        clock: bench.clock.clone(),
        member: bench.member.clone(),
        receipt_key: bench.keyring.signing(RECEIPT_KEY)?,
        retired_keys: bench.keyring.retired()?,
        vault: bench.keyring.vault(name)?,
        secret: bench.keyring.secret(name)?,
        roster: bench.roster.clone(),
        packs: bench.packs.clone(),
    };
    cancellation::build(options).await.map_err(cannot_start(name))
}
