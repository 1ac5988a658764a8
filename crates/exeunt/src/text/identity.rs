//! A verification: where the code went, and what it was exchanged for.

use proto::identity::v1 as pb;

use super::{Lines, moment, word};

/// A verification that was started.
#[must_use]
pub fn verification(of: &pb::StartVerificationResponse) -> String {
    let mut lines = Lines::default();
    lines.add(format!("Verification {}", of.verification_id));
    lines.add(format!("  {:<16}{}", "code sent to", of.masked_address));
    lines.add(format!("  {:<16}{}", "valid until", moment(of.expires_at.as_ref())));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verification_tells_where_its_code_went_and_its_token_until_when_it_is_good() {
        let at = Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let started = pb::StartVerificationResponse {
            verification_id: "ver_1".into(),
            masked_address: "u***@example.com".into(),
            expires_at: at,
        };
        let expected = "\
Verification ver_1
  code sent to    u***@example.com
  valid until     2025-11-21 08:00:00 UTC
";
        assert_eq!(verification(&started), expected);
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
