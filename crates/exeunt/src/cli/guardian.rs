//! Calls about guardians, with whose consent the account of somebody they guard closes.

use clap::{Args, Subcommand};
use proto::identity::v1 as pb;

use super::{
    Failure, Output, Servers,
    args::{Decided, Factor},
    identity::{service, tell_how_to_go_on},
};
use crate::text;

/// What to do about guardians.
#[derive(Debug, Subcommand)]
pub enum GuardianCommand {
    /// Somebody is a subject's guardian: the account closes only with a guardian's consent
    Record(Record),
    /// Somebody is a subject's guardian no more
    End(End),
    /// Send a guardian a code; `identify --verification` exchanges it for a token
    Identify(Identify),
    /// A guardian consents to a cancellation
    Consent(Consent),
}

/// Who guards whom.
#[derive(Debug, Args)]
pub struct Record {
    /// Who is guarded
    #[arg(long)]
    subject: String,
    /// Who guards them: a subject, too
    #[arg(long)]
    guardian: String,
    /// Why, as a code: PARENT
    #[arg(long, value_name = "CODE")]
    ground: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Who guards whom no more.
#[derive(Debug, Args)]
pub struct End {
    /// Who was guarded
    #[arg(long)]
    subject: String,
    /// Who guards them no more
    #[arg(long)]
    guardian: String,
    #[command(flatten)]
    decided: Decided,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Which guardian is verified, and for what.
#[derive(Debug, Args)]
pub struct Identify {
    /// The cancellation
    cancellation_id: String,
    /// Whose account ends
    #[arg(long)]
    subject: String,
    /// Who is verified
    #[arg(long)]
    guardian: String,
    /// Which way the code is sent
    #[arg(long, value_enum)]
    factor: Factor,
}

/// What is consented to.
#[derive(Debug, Args)]
pub struct Consent {
    /// The cancellation
    cancellation_id: String,
    /// Whose account ends
    #[arg(long)]
    subject: String,
    /// The guardian's verification token, as `identify` gives it
    #[arg(long)]
    token: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Does what the arguments say.
pub async fn run(servers: &Servers, command: GuardianCommand, output: &Output) -> Result<(), Failure> {
    let mut service = service(servers).await?;
    match command {
        GuardianCommand::Record(Record { subject, guardian, ground, request_id }) => {
            let (subject_id, guardian_subject_id) = (subject.clone(), guardian.clone());
            let request = pb::RecordGuardianRequest { request_id, subject_id, guardian_subject_id, ground };
            let answer = service.record_guardian(request).await?.into_inner();
            output.answer(&answer, |_| format!("{guardian} guards {subject}\n"));
        }
        GuardianCommand::End(flags) => {
            let said = format!("{} guards {} no more\n", flags.guardian, flags.subject);
            let request = pb::EndGuardianRequest {
                request_id: flags.request_id,
                subject_id: flags.subject,
                guardian_subject_id: flags.guardian,
                actor: flags.decided.actor,
                reason: flags.decided.reason,
            };
            let answer = service.end_guardian(request).await?.into_inner();
            output.answer(&answer, |_| said);
        }
        GuardianCommand::Identify(flags) => {
            let request = pb::StartGuardianVerificationRequest {
                request_id: String::new(),
                guardian_subject_id: flags.guardian,
                subject_id: flags.subject,
                cancellation_id: flags.cancellation_id,
                factor: flags.factor.to_proto().into(),
            };
            let answer = service.start_guardian_verification(request).await?.into_inner();
            output.answer(&answer, |it| {
                text::verification(&it.verification_id, &it.masked_address, it.expires_at.as_ref())
            });
            tell_how_to_go_on(output, &answer.verification_id);
        }
        GuardianCommand::Consent(Consent { cancellation_id, subject, token, request_id }) => {
            let (subject_id, verification_token) = (subject, token);
            let request = pb::RecordGuardianConsentRequest {
                request_id,
                subject_id,
                cancellation_id: cancellation_id.clone(),
                verification_token,
            };
            let answer = service.record_guardian_consent(request).await?.into_inner();
            output.answer(&answer, |_| format!("a guardian consents to {cancellation_id}\n"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::args::tests::parses;

    #[test]
    fn who_guards_is_named_beside_who_is_guarded() {
        let parse = |words: &str| parses(&format!("exeunt guardian {words}"));
        assert!(parse("record --subject sbj_1 --guardian sbj_2 --ground PARENT"));
        assert!(
            !parse("record --subject sbj_1 --guardian sbj_2") && !parse("record --guardian sbj_2 --ground A")
        );
        assert!(parse("end --subject sbj_1 --guardian sbj_2 --actor ops-7 --reason adult"));
        assert!(!parse("end --subject sbj_1 --guardian sbj_2 --actor ops-7"));
        assert!(parse("identify can_1 --subject sbj_1 --guardian sbj_2 --factor email"));
        assert!(!parse("identify can_1 --subject sbj_1 --guardian sbj_2 --factor face"));
        assert!(
            parse("consent can_1 --subject sbj_1 --token t.o.k") && !parse("consent can_1 --subject sbj_1")
        );
    }
}
