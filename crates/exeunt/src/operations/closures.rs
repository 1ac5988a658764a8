//! Up to where participants have applied the ledger of closed subjects: what their databases say.

use participant::contract::CLOSURES;
use proto::operations::v1 as pb;

use super::Operations;
use crate::error::Error;

impl Operations {
    pub(super) async fn closures(&self) -> Result<pb::ListClosuresResponse, Error> {
        let mut applied = Vec::new();
        for stored in &*self.stores {
            let rows = stored.store.offsets(&stored.consumer()).await?;
            let of_ledger = rows.into_iter().filter(|row| *row.topic == *CLOSURES);
            applied.extend(of_ledger.map(|row| pb::AppliedClosures {
                service: stored.service.to_string(),
                partition: row.partition,
                next: row.next,
                incarnation: row.incarnation.to_string(),
            }));
        }
        applied.sort_by(|a, b| (&a.service, a.partition).cmp(&(&b.service, b.partition)));
        Ok(pb::ListClosuresResponse { applied })
    }
}
