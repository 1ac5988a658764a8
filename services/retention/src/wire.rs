//! Between protobuf and the domain: requests inward with every bad field named at once, data sets
//! outward with no more than the reader's ground allows, and events as they are stored.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Encoded, unreadable};
use prost::{Message, Name};
use proto::retention::v1 as pb;
use service_kit::{BadRequest, Violations};
use types::{CancellationId, SubjectId, Timestamp};

use crate::{
    domain::{
        Category, Content, Controller, DataSet, DataSetId, Event, Gone, Holding, NewDataSet, Restriction,
    },
    table::{is_country, is_ground},
};

const SYSTEM_CHARS_MAX: usize = 64;
const CONTROLLER_CHARS_MAX: usize = 100;

/// A RecordDataSet as it was read; the id is minted by whoever records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDataSet {
    /// The request's own id; empty for none.
    pub request_id: String,
    /// Whose.
    pub subject: SubjectId,
    /// Who answers for it.
    pub controller: Controller,
    /// What it is.
    pub category: Category,
    /// What it holds.
    pub content: Content,
}

impl RecordDataSet {
    /// The data set to record, with its id.
    #[must_use]
    pub fn with_id(&self, id: DataSetId) -> NewDataSet {
        let Self { subject, controller, category, content, .. } = self.clone();
        NewDataSet { id, subject, controller, category, content }
    }
}

/// Reads a RecordDataSet. A last event after `now` is wrong: it would keep data longer than the law
/// allows.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn record_data_set(
    request: &pb::RecordDataSetRequest,
    now: Timestamp,
) -> Result<RecordDataSet, BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let system = v.text("system", &request.system, SYSTEM_CHARS_MAX);
    let controller = v.required("controller", request.controller.as_ref());
    let controller = controller.and_then(|controller| read_controller(&mut v, controller));
    let category = v.enumeration("category", request.category).and_then(category_from);
    let last_event_at = v.past("last_event_at", request.last_event_at.as_ref(), now);
    v.finish(|| {
        Some(RecordDataSet {
            request_id: request_id?.unwrap_or_default(),
            subject: subject?,
            controller: controller?,
            category: category?,
            content: Content { system: system?, last_event_at: last_event_at? },
        })
    })
}

fn read_controller(v: &mut Violations, controller: &pb::Controller) -> Option<Controller> {
    v.within("controller", |v| {
        let name = v.text("name", &controller.name, CONTROLLER_CHARS_MAX);
        let known = is_country(&controller.jurisdiction);
        v.check(known, "jurisdiction", "must be two capital letters (ISO 3166-1)");
        let jurisdiction = known.then(|| controller.jurisdiction.clone())?;
        Some(Controller { name: name?, jurisdiction })
    })
}

/// Reads a ListDataSets: whose, and the ground on which restricted data is read.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn list_data_sets(request: &pb::ListDataSetsRequest) -> Result<(SubjectId, String), BadRequest> {
    let mut v = Violations::new();
    let subject = v.subject_id("subject_id", &request.subject_id);
    let ground = &request.ground;
    let right = ground.is_empty() || is_ground(ground);
    v.check(right, "ground", "must be at most 63 capital letters, digits and _");
    v.finish(|| Some((subject?, ground.clone())))
}

/// A data set for whoever reads it on that ground; empty for none. What restricted data holds is
/// told on its own ground only.
#[must_use]
pub fn data_set(subject: &SubjectId, set: &DataSet, ground: &str) -> pb::DataSet {
    let mut told = pb::DataSet {
        data_set_id: set.id.to_string(),
        subject_id: subject.to_string(),
        controller: Some(controller(&set.controller)),
        category: category(set.category).into(),
        ..pb::DataSet::default()
    };
    let content = match &set.holding {
        Holding::Held(content) => {
            told.set_state(pb::DataSetState::Held);
            Some(content)
        }
        Holding::Restricted(content, restriction) => {
            told.set_state(pb::DataSetState::Restricted);
            told.ground.clone_from(&restriction.ground);
            told.source.clone_from(&restriction.source);
            told.restricted_until = restriction.until.map(Timestamp::to_proto);
            told.changed_at = Some(restriction.since.to_proto());
            (restriction.ground == ground).then_some(content)
        }
        Holding::Erased(gone) | Holding::Anonymised(gone) => {
            let anonymised = matches!(set.holding, Holding::Anonymised(_));
            told.set_state(if anonymised { pb::DataSetState::Anonymised } else { pb::DataSetState::Erased });
            told.source.clone_from(&gone.source);
            told.changed_at = Some(gone.since.to_proto());
            None
        }
    };
    if let Some(content) = content {
        told.system.clone_from(&content.system);
        told.last_event_at = Some(content.last_event_at.to_proto());
    }
    told
}

