//! A service's database is lost and an older copy put back: the service reads again what it has
//! forgotten, everything completes, and nothing is doubled elsewhere. What was closed stays closed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use engines::Postgres;
use proto::{
    cancellation::v1::State,
    operations::v1::{ListClosuresRequest, operations_service_client::OperationsServiceClient},
    types::v1 as words,
    wallet::v1::RecordBalanceRequest,
};
use tokio::task::block_in_place;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;

use crate::{
    client::{Client, serving, until},
    ledger::{self, SERVICES, assert_each},
    process::{Engines, Installation},
    settle::settle_in,
};

const CANCELLATIONS: usize = 8;
/// So many have been confirmed when the copy is taken.
const CONFIRMED: usize = 4;
/// What each service records once for each account that closes.
const EFFECTS: [(&str, &str); 6] = [
    ("cancellation", "exeunt.cancellation.v1.Completed"),
    ("identity", "exeunt.identity.v1.SubjectClosed"),
    ("subscription", "exeunt.subscription.v1.RenewalStopped"),
    ("payscore", "exeunt.payscore.v1.AuthorizationUnbound"),
    ("wallet", "exeunt.wallet.v1.BenefitLapsed"),
    ("retention", "exeunt.retention.v1.DataSetErased"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_catches_up_when_its_database_is_an_older_copy() {
    let installation = Installation::new(Engines::Embedded);
    let stores = installation.data.path().join("store");
    let copies = Copies::Files { copies: installation.data.path().join("copies"), stores };
    older_copies_catch_up(installation, &copies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_catches_up_when_its_database_is_an_older_copy_on_postgresql_and_kafka() {
    let Some(Engines::Real { event_log, .. }) = Engines::real() else {
        eprintln!("skipped: no PostgreSQL and Kafka are named");
        return;
    };
    // A server of its own, whose databases may be copied and thrown away.
    let postgres = block_in_place(Postgres::start).unwrap();
    let url = postgres.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let engines = Engines::Real { event_store: format!("{server}/exeunt"), event_log };
    older_copies_catch_up(Installation::new(engines), &Copies::Databases(postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_an_older_copy_that_is_ready_has_every_closed_subject_closed() {
    let installation = Installation::new(Engines::Embedded);
    let stores = installation.data.path().join("store");
    let copies = Copies::Files { copies: installation.data.path().join("copies"), stores };
    closed_subjects_stay_closed(installation, &copies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_an_older_copy_that_is_ready_has_every_closed_subject_closed_on_postgresql_and_kafka() {
    let Some(Engines::Real { event_log, .. }) = Engines::real() else {
        eprintln!("skipped: no PostgreSQL and Kafka are named");
        return;
    };
    let postgres = block_in_place(Postgres::start).unwrap();
    let url = postgres.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let engines = Engines::Real { event_store: format!("{server}/exeunt"), event_log };
    closed_subjects_stay_closed(Installation::new(engines), &Copies::Databases(postgres)).await;
}

/// Of two that have left, every service's copy knows neither end, but of nobody who has not.
async fn closed_subjects_stay_closed(mut installation: Installation, copies: &Copies) {
    let restored = ["identity", "wallet"];
    installation.start();
    let client = Client::new(&installation.url());
    let stays = settle_in(&client, 7).await;
    let mut leave = Vec::new();
    for n in 0..2 {
        let (subject, id) = self::leave(&client, settle_in(&client, n).await).await;
        let quoted = quote(&client, &installation, &subject, id).await;
        leave.push((subject, quoted));
    }
    installation.stop();
    restored.iter().for_each(|service| copies.take(service));
    installation.start();
    for (_, Quoted { id, digest, token }) in &leave {
        client.confirm(id, digest, token).await;
        client.until(id, State::Completed).await;
    }
    // The ledger is told by the relay of the service that is put back next.
    let applied = async || applied(&installation).await.iter().all(|(_, next)| *next == 2);
    until("every participant to have read the ledger", async || applied().await.then_some(())).await;
    installation.stop();
    restored.iter().for_each(|service| copies.put_back(service));
    installation.start();
    serving(&installation.url()).await;

    for (subject, _) in &leave {
        let refused = client.wallet.clone().record_balance(balance(subject)).await.unwrap_err();
        let details = refused.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "SUBJECT_CLOSED", "{refused:?}");
    }
    client.wallet.clone().record_balance(balance(&stays)).await.unwrap();
    for service in restored {
        let next = self::applied(&installation).await.into_iter().find(|(name, _)| name == service);
        assert!(next.as_ref().is_some_and(|(_, next)| *next >= 2), "{service}: {next:?}");
    }
    let keys = client.keys().await;
    for (_, Quoted { id, .. }) in &leave {
        let sealed = client.receipt(id).await.receipt_jws;
        assert_eq!(cancellation::receipt::verify(&sealed, &keys).unwrap().cancellation_id, *id);
    }
    installation.stop();
    let closed = "exeunt.participant.v1.SubjectClosed";
    for service in restored {
        assert_each(&ledger::counts(&installation, service).await, closed, 2, 1);
    }
}

fn balance(subject: &str) -> RecordBalanceRequest {
    RecordBalanceRequest {
        subject_id: subject.to_owned(),
        balance: Some(words::Money { currency_code: "CNY".into(), minor_units: 5 }),
        ..RecordBalanceRequest::default()
    }
}

fn channel(installation: &Installation) -> Channel {
    Endpoint::from_shared(installation.url()).unwrap().connect_lazy()
}

/// How many entries of the ledger each participant has applied.
async fn applied(installation: &Installation) -> BTreeMap<String, i64> {
    let mut operations = OperationsServiceClient::new(channel(installation));
    let answer = operations.list_closures(ListClosuresRequest {}).await.unwrap().into_inner();
    let mut applied: BTreeMap<String, i64> =
        SERVICES[1..].iter().map(|service| ((*service).to_owned(), 0)).collect();
    for row in answer.applied {
        *applied.entry(row.service).or_default() += row.next;
    }
    applied
}

async fn older_copies_catch_up(mut installation: Installation, copies: &Copies) {
    installation.start();
    let client = Client::new(&installation.url());
    let quoted = quoted(&client, &installation).await;
    let (before, after) = quoted.split_at(CONFIRMED);
    let mut later = Vec::new();
    for n in (CANCELLATIONS..).take(SERVICES.len() - 1) {
        later.push(settle_in(&client, n).await);
    }
    confirm(&client, before).await;
    client.until(&before[0].id, State::Completed).await;
    // Wherever each of the services was.
    installation.kill();
    SERVICES.iter().for_each(|service| copies.take(service));
    installation.start();
    confirm(&client, after).await;
    completed(&client, &quoted).await;
    let mut left = CANCELLATIONS;
    for service in SERVICES {
        // A coordinator's older copy lacks a request that is asked again; a participant's knows who leaves,
        // and has not heard that they do.
        let mut open = None;
        if service != "cancellation" {
            let asked = leave(&client, later.pop().unwrap()).await;
            client.until(&asked.1, State::AwaitingConfirmation).await;
            open = Some(asked);
        }
        until(&format!("{service} to have done everything"), || all_done(&installation, service, left)).await;
        installation.stop();
        copies.put_back(service);
        assert!(all_done(&installation, service, left).await.is_none(), "the copy of {service} is older");
        installation.start();
        match open {
            // Whoever sees their cancellation unconfirmed again confirms it again.
            None => confirm(&client, after).await,
            Some((subject, id)) => {
                let quoted = quote(&client, &installation, &subject, id).await;
                confirm(&client, std::slice::from_ref(&quoted)).await;
                client.until(&quoted.id, State::Completed).await;
                left += 1;
            }
        }
        completed(&client, &quoted).await;
        until(&format!("{service} to catch up"), || all_done(&installation, service, left)).await;
    }
    let keys = client.keys().await;
    for Quoted { id, .. } in &quoted {
        let sealed = client.receipt(id).await.receipt_jws;
        assert_eq!(cancellation::receipt::verify(&sealed, &keys).unwrap().cancellation_id, *id);
    }
    installation.stop();
    for (service, kind) in EFFECTS {
        assert_each(&ledger::counts(&installation, service).await, kind, left, 1);
    }
}

/// Where copies of databases are kept while no process runs.
enum Copies {
    Files { stores: PathBuf, copies: PathBuf },
    Databases(Postgres),
}

impl Copies {
    fn take(&self, service: &str) {
        match self {
            Self::Files { stores, copies } => copy(stores, copies, &format!("{service}.db")),
            Self::Databases(postgres) => {
                ask(postgres, &format!("create database copy_{service} template exeunt_{service}"));
            }
        }
    }

    fn put_back(&self, service: &str) {
        match self {
            Self::Files { stores, copies } => {
                let name = format!("{service}.db");
                files(stores, &name).iter().for_each(|file| std::fs::remove_file(file).unwrap());
                copy(copies, stores, &name);
            }
            Self::Databases(postgres) => {
                ask(postgres, &format!("drop database exeunt_{service} with (force)"));
                ask(postgres, &format!("create database exeunt_{service} template copy_{service}"));
            }
        }
    }
}

/// A server that was connected to by a process that was killed notices it only after a while.
fn ask(postgres: &Postgres, statement: &str) {
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname like 'exeunt%'";
    block_in_place(|| {
        postgres.query(cut).unwrap();
        postgres.query(statement).unwrap();
    });
}

/// A cancellation that can be confirmed.
struct Quoted {
    id: String,
    digest: String,
    token: String,
}

async fn quoted(client: &Client, installation: &Installation) -> Vec<Quoted> {
    let mut asked = Vec::new();
    for n in 0..CANCELLATIONS {
        let subject = settle_in(client, n).await;
        asked.push(leave(client, subject).await);
    }
    let mut quoted = Vec::new();
    for (subject, id) in asked {
        quoted.push(quote(client, installation, &subject, id).await);
    }
    quoted
}

/// A subject asks to leave; gives them and their cancellation.
async fn leave(client: &Client, subject: String) -> (String, String) {
    let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
    let id = client.request(&format!("leave-{subject}"), &subject, whole).await.cancellation_id;
    (subject, id)
}

async fn quote(client: &Client, installation: &Installation, subject: &str, id: String) -> Quoted {
    let digest = client.until(&id, State::AwaitingConfirmation).await.quote.unwrap().digest;
    let token = client.verify(subject, &id, &installation.messages()).await;
    Quoted { id, digest, token }
}

async fn confirm(client: &Client, quoted: &[Quoted]) {
    for Quoted { id, digest, token } in quoted {
        client.confirm(id, digest, token).await;
    }
}

async fn completed(client: &Client, quoted: &[Quoted]) {
    for Quoted { id, .. } in quoted {
        client.until(id, State::Completed).await;
    }
}

/// Whether a service has recorded its effect on every account.
async fn all_done(installation: &Installation, service: &str, left: usize) -> Option<()> {
    let counts = ledger::counts(installation, service).await;
    let (_, wanted) = EFFECTS.iter().find(|(of, _)| *of == service).unwrap();
    let done = counts.keys().filter(|(_, kind)| kind == wanted).count();
    (done == left).then_some(())
}

/// The files of a folder whose names begin so: a database is up to three of them.
fn files(folder: &Path, beginning: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(beginning)).collect()
}

fn copy(from: &Path, to: &Path, beginning: &str) {
    std::fs::create_dir_all(to).unwrap();
    for file in files(from, beginning) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
