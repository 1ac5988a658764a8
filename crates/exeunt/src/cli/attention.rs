//! Calls about what waits for a person, and what they do about it.

use proto::operations::v1::{self as pb, operations_service_client::OperationsServiceClient};
use tonic::transport::Channel;

use super::{Failure, Output, Servers, args, calls::shown, columns, parked};
use crate::{compose::Role, text};

pub(super) async fn service(servers: &Servers) -> Result<OperationsServiceClient<Channel>, Failure> {
    parked::service(servers.of(Role::Cancellation)?).await
}

pub async fn list(servers: &Servers, flags: args::AttentionList, output: &Output) -> Result<(), Failure> {
    let request = pb::ListAttentionRequest {
        owner: flags.owner,
        causes: flags.cause.into_iter().map(i32::from).collect(),
        participant: flags.participant,
        due_before: flags.due_before.map(types::Timestamp::to_proto),
        page_size: flags.limit,
        page_token: flags.page_token,
    };
    let answer = service(servers).await?.list_attention(request).await?.into_inner();
    output.answer(&answer, |answer| {
        if answer.waiting.is_empty() { "nothing waits for a person\n".into() } else { table(&answer.waiting) }
    });
    if !answer.next_page_token.is_empty() {
        output.aside(&format!("there are more: --page-token {}", answer.next_page_token));
    }
    Ok(())
}

fn table(waiting: &[pb::WaitingForAttention]) -> String {
    let row = |one: &pb::WaitingForAttention| {
        let told = one.attention.clone().unwrap_or_default();
        [
            one.cancellation_id.clone(),
            text::word(told.level().as_str_name(), "ATTENTION_LEVEL_"),
            told.cause().as_str_name().trim_start_matches("ATTENTION_CAUSE_").to_owned(),
            told.participant,
            told.owner,
            text::moment(told.due_at.as_ref()),
            told.text,
        ]
    };
    let head = ["cancellation", "level", "cause", "participant", "owner", "due", "why"].map(str::to_owned);
    columns(&std::iter::once(head).chain(waiting.iter().map(row)).collect::<Vec<_>>())
}

pub async fn assign(servers: &Servers, flags: args::AttentionAssign, output: &Output) -> Result<(), Failure> {
    let request = pb::AssignAttentionRequest {
        request_id: flags.request_id,
        cancellation_id: flags.cancellation_id,
        cause: flags.cause.into(),
        participant: flags.participant,
        owner: flags.owner,
        due_at: Some(flags.due.to_proto()),
        reason: flags.reason,
    };
    let answer = service(servers).await?.assign_attention(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

pub async fn reassess(servers: &Servers, flags: args::Reassess, output: &Output) -> Result<(), Failure> {
    let request = pb::ReassessRequest {
        request_id: flags.request_id,
        cancellation_id: flags.cancellation_id,
        reason: flags.reason,
    };
    let answer = service(servers).await?.reassess(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

pub async fn retry(servers: &Servers, flags: args::Retry, output: &Output) -> Result<(), Failure> {
    let request = pb::RetryParticipantRequest {
        request_id: flags.request_id,
        cancellation_id: flags.cancellation_id,
        participant: flags.participant,
        reason: flags.reason,
    };
    let answer = service(servers).await?.retry_participant(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

pub async fn attest(servers: &Servers, flags: args::Attest, output: &Output) -> Result<(), Failure> {
    let request = pb::AttestRequest {
        request_id: flags.request_id,
        cancellation_id: flags.cancellation_id,
        participant: flags.participant,
        evidence: flags.evidence,
        reason: flags.reason,
    };
    let answer = service(servers).await?.attest(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

pub async fn extend(servers: &Servers, flags: args::Extend, output: &Output) -> Result<(), Failure> {
    let request = pb::ExtendClockRequest {
        request_id: flags.request_id,
        cancellation_id: flags.cancellation_id,
        reason: flags.reason,
    };
    let answer = service(servers).await?.extend_clock(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    let one = answer.cancellation.unwrap_or_default();
    let by = text::moment(one.extension.unwrap_or_default().notice_by.as_ref());
    let id = one.cancellation_id;
    output.aside(&format!(
        "it counts once the subject has been told, by {by}: exeunt extension-told {id} --reason <how>"
    ));
    Ok(())
}

pub async fn extension_told(
    servers: &Servers,
    flags: args::ExtensionTold,
    output: &Output,
) -> Result<(), Failure> {
    let told_at = flags.at.unwrap_or_else(|| types::Clock::now(&types::SystemClock));
    let request = pb::RecordExtensionNoticeRequest {
        request_id: flags.request_id,
        cancellation_id: flags.cancellation_id,
        told_at: Some(told_at.to_proto()),
        reason: flags.reason,
    };
    let answer = service(servers).await?.record_extension_notice(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proto::cancellation::v1::{Attention, AttentionCause, AttentionLevel};

    use super::*;

    #[test]
    fn what_waits_for_a_person_stands_in_columns() {
        let attention = Attention {
            cause: AttentionCause::Failed.into(),
            level: AttentionLevel::Attention.into(),
            participant: "till".into(),
            text: "till failed.".into(),
            owner: "tills".into(),
            ..Attention::default()
        };
        let one = pb::WaitingForAttention {
            cancellation_id: "can_1".into(),
            attention: Some(attention),
            ..pb::WaitingForAttention::default()
        };
        let expected = "\
cancellation  level      cause   participant  owner  due  why
can_1         attention  FAILED  till         tills       till failed.
";
        assert_eq!(table(&[one]), expected);
    }
}
