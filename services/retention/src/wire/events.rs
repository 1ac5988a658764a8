//! Facts as they are stored, and told.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Encoded, unreadable};
use prost::{Message, Name};
use proto::retention::v1 as pb;
use types::{CancellationId, SubjectId, Timestamp};

use super::{category_from, class_from, clean_up, data_set, hold};
use crate::domain::{
    Basis, CleanUp, Content, Controller, DataSet, DataSetId, Event, Gone, HoldId, Holding, NewDataSet,
    NewHold, Reach, Release, Restriction, Suspension,
};

/// A fact as it is stored.
#[must_use]
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::Recorded(new) => {
            let NewDataSet { id, subject, controller, category, content, evidence_of } = new.clone();
            let (holding, suspended) = (Holding::Held(content), Vec::new());
            let clean_ups = Vec::new();
            let set = DataSet { id, controller, category, holding, evidence_of, suspended, clean_ups };
            Encoded::of(&pb::DataSetRecorded { data_set: Some(data_set(&subject, &set, "")) })
        }
        Event::Erased { id, cancellation, gone } => Encoded::of(&pb::DataSetErased {
            data_set_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            source: gone.basis.source.clone(),
            rule: gone.basis.rule.clone(),
            changed_at: Some(gone.since.to_proto()),
            restricted_until: gone.due.map(Timestamp::to_proto),
        }),
        Event::Anonymised { id, cancellation, gone } => Encoded::of(&pb::DataSetAnonymised {
            data_set_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            source: gone.basis.source.clone(),
            rule: gone.basis.rule.clone(),
            changed_at: Some(gone.since.to_proto()),
        }),
        Event::Restricted { id, restriction } => Encoded::of(&pb::DataSetRestricted {
            data_set_id: id.to_string(),
            cancellation_id: restriction.cancellation.to_string(),
            ground: restriction.ground.clone(),
            source: restriction.basis.source.clone(),
            rule: restriction.basis.rule.clone(),
            until: restriction.until.map(Timestamp::to_proto),
            changed_at: Some(restriction.since.to_proto()),
        }),
        Event::Suspended { id, suspension } => Encoded::of(&pb::ErasureSuspended {
            data_set_id: id.to_string(),
            cancellation_id: suspension.cancellation.to_string(),
            anonymise: suspension.anonymise,
            source: suspension.basis.source.clone(),
            rule: suspension.basis.rule.clone(),
            suspended_at: Some(suspension.since.to_proto()),
        }),
        Event::Dropped { cancellation, at } => Encoded::of(&pb::SuspendedErasuresDropped {
            cancellation_id: cancellation.to_string(),
            dropped_at: Some(at.to_proto()),
        }),
        Event::Deferred { id, cancellation, until, at } => Encoded::of(&pb::ErasureDeferred {
            data_set_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            until: Some(until.to_proto()),
            deferred_at: Some(at.to_proto()),
        }),
        Event::CleanedUp { id, done } => {
            Encoded::of(&pb::DeviceCleanedUp { data_set_id: id.to_string(), clean_up: Some(clean_up(done)) })
        }
        Event::HoldPlaced(new) => Encoded::of(&pb::HoldPlaced { hold: Some(hold(new, None)) }),
        Event::HoldReleased { id, release } => Encoded::of(&pb::HoldReleased {
            hold_id: id.to_string(),
            reason: release.reason.clone(),
            actor: release.actor.clone(),
            released_at: Some(release.at.to_proto()),
        }),
        Event::HoldExpired { id, at } => {
            Encoded::of(&pb::HoldExpired { hold_id: id.to_string(), expired_at: Some(at.to_proto()) })
        }
    }
}

/// A stored fact.
///
/// # Errors
/// [`Unreadable`] for what this program does not know.
pub fn decode(kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
    let event = match schema {
        1 if kind == pb::DataSetRecorded::full_name() => message(payload, recorded),
        1 if kind == pb::DataSetErased::full_name() => message(payload, erased),
        1 if kind == pb::DataSetAnonymised::full_name() => message(payload, anonymised),
        1 if kind == pb::DataSetRestricted::full_name() => message(payload, restricted),
        1 if kind == pb::ErasureSuspended::full_name() => message(payload, suspended),
        1 if kind == pb::SuspendedErasuresDropped::full_name() => message(payload, dropped),
        1 if kind == pb::ErasureDeferred::full_name() => message(payload, deferred),
        1 if kind == pb::DeviceCleanedUp::full_name() => message(payload, cleaned_up),
        1 if kind == pb::HoldPlaced::full_name() => message(payload, hold_placed),
        1 if kind == pb::HoldReleased::full_name() => message(payload, hold_released),
        1 if kind == pb::HoldExpired::full_name() => message(payload, hold_expired),
        _ => Err("is not known".to_owned()),
    };
    event.map_err(|detail| unreadable(kind, schema, detail))
}

