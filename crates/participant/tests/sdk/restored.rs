//! A participant whose store is a copy from before it assessed is told to execute what was accepted then.

use std::sync::Arc;

use participant::{Accounts, Participant as _, Runtime};
use proto::participant::v1::{Acknowledgement, InstructionKind, Outcome};
use testkit::{Told, Toy, ToyEvent};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{CancellationId, ParticipantName, Scope, SubjectId};

use crate::World;

const SCOPE: Scope = Scope::WholeAccount;

/// A toy at work, and who asks it.
struct Copy {
    world: World,
    subject: SubjectId,
    accounts: Accounts<Toy>,
    name: ParticipantName,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Copy {
    async fn with(facts: Vec<ToyEvent>) -> Self {
        let world = World::new().await;
        let subject = world.subject(facts).await;
        let runtime = Runtime::new(Arc::new(Toy::quick()), world.stage.options(), true).await.unwrap();
        let accounts = runtime.accounts().clone();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let token = stop.clone();
        tasks.spawn(async move { runtime.run(token).await.unwrap() });
        Self { world, subject, accounts, name: Toy::quick().name().clone(), stop, tasks }
    }

    async fn told(
        &self,
        kind: InstructionKind,
        epoch: u32,
        accepted: Option<&Acknowledgement>,
    ) -> Acknowledgement {
        let (cancellation, subject) = (CancellationId::parse("can_1").unwrap(), &self.subject);
        let (participant, scope) = (&self.name, &SCOPE);
        let told = Told { participant, cancellation: &cancellation, subject, kind, epoch, scope };
        match accepted {
            Some(accepted) => self.world.stage.instruct_as_assessed(told, accepted).await,
            None => self.world.stage.instruct(told).await,
        }
        self.world.stage.answer(&self.accounts, subject, &cancellation, (epoch, 1)).await
    }

    async fn done(&self) -> u32 {
        self.accounts.get(&self.subject).await.unwrap().state.done
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// What one said before its store was put back.
async fn assessed(facts: Vec<ToyEvent>) -> Acknowledgement {
    let before = Copy::with(facts).await;
    let assessed = before.told(InstructionKind::Assess, 1, None).await;
    before.stop().await;
    assert_eq!(assessed.outcome(), Outcome::Assessed);
    assessed
}

#[tokio::test]
async fn a_copy_from_before_an_assessment_derives_it_again_and_does_what_was_accepted() {
    let accepted = assessed(vec![ToyEvent::Given { units: 3 }]).await;
    let copy = Copy::with(vec![ToyEvent::Given { units: 3 }]).await;
    // Later than it was assessed: dates count from that moment.
    copy.world.stage.clock.advance(std::time::Duration::from_secs(86_400));
    let answer = copy.told(InstructionKind::Execute, 2, Some(&accepted)).await;
    assert_eq!((answer.outcome(), copy.done().await), (Outcome::Done, 1));
    assert_eq!(answer.assessment_digest, accepted.assessment_digest);
    copy.stop().await;
}

#[tokio::test]
async fn a_copy_that_lacks_facts_of_an_assessment_does_nothing_and_is_asked_anew() {
    let accepted = assessed(vec![ToyEvent::Given { units: 3 }]).await;
    let copy = Copy::with(vec![ToyEvent::Given { units: 2 }]).await;
    let answer = copy.told(InstructionKind::Execute, 2, Some(&accepted)).await;
    assert_eq!((answer.outcome(), copy.done().await), (Outcome::Changed, 0));
    // What the coordinator makes of that: everybody is asked, and the subject accepts what is there.
    let anew = copy.told(InstructionKind::Assess, 3, None).await;
    assert_eq!(anew.outcome(), Outcome::Assessed);
    let answer = copy.told(InstructionKind::Execute, 4, Some(&anew)).await;
    assert_eq!((answer.outcome(), copy.done().await), (Outcome::Done, 1));
    copy.stop().await;
}
