//! The smallest participant there can be: one unit of work, and a counter of how often it was done.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step, TimerWish, unreadable};
use proto::participant::v1 as pb;
use types::{ParticipantName, Timestamp};

/// What the toy waits for when it is slow.
pub const TOY_ASKED: &str = "TOY_ASKED";
/// What blocks it.
pub const TOY_BLOCKED: &str = "TOY_BLOCKED";
/// The toy's only timer.
pub const ALARM: &str = "alarm";

/// The participant.
#[derive(Debug)]
pub struct Toy {
    name: ParticipantName,
    /// Whether it must ask somebody outside, and wait for a confirmation.
    slow: bool,
}

impl Toy {
    /// One that does its work at once.
    #[must_use]
    pub fn quick() -> Self {
        Self { name: ParticipantName::parse("toy").expect("is a name"), slow: false }
    }

    /// One that asks, and waits for a confirmation.
    #[must_use]
    pub fn slow() -> Self {
        Self { slow: true, ..Self::quick() }
    }
}

/// What the toy knows of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToyState {
    /// How much there is to do.
    pub units: u32,
    /// Whether something blocks.
    pub blocked: bool,
    /// Whether work is suspended.
    pub frozen: bool,
    /// Whether it was asked for.
    pub asked: bool,
    /// Whether that was confirmed.
    pub confirmed: bool,
    /// How often it was done: the effect.
    pub done: u32,
    /// When the alarm is due.
    pub alarm: Option<Timestamp>,
    /// How often it rang.
    pub rang: u32,
}

/// The toy's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToyEvent {
    /// There is more to do.
    Given {
        /// How much more.
        units: u32,
    },
    /// A thing with an id was made.
    Named {
        /// The id.
        id: String,
    },
    /// Something blocks.
    Blocked,
    /// Nothing blocks any more.
    Cleared,
    /// Suspended.
    Frozen,
    /// Not suspended any more.
    Thawed,
    /// Somebody outside was asked.
    Asked,
    /// Who was asked confirms.
    Confirmed,
    /// It was done.
    Done,
    /// The alarm was set.
    AlarmSet {
        /// When it is due.
        at: Timestamp,
    },
    /// The alarm rang.
    Rang {
        /// When it is due again.
        again: Option<Timestamp>,
    },
}

impl Participant for Toy {
    type State = ToyState;
    type Event = ToyEvent;

    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn evolve(&self, mut state: ToyState, event: &ToyEvent) -> ToyState {
        match event {
            ToyEvent::Given { units } => state.units += units,
            ToyEvent::Named { .. } => {}
            ToyEvent::Blocked => state.blocked = true,
            ToyEvent::Cleared => state.blocked = false,
            ToyEvent::Frozen => state.frozen = true,
            ToyEvent::Thawed => state.frozen = false,
            ToyEvent::Asked => state.asked = true,
            ToyEvent::Confirmed => state.confirmed = true,
            ToyEvent::Done => {
                state.units = 0;
                state.done += 1;
            }
            ToyEvent::AlarmSet { at } => state.alarm = Some(*at),
            ToyEvent::Rang { again } => {
                state.alarm = *again;
                state.rang += 1;
            }
        }
        state
    }

