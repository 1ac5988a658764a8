//! What both sides of the contract must agree on: topics, ids, digests and signatures.

use std::sync::Arc;

use bytes::Bytes;
use keys::{JwkSet, SigningKey};
use messaging::TopicSpec;
use prost::Message as _;
use proto::participant::v1::{Acknowledgement, Assessment, InstructionKind, SignedAcknowledgement};
use sha2::{Digest as _, Sha256};
use types::{CancellationId, ParticipantName};

/// The topic of every acknowledgement.
pub const ACKNOWLEDGEMENTS: &str = "exeunt.acknowledgements";

/// The topic on which identity tells its public facts.
pub const IDENTITY_EVENTS: &str = "exeunt.identity.events";

/// The compacted topic of closed subjects.
pub const CLOSURES: &str = "exeunt.closures";

/// What the names of topics of public keys begin with.
const KEYS_PREFIX: &str = "exeunt.keys.";

/// What the ids of cancellations begin with that never were: a participant is checked with them, and
/// the coordinator passes over the answers.
pub const CONFORMANCE: &str = "conformance-";

/// How many partitions a topic has unless there is a reason.
pub const PARTITIONS: i32 = 8;

/// The topic of a participant's instructions.
#[must_use]
pub fn instructions_topic(participant: &ParticipantName) -> String {
    format!("exeunt.instructions.{participant}")
}

/// The topic of a service's public facts.
#[must_use]
pub fn events_topic(service: &str) -> String {
    format!("exeunt.{service}.events")
}

/// The topic of a participant's public keys. Whoever may write to it can acknowledge in the
/// participant's name: give that right to the participant alone.
#[must_use]
pub fn keys_topic(participant: &ParticipantName) -> String {
    format!("{KEYS_PREFIX}{participant}")
}

/// The participant whose public keys a topic tells; `None` for other topics.
#[must_use]
pub fn keys_topic_of(topic: &str) -> Option<ParticipantName> {
    ParticipantName::parse(topic.strip_prefix(KEYS_PREFIX)?).ok()
}

/// The topic of a participant's public keys as it should be: it keeps every key for ever, and they
/// are few.
#[must_use]
pub fn keys(participant: &ParticipantName) -> TopicSpec {
    TopicSpec { name: keys_topic(participant).into(), partitions: 1, compacted: true }
}

/// A topic with the usual number of partitions.
#[must_use]
pub fn topic(name: impl Into<Arc<str>>) -> TopicSpec {
    TopicSpec { name: name.into(), partitions: PARTITIONS, compacted: false }
}

/// The word for a kind in an instruction's id.
#[must_use]
pub fn kind_word(kind: InstructionKind) -> &'static str {
    match kind {
        InstructionKind::Unspecified => "unspecified",
        InstructionKind::Assess => "assess",
        InstructionKind::Freeze => "freeze",
        InstructionKind::Execute => "execute",
        InstructionKind::Undo => "undo",
    }
}

/// An instruction's id: `<cancellation>/<participant>/<kind>/<epoch>`.
#[must_use]
pub fn instruction_id(
    cancellation: &CancellationId,
    participant: &str,
    kind: InstructionKind,
    epoch: u32,
) -> String {
    format!("{cancellation}/{participant}/{}/{epoch}", kind_word(kind))
}

/// An assessment's digest: SHA-256 of its encoding without the moment at which it was made.
#[must_use]
pub fn assessment_digest(assessment: &Assessment) -> [u8; 32] {
    let timeless = Assessment { assessed_at: None, ..assessment.clone() };
    Sha256::digest(timeless.encode_to_vec()).into()
}

/// Encodes an acknowledgement and signs the bytes. From here on nobody encodes it again.
#[must_use]
pub fn sign(acknowledgement: &Acknowledgement, key: &SigningKey) -> SignedAcknowledgement {
    let bytes = Bytes::from(acknowledgement.encode_to_vec());
    let signature = Bytes::copy_from_slice(&key.sign(&bytes));
    SignedAcknowledgement { acknowledgement: bytes, signature, kid: key.kid().to_owned() }
}

/// Why a signed acknowledgement does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Its key is not one of the participant's.
    #[error("acknowledgement is signed with a key that the participant does not have")]
    UnknownKey,
    /// The signature is not that key's over these bytes.
    #[error("acknowledgement's signature does not hold")]
    Wrong,
    /// The bytes are not an acknowledgement.
    #[error("acknowledgement cannot be decoded")]
    Undecodable,
}

/// Checks the signature against the participant's keys and decodes what was signed.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(signed: &SignedAcknowledgement, keys: &JwkSet) -> Result<Acknowledgement, SignatureError> {
    let key = keys.find(&signed.kid).ok_or(SignatureError::UnknownKey)?;
    key.verify(&signed.acknowledgement, &signed.signature).map_err(|_| SignatureError::Wrong)?;
    Acknowledgement::decode(signed.acknowledgement.clone()).map_err(|_| SignatureError::Undecodable)
}

#[cfg(test)]
mod tests {
    use proto::participant::v1::Blocker;
    use types::Timestamp;

    use super::*;

    #[test]
    fn an_assessments_digest_does_not_depend_on_when_it_was_made() {
        let blockers = vec![Blocker { code: "BALANCE_REMAINING".into(), ..Blocker::default() }];
        let one = Assessment { blockers: blockers.clone(), ..Assessment::default() };
        let at = Some(Timestamp::from_micros(7).to_proto());
        let other = Assessment { assessed_at: at, blockers, ..Assessment::default() };
        assert_eq!(assessment_digest(&one), assessment_digest(&other));
        assert_ne!(assessment_digest(&one), assessment_digest(&Assessment::default()));
    }

    #[test]
    fn a_signed_acknowledgement_holds_only_unchanged_and_under_its_own_key() {
        let key = SigningKey::from_seed([7; 32]);
        let keys: JwkSet = [key.jwk()].into_iter().collect();
        let acknowledgement =
            Acknowledgement { cancellation_id: "can_1".into(), ..Acknowledgement::default() };
        let signed = sign(&acknowledgement, &key);
        assert_eq!(verify(&signed, &keys), Ok(acknowledgement));

        let changed = SignedAcknowledgement { acknowledgement: Bytes::from_static(b"x"), ..signed.clone() };
        assert_eq!(verify(&changed, &keys), Err(SignatureError::Wrong));
        let others: JwkSet = [SigningKey::from_seed([8; 32]).jwk()].into_iter().collect();
        assert_eq!(verify(&signed, &others), Err(SignatureError::UnknownKey));
    }

    #[test]
    fn an_instructions_id_names_all_that_makes_it_one() {
        let cancellation = CancellationId::parse("can_1").unwrap();
        let id = instruction_id(&cancellation, "ledger", InstructionKind::Execute, 2);
        assert_eq!(id, "can_1/ledger/execute/2");
    }
}
