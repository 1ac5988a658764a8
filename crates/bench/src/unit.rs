//! The smallest participant that the SDK allows: each EXECUTE records one unit of work.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step, unreadable};
use types::{ParticipantName, Timestamp};

/// How many take part in a fan-out.
pub const UNITS: usize = 6;
/// The scope in which they do.
pub const SCOPE: &str = "fan_out";

const WORKED: &str = "exeunt.bench.v1.Worked";

/// The participant.
pub struct Unit(ParticipantName);

/// Its only fact.
#[derive(Clone)]
pub struct Worked;

impl Unit {
    /// The one of that number, from 1.
    pub fn new(number: usize) -> Self {
        Self(ParticipantName::parse(&format!("unit-{number}")).expect("is a name"))
    }
}

/// The names of all that take part.
pub fn names() -> Vec<ParticipantName> {
    (1..=UNITS).map(|number| Unit::new(number).0).collect()
}

/// The usual roster, and beside it the scope that only these units take part in.
pub fn roster() -> String {
    let mut roster = format!("{}\n[scopes.{SCOPE}]\ngates = \"none\"\n", cancellation::DEFAULT_ROSTER);
    for name in names() {
        roster += &format!("\n[[participant]]\nname = \"{name}\"\nscopes = [\"{SCOPE}\"]\n");
    }
    roster
}

impl Participant for Unit {
    /// How many units of work were done.
    type State = u64;
    type Event = Worked;

    fn name(&self) -> &ParticipantName {
        &self.0
    }

    fn evolve(&self, done: u64, _event: &Worked) -> u64 {
        done + 1
    }

    fn encode(&self, _event: &Worked) -> Encoded {
        Encoded { kind: WORKED.into(), schema: 1, payload: Bytes::new() }
    }

    fn decode(&self, kind: &str, schema: u16, _payload: &Bytes) -> Result<Worked, Unreadable> {
        match kind {
            WORKED => Ok(Worked),
            _ => Err(unreadable(kind, schema, "a unit has no such fact")),
        }
    }

    fn is_public(&self, _kind: &str) -> bool {
        false
    }

    fn assess(&self, _case: &Case, _done: &u64) -> Assessed {
        Assessed::default()
    }

    fn execute(&self, _case: &Case, _done: &u64, _now: Timestamp) -> Step<Worked> {
        Step::new(vec![Worked], Answer::Done)
    }
}

#[cfg(test)]
mod tests {
    use cancellation::Roster;
    use types::Scope;

    use super::*;

    #[test]
    fn all_units_and_nobody_else_take_part_in_the_fan_out_and_none_waits() {
        let roster = Roster::parse(&roster()).unwrap();
        let selection = roster.select(&Scope::Named(SCOPE.into())).unwrap();
        assert_eq!(selection.gates_none, Some(true));
        assert_eq!(selection.entries.len(), UNITS);
        assert!(selection.entries.iter().all(|entry| entry.after.is_empty()));
        assert!(selection.entries.iter().map(|entry| &entry.name).eq(&names()));
    }
}
