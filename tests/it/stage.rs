//! All services in this process, so that a test has their log in its hands, with clients outside.

use std::{collections::BTreeMap, path::PathBuf, process::Command, sync::Arc};

use cancellation::Roster;
use event_store::{Recorded, Store, StoreOptions};
use exeunt::compose::{self, Overrides, Running};
use messaging::TopicSpec;
use proto::{
    cancellation::v1::State,
    operations::v1::{self as ops, operations_service_client::OperationsServiceClient},
    types::v1 as words,
};
use service_kit::{Config, config::Sources};
use tempfile::TempDir;
use tonic::transport::Endpoint;

use crate::{
    client::{Client, serving, until},
    ledger::{all_events, store_url},
    process::{BOUND, Engines, binary},
    settle::settle_in,
};

/// Who takes part in leaving a whole account.
pub const PARTICIPANTS: [&str; 5] = ["identity", "subscription", "payscore", "wallet", "retention"];

/// Everything running.
pub struct Stage {
    pub data: TempDir,
    pub engines: Engines,
    pub running: Running,
}

/// A person's subject and their cancellation.
#[derive(Debug, Clone)]
pub struct Leaver {
    pub subject_id: String,
    pub cancellation_id: String,
}

impl Stage {
    pub async fn start(engines: Engines) -> Self {
        Self::start_with(engines, &[], Overrides::default()).await
    }

    /// The same with other settings.
    pub async fn start_with(engines: Engines, settings: &[(&str, &str)], overrides: Overrides) -> Self {
        Self::start_on(TempDir::new().unwrap(), engines, settings, overrides).await
    }

    /// The same on what is stored already.
    pub async fn start_on(
        data: TempDir,
        engines: Engines,
        settings: &[(&str, &str)],
        overrides: Overrides,
    ) -> Self {
        let mut flags = BTreeMap::from([
            ("data_dir".to_owned(), data.path().display().to_string()),
            ("listen".to_owned(), "127.0.0.1:0".to_owned()),
        ]);
        if let Engines::Real { event_store, event_log } = &engines {
            flags.insert("event_store".into(), event_store.clone());
            flags.insert("event_log".into(), event_log.clone());
        }
        flags.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let running = compose::start(config(&flags), overrides).await.unwrap();
        Self { data, engines, running }
    }

    /// Waits until every consumer has its partitions.
    pub async fn ready(&self) {
        serving(&self.url()).await;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    pub fn operations(&self) -> OperationsServiceClient<tonic::transport::Channel> {
        OperationsServiceClient::new(Endpoint::from_shared(self.url()).unwrap().connect_lazy())
    }

    pub fn messages(&self) -> PathBuf {
        self.data.path().join("messages")
    }

    /// Runs the program against it; gives what it prints.
    pub fn program(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(binary());
        let output = command.args(["--server", &self.url()]).args(arguments).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Another handle on a service's store.
    pub async fn store(&self, service: &str) -> Store {
        let url = store_url(&self.engines, self.data.path(), service);
        Store::open(&url, StoreOptions::default()).await.unwrap()
    }

    /// Everything that a service recorded, in order.
    pub async fn events(&self, service: &str) -> Vec<Recorded> {
        let store = self.store(service).await;
        let all = all_events(&store).await;
        store.close().await;
        all
    }

    /// How often each kind of event stands in each stream of a service.
    pub async fn counts(&self, service: &str) -> BTreeMap<String, BTreeMap<String, usize>> {
        let mut counts = BTreeMap::<String, BTreeMap<String, usize>>::new();
        for event in self.events(service).await {
            let stream = counts.entry(event.stream.to_string()).or_default();
            *stream.entry(event.kind.to_string()).or_default() += 1;
        }
        counts
    }

    /// Waits until each relay has published, and again where it was told to, all that is recorded.
    pub async fn published(&self) -> Vec<ops::Relay> {
        let operations = self.operations();
        until("everything is published", || {
            let mut operations = operations.clone();
            async move {
                let relays =
                    operations.list_relays(ops::ListRelaysRequest {}).await.ok()?.into_inner().relays;
                let done =
                    |relay: &ops::Relay| relay.published >= relay.recorded && relay.republication.is_none();
                relays.iter().all(done).then_some(relays)
            }
        })
        .await
    }

    /// Somebody with something everywhere asks to leave, up to the quote.
    pub async fn ask(&self, n: usize) -> Leaver {
        let client = self.client();
        let subject_id = settle_in(&client, n).await;
        let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
        let cancellation_id = client.request(&format!("leave-{n}"), &subject_id, whole).await.cancellation_id;
        client.until(&cancellation_id, State::AwaitingConfirmation).await;
        Leaver { subject_id, cancellation_id }
    }

    /// They accept the quote.
    pub async fn confirm(&self, leaver: &Leaver) {
        let Leaver { subject_id, cancellation_id } = leaver;
        let client = self.client();
        let quoted = client.until(cancellation_id, State::AwaitingConfirmation).await;
        let token = client.verify(subject_id, cancellation_id, &self.messages()).await;
        client.confirm(cancellation_id, &quoted.quote.unwrap().digest, &token).await;
    }

    /// They leave, with a receipt that holds.
    pub async fn leave(&self, leaver: &Leaver) {
        self.confirm(leaver).await;
        self.left(leaver).await;
    }

    /// They have left, with a receipt that holds.
    pub async fn left(&self, leaver: &Leaver) {
        let client = self.client();
        client.until(&leaver.cancellation_id, State::Completed).await;
        let sealed = client.receipt(&leaver.cancellation_id).await.receipt_jws;
        let proven = cancellation::receipt::verify(&sealed, &client.keys().await).unwrap();
        assert_eq!(proven.cancellation_id, leaver.cancellation_id);
    }

    pub async fn stop(&mut self) {
        self.running.shutdown();
        tokio::time::timeout(BOUND, self.running.join()).await.unwrap().unwrap();
    }
}

fn config(flags: &BTreeMap<String, String>) -> Config {
    Config::load(Sources { flags: flags.clone(), ..Sources::default() }).unwrap()
}

/// Every topic of a whole installation, as it is declared.
pub fn topics() -> Vec<TopicSpec> {
    cancellation::topics_of_installation(&Roster::parse(cancellation::DEFAULT_ROSTER).unwrap())
}

/// Their names.
pub fn topic_names() -> Vec<Arc<str>> {
    topics().into_iter().map(|topic| topic.name).collect()
}
