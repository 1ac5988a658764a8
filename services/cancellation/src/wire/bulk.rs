//! Bulk retries, as they are stored and told.

use std::sync::Arc;

use bytes::Bytes;
use participant::Encoded;
use prost::{Message as _, Name as _};
use proto::operations::v1 as pb;
use types::{ParticipantName, Timestamp};

use super::attention::{cause, cause_from};
use crate::domain::bulk::{Bulk, BulkEvent, Filter};

pub(crate) fn encode(event: &BulkEvent) -> Encoded {
    match event {
        BulkEvent::Started(bulk) => Encoded::of(&pb::BulkRetryStarted {
            filter: Some(filter(&bulk.filter)),
            per_participant_per_minute: bulk.per_minute,
            started_by: bulk.actor.to_string(),
            reason: bulk.reason.clone(),
        }),
        BulkEvent::Progressed { after: (since, stream), retried, skipped } => {
            Encoded::of(&pb::BulkRetryProgressed {
                requested_at: Some(since.to_proto()),
                cancellation_id: stream.to_string(),
                retried: *retried,
                skipped: *skipped,
            })
        }
        BulkEvent::Ended { cancelled, actor, reason, at: _ } => Encoded::of(&pb::BulkRetryEnded {
            cancelled: *cancelled,
            ended_by: actor.to_string(),
            reason: reason.clone(),
        }),
    }
}

/// Reads a stored fact; what is wrong with it where it is none.
pub(super) fn decode(kind: &str, payload: Bytes, at: Timestamp) -> Result<BulkEvent, String> {
    let wrong = |error: prost::DecodeError| error.to_string();
    let missing = || "a field is missing".to_owned();
    if kind == pb::BulkRetryStarted::full_name() {
        started(pb::BulkRetryStarted::decode(payload).map_err(wrong)?, at).ok_or_else(missing)
    } else if kind == pb::BulkRetryProgressed::full_name() {
        progressed(&pb::BulkRetryProgressed::decode(payload).map_err(wrong)?).ok_or_else(missing)
    } else if kind == pb::BulkRetryEnded::full_name() {
        Ok(ended(pb::BulkRetryEnded::decode(payload).map_err(wrong)?, at))
    } else {
        Err("unknown type".to_owned())
    }
}

fn started(stored: pb::BulkRetryStarted, at: Timestamp) -> Option<BulkEvent> {
    Some(BulkEvent::Started(Arc::new(Bulk {
        filter: filter_from(&stored.filter?)?,
        per_minute: stored.per_participant_per_minute,
        actor: stored.started_by.as_str().into(),
        reason: stored.reason,
        started_at: at,
        after: None,
        retried: 0,
        skipped: 0,
        ended: None,
    })))
}

fn progressed(stored: &pb::BulkRetryProgressed) -> Option<BulkEvent> {
    let since = Timestamp::from_proto(stored.requested_at.as_ref()?)?;
    Some(BulkEvent::Progressed {
        after: (since, stored.cancellation_id.as_str().into()),
        retried: stored.retried,
        skipped: stored.skipped,
    })
}

fn ended(stored: pb::BulkRetryEnded, at: Timestamp) -> BulkEvent {
    let (actor, reason) = (stored.ended_by.as_str().into(), stored.reason);
    BulkEvent::Ended { cancelled: stored.cancelled, actor, reason, at }
}

fn filter(filter: &Filter) -> pb::AttentionFilter {
    pb::AttentionFilter {
        owner: filter.owner.as_deref().unwrap_or_default().to_owned(),
        causes: filter.causes.iter().map(|of| cause(*of).into()).collect(),
        participant: filter.participant.as_ref().map(ToString::to_string).unwrap_or_default(),
        due_before: filter.due_before.map(Timestamp::to_proto),
    }
}

fn filter_from(stored: &pb::AttentionFilter) -> Option<Filter> {
    Some(Filter {
        owner: (!stored.owner.is_empty()).then(|| stored.owner.as_str().into()),
        causes: stored.causes().map(cause_from).collect::<Option<_>>()?,
        participant: match stored.participant.as_str() {
            "" => None,
            name => Some(ParticipantName::parse(name).ok()?),
        },
        due_before: stored.due_before.as_ref().and_then(Timestamp::from_proto),
    })
}

/// As callers see it.
pub(crate) fn view(id: &str, bulk: &Bulk) -> pb::BulkRetry {
    let state = match bulk.ended {
        None => pb::BulkRetryState::Running,
        Some((_, true)) => pb::BulkRetryState::Cancelled,
        Some((_, false)) => pb::BulkRetryState::Finished,
    };
    pb::BulkRetry {
        bulk_id: id.to_owned(),
        state: state.into(),
        filter: Some(filter(&bulk.filter)),
        per_participant_per_minute: bulk.per_minute,
        retried: bulk.retried,
        skipped: bulk.skipped,
        started_by: bulk.actor.to_string(),
        reason: bulk.reason.clone(),
        started_at: Some(bulk.started_at.to_proto()),
        ended_at: bulk.ended.map(|(at, _)| at.to_proto()),
    }
}
