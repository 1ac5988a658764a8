//! Between protobuf and the domain: requests inward with every bad field named at once, data sets
//! outward with no more than the reader's ground allows, and events as they are stored.

mod events;
mod holds;

use policy::is_ground;
use proto::retention::v1 as pb;
use service_kit::{BadRequest, Violations};
use types::{CancellationId, SubjectId, Timestamp};

pub use events::{decode, encode};
pub use holds::{PlaceHold, ReleaseHold, hold, list_holds, place_hold, release_hold};

use crate::domain::{
    Basis, Category, CleanUp, Content, Controller, ControllerClass, DataSet, DataSetId, Holding, NewDataSet,
    State,
};

const SYSTEM_CHARS_MAX: usize = 64;
const CONTROLLER_CHARS_MAX: usize = 100;
const CLIENT_LENGTH_MAX: usize = 16;

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
    /// The cancellation of which it is evidence.
    pub evidence_of: Option<CancellationId>,
}

impl RecordDataSet {
    /// The data set to record, with its id.
    #[must_use]
    pub fn with_id(&self, id: DataSetId) -> NewDataSet {
        let Self { subject, controller, category, content, evidence_of, .. } = self.clone();
        NewDataSet { id, subject, controller, category, content, evidence_of }
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
    let evidence_of = match request.evidence_of.as_str() {
        "" => Some(None),
        id => v.cancellation_id("evidence_of", id).map(Some),
    };
    v.finish(|| {
        Some(RecordDataSet {
            request_id: request_id?.unwrap_or_default(),
            subject: subject?,
            controller: controller?,
            category: category?,
            content: Content { system: system?, last_event_at: last_event_at? },
            evidence_of: evidence_of?,
        })
    })
}

fn read_controller(v: &mut Violations, controller: &pb::Controller) -> Option<Controller> {
    v.within("controller", |v| {
        let name = v.text("name", &controller.name, CONTROLLER_CHARS_MAX);
        let known = is_country(&controller.jurisdiction);
        v.check(known, "jurisdiction", "must be two capital letters (ISO 3166-1)");
        let class = v.optional_enumeration::<pb::ControllerClass>("class", controller.class);
        let jurisdiction = known.then(|| controller.jurisdiction.clone())?;
        Some(Controller { name: name?, jurisdiction, class: class?.and_then(class_from) })
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

/// The subject's data sets for whoever reads them on that ground, with the holds over them.
#[must_use]
pub fn data_sets(subject: &SubjectId, state: &State, ground: &str) -> Vec<pb::DataSet> {
    let told = |set: &DataSet| pb::DataSet {
        hold_ids: match set.content() {
            Some(_) => state.holds_over(set).map(|hold| hold.id.to_string()).collect(),
            None => Vec::new(),
        },
        waiting_cancellation_ids: set.suspended.iter().map(|it| it.cancellation.to_string()).collect(),
        ..data_set(subject, set, ground)
    };
    state.data_sets.iter().map(told).collect()
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
        evidence_of: set.evidence_of.as_ref().map(ToString::to_string).unwrap_or_default(),
        clean_ups: set.clean_ups.iter().map(clean_up).collect(),
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
            tell_basis(&mut told, &restriction.basis);
            told.restricted_until = restriction.until.map(Timestamp::to_proto);
            told.changed_at = Some(restriction.since.to_proto());
            (restriction.ground == ground).then_some(content)
        }
        Holding::Erased(gone) | Holding::Anonymised(gone) => {
            let anonymised = matches!(set.holding, Holding::Anonymised(_));
            told.set_state(if anonymised { pb::DataSetState::Anonymised } else { pb::DataSetState::Erased });
            tell_basis(&mut told, &gone.basis);
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

fn clean_up(done: &CleanUp) -> pb::CleanUp {
    pb::CleanUp { client: done.client.clone(), reported_at: Some(done.at.to_proto()) }
}

/// A report of an app: its request's own id, the data set, and the kind of app.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn report_device_clean_up(
    request: &pb::ReportDeviceCleanUpRequest,
) -> Result<(String, DataSetId, String), BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", &request.request_id);
    let id = v.id("data_set_id", &request.data_set_id, DataSetId::parse);
    let client = &request.client;
    let right = (1..=CLIENT_LENGTH_MAX).contains(&client.len())
        && client.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    v.check(right, "client", "must be 1 to 16 small letters and digits");
    v.finish(|| Some((request_id?.unwrap_or_default(), id?, client.clone())))
}

fn tell_basis(told: &mut pb::DataSet, basis: &Basis) {
    told.source.clone_from(&basis.source);
    told.rule.clone_from(&basis.rule);
}

fn controller(controller: &Controller) -> pb::Controller {
    pb::Controller {
        name: controller.name.clone(),
        jurisdiction: controller.jurisdiction.clone(),
        class: controller.class.map_or(pb::ControllerClass::Unspecified, class).into(),
    }
}

fn class(class: ControllerClass) -> pb::ControllerClass {
    match class {
        ControllerClass::Bank => pb::ControllerClass::Bank,
        ControllerClass::PaymentInstitution => pb::ControllerClass::PaymentInstitution,
        ControllerClass::Platform => pb::ControllerClass::Platform,
        ControllerClass::Other => pb::ControllerClass::Other,
    }
}

fn class_from(it: pb::ControllerClass) -> Option<ControllerClass> {
    ControllerClass::ALL.into_iter().find(|one| class(*one) == it)
}

/// Two capital letters.
fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
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

#[cfg(test)]
mod tests;
