//! Calls about cancellations.

use proto::{
    cancellation::v1::{self as pb, cancellation_service_client::CancellationServiceClient},
    types::v1::{Scope, SelectedItems, WholeAccount, scope::Kind},
};
use tonic::transport::Channel;

use super::{Failure, Output, Servers, args, attention, client};
use crate::{compose::Role, text};

pub async fn service(servers: &Servers) -> Result<CancellationServiceClient<Channel>, Failure> {
    let channel = client::connect(servers.of(Role::Cancellation)?).await?;
    Ok(CancellationServiceClient::new(channel).max_decoding_message_size(client::ANSWER_BYTES_MAX))
}

pub async fn request(servers: &Servers, flags: args::Request, output: &Output) -> Result<(), Failure> {
    let request_id = flags.request_id.unwrap_or_else(|| {
        let made = format!("cli_{}", types::fresh_uuid().simple());
        output.aside(&format!("request id {made}: with --request-id, asking again changes nothing"));
        made
    });
    let kind = match flags.scope {
        Some(name) => Kind::Named(name),
        None if flags.whole_account => Kind::WholeAccount(WholeAccount {}),
        None => Kind::Selected(SelectedItems { items: flags.item }),
    };
    let request = pb::RequestCancellationRequest {
        request_id,
        subject_id: flags.subject,
        scope: Some(Scope { kind: Some(kind) }),
        channel: flags.channel,
        reason: flags.reason,
        effective: None,
        intent: flags.intent.map_or(0, |intent| pb::Intent::from(intent).into()),
    };
    let answer = service(servers).await?.request_cancellation(request).await?.into_inner();
    let id = answer.cancellation.as_ref().map(|it| it.cancellation_id.clone()).unwrap_or_default();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    output.aside(&format!("follow it with: exeunt watch {id}"));
    Ok(())
}

