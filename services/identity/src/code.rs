//! Codes: six digits that follow from the service's secret and the verification's id, so that none
//! is ever stored and whoever delivers one again delivers the same.

use keys::Secret;

use crate::domain::VerificationId;

/// How many digits a code has.
pub const DIGITS: usize = 6;

const CODES: u64 = 1_000_000;

/// The verification's code.
#[must_use]
pub fn code(secret: &Secret, id: &VerificationId) -> String {
    let derived = secret.hmac("verification-code", &[id.as_str().as_bytes()]);
    let (first, _) = derived.split_first_chunk().expect("32 bytes have a first 8");
    // Of 2^64 values a million classes differ in frequency by 1 in 10^13.
    format!("{:06}", u64::from_be_bytes(*first) % CODES)
}

/// What is stored of a code: its hash under the secret, bound to the verification.
#[must_use]
pub fn code_hash(secret: &Secret, id: &VerificationId, code: &str) -> [u8; 32] {
    secret.hmac("code-hash", &[id.as_str().as_bytes(), code.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> VerificationId {
        VerificationId::parse(text).unwrap()
    }

    #[test]
    fn a_code_is_six_digits_and_always_the_same() {
        let secret = Secret::from_bytes([1; 32]);
        for n in 0..200 {
            let id = id(&format!("ver_{n}"));
            let made = code(&secret, &id);
            assert!(made.len() == DIGITS && made.bytes().all(|byte| byte.is_ascii_digit()), "{made}");
            assert_eq!(made, code(&secret, &id));
        }
        assert_ne!(code(&secret, &id("ver_1")), code(&Secret::from_bytes([2; 32]), &id("ver_1")));
    }

    #[test]
    fn a_hash_is_bound_to_its_verification() {
        let secret = Secret::from_bytes([1; 32]);
        let hash = code_hash(&secret, &id("ver_1"), "123456");
        assert_ne!(hash, code_hash(&secret, &id("ver_2"), "123456"));
        assert_ne!(hash, code_hash(&secret, &id("ver_1"), "123457"));
    }
}