    fn encode(&self, event: &ToyEvent) -> Encoded {
        let mut payload = BytesMut::new();
        let kind = match event {
            ToyEvent::Given { units } => {
                payload.put_u32(*units);
                "toy.v1.Given"
            }
            ToyEvent::Named { id } => {
                payload.put_slice(id.as_bytes());
                "toy.v1.Named"
            }
            ToyEvent::Blocked => "toy.v1.Blocked",
            ToyEvent::Cleared => "toy.v1.Cleared",
            ToyEvent::Frozen => "toy.v1.Frozen",
            ToyEvent::Thawed => "toy.v1.Thawed",
            ToyEvent::Asked => "toy.v1.Asked",
            ToyEvent::Confirmed => "toy.v1.Confirmed",
            ToyEvent::Done => "toy.v1.Done",
            ToyEvent::AlarmSet { at } => {
                payload.put_i64(at.as_micros());
                "toy.v1.AlarmSet"
            }
            ToyEvent::Rang { again } => {
                again.iter().for_each(|at| payload.put_i64(at.as_micros()));
                "toy.v1.Rang"
            }
        };
        Encoded { kind: kind.into(), schema: 1, payload: payload.freeze() }
    }

    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<ToyEvent, Unreadable> {
        let mut payload = payload.clone();
        let broken = |_| unreadable(kind, schema, "payload is too short");
        Ok(match kind {
            "toy.v1.Given" => ToyEvent::Given { units: payload.try_get_u32().map_err(broken)? },
            "toy.v1.Named" => ToyEvent::Named { id: String::from_utf8_lossy(&payload).into_owned() },
            "toy.v1.Blocked" => ToyEvent::Blocked,
            "toy.v1.Cleared" => ToyEvent::Cleared,
            "toy.v1.Frozen" => ToyEvent::Frozen,
            "toy.v1.Thawed" => ToyEvent::Thawed,
            "toy.v1.Asked" => ToyEvent::Asked,
            "toy.v1.Confirmed" => ToyEvent::Confirmed,
            "toy.v1.Done" => ToyEvent::Done,
            "toy.v1.AlarmSet" => {
                ToyEvent::AlarmSet { at: Timestamp::from_micros(payload.try_get_i64().map_err(broken)?) }
            }
            "toy.v1.Rang" => ToyEvent::Rang { again: payload.try_get_i64().ok().map(Timestamp::from_micros) },
            _ => return Err(unreadable(kind, schema, "the toy has no such fact")),
        })
    }

    fn ids(&self, event: &ToyEvent) -> Vec<String> {
        match event {
            ToyEvent::Named { id } => vec![id.clone()],
            _ => Vec::new(),
        }
    }

    fn timers(&self, event: &ToyEvent) -> Vec<TimerWish> {
        let due = match event {
            ToyEvent::AlarmSet { at } => Some(*at),
            ToyEvent::Rang { again } => *again,
            _ => return Vec::new(),
        };
        vec![TimerWish { kind: ALARM.into(), due }]
    }

    /// Rings, and once more a day later.
    fn due(&self, state: &ToyState, timer: &str, now: Timestamp) -> Vec<ToyEvent> {
        let is_due = timer == ALARM && state.alarm.is_some_and(|at| at <= now);
        let day = std::time::Duration::from_secs(86_400);
        let again = (state.rang == 0).then(|| now.plus(day));
        if is_due { vec![ToyEvent::Rang { again }] } else { Vec::new() }
    }

    fn assess(&self, _case: &Case, state: &ToyState) -> Assessed {
        let blocker =
            pb::Blocker { code: TOY_BLOCKED.into(), item_id: "toy".into(), ..pb::Blocker::default() };
        let item = pb::QuoteItem {
            kind: pb::QuoteItemKind::Ends.into(),
            code: "TOY_ENDS".into(),
            quantity: state.units.into(),
            ..pb::QuoteItem::default()
        };
        Assessed {
            blockers: state.blocked.then_some(blocker).into_iter().collect(),
            items: (state.units > 0).then_some(item).into_iter().collect(),
            rejections: Vec::new(),
        }
    }

    fn execute(&self, _case: &Case, state: &ToyState, _now: Timestamp) -> Step<ToyEvent> {
        let waiting = pb::Waiting {
            waiting_on: pb::WaitingOn::Provider.into(),
            code: TOY_ASKED.into(),
            ..pb::Waiting::default()
        };
        match state {
            ToyState { units: 0, .. } => Step::nothing_to_do(),
            ToyState { asked: false, .. } if self.slow => {
                Step::new(vec![ToyEvent::Asked], Answer::Waiting(waiting))
            }
            ToyState { confirmed: false, .. } if self.slow => Step::new(Vec::new(), Answer::Waiting(waiting)),
            _ => Step::new(vec![ToyEvent::Done], Answer::Done),
        }
    }

    fn freeze(&self, _case: &Case, state: &ToyState, _now: Timestamp) -> Step<ToyEvent> {
        if state.frozen { Step::nothing_to_do() } else { Step::new(vec![ToyEvent::Frozen], Answer::Done) }
    }

    fn undo(&self, _case: &Case, state: &ToyState, _now: Timestamp) -> Step<ToyEvent> {
        if state.frozen { Step::new(vec![ToyEvent::Thawed], Answer::Done) } else { Step::nothing_to_do() }
    }
}