pub async fn show(servers: &Servers, flags: args::Cancellation, output: &Output) -> Result<(), Failure> {
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let request = pb::GetCancellationRequest { cancellation_id, case_token };
    let answer = service(servers).await?.get_cancellation(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    if let Some(one) = answer.cancellation.filter(|one| one.state() == pb::State::AwaitingConfirmation) {
        let id = one.cancellation_id;
        output.aside(&format!("to confirm it, prove first who you are: exeunt identify {id} --factor email"));
    }
    Ok(())
}

pub async fn list(servers: &Servers, flags: args::List, output: &Output) -> Result<(), Failure> {
    let request = pb::ListCancellationsRequest {
        subject_id: flags.subject,
        states: flags.state.into_iter().map(i32::from).collect(),
        page_size: flags.limit,
        page_token: flags.page_token,
    };
    let answer = service(servers).await?.list_cancellations(request).await?.into_inner();
    output.answer(&answer, |answer| answer.cancellations.iter().map(|one| text::row(one) + "\n").collect());
    if !answer.next_page_token.is_empty() {
        output.aside(&format!("there are more: --page-token {}", answer.next_page_token));
    }
    Ok(())
}

/// The cancellation as it is, then what changed, line by line, until it has ended.
pub async fn watch(servers: &Servers, flags: args::Cancellation, output: &Output) -> Result<(), Failure> {
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let request = pb::WatchCancellationRequest { cancellation_id, case_token };
    let mut changes = service(servers).await?.watch_cancellation(request).await?.into_inner();
    let mut before: Option<pb::Cancellation> = None;
    while let Some(change) = changes.message().await? {
        let now = change.cancellation.clone().unwrap_or_default();
        output.answer(&change, |_| changed(before.as_ref(), &now));
        before = Some(now);
    }
    Ok(())
}

fn changed(before: Option<&pb::Cancellation>, now: &pb::Cancellation) -> String {
    let Some(before) = before else { return text::cancellation(now) };
    let mut lines = String::new();
    let state = if before.state == now.state {
        String::new()
    } else {
        format!("{}\n", text::word(now.state().as_str_name(), "STATE_"))
    };
    let ended = now.ended_at.is_some();
    if !ended {
        lines.push_str(&state);
    }
    if before.blockers != now.blockers {
        lines.push_str(&text::blockers(&now.blockers));
    }
    if before.rejections != now.rejections {
        lines.push_str(&text::rejections(&now.rejections));
    }
    if before.quote != now.quote {
        lines.push_str(&text::quote_of(now));
    }
    let told: Vec<String> = text::participants(before).lines().map(str::to_owned).collect();
    for line in text::participants(now).lines().skip(1).filter(|line| !told.iter().any(|it| it == line)) {
        lines.push_str(&format!("{line}\n"));
    }
    if ended {
        lines.push_str(&state);
    }
    lines
}

pub async fn reassess(servers: &Servers, flags: args::Reassess, output: &Output) -> Result<(), Failure> {
    if !flags.reason.is_empty() {
        return attention::reassess(servers, flags, output).await;
    }
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let request = pb::ReassessRequest { request_id: flags.request_id, cancellation_id, case_token };
    let answer = service(servers).await?.reassess(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

pub async fn confirm(servers: &Servers, flags: args::Confirm, output: &Output) -> Result<(), Failure> {
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let request = pb::ConfirmCancellationRequest {
        request_id: flags.request_id,
        cancellation_id,
        quote_digest: flags.digest,
        verification_tokens: flags.token,
        case_token,
    };
    let answer = service(servers).await?.confirm_cancellation(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

pub async fn revoke(servers: &Servers, flags: args::Revoke, output: &Output) -> Result<(), Failure> {
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let request = pb::RevokeCancellationRequest {
        request_id: flags.request_id,
        cancellation_id,
        reason: flags.reason,
        case_token,
    };
    let answer = service(servers).await?.revoke_cancellation(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.cancellation.as_ref()));
    Ok(())
}

/// As text, the receipt alone, so that it can be sent into a file.
pub async fn receipt(servers: &Servers, flags: args::Receipt, output: &Output) -> Result<(), Failure> {
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let request = pb::GetReceiptRequest { cancellation_id, case_token, version: flags.version };
    let answer = service(servers).await?.get_receipt(request).await?.into_inner();
    output.answer(&answer, |answer| answer.receipt_jws.clone() + "\n");
    let told = answer.receipt.as_ref().map_or(1, |receipt| receipt.version);
    if answer.newest_version > 1 {
        let newest = answer.newest_version;
        output.aside(&format!("this is version {told} of {newest}: --version gives the others"));
    }
    output.aside("verify it with: exeunt keys > jwks.json; exeunt verify receipt.jws --keys jwks.json");
    Ok(())
}

pub async fn keys(servers: &Servers, output: &Output) -> Result<(), Failure> {
    let answer = service(servers).await?.get_keys(pb::GetKeysRequest {}).await?.into_inner();
    output.answer(&answer, |answer| answer.jwks_json.clone() + "\n");
    Ok(())
}

/// An id is opaque text without dots; a case token is three parts with dots between.
fn reached(id_or_token: String) -> (String, String) {
    if id_or_token.contains('.') { (String::new(), id_or_token) } else { (id_or_token, String::new()) }
}

/// A token for the link in a message to the subject.
pub async fn case_token(servers: &Servers, flags: args::CaseToken, output: &Output) -> Result<(), Failure> {
    let (cancellation_id, case_token) = reached(flags.cancellation_id);
    let lifetime_seconds = flags.lifetime_seconds;
    let request = pb::IssueCaseTokenRequest { cancellation_id, lifetime_seconds, case_token };
    let answer = service(servers).await?.issue_case_token(request).await?.into_inner();
    output.answer(&answer, |answer| answer.case_token.clone() + "\n");
    Ok(())
}

pub(super) fn shown(cancellation: Option<&pb::Cancellation>) -> String {
    cancellation.map(text::cancellation).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: pb::State, identity: pb::ParticipantState) -> pb::Cancellation {
        let till = pb::Participant { name: "till".into(), ..pb::Participant::default() };
        let identity =
            pb::Participant { name: "identity".into(), state: identity.into(), ..pb::Participant::default() };
        pb::Cancellation { state: state.into(), participants: vec![till, identity], ..Default::default() }
    }

    #[test]
    fn watching_tells_only_what_reads_otherwise_and_the_end_last() {
        let pending = at(pb::State::AwaitingConfirmation, pb::ParticipantState::Assessed);
        let executing = at(pb::State::Executing, pb::ParticipantState::Instructed);
        let told = changed(Some(&pending), &executing);
        assert_eq!(told, "executing\n  identity  is executing\n");

        let mut accepted = executing.clone();
        accepted.participants[1].set_outcome(proto::participant::v1::Outcome::Accepted);
        assert_eq!(changed(Some(&executing), &accepted), "");

        let mut completed = at(pb::State::Completed, pb::ParticipantState::Failed);
        completed.ended_at = Some(prost_types::Timestamp::default());
        assert_eq!(changed(Some(&accepted), &completed), "  identity  failed\ncompleted\n");
    }
}
