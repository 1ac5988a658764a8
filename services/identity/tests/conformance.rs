//! Identity keeps to what every participant must: a key is intended to be destroyed once, and the
//! account ends when that is confirmed.

use identity::Identity;
use participant::Participant;
use testkit::conformance::{self, Scenario};
use types::{CancellationId, Edition, Scope};

type Event = <Identity as Participant>::Event;

fn scenario() -> Scenario<Identity> {
    let registered = |subject: &types::SubjectId| {
        let (subject, region) = (subject.clone(), "CN".to_owned());
        vec![
            Event::Registered { subject, region, edition: Edition::Domestic },
            Event::ContactsRecorded(Vec::new()),
        ]
    };
    Scenario::new(Identity::default(), registered).registering()
}

#[tokio::test]
async fn it_conforms_when_the_account_closes() {
    let by = CancellationId::parse("can_1").unwrap();
    let intended = ["exeunt.identity.v1.KeyDestructionIntended"];
    conformance::check(scenario().then([Event::KeyDestroyed(by)]).adds(intended)).await;
}

#[tokio::test]
async fn it_conforms_when_parts_end_which_are_none_of_its_business() {
    conformance::check(scenario().ending(Scope::Selected(Vec::new()))).await;
}
