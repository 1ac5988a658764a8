//! Builds every service on its store, its keys and the log, and joins them to one server.

use std::sync::Arc;

use cancellation::Roster;
use keys::SigningKey;
use service_kit::{Config, Server};
use types::{Clock, ParticipantName};

use super::{
    Guest, StartError,
    engines::Engines,
    keyring::Keyring,
    messages_directory,
    part::{Cause, Part},
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
    pub(super) engines: Engines,
}

/// What services are built from.
struct Bench {
    engines: Engines,
    keyring: Keyring,
    roster: Roster,
    clock: Arc<dyn Clock>,
    member: Arc<str>,
}

impl Bench {
    /// A store and a key of its own for a participant, whose public half the roster is told.
    async fn participant(&mut self, name: &str) -> Result<participant::Options, StartError> {
        let store = self.engines.store(name).await?;
        let key = self.keyring.signing(name)?;
        self.introduce(name, &key);
        let (log, clock, member) = (self.engines.log.clone(), self.clock.clone(), self.member.clone());
        Ok(participant::Options { store, log, key, clock, member })
    }

    fn introduce(&mut self, name: &str, key: &SigningKey) {
        if let Ok(name) = ParticipantName::parse(name) {
            self.roster.add_keys(&name, &[key.jwk()]);
        }
    }
}

fn cannot_start<E: Into<Cause>>(service: &str) -> impl FnOnce(E) -> StartError {
    move |error| StartError::Service { service: service.into(), source: error.into() }
}

/// Builds all services. The coordinator comes last, since it must know everybody's keys.
pub(super) async fn build(
    config: Config,
    roster: Roster,
    clock: Arc<dyn Clock>,
    guests: Vec<Guest>,
) -> Result<Composed, StartError> {
    let keyring = Keyring::new(&config.data_dir, config.kek()?);
    let messages_dir = messages_directory(&config.data_dir);
    let bytes_max = config.limits.message_bytes_max;
    let mut server = Server::builder(config.limits).descriptors(proto::DESCRIPTORS);
    let engines = Engines::open(config.event_store, config.event_log, clock.clone()).await?;
    let mut bench = Bench { engines, keyring, roster, clock: clock.clone(), member: config.member_id.into() };
    let mut parts = Vec::new();

    /// Builds a service, adds it to the server, and has it run.
    macro_rules! add {
        ($name:ident, $options:expr) => {
            let service = $name::build($options).await.map_err(cannot_start(stringify!($name)))?;
            server = server.service(service.grpc().max_decoding_message_size(bytes_max));
            parts.push(Part::new(stringify!($name), |stop| service.run(stop)));
        };
    }
    let options = identity::Options {
        participant: bench.participant("identity").await?,
        secret: bench.keyring.secret("identity")?,
        vault: bench.keyring.vault("identity")?,
        token_key: bench.keyring.signing(TOKEN_KEY)?,
        messages_dir,
    };
    add!(identity, options);
    let (participant, secret) =
        (bench.participant("subscription").await?, bench.keyring.secret("subscription")?);
    add!(subscription, subscription::Options { participant, secret });
    let (participant, secret) = (bench.participant("payscore").await?, bench.keyring.secret("payscore")?);
    add!(payscore, payscore::Options { participant, secret });
    let (participant, secret) = (bench.participant("wallet").await?, bench.keyring.secret("wallet")?);
    add!(wallet, wallet::Options { participant, secret });
    let (participant, secret) = (bench.participant("retention").await?, bench.keyring.secret("retention")?);
    add!(retention, retention::Options { participant, secret, table: None });
    for guest in guests {
        let name = guest.name().to_string();
        let options = bench.participant(&name).await?;
        parts.push(guest.start(options).await.map_err(cannot_start(&name))?);
    }
    let coordinator = coordinator(&mut bench).await?;
    let jwks = coordinator.jwks();
    server =
        server.service(coordinator.grpc().max_decoding_message_size(bytes_max)).jwks(move || jwks.json());
    parts.push(Part::new(cancellation::NAME, |stop| coordinator.run(stop)));
    let operations = Operations::new(bench.engines.stores.clone(), clock);
    server = server.service(operations.grpc().max_decoding_message_size(bytes_max));
    Ok(Composed { server, parts, engines: bench.engines })
}

async fn coordinator(bench: &mut Bench) -> Result<cancellation::Service, StartError> {
    let name = cancellation::NAME;
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
    };
    cancellation::build(options).await.map_err(cannot_start(name))
}
