//! Addresses of subjects: personal data, in memory for as long as it takes and printed by nobody.

use std::fmt;

use crate::domain::Factor;

/// Longest mailbox, in characters: RFC 5321 section 4.5.3.1.3, less the angle brackets.
const MAILBOX_LENGTH_MAX: usize = 254;
/// Longest part before the @, in characters: RFC 5321 section 4.5.3.1.1.
const LOCAL_PART_LENGTH_MAX: usize = 64;
/// Longest label of a domain, in characters: RFC 1035 section 2.3.4.
const LABEL_LENGTH_MAX: usize = 63;
/// Fewest and most digits of a telephone number: ITU-T E.164 sets the upper bound.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A telephone number or a mailbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    factor: Factor,
    text: String,
}

impl Address {
    /// A telephone number: a plus sign and 7 to 15 digits, the first not 0.
    #[must_use]
    pub fn sms(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let holds = DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        holds.then(|| Self { factor: Factor::SmsCode, text: text.into() })
    }

    /// A mailbox: a dot-atom, @ and a domain name of two labels or more. What RFC 5321 allows beyond
    /// that (quoted local parts, address literals) nobody's mailbox has and header injection loves.
    #[must_use]
    pub fn email(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let holds = text.len() <= MAILBOX_LENGTH_MAX && is_dot_atom(local) && is_domain(domain);
        holds.then(|| Self { factor: Factor::EmailCode, text: text.into() })
    }

    /// An address as it was sealed.
    #[must_use]
    pub fn unsealed(factor: Factor, bytes: Vec<u8>) -> Option<Self> {
        String::from_utf8(bytes).ok().map(|text| Self { factor, text })
    }

    /// The factor it serves.
    #[must_use]
    pub fn factor(&self) -> Factor {
        self.factor
    }

    /// The address itself: for sealing it and for writing to it, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// As much of it as its owner needs to recognise it: `u***@example.com`, `+86*****5678`.
    #[must_use]
    pub fn masked(&self) -> String {
        match self.factor {
            Factor::EmailCode => {
                let (local, domain) = self.text.split_once('@').unwrap_or_default();
                format!("{}***@{domain}", local.chars().next().unwrap_or('*'))
            }
            Factor::SmsCode => {
                // Of a short number less is shown, so that something stays hidden.
                let shown = if self.text.len() > 10 { 4 } else { 2 };
                let tail = self.text.len().saturating_sub(shown);
                let head = self.text.get(..3).unwrap_or_default();
                format!("{head}*****{}", self.text.get(tail..).unwrap_or_default())
            }
        }
    }

    /// What two addresses that reach the same person have in common.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.text.to_ascii_lowercase()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("factor", &self.factor).finish_non_exhaustive()
    }
}

/// RFC 5322 section 3.2.3, without comments and space.
fn is_dot_atom(local: &str) -> bool {
    let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= LOCAL_PART_LENGTH_MAX
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(atext))
}

/// RFC 5321 section 4.1.2 `Domain`, of two labels or more, the last not all digits.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(label)
        && domain.rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_number_is_e164() {
        for right in ["+8613812345678", "+1234567", "+123456789012345"] {
            assert!(Address::sms(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            "+",
            "8613812345678",
            "+123456",
            "+1234567890123456",
            "+0123456789",
            "+86 138",
            "+86x1234567",
        ] {
            assert!(Address::sms(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_mailbox_is_a_dot_atom_at_a_domain() {
        let long =
            |local: usize, label: usize| format!("{}@{}.example", "a".repeat(local), "b".repeat(label));
        for right in ["user@example.com", "u.s+er@x-y.example", "o'brien@a.b.c", &long(64, 63)] {
            assert!(Address::email(right).is_some(), "{right}");
        }
        let too_long = format!("user@{}example", "abcdefghi.".repeat(25));
        for wrong in [
            "",
            "user",
            "@example.com",
            "user@",
            "user@localhost",
            "user@@example.com",
            "a@b@example.com",
            ".user@example.com",
            "us..er@example.com",
            "user@-x.com",
            "user@x-.com",
            "user@x..com",
            "user@x.com.",
            "user@127.0.0.1",
            "user@[127.0.0.1]",
            "\"us er\"@example.com",
            "us er@example.com",
            "user@example.com\r\nBcc: x@example.com",
            "用户@example.com",
            "user@例子.com",
            &long(65, 1),
            &long(1, 64),
            &too_long,
        ] {
            assert!(Address::email(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_masked_address_is_recognised_and_not_read() {
        let masked = |address: Option<Address>| address.unwrap().masked();
        assert_eq!(masked(Address::email("user@example.com")), "u***@example.com");
        assert_eq!(masked(Address::email("u@example.com")), "u***@example.com");
        assert_eq!(masked(Address::sms("+8613812345678")), "+86*****5678");
        assert_eq!(masked(Address::sms("+1234567")), "+12*****67");
    }

    #[test]
    fn an_address_does_not_print() {
        let printed = format!("{:?}", Address::email("user@example.com").unwrap());
        assert_eq!(printed, "Address { factor: EmailCode, .. }");
    }
}
