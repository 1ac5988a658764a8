//! Holds, inward and outward.

use policy::is_ground;
use proto::retention::v1 as pb;
use service_kit::{BadRequest, Violations};
use types::{SubjectId, Timestamp};

use super::{category, category_from};
use crate::domain::{DataSetId, End, HoldId, NewHold, Reach, Release};

const AUTHORITY_CHARS_MAX: usize = 200;
const REASON_CHARS_MAX: usize = 200;
/// How many categories and data sets one hold may name.
const REACH_MAX: usize = 100;

/// A PlaceHold as it was read; the id is minted by whoever places it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceHold {
    /// The request's own id; empty for none.
    pub request_id: String,
    /// On whose data.
    pub subject: SubjectId,
    /// Over what of it.
    pub reach: Reach,
    /// Why.
    pub ground: String,
    /// Who ordered it.
    pub authority: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Who places it.
    pub actor: String,
}

impl PlaceHold {
    /// The hold to place, with its id.
    #[must_use]
    pub fn with_id(&self, id: HoldId, placed_at: Timestamp) -> NewHold {
        let Self { subject, reach, ground, authority, expires_at, actor, .. } = self.clone();
        NewHold { id, subject, reach, ground, authority, expires_at, actor, placed_at }
    }
}

/// Reads a PlaceHold of that caller.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn place_hold(request: &pb::PlaceHoldRequest, caller: &str) -> Result<PlaceHold, BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let left = REACH_MAX.saturating_sub(request.categories.len());
    let categories = v.each("categories", &request.categories, REACH_MAX, |v, value| {
        v.enumeration("", *value).and_then(category_from)
    });
    let data_sets =
        v.each("data_set_ids", &request.data_set_ids, left, |v, id| v.id("", id, DataSetId::parse));
    let right = is_ground(&request.ground);
    v.check(right, "ground", "must be 1 to 63 capital letters, digits and _");
    let authority = v.text("authority", &request.authority, AUTHORITY_CHARS_MAX);
    let expires_at = v.optional_timestamp("expires_at", request.expires_at.as_ref());
    let actor = actor(&mut v, &request.actor, caller);
    v.finish(|| {
        Some(PlaceHold {
            request_id: request_id?.unwrap_or_default(),
            subject: subject?,
            reach: Reach { categories: categories?, data_sets: data_sets? },
            ground: request.ground.clone(),
            authority: authority?,
            expires_at: expires_at?,
            actor: actor?,
        })
    })
}

/// A ReleaseHold as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseHold {
    /// The request's own id; empty for none.
    pub request_id: String,
    /// Which.
    pub hold: HoldId,
    /// Why.
    pub reason: String,
    /// Who releases it.
    pub actor: String,
}

impl ReleaseHold {
    /// Why, by whom, and when.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Release {
        Release { reason: self.reason.clone(), actor: self.actor.clone(), at }
    }
}

/// Reads a ReleaseHold of that caller.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn release_hold(request: &pb::ReleaseHoldRequest, caller: &str) -> Result<ReleaseHold, BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", &request.request_id);
    let hold = v.id("hold_id", &request.hold_id, HoldId::parse);
    let reason = v.text("reason", &request.reason, REASON_CHARS_MAX);
    let actor = actor(&mut v, &request.actor, caller);
    v.finish(|| {
        Some(ReleaseHold {
            request_id: request_id?.unwrap_or_default(),
            hold: hold?,
            reason: reason?,
            actor: actor?,
        })
    })
}

fn actor(v: &mut Violations, actor: &str, caller: &str) -> Option<String> {
    let named = v.optional_request_id("actor", actor)?;
    Some(named.unwrap_or_else(|| caller.to_owned()))
}

/// Reads a ListHolds: whose.
///
/// # Errors
/// [`BadRequest`].
pub fn list_holds(request: &pb::ListHoldsRequest) -> Result<SubjectId, BadRequest> {
    let mut v = Violations::new();
    let subject = v.subject_id("subject_id", &request.subject_id);
    v.finish(|| subject)
}

/// A hold, and how it ended.
#[must_use]
pub fn hold(placed: &NewHold, end: Option<&End>) -> pb::Hold {
    let reach = &placed.reach;
    let mut told = pb::Hold {
        hold_id: placed.id.to_string(),
        subject_id: placed.subject.to_string(),
        categories: reach.categories.iter().map(|it| category(*it).into()).collect(),
        data_set_ids: reach.data_sets.iter().map(ToString::to_string).collect(),
        ground: placed.ground.clone(),
        authority: placed.authority.clone(),
        expires_at: placed.expires_at.map(Timestamp::to_proto),
        actor: placed.actor.clone(),
        placed_at: Some(placed.placed_at.to_proto()),
        state: pb::HoldState::Standing.into(),
        ..pb::Hold::default()
    };
    match end {
        None => {}
        Some(End::Released(release)) => {
            told.set_state(pb::HoldState::Released);
            told.ended_at = Some(release.at.to_proto());
            told.release_reason.clone_from(&release.reason);
            told.released_by.clone_from(&release.actor);
        }
        Some(End::Expired(at)) => {
            told.set_state(pb::HoldState::Expired);
            told.ended_at = Some(at.to_proto());
        }
    }
    told
}
