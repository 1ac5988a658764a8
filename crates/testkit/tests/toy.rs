//! The toy keeps to the contract: quick or slow, for the whole account or a part.

use testkit::{
    POSTGRES_URL, Toy, ToyEvent,
    conformance::{self, Scenario},
};
use types::Scope;

fn scenario(toy: Toy) -> Scenario<Toy> {
    Scenario::new(toy, |_| vec![ToyEvent::Given { units: 3 }])
        .changed_by([ToyEvent::Given { units: 1 }])
        .blocked_by([ToyEvent::Blocked], [ToyEvent::Cleared])
        .adds(["toy.v1.Done"])
}

fn slow() -> Scenario<Toy> {
    scenario(Toy::slow()).then([ToyEvent::Confirmed]).adds(["toy.v1.Asked", "toy.v1.Done"])
}

#[tokio::test]
async fn a_quick_participant_conforms() {
    conformance::check(scenario(Toy::quick())).await;
}

#[tokio::test]
async fn a_slow_participant_conforms() {
    conformance::check(slow()).await;
}

#[tokio::test]
async fn a_slow_participant_conforms_on_postgresql() {
    if std::env::var(POSTGRES_URL).is_err() {
        println!("skipped: {POSTGRES_URL} names no server");
        return;
    }
    conformance::check(slow().on_postgres()).await;
}

#[tokio::test]
async fn a_part_of_an_account_ends_as_well() {
    conformance::check(scenario(Toy::quick()).ending(Scope::Named("part".into()))).await;
}
