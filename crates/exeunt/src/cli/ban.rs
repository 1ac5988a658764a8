//! Calls about who is kept from signing in, and who may register again.

use clap::{ArgGroup, Args, Subcommand};
use proto::identity::v1::{self as pb, contact::Address};

use super::{Failure, Output, Servers, args::Decided, identity::service};
use crate::text;

/// What to do about a ban.
#[derive(Debug, Subcommand)]
pub enum BanCommand {
    /// Keep a subject from signing in; from leaving it keeps nobody
    Place(Place),
    /// End a ban; an appeal that is undecided is decided by that
    Lift(Lift),
    /// Tell whether a subject may sign in, and why not
    Show(Show),
    /// Let somebody register again who was refused, by a contact of theirs
    AllowAgain(AllowAgain),
}

/// Who is banned.
#[derive(Debug, Args)]
pub struct Place {
    /// Who
    #[arg(long)]
    subject: String,
    /// Why, as a code: FRAUD
    #[arg(long, value_name = "CODE")]
    reason_code: String,
    /// Who does it: a number or a name at work
    #[arg(long)]
    actor: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Whose ban ends.
#[derive(Debug, Args)]
pub struct Lift {
    /// Whose
    #[arg(long)]
    subject: String,
    #[command(flatten)]
    decided: Decided,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Whose standing.
#[derive(Debug, Args)]
pub struct Show {
    /// Whose
    #[arg(long)]
    subject: String,
}

/// Who may register again.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("contact").required(true).args(["email", "sms"]))]
pub struct AllowAgain {
    /// A mailbox of theirs
    #[arg(long)]
    email: Option<String>,
    /// A phone number of theirs, a plus sign and 7 to 15 digits
    #[arg(long)]
    sms: Option<String>,
    #[command(flatten)]
    decided: Decided,
}

/// Does what the arguments say.
pub async fn run(servers: &Servers, command: BanCommand, output: &Output) -> Result<(), Failure> {
    let mut service = service(servers).await?;
    match command {
        BanCommand::Place(Place { subject, reason_code, actor, request_id }) => {
            let request =
                pb::BanSubjectRequest { request_id, subject_id: subject.clone(), reason_code, actor };
            let answer = service.ban_subject(request).await?.into_inner();
            output.answer(&answer, |_| format!("{subject} is banned from signing in\n"));
        }
        BanCommand::Lift(Lift { subject, decided: Decided { actor, reason }, request_id }) => {
            let request = pb::LiftBanRequest { request_id, subject_id: subject.clone(), actor, reason };
            let answer = service.lift_ban(request).await?.into_inner();
            output.answer(&answer, |_| format!("{subject} is banned no more\n"));
        }
        BanCommand::Show(Show { subject }) => {
            let request = pb::CheckSignInRequest { subject_id: subject.clone() };
            let answer = service.check_sign_in(request).await?.into_inner();
            output.answer(&answer, |answer| text::standing(&subject, answer));
        }
        BanCommand::AllowAgain(AllowAgain { email, sms, decided: Decided { actor, reason } }) => {
            let address = email.map(Address::Email).or(sms.map(Address::Sms));
            let contact = Some(pb::Contact { address });
            let request = pb::AllowReRegistrationRequest { contact, actor, reason };
            let answer = service.allow_re_registration(request).await?.into_inner();
            output.answer(&answer, |_| "whoever has this contact may register again\n".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::args::tests::parses;

    #[test]
    fn a_ban_has_a_code_and_its_end_a_reason_and_both_somebody_who_does_it() {
        let parse = |words: &str| parses(&format!("exeunt ban {words}"));
        assert!(parse("place --subject sbj_1 --reason-code FRAUD --actor ops-7"));
        assert!(
            !parse("place --subject sbj_1 --reason-code FRAUD") && !parse("place --subject sbj_1 --actor a")
        );
        assert!(parse("lift --subject sbj_1 --actor ops-7 --reason paid"));
        assert!(!parse("lift --subject sbj_1 --actor ops-7"));
        assert!(parse("allow-again --email a@b.c --actor ops-7 --reason heard"));
        assert!(!parse("allow-again --actor ops-7 --reason heard"));
        assert!(!parse("allow-again --email a@b.c --sms +8613812345678 --actor ops-7 --reason heard"));
    }
}
