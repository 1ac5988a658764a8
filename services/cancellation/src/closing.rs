//! When a subject's account is closed, nothing is left for their other cancellations to end: those
//! that nobody confirmed yet expire, instead of asking for a confirmation that nobody can give.

use std::sync::Arc;

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

/// How many are expired before the list is asked again.
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
            self.expire_others(event.stream.as_str(), &by).await.map_err(FollowError::new)?;
        }
        Ok(())
    }
}

impl Closing {
    async fn expire_others(&self, subject: &str, by: &CancellationId) -> Result<(), Error> {
        let open = [Phase::Assessing, Phase::Blocked, Phase::AwaitingConfirmation, Phase::CoolingOff];
        let mut query = ListQuery {
            list: CANCELLATIONS.into(),
            owner: Some(subject.into()),
            states: open.map(|phase| Arc::from(state_of(phase).as_str_name())).into(),
            after: None,
            limit: PAGE,
        };
        loop {
            let page = self.0.store.list(&query).await?;
            for row in &page.rows {
                let Ok(id) = CancellationId::parse(row.stream.as_str()) else { continue };
                match self.0.expire(&id, by).await {
                    // One history that cannot be read must not keep the others open.
                    Err(Error::Unreadable(cause)) => tracing::error!(%id, %cause, "cannot expire"),
                    other => other?,
                }
            }
            query.after = page.rows.last().map(|row| (row.since, row.stream.clone()));
            if !page.more {
                return Ok(());
            }
        }
    }
}