fn controller(controller: &Controller) -> pb::Controller {
    pb::Controller { name: controller.name.clone(), jurisdiction: controller.jurisdiction.clone() }
}

fn category(category: Category) -> pb::DataCategory {
    match category {
        Category::TransactionRecords => pb::DataCategory::TransactionRecords,
        Category::IdentityDocuments => pb::DataCategory::IdentityDocuments,
        Category::Profile => pb::DataCategory::Profile,
        Category::Marketing => pb::DataCategory::Marketing,
        Category::ChatMessages => pb::DataCategory::ChatMessages,
        Category::EnterpriseChat => pb::DataCategory::EnterpriseChat,
        Category::DeviceLogs => pb::DataCategory::DeviceLogs,
        Category::OnDeviceCache => pb::DataCategory::OnDeviceCache,
        Category::Biometric => pb::DataCategory::Biometric,
        Category::Credentials => pb::DataCategory::Credentials,
    }
}

fn category_from(category: pb::DataCategory) -> Option<Category> {
    let name = category.as_str_name();
    Category::parse(name.strip_prefix("DATA_CATEGORY_").unwrap_or(name))
}

/// A fact as it is stored.
#[must_use]
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::Recorded(new) => {
            let NewDataSet { id, subject, controller, category, content } = new.clone();
            let set = DataSet { id, controller, category, holding: Holding::Held(content) };
            Encoded::of(&pb::DataSetRecorded { data_set: Some(data_set(&subject, &set, "")) })
        }
        Event::Erased { id, cancellation, gone } => Encoded::of(&pb::DataSetErased {
            data_set_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            source: gone.source.clone(),
            changed_at: Some(gone.since.to_proto()),
        }),
        Event::Anonymised { id, cancellation, gone } => Encoded::of(&pb::DataSetAnonymised {
            data_set_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            source: gone.source.clone(),
            changed_at: Some(gone.since.to_proto()),
        }),
        Event::Restricted { id, restriction } => Encoded::of(&pb::DataSetRestricted {
            data_set_id: id.to_string(),
            cancellation_id: restriction.cancellation.to_string(),
            ground: restriction.ground.clone(),
            source: restriction.source.clone(),
            until: restriction.until.map(Timestamp::to_proto),
            changed_at: Some(restriction.since.to_proto()),
        }),
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
        controller: Controller { name: controller.name, jurisdiction: controller.jurisdiction },
        category,
        content: Content { system: set.system, last_event_at: instant(set.last_event_at)? },
    }))
}

fn erased(message: pb::DataSetErased) -> Option<Event> {
    Some(Event::Erased {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        gone: Gone { source: message.source, since: instant(message.changed_at)? },
    })
}

fn anonymised(message: pb::DataSetAnonymised) -> Option<Event> {
    Some(Event::Anonymised {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        gone: Gone { source: message.source, since: instant(message.changed_at)? },
    })
}

fn restricted(message: pb::DataSetRestricted) -> Option<Event> {
    Some(Event::Restricted {
        id: DataSetId::parse(&message.data_set_id).ok()?,
        restriction: Restriction {
            ground: message.ground,
            source: message.source,
            until: match message.until {
                Some(until) => Some(Timestamp::from_proto(&until)?),
                None => None,
            },
            cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
            since: instant(message.changed_at)?,
        },
    })
}

fn instant(value: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    Timestamp::from_proto(&value?)
}

#[cfg(test)]
mod tests;
