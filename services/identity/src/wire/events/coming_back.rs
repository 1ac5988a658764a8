//! What happened to a contact of a closed account, or to a week's key, as it is stored.

use bytes::Bytes;
use participant::Encoded;
use prost::Name;
use proto::identity::v1 as pb;
use types::{CancellationId, Timestamp};

use super::message;
use crate::domain::{
    Event as Fact,
    coming_back::{Event, Released},
    standing::Cause,
};

/// A fact as it is stored.
pub(super) fn encode(event: &Event) -> Encoded {
    match event {
        Event::KeyMade { ends } => Encoded::of(&pb::ContactKeyMade { ends_at: Some(ends.to_proto()) }),
        Event::KeyEnded => Encoded::of(&pb::ContactKeyEnded {}),
        Event::Released(Released { cancellation, region, at, until, ban }) => {
            Encoded::of(&pb::ContactReleased {
                cancellation_id: cancellation.to_string(),
                region: region.clone(),
                closed_at: Some(at.to_proto()),
                known_until: Some(until.to_proto()),
                ban_reason_code: ban.clone().unwrap_or_default(),
            })
        }
        Event::Allowed(Cause { actor, reason }) => {
            Encoded::of(&pb::ContactAllowed { actor: actor.clone(), reason: reason.clone() })
        }
    }
}

/// A stored fact of this room; `None` for another's.
pub(super) fn decode(kind: &str, payload: &Bytes) -> Option<Result<Fact, String>> {
    let read = if kind == pb::ContactKeyMade::full_name() {
        message(payload, |it: pb::ContactKeyMade| {
            let ends = Timestamp::from_proto(it.ends_at.as_ref()?)?;
            Some(Fact::ComingBack(Event::KeyMade { ends }))
        })
    } else if kind == pb::ContactKeyEnded::full_name() {
        message(payload, |_: pb::ContactKeyEnded| Some(Fact::ComingBack(Event::KeyEnded)))
    } else if kind == pb::ContactReleased::full_name() {
        message(payload, released)
    } else if kind == pb::ContactAllowed::full_name() {
        message(payload, |pb::ContactAllowed { actor, reason }| {
            Some(Fact::ComingBack(Event::Allowed(Cause { actor, reason })))
        })
    } else {
        return None;
    };
    Some(read)
}

fn released(it: pb::ContactReleased) -> Option<Fact> {
    Some(Fact::ComingBack(Event::Released(Released {
        cancellation: CancellationId::parse(&it.cancellation_id).ok()?,
        region: it.region,
        at: Timestamp::from_proto(it.closed_at.as_ref()?)?,
        until: Timestamp::from_proto(it.known_until.as_ref()?)?,
        ban: Some(it.ban_reason_code).filter(|code| !code.is_empty()),
    })))
}

/// One of each, for the tests.
#[cfg(test)]
pub(super) fn every_event() -> Vec<Event> {
    let at = Timestamp::from_micros(1_700_000_000_000_001);
    let released = |ban| {
        let (cancellation, region) = (CancellationId::parse("can_1").unwrap(), "CN".into());
        Event::Released(Released { cancellation, region, at, until: at, ban })
    };
    vec![
        Event::KeyMade { ends: at },
        Event::KeyEnded,
        released(None),
        released(Some("FRAUD".into())),
        Event::Allowed(Cause { actor: "ops-1".into(), reason: "heard".into() }),
    ]
}
