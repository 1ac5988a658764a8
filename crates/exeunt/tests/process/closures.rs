//! The ledger of closed subjects is applied before a service answers.

use std::{fs, sync::Arc};

use exeunt::compose::Overrides;
use messaging::EventLog;
use proto::{
    operations::v1::{self as ops, operations_service_client::OperationsServiceClient},
    subscription::v1::{ListSubscriptionsRequest, subscription_service_client::SubscriptionServiceClient},
    wallet::v1::{GetWalletRequest, wallet_service_client::WalletServiceClient},
};
use testkit::FaultyLog;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::harness::{App, config, eventually, reason};

/// How many services have read the one entry of the ledger.
async fn applied(app: &App) -> usize {
    let mut operations = OperationsServiceClient::new(app.channel.clone());
    let listed = operations.list_closures(ops::ListClosuresRequest {}).await.unwrap().into_inner().applied;
    listed.into_iter().filter(|one| one.next == 1).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn b16_a_service_that_has_not_applied_the_ledger_answers_no_call_and_the_others_do() {
    let mut app = App::start().await;
    let subject = app.register().await;
    app.close_account(&subject).await;
    eventually(async || (applied(&app).await == 6).then_some(())).await;
    let home = app.stop().await;
    // The wallet's database is a copy from before anything happened.
    for file in fs::read_dir(home.path().join("data/store")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("wallet.") {
            fs::remove_file(path).unwrap();
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let before_log = move |inner: Arc<dyn EventLog>| -> Arc<dyn EventLog> {
        let log = FaultyLog::new(inner);
        log.hold_joining(true);
        sender.send(log.clone()).unwrap();
        log
    };
    let overrides = Overrides { before_log: Some(Box::new(before_log)), ..Overrides::default() };
    let config = config(&home.path().join("data"));
    let app = App::run(home, config, overrides).await;
    let log = receiver.recv().unwrap();

    let subject_id = subject.clone();
    let mut wallet = WalletServiceClient::new(app.channel.clone());
    let whose = GetWalletRequest { subject_id: subject_id.clone() };
    let refused = wallet.get_wallet(whose.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "CATCHING_UP"));
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    let mut health = HealthClient::new(app.channel.clone());
    let of_wallet = HealthCheckRequest { service: "exeunt.wallet.v1.WalletService".into() };
    assert_eq!(health.check(of_wallet).await.unwrap().into_inner().status, 2, "not serving");
    assert_eq!(applied(&app).await, 5);
    // Whoever has applied it answers, though nobody has joined a group yet; identity, too, which tells it.
    let mut subscriptions = SubscriptionServiceClient::new(app.channel.clone());
    subscriptions.list_subscriptions(ListSubscriptionsRequest { subject_id }).await.unwrap();
    let mut app = app;
    app.register_in("CN", "new@example.com").await;

    log.hold_joining(false);
    eventually(async || wallet.get_wallet(whose.clone()).await.ok()).await;
    assert_eq!(applied(&app).await, 6);
    app.stop().await;
}
