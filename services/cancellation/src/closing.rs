//! When a subject's account is closed, nothing is left for their other cancellations to end: those
//! that nobody confirmed yet expire, instead of asking for a confirmation that nobody can give. And what
//! was written about any of them goes: their keys are destroyed.

use async_trait::async_trait;
use event_store::{ListQuery, Recorded};
use messaging::{Follow, FollowError};
use prost::{Message as _, Name as _};
use proto::cancellation::v1 as pb;
use types::CancellationId;

use crate::{
    app::Cancellations,
    domain::Phase,
    error::Error,
    wire::{CANCELLATIONS, state_of},
};

/// The follower's name. The release before had another, which left the keys: so all closures are gone
/// through once more.
pub(crate) const FOLLOWER: &str = "closures";

/// How many are dealt with before the list is asked again.
const PAGE: usize = 100;

/// Follows the service's own store.
pub(crate) struct Closing(pub(crate) Cancellations);

#[async_trait]
impl Follow for Closing {
    async fn handle(&self, batch: &[Recorded]) -> Result<(), FollowError> {
        let closed = pb::SubjectClosed::full_name();
        for event in batch.iter().filter(|event| *event.kind == *closed) {
            let by = pb::SubjectClosed::decode(event.payload.clone()).map_err(FollowError::new)?;
            let by = CancellationId::parse(&by.cancellation_id).map_err(FollowError::new)?;
            self.settle(event.stream.as_str(), &by).await.map_err(FollowError::new)?;
        }
        Ok(())
    }
}

impl Closing {
    async fn settle(&self, subject: &str, by: &CancellationId) -> Result<(), Error> {
        let mut query = ListQuery {
            list: CANCELLATIONS.into(),
            owner: Some(subject.into()),
            states: Vec::new(),
            after: None,
            limit: PAGE,
        };
        let open: Vec<&str> = Phase::OPEN
            .into_iter()
            .filter(|phase| phase.is_before_execution())
            .map(|phase| state_of(phase).as_str_name())
            .collect();
        loop {
            let page = self.0.store.list(&query).await?;
            for row in page.rows.iter().filter(|row| open.contains(&&*row.state)) {
                let Ok(id) = CancellationId::parse(row.stream.as_str()) else { continue };
                match self.0.expire(&id, by).await {
                    // One history that cannot be read must not keep the others open.
                    Err(Error::Unreadable(cause)) => tracing::error!(%id, %cause, "cannot expire"),
                    other => other?,
                }
            }
            // After they ended: until then their subject may still give a reason for it.
            let streams = page.rows.iter().map(|row| row.stream.clone()).collect();
            self.0.erase(streams).await?;
            query.after = page.rows.last().map(|row| (row.since, row.stream.clone()));
            if !page.more {
                return Ok(());
            }
        }
    }
}
