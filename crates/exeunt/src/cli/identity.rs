//! Calls about subjects and the proof that it is them.

use proto::{
    cancellation::v1::GetCancellationRequest,
    identity::v1::{self as pb, contact::Address, identity_service_client::IdentityServiceClient},
    types::v1::Edition,
};
use tonic::transport::Channel;

use super::{Failure, Output, Servers, args, calls, client};
use crate::{compose::Role, text};

pub(super) async fn service(servers: &Servers) -> Result<IdentityServiceClient<Channel>, Failure> {
    Ok(IdentityServiceClient::new(client::connect(servers.of(Role::Identity)?).await?))
}

/// As text, the subject's id alone, so that it can be kept in a variable.
pub async fn register(servers: &Servers, flags: args::Register, output: &Output) -> Result<(), Failure> {
    let edition = match flags.edition {
        args::Edition::Domestic => Edition::Domestic,
        args::Edition::International => Edition::International,
    };
    let emails = flags.email.into_iter().map(Address::Email);
    let contacts = emails.chain(flags.sms.into_iter().map(Address::Sms));
    let request = pb::RegisterSubjectRequest {
        request_id: flags.request_id,
        region: flags.region,
        edition: edition.into(),
        contacts: contacts.map(|address| pb::Contact { address: Some(address) }).collect(),
    };
    let answer = service(servers).await?.register_subject(request).await?.into_inner();
    output.answer(&answer, |answer| answer.subject_id.clone() + "\n");
    Ok(())
}

/// Sends a code, or takes the code that was sent.
pub async fn identify(servers: &Servers, flags: args::Identify, output: &Output) -> Result<(), Failure> {
    match (flags.cancellation_id, flags.factor, flags.verification, flags.code) {
        (Some(cancellation_id), Some(factor), None, None) => {
            start(servers, cancellation_id, factor, flags.subject, output).await
        }
        (None, None, Some(verification_id), Some(code)) => {
            complete(servers, verification_id, code, output).await
        }
        _ => Err(Failure::plain("give a cancellation and --factor, or --verification and --code")),
    }
}

async fn start(
    servers: &Servers,
    cancellation_id: String,
    factor: args::Factor,
    subject: Option<String>,
    output: &Output,
) -> Result<(), Failure> {
    let subject_id = match subject {
        Some(subject) => subject,
        None => subject_of(servers, &cancellation_id).await?,
    };
    let request = pb::StartVerificationRequest {
        subject_id,
        cancellation_id,
        factor: factor.to_proto().into(),
        ..pb::StartVerificationRequest::default()
    };
    let answer = service(servers).await?.start_verification(request).await?.into_inner();
    output.answer(&answer, |it| {
        text::verification(&it.verification_id, &it.masked_address, it.expires_at.as_ref())
    });
    tell_how_to_go_on(output, &answer.verification_id);
    Ok(())
}

/// What to do with the code of a verification that was started.
pub(super) fn tell_how_to_go_on(output: &Output, verification: &str) {
    output.aside(&format!(
        "with the code that was sent: exeunt identify --verification {verification} --code <six digits>"
    ));
}

async fn subject_of(servers: &Servers, cancellation_id: &str) -> Result<String, Failure> {
    let request = GetCancellationRequest {
        cancellation_id: cancellation_id.into(),
        ..GetCancellationRequest::default()
    };
    let answer = calls::service(servers).await?.get_cancellation(request).await?.into_inner();
    Ok(answer.cancellation.unwrap_or_default().subject_id)
}

async fn complete(
    servers: &Servers,
    verification_id: String,
    code: String,
    output: &Output,
) -> Result<(), Failure> {
    let request = pb::CompleteVerificationRequest {
        verification_id,
        code,
        ..pb::CompleteVerificationRequest::default()
    };
    let answer = service(servers).await?.complete_verification(request).await?.into_inner();
    output.answer(&answer, text::proof);
    output.aside(
        "confirm with: exeunt confirm <cancellation id> --digest <as `show` tells it> --token <token>",
    );
    Ok(())
}
