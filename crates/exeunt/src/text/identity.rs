//! A verification: where the code went, and what it was exchanged for. Whether a subject may sign in, and
//! an appeal.

use prost_types::Timestamp;
use proto::identity::v1 as pb;

use super::{Lines, moment, word};

/// A verification that was started.
#[must_use]
pub fn verification(id: &str, masked_address: &str, expires_at: Option<&Timestamp>) -> String {
    let mut lines = Lines::default();
    lines.add(format!("Verification {id}"));
    lines.add(format!("  {:<16}{masked_address}", "code sent to"));
    lines.add(format!("  {:<16}{}", "valid until", moment(expires_at)));
    lines.0
}

/// A verification that was completed, with its token.
#[must_use]
pub fn proof(of: &pb::CompleteVerificationResponse) -> String {
    let mut lines = Lines::default();
    lines.add(format!("Verification token {}", of.verification_token));
    lines.add(format!("  {:<16}{}", "level", word(of.level().as_str_name(), "VERIFICATION_LEVEL_")));
    lines.add(format!("  {:<16}{}", "valid until", moment(of.expires_at.as_ref())));
    lines.0
}

/// Whether a subject may sign in, and why not.
#[must_use]
pub fn standing(subject: &str, of: &pb::CheckSignInResponse) -> String {
    let mut lines = Lines::default();
    lines.add(format!("Subject {subject}"));
    lines.add(format!("  {:<16}{}", "standing", word(of.standing().as_str_name(), "STANDING_")));
    let frozen_by = of.frozen_by.join(", ");
    for (name, value) in [
        ("banned for", &of.reason_code),
        ("appeal", &of.appeal_id),
        ("frozen by", &frozen_by),
        ("closed by", &of.closed_by),
    ] {
        if !value.is_empty() {
            lines.add(format!("  {name:<16}{value}"));
        }
    }
    lines.0
}

/// An appeal, with what the subject says.
#[must_use]
pub fn appeal(id: &str, of: &pb::GetAppealResponse) -> String {
    let mut lines = Lines::default();
    lines.add(format!("Appeal {id}: {}", word(of.state().as_str_name(), "APPEAL_STATE_")));
    lines.add(format!("  {:<16}{}", "subject", of.subject_id));
    lines.add(format!("  {:<16}{}", "made", moment(of.appealed_at.as_ref())));
    lines.add(format!("  {:<16}{}", "due", moment(of.due_at.as_ref())));
    if !of.actor.is_empty() {
        lines.add(format!("  {:<16}{}: {}", "decided by", of.actor, of.reason));
    }
    lines.blank();
    of.text.lines().for_each(|line| lines.add(format!("  {line}")));
    lines.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_tells_why_somebody_may_not_sign_in_and_nothing_that_is_not_so() {
        let active = pb::CheckSignInResponse { standing: pb::Standing::Active.into(), ..Default::default() };
        assert_eq!(standing("sbj_1", &active), "Subject sbj_1\n  standing        active\n");
        let banned = pb::CheckSignInResponse {
            standing: pb::Standing::Banned.into(),
            reason_code: "FRAUD".into(),
            appeal_id: "apl_1".into(),
            frozen_by: vec!["can_1".into()],
            ..Default::default()
        };
        let expected = "\
Subject sbj_1
  standing        banned
  banned for      FRAUD
  appeal          apl_1
  frozen by       can_1
";
        assert_eq!(standing("sbj_1", &banned), expected);
    }

    #[test]
    fn an_appeal_is_shown_with_what_the_subject_says_and_how_it_was_decided() {
        let at = Some(Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let decided = pb::GetAppealResponse {
            subject_id: "sbj_1".into(),
            state: pb::AppealState::Upheld.into(),
            text: "It was not me.\nMy telephone was stolen.".into(),
            appealed_at: at,
            due_at: at,
            actor: "ops-7".into(),
            reason: "the recording was heard".into(),
        };
        let expected = "\
Appeal apl_1: upheld
  subject         sbj_1
  made            2025-11-21 08:00:00 UTC
  due             2025-11-21 08:00:00 UTC
  decided by      ops-7: the recording was heard

  It was not me.
  My telephone was stolen.
";
        assert_eq!(appeal("apl_1", &decided), expected);
    }

    #[test]
    fn a_verification_tells_where_its_code_went_and_its_token_until_when_it_is_good() {
        let at = Some(Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let expected = "\
Verification ver_1
  code sent to    u***@example.com
  valid until     2025-11-21 08:00:00 UTC
";
        assert_eq!(verification("ver_1", "u***@example.com", at.as_ref()), expected);
        let completed = pb::CompleteVerificationResponse {
            verification_token: "t.o.k".into(),
            level: pb::VerificationLevel::Single.into(),
            expires_at: at,
        };
        let expected = "\
Verification token t.o.k
  level           single
  valid until     2025-11-21 08:00:00 UTC
";
        assert_eq!(proof(&completed), expected);
    }
}