fn message<M: Message + Default>(payload: &Bytes, read: fn(M) -> Option<Event>) -> Result<Event, String> {
    let message = M::decode(payload.clone()).map_err(|error| error.to_string())?;
    read(message).ok_or_else(|| "lacks a field".to_owned())
}

fn recorded(message: pb::DataSetRecorded) -> Option<Event> {
    let set = message.data_set?;
    let category = category_from(set.category())?;
    let controller = set.controller?;
    Some(Event::Recorded(NewDataSet {
        id: DataSetId::parse(&set.data_set_id).ok()?,
        subject: SubjectId::parse(&set.subject_id).ok()?,
        controller: Controller {
            class: class_from(controller.class()),
            name: controller.name,
            jurisdiction: controller.jurisdiction,
        },
        category,
        content: Content { system: set.system, last_event_at: instant(set.last_event_at)? },
        evidence_of: match set.evidence_of.as_str() {
            "" => None,
            id => Some(CancellationId::parse(id).ok()?),
        },
    }))
}

fn cleaned_up(message: pb::DeviceCleanedUp) -> Option<Event> {
    let id = DataSetId::parse(&message.data_set_id).ok()?;
    let done = message.clean_up?;
    Some(Event::CleanedUp { id, done: CleanUp { client: done.client, at: instant(done.reported_at)? } })
}

fn erased(message: pb::DataSetErased) -> Option<Event> {
    Some(Event::Erased {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        gone: Gone {
            basis: Basis { rule: message.rule, source: message.source },
            since: instant(message.changed_at)?,
            due: optional(message.restricted_until)?,
        },
    })
}

fn anonymised(message: pb::DataSetAnonymised) -> Option<Event> {
    Some(Event::Anonymised {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        gone: Gone {
            basis: Basis { rule: message.rule, source: message.source },
            since: instant(message.changed_at)?,
            due: None,
        },
    })
}

fn restricted(message: pb::DataSetRestricted) -> Option<Event> {
    Some(Event::Restricted {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        restriction: Restriction {
            ground: message.ground,
            basis: Basis { rule: message.rule, source: message.source },
            until: optional(message.until)?,
            cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
            since: instant(message.changed_at)?,
        },
    })
}

fn suspended(message: pb::ErasureSuspended) -> Option<Event> {
    Some(Event::Suspended {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        suspension: Suspension {
            cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
            anonymise: message.anonymise,
            basis: Basis { rule: message.rule, source: message.source },
            since: instant(message.suspended_at)?,
        },
    })
}

fn dropped(message: pb::SuspendedErasuresDropped) -> Option<Event> {
    Some(Event::Dropped {
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        at: instant(message.dropped_at)?,
    })
}

fn deferred(message: pb::ErasureDeferred) -> Option<Event> {
    Some(Event::Deferred {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        until: instant(message.until)?,
        at: instant(message.deferred_at)?,
    })
}

fn hold_placed(message: pb::HoldPlaced) -> Option<Event> {
    let hold = message.hold?;
    let categories = hold.categories().map(category_from).collect::<Option<_>>()?;
    let data_sets = hold.data_set_ids.iter().map(|id| DataSetId::parse(id).ok()).collect::<Option<_>>()?;
    Some(Event::HoldPlaced(NewHold {
        id: HoldId::parse(&hold.hold_id).ok()?,
        subject: SubjectId::parse(&hold.subject_id).ok()?,
        reach: Reach { categories, data_sets },
        ground: hold.ground,
        authority: hold.authority,
        expires_at: optional(hold.expires_at)?,
        actor: hold.actor,
        placed_at: instant(hold.placed_at)?,
    }))
}

fn hold_released(message: pb::HoldReleased) -> Option<Event> {
    let at = instant(message.released_at)?;
    let release = Release { reason: message.reason, actor: message.actor, at };
    Some(Event::HoldReleased { id: HoldId::parse(&message.hold_id).ok()?, release })
}

fn hold_expired(message: pb::HoldExpired) -> Option<Event> {
    let id = HoldId::parse(&message.hold_id).ok()?;
    Some(Event::HoldExpired { id, at: instant(message.expired_at)? })
}

/// What may be missing; `None` for what is there and wrong.
fn optional(value: Option<prost_types::Timestamp>) -> Option<Option<Timestamp>> {
    value.map_or(Some(None), |value| Timestamp::from_proto(&value).map(Some))
}

fn instant(value: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    Timestamp::from_proto(&value?)
}
