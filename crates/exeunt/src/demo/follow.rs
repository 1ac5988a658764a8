//! Waits for levels of a cancellation, by watching it, within a bound.

use std::time::Duration;

use proto::cancellation::v1 as pb;
use tokio::time::timeout;
use tonic::Streaming;

use super::services::Services;
use crate::{cli::Failure, text};

/// How long anything may take.
pub(super) const WITHIN: Duration = Duration::from_secs(30);

/// A cancellation that is watched.
pub(super) struct Follow {
    changes: Streaming<pb::WatchCancellationResponse>,
    latest: pb::Cancellation,
}

impl Follow {
    pub(super) async fn start(services: &mut Services, latest: pb::Cancellation) -> Result<Self, Failure> {
        let request = pb::WatchCancellationRequest {
            cancellation_id: latest.cancellation_id.clone(),
            ..Default::default()
        };
        let changes = services.cancellation.watch_cancellation(request).await?.into_inner();
        Ok(Self { changes, latest })
    }

    /// How it stood when it was last heard of.
    pub(super) fn latest(&self) -> &pb::Cancellation {
        &self.latest
    }

    /// Waits until it is as wanted; everything seen on the way goes to `seen`.
    pub(super) async fn until(
        &mut self,
        wanted: &str,
        mut seen: impl FnMut(&pb::Cancellation),
        reached: impl Fn(&pb::Cancellation) -> bool,
    ) -> Result<pb::Cancellation, Failure> {
        let waited = timeout(WITHIN, async {
            seen(&self.latest);
            while !reached(&self.latest) {
                let Some(change) = self.changes.message().await? else {
                    return Err(Failure::plain(format!("the cancellation ended before {wanted}")));
                };
                self.latest = change.cancellation.unwrap_or_default();
                seen(&self.latest);
            }
            Ok(())
        });
        match waited.await {
            Ok(ended) => ended?,
            Err(_) => {
                let within = WITHIN.as_secs();
                let now = text::cancellation(&self.latest);
                return Err(Failure::plain(format!(
                    "not {wanted} within {within} s; it stands thus:\n{now}"
                )));
            }
        }
        Ok(self.latest.clone())
    }
}
