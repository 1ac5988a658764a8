//! `kill -9` at random moments while many cancellations are under way. The oracle is this process:
//! it knows what was accepted, because it has the answers.

use std::{path::PathBuf, sync::Arc};

use cancellation::receipt;
use proto::{
    cancellation::v1 as can, identity::v1 as idn, payscore::v1 as pay, retention::v1 as ret,
    subscription::v1 as sub, types::v1 as words, wallet::v1 as wal,
};
use tokio::{sync::watch, task::JoinSet};
use types::{Clock as _, SystemClock};

use crate::{
    client::{Client, surely},
    ledger::{self, assert_each},
    process::{BOUND, Engines, Installation},
};

const CANCELLATIONS: usize = 200;
const KILLS: usize = 10;
/// Answers that a cancellation needs, as `leave` counts them.
const STEPS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_after_kill_nothing_is_lost_and_nothing_is_doubled_on_embedded_storage() {
    kill_after_kill(Engines::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_after_kill_nothing_is_lost_and_nothing_is_doubled_on_postgresql_and_kafka() {
    match Engines::real() {
        Some(engines) => kill_after_kill(engines).await,
        None => eprintln!("skipped: no PostgreSQL and Kafka are named"),
    }
}

fn cny(minor_units: i64) -> Option<words::Money> {
    Some(words::Money { currency_code: "CNY".into(), minor_units })
}

/// One person with something at every service: gives the subject's id.
pub async fn settle_in(client: &Client, n: usize) -> String {
    let id = |what: &str| format!("{what}-{n}");
    let subject_id = surely(async || {
        let contact = idn::contact::Address::Email(format!("someone{n}@example.com"));
        let request = idn::RegisterSubjectRequest {
            request_id: id("register"),
            region: "CN".into(),
            edition: words::Edition::Domestic.into(),
            contacts: vec![idn::Contact { address: Some(contact) }],
        };
        client.identity.clone().register_subject(request).await
    })
    .await
    .subject_id;
    let now = Some(SystemClock.now().to_proto());
    surely(async || {
        let plan = sub::Plan { name: "Video".into(), tier: String::new(), price: cny(2_500) };
        let request = sub::RecordSubscriptionRequest {
            request_id: id("subscription"),
            subject_id: subject_id.clone(),
            plan: Some(plan),
            billing: sub::Billing::Merchant.into(),
            started_at: now,
            will_renew: true,
            ..Default::default()
        };
        client.subscription.clone().record_subscription(request).await
    })
    .await;
    surely(async || {
        let request = pay::RecordAuthorizationRequest {
            request_id: id("authorization"),
            subject_id: subject_id.clone(),
            scheme: pay::Scheme::WechatPayScore.into(),
            merchant: Some(pay::Merchant { mchid: "1900000001".into(), name: "Power bank".into() }),
            service_id: "500001".into(),
            authorization_code: id("code"),
        };
        client.payscore.clone().record_authorization(request).await
    })
    .await;
    surely(async || {
        let request = wal::RecordBenefitRequest {
            request_id: id("benefit"),
            subject_id: subject_id.clone(),
            kind: wal::BenefitKind::Points.into(),
            quantity: 1_250,
            ..Default::default()
        };
        client.wallet.clone().record_benefit(request).await
    })
    .await;
    surely(async || {
        let request = ret::RecordDataSetRequest {
            request_id: id("data"),
            subject_id: subject_id.clone(),
            system: "profiles".into(),
            controller: Some(ret::Controller { name: "Wallet".into(), jurisdiction: "CN".into() }),
            category: ret::DataCategory::Profile.into(),
            last_event_at: now,
        };
        client.retention.clone().record_data_set(request).await
    })
    .await;
    subject_id
}

/// From request to receipt, whatever happens to the server meanwhile; gives the cancellation's id.
async fn leave(client: Client, n: usize, messages: PathBuf, progress: Arc<watch::Sender<usize>>) -> String {
    let step = || progress.send_modify(|steps| *steps += 1);
    let subject_id = settle_in(&client, n).await;
    step();
    let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
    let accepted = client.request(&format!("leave-{n}"), &subject_id, whole).await.cancellation_id;
    step();
    let quoted = client.until(&accepted, can::State::AwaitingConfirmation).await;
    step();
    let token = client.verify(&subject_id, &accepted, &messages).await;
    step();
    client.confirm(&accepted, &quoted.quote.unwrap().digest, &token).await;
    step();
    client.until(&accepted, can::State::Completed).await;
    step();
    accepted
}

async fn kill_after_kill(engines: Engines) {
    let mut installation = Installation::new(engines);
    installation.start();
    let client = Client::new(&installation.url());
    let (progress, mut reached) = watch::channel(0);
    let progress = Arc::new(progress);
    let mut leaving = JoinSet::new();
    for n in 0..CANCELLATIONS {
        leaving.spawn(leave(client.clone(), n, installation.messages(), progress.clone()));
    }
    for kill in 0..KILLS {
        // Somewhere within the next share of the work, at a moment that nobody chose.
        let share = CANCELLATIONS * STEPS / KILLS;
        let moment = kill * share + usize::try_from(types::fresh_uuid().as_u128() % share as u128).unwrap();
        let waiting = reached.wait_for(|steps| *steps >= moment);
        let steps = *tokio::time::timeout(BOUND, waiting).await.unwrap().unwrap();
        installation.kill();
        eprintln!("kill {}: after {steps} of {} steps", kill + 1, CANCELLATIONS * STEPS);
        installation.start();
    }
    let accepted = leaving.join_all().await;
    assert_eq!(accepted.len(), CANCELLATIONS);

    let keys = client.keys().await;
    for id in &accepted {
        let sealed = client.receipt(id).await.receipt_jws;
        let proven = receipt::verify(&sealed, &keys).unwrap();
        assert_eq!(proven.cancellation_id, *id);
        assert_eq!(proven.roster.len(), 5);
    }
    installation.stop();
    each_effect_happened_once(&installation).await;
}

async fn each_effect_happened_once(installation: &Installation) {
    let once = [
        ("cancellation", "exeunt.cancellation.v1.Completed"),
        ("cancellation", "exeunt.cancellation.v1.Confirmed"),
        ("cancellation", "exeunt.cancellation.v1.SubjectClosed"),
        ("subscription", "exeunt.subscription.v1.RenewalStopped"),
        ("payscore", "exeunt.payscore.v1.AuthorizationUnbound"),
        ("wallet", "exeunt.wallet.v1.BenefitLapsed"),
        ("retention", "exeunt.retention.v1.DataSetErased"),
        ("identity", "exeunt.identity.v1.KeyDestroyed"),
        ("identity", "exeunt.identity.v1.SubjectClosed"),
    ];
    for service in ledger::SERVICES {
        let counts = ledger::counts(installation, service).await;
        for (_, kind) in once.iter().filter(|(of, _)| *of == service) {
            assert_each(&counts, kind, CANCELLATIONS, 1);
        }
    }
}
