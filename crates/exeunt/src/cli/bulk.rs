//! Calls about bulk retries.

use proto::operations::v1 as pb;

use super::{Failure, Output, Servers, args, attention::service};
use crate::text;

pub async fn start(servers: &Servers, flags: args::BulkRetryStart, output: &Output) -> Result<(), Failure> {
    let filter = pb::AttentionFilter {
        owner: flags.owner,
        causes: flags.cause.into_iter().map(i32::from).collect(),
        participant: flags.participant,
        due_before: flags.due_before.map(types::Timestamp::to_proto),
    };
    let request = pb::StartBulkRetryRequest {
        request_id: flags.request_id,
        filter: Some(filter),
        per_participant_per_minute: flags.per_minute,
        reason: flags.reason,
    };
    let answer = service(servers).await?.start_bulk_retry(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.bulk_retry.as_ref()));
    if let Some(bulk) = &answer.bulk_retry {
        output.aside(&format!("follow it with: exeunt bulk-retry status {}", bulk.bulk_id));
    }
    Ok(())
}

pub async fn status(servers: &Servers, flags: args::BulkRetryStatus, output: &Output) -> Result<(), Failure> {
    let request = pb::GetBulkRetryRequest { bulk_id: flags.bulk_id };
    let answer = service(servers).await?.get_bulk_retry(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.bulk_retry.as_ref()));
    Ok(())
}

pub async fn cancel(servers: &Servers, flags: args::BulkRetryCancel, output: &Output) -> Result<(), Failure> {
    let request = pb::CancelBulkRetryRequest { bulk_id: flags.bulk_id, reason: flags.reason };
    let answer = service(servers).await?.cancel_bulk_retry(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.bulk_retry.as_ref()));
    Ok(())
}

fn shown(bulk: Option<&pb::BulkRetry>) -> String {
    let Some(bulk) = bulk else { return String::new() };
    let state = text::word(bulk.state().as_str_name(), "BULK_RETRY_STATE_");
    let (retried, skipped, pace) = (bulk.retried, bulk.skipped, bulk.per_participant_per_minute);
    format!(
        "Bulk retry {}: {state}, {retried} told once more, {skipped} passed over, at most {pace} a minute each\n",
        bulk.bulk_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_retry_says_how_far_it_is() {
        let bulk = pb::BulkRetry {
            bulk_id: "blk_1".into(),
            state: pb::BulkRetryState::Running.into(),
            retried: 7,
            skipped: 1,
            per_participant_per_minute: 60,
            ..pb::BulkRetry::default()
        };
        let expected =
            "Bulk retry blk_1: running, 7 told once more, 1 passed over, at most 60 a minute each\n";
        assert_eq!(shown(Some(&bulk)), expected);
    }
}
