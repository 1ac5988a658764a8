//! Calls about appeals against bans.

use clap::{ArgGroup, Args, Subcommand};
use proto::identity::v1 as pb;

use super::{Failure, Output, Servers, args::Decided, identity::service};
use crate::text;

/// What to do with appeals.
#[derive(Debug, Subcommand)]
pub enum AppealCommand {
    /// Appeal against a ban, in the subject's words; prints the appeal's id
    Make(Make),
    /// List those that a person has to decide on, or all of a subject's
    List(List),
    /// Show one, with what the subject says
    Show(Show),
    /// Decide on one
    Decide(Decide),
    /// Take one back, as the subject wishes
    Withdraw(Withdraw),
}

/// Who appeals.
#[derive(Debug, Args)]
pub struct Make {
    /// Who
    #[arg(long)]
    subject: String,
    /// What the subject says; it is sealed
    #[arg(long)]
    text: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Which appeals.
#[derive(Debug, Args)]
pub struct List {
    /// All of this subject's, those too that have ended
    #[arg(long, default_value = "")]
    subject: String,
    /// How many at most, 1 to 1000
    #[arg(long, default_value_t = 100)]
    limit: i32,
    /// Where the list before ended
    #[arg(long, default_value = "")]
    page_token: String,
}

/// Which appeal.
#[derive(Debug, Args)]
pub struct Show {
    /// Its id
    appeal_id: String,
}

/// What is decided.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("decision").required(true).args(["uphold", "lift"]))]
pub struct Decide {
    /// On which appeal
    appeal_id: String,
    /// The ban stands
    #[arg(long)]
    uphold: bool,
    /// The ban ends
    #[arg(long)]
    lift: bool,
    #[command(flatten)]
    decided: Decided,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Which appeal is taken back.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// Its id
    appeal_id: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Does what the arguments say.
pub async fn run(servers: &Servers, command: AppealCommand, output: &Output) -> Result<(), Failure> {
    let mut service = service(servers).await?;
    match command {
        AppealCommand::Make(Make { subject: subject_id, text, request_id }) => {
            let request = pb::AppealBanRequest { request_id, subject_id, text };
            let answer = service.appeal_ban(request).await?.into_inner();
            output.answer(&answer, |answer| answer.appeal_id.clone() + "\n");
            output.aside(&format!("a person decides by {}", text::moment(answer.due_at.as_ref())));
        }
        AppealCommand::List(List { subject: subject_id, limit, page_token }) => {
            let request = pb::ListAppealsRequest { subject_id, page_size: limit, page_token };
            let answer = service.list_appeals(request).await?.into_inner();
            output.answer(&answer, |answer| {
                if answer.appeals.is_empty() { "no appeals\n".into() } else { table(&answer.appeals) }
            });
            if !answer.next_page_token.is_empty() {
                output.aside(&format!("there are more: --page-token {}", answer.next_page_token));
            }
        }
        AppealCommand::Show(Show { appeal_id }) => {
            let request = pb::GetAppealRequest { appeal_id: appeal_id.clone() };
            let answer = service.get_appeal(request).await?.into_inner();
            output.answer(&answer, |answer| text::appeal(&appeal_id, answer));
        }
        AppealCommand::Decide(flags) => {
            let decision = if flags.lift { pb::AppealDecision::Lift } else { pb::AppealDecision::Uphold };
            let request = pb::DecideAppealRequest {
                request_id: flags.request_id,
                appeal_id: flags.appeal_id,
                decision: decision.into(),
                actor: flags.decided.actor,
                reason: flags.decided.reason,
            };
            let answer = service.decide_appeal(request).await?.into_inner();
            let stands = if flags.lift { "the ban has ended\n" } else { "the ban stands\n" };
            output.answer(&answer, |_| stands.into());
        }
        AppealCommand::Withdraw(Withdraw { appeal_id, request_id }) => {
            let request = pb::WithdrawAppealRequest { request_id, appeal_id };
            let answer = service.withdraw_appeal(request).await?.into_inner();
            output.answer(&answer, |_| "the appeal is taken back\n".into());
        }
    }
    Ok(())
}

fn table(appeals: &[pb::Appeal]) -> String {
    let row = |one: &pb::Appeal| {
        [
            one.appeal_id.clone(),
            one.subject_id.clone(),
            text::word(one.state().as_str_name(), "APPEAL_STATE_"),
            one.reason_code.clone(),
            text::moment(one.due_at.as_ref()),
        ]
    };
    let head = ["appeal", "subject", "state", "banned for", "due"].map(str::to_owned);
    super::columns(&std::iter::once(head).chain(appeals.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::tests::parses;

    #[test]
    fn appeals_stand_in_columns() {
        let undecided = pb::Appeal {
            appeal_id: "apl_1".into(),
            subject_id: "sbj_1".into(),
            state: pb::AppealState::Undecided.into(),
            reason_code: "FRAUD".into(),
            due_at: Some(prost_types::Timestamp { seconds: 1_798_675_200, nanos: 0 }),
            ..pb::Appeal::default()
        };
        let expected = "\
appeal  subject  state      banned for  due
apl_1   sbj_1    undecided  FRAUD       2026-12-31 00:00:00 UTC
";
        assert_eq!(table(&[undecided]), expected);
    }

    #[test]
    fn a_decision_upholds_or_lifts_and_says_by_whom_and_why() {
        let parse = |words: &str| parses(&format!("exeunt appeal decide apl_1 {words}"));
        assert!(
            parse("--uphold --actor ops-7 --reason heard") && parse("--lift --actor ops-7 --reason heard")
        );
        assert!(!parse("--uphold --lift --actor ops-7 --reason heard"));
        assert!(!parse("--actor ops-7 --reason heard"));
        assert!(!parse("--lift --actor ops-7") && !parse("--lift --reason heard"));
    }
}
