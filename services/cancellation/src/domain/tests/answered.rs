//! Every command in every state: it adds facts, or has done so before, or is refused for a reason.

use super::*;

/// What a command comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// It adds facts.
    Adds,
    /// It is so already, or nobody waits for it: nothing is added.
    Stands,
    /// It is refused.
    Refused,
}
use Comes::{Adds, Refused, Stands};

fn all(phase: Phase) -> Vec<Event> {
    let revoked = Event::Revoked { sealed_reason: Arc::from([]), at: at(6) };
    let frozen = Event::Confirmed {
        digest: QUOTE,
        token_ids: vec!["t1".into()],
        cooling_off_until: Some(at(50)),
        at: at(5),
    };
    let cooling = || after(quoted(), [frozen.clone(), instructed(Kind::Freeze, 2, &["a"])]);
    let ends = ["a", "b", "c", "d"].map(|by| Event::Acknowledged(Arc::new(done(by))));
    match phase {
        Phase::Assessing => requested(),
        Phase::Blocked => {
            let by = |by: &str| Event::Acknowledged(Arc::new(assessed(by)));
            let blocker = Event::Acknowledged(Arc::new(blocked("a")));
            after(requested(), [blocker, by("b"), by("c"), by("d"), Event::Blocked { at: AT }])
        }
        Phase::AwaitingConfirmation => quoted(),
        Phase::CoolingOff => cooling(),
        Phase::Executing => executing(),
        Phase::Completed => {
            let history = after(executing(), [instructed(Kind::Execute, 2, &["b", "c", "d"])]);
            after(after(history, ends), [Event::Completed { receipt: "one".into(), at: at(9) }])
        }
        Phase::Revoking => {
            let revoking = Event::Revoking { sealed_reason: Arc::from([]), at: at(6) };
            after(cooling(), [revoking, instructed(Kind::Undo, 3, &["a"])])
        }
        Phase::Revoked => after(quoted(), [revoked]),
        Phase::Rejected => after(requested(), [Event::Rejected { at: at(6) }]),
        Phase::Expired => {
            let by = CancellationId::parse("can_2").unwrap();
            after(quoted(), [Event::Expired { by, at: at(6) }])
        }
    }
}

const PHASES: [Phase; 10] = [
    Phase::Assessing,
    Phase::Blocked,
    Phase::AwaitingConfirmation,
    Phase::CoolingOff,
    Phase::Executing,
    Phase::Completed,
    Phase::Revoking,
    Phase::Revoked,
    Phase::Rejected,
    Phase::Expired,
];

/// One of each kind, and what it comes to in each phase, in the order of [`PHASES`].
fn commands() -> Vec<(Command, [Comes; 10])> {
    let operate =
        |action| Command::Operate(Operation { action, actor: "kim".into(), reason: "r".into(), at: at(9) });
    let failed = Answer { revision: 9, ..answer("a", Kind::Execute, 2, Outcome::Failed) };
    let assessed_anew = Answer { revision: 9, digest: Some([7; 32]), ..assessed("a") };
    let by = CancellationId::parse("can_3").unwrap();
    let assign = Action::Assign { cause: Cause::Failed, participant: None, owner: "lee".into(), due: at(99) };
    vec![
        (Command::Request(Box::new(request())), [Stands; 10]),
        (
            Command::Acknowledge(assessed_anew),
            [Adds, Adds, Adds, Adds, Stands, Stands, Stands, Stands, Stands, Stands],
        ),
        (
            Command::Acknowledge(failed),
            [Stands, Stands, Stands, Stands, Adds, Adds, Stands, Stands, Stands, Stands],
        ),
        (Command::Quote { digest: QUOTE, now: at(9) }, [Stands; 10]),
        (Command::Recheck { digest: QUOTE, differences: Vec::new(), now: at(9) }, [Stands; 10]),
        (
            Command::Wake { now: at(60) },
            [Stands, Stands, Stands, Adds, Stands, Stands, Stands, Stands, Stands, Stands],
        ),
        (
            Command::Reassess,
            [Adds, Adds, Adds, Refused, Refused, Refused, Refused, Refused, Refused, Refused],
        ),
        (confirm(), [Refused, Refused, Adds, Stands, Stands, Stands, Refused, Refused, Refused, Refused]),
        (revoke(), [Adds, Adds, Adds, Adds, Refused, Refused, Stands, Stands, Refused, Refused]),
        (
            Command::Expire { by, now: at(9) },
            [Adds, Adds, Adds, Adds, Stands, Stands, Stands, Stands, Stands, Stands],
        ),
        (Command::Seal { receipt: "r".into(), now: at(9) }, [Stands; 10]),
        (Command::Amend { receipt: "r".into(), now: at(9) }, [Stands; 10]),
        (operate(assign), [Refused; 10]),
        (
            operate(Action::Reassess),
            [Adds, Adds, Adds, Refused, Refused, Refused, Refused, Refused, Refused, Refused],
        ),
        (operate(Action::Extend), [Refused; 10]),
        (operate(Action::Notice { told_at: at(1) }), [Refused; 10]),
        (operate(Action::Retry { participant: name("a") }), [Refused; 10]),
        (
            operate(Action::Attest { participant: name("a"), evidence: "T".into() }),
            [Refused, Refused, Refused, Refused, Adds, Refused, Refused, Refused, Refused, Refused],
        ),
    ]
}

#[test]
fn b10_every_command_is_answered_in_every_state() {
    for (command, comes) in commands() {
        for (phase, expected) in PHASES.into_iter().zip(comes) {
            let state = given(all(phase)).0;
            assert_eq!(state.as_ref().unwrap().phase, phase);
            let answered = match decide(&state, command.clone()) {
                Ok(events) if events.is_empty() => Stands,
                Ok(_) => Adds,
                Err(_) => Refused,
            };
            assert_eq!(answered, expected, "{command:?} in {phase:?}");
        }
    }
}

#[test]
fn b23_one_command_is_the_only_way_in_and_it_tells_everybody_on_the_roster() {
    for (command, _) in commands() {
        let opens = matches!(command, Command::Request(_));
        match decide(&None, command) {
            Ok(events) => {
                let told = instructed(Kind::Assess, 1, &["a", "b", "c", "d"]);
                assert!(opens && events.contains(&told), "{events:?}");
            }
            Err(refused) => assert_eq!((opens, refused), (false, Rejection::Unknown)),
        }
    }
}

proptest! {
    /// In whatever state a cancellation has got into: every command is answered, what it adds is taken,
    /// and the same command again adds nothing, or is refused.
    #[test]
    fn b10_and_b06_a_command_repeated_in_any_state_adds_nothing_more(
        begins in 0..PHASES.len(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut state = given(all(PHASES[begins])).0;
        let commands = commands();
        for pick in picks {
            let command = commands[pick.index(commands.len())].0.clone();
            let Ok(events) = decide(&state, command.clone()) else { continue };
            state = events.into_iter().fold(state, evolve);
            // As after every command: what is due by then happens, like the end of what a person was told of.
            if let Ok(due) = decide(&state, Command::Wake { now: at(9) }) {
                state = due.into_iter().fold(state, evolve);
            }
            // Asking everybody again is a new round each time.
            let round = matches!(&command, Command::Reassess)
                || matches!(&command, Command::Operate(it) if it.action == Action::Reassess);
            if let Ok(again) = decide(&state, command.clone()) {
                // What waits for a person is told beside what was due by itself.
                let wakes = matches!(command, Command::Wake { .. });
                prop_assert!(round || wakes || again.is_empty(), "{:?}: {:?}", command, again);
            }
        }
    }
}
