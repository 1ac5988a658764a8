//! What both sides of the contract must agree on: topics, ids, digests and signatures.

use std::sync::Arc;

use bytes::Bytes;
use keys::{JwkSet, PublicKey, SigningKey, merkle};
use messaging::TopicSpec;
use prost::Message as _;
use proto::participant::v1::{
    Acknowledgement, Assessment, BatchProof, InstructionKind, SignedAcknowledgement,
};
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

/// Whether a topic keeps every key's last record for ever.
#[must_use]
pub fn is_compacted(topic: &str) -> bool {
    topic == CLOSURES || topic.starts_with(KEYS_PREFIX)
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

/// How many acknowledgements one signature covers at the most.
pub const BATCH_MAX: usize = 16;

/// What a batch's root is signed behind, so that no root passes for an acknowledgement.
const BATCH_PREFIX: &[u8] = b"exeunt.participant.v1.BatchProof\0";

/// Encodes an acknowledgement and signs the bytes. From here on nobody encodes it again.
#[must_use]
pub fn sign(acknowledgement: &Acknowledgement, key: &SigningKey) -> SignedAcknowledgement {
    sign_bytes(acknowledgement.encode_to_vec().into(), key)
}

/// Signs an encoded acknowledgement.
pub(crate) fn sign_bytes(acknowledgement: Bytes, key: &SigningKey) -> SignedAcknowledgement {
    let signature = Bytes::copy_from_slice(&key.sign(&acknowledgement));
    SignedAcknowledgement { acknowledgement, signature, kid: key.kid().to_owned(), batch: None }
}

/// Signs encoded acknowledgements, at most [`BATCH_MAX`], with one signature. A single one is signed
/// alone.
#[must_use]
pub fn sign_batch(acknowledgements: Vec<Bytes>, key: &SigningKey) -> Vec<SignedAcknowledgement> {
    let size = acknowledgements.len();
    if size < 2 {
        return acknowledgements.into_iter().map(|bytes| sign_bytes(bytes, key)).collect();
    }
    let leaves: Vec<_> = acknowledgements.iter().map(|bytes| merkle::leaf(bytes)).collect();
    let (root, paths) = merkle::tree(&leaves);
    let signature = Bytes::copy_from_slice(&key.sign(&statement(&root)));
    let signed = (0..).zip(acknowledgements).zip(paths).map(|((index, acknowledgement), path)| {
        let batch = BatchProof { index, size: size as u32, path: path.concat().into() };
        let (signature, kid) = (signature.clone(), key.kid().to_owned());
        SignedAcknowledgement { acknowledgement, signature, kid, batch: Some(batch) }
    });
    signed.collect()
}

fn statement(root: &merkle::Hash) -> Vec<u8> {
    [BATCH_PREFIX, root].concat()
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
    /// What should lead to the signed root of its batch does not have the form of that.
    #[error("acknowledgement's proof of its batch is malformed")]
    Proof,
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
    check(signed, key)?;
    Acknowledgement::decode(signed.acknowledgement.clone()).map_err(|_| SignatureError::Undecodable)
}

/// Checks the signature against this key.
///
/// # Errors
/// [`SignatureError`].
pub fn check(signed: &SignedAcknowledgement, key: &PublicKey) -> Result<(), SignatureError> {
    let said = signed_bytes(signed)?;
    key.verify(&said, &signed.signature).map_err(|_| SignatureError::Wrong)
}

/// The bytes that the signature must be over: the acknowledgement itself, or the root of its batch.
///
/// # Errors
/// [`SignatureError::Proof`].
pub fn signed_bytes(signed: &SignedAcknowledgement) -> Result<Bytes, SignatureError> {
    let Some(batch) = &signed.batch else { return Ok(signed.acknowledgement.clone()) };
    let (path, rest) = batch.path.as_chunks::<{ merkle::HASH_BYTES }>();
    if !rest.is_empty() || !(2..=BATCH_MAX as u32).contains(&batch.size) {
        return Err(SignatureError::Proof);
    }
    let leaf = merkle::leaf(&signed.acknowledgement);
    let root = merkle::root(&leaf, batch.index, batch.size, path).ok_or(SignatureError::Proof)?;
    Ok(statement(&root).into())
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
    fn each_of_a_batch_holds_by_itself_and_only_unchanged() {
        let key = SigningKey::from_seed([7; 32]);
        let keys: JwkSet = [key.jwk()].into_iter().collect();
        let told = |number: usize| Acknowledgement {
            cancellation_id: format!("can_{number}"),
            ..Acknowledgement::default()
        };
        for size in 1..=BATCH_MAX {
            let bytes = (0..size).map(|number| told(number).encode_to_vec().into()).collect();
            let batch = sign_batch(bytes, &key);
            assert_eq!(batch.len(), size);
            for (number, signed) in batch.iter().enumerate() {
                assert_eq!(signed.batch.is_some(), size > 1);
                assert_eq!(verify(signed, &keys), Ok(told(number)));
                let changed = Bytes::from(told(size).encode_to_vec());
                let changed = SignedAcknowledgement { acknowledgement: changed, ..signed.clone() };
                assert_eq!(verify(&changed, &keys), Err(SignatureError::Wrong));
                let alone = SignedAcknowledgement { batch: None, ..signed.clone() };
                assert_eq!(verify(&alone, &keys).is_ok(), size == 1);
            }
        }
    }

    #[test]
    fn a_proof_without_a_proofs_form_is_refused_before_any_signature_is_looked_at() {
        let key = SigningKey::from_seed([7; 32]);
        let signed = sign(&Acknowledgement::default(), &key);
        let hashes = |count: usize| Bytes::from(vec![0; 32 * count]);
        for (index, size, path) in [
            (0, 0, hashes(0)),
            (0, 1, hashes(0)),
            (2, 2, hashes(1)),
            (0, 2, hashes(0)),
            (0, 2, hashes(2)),
            (0, 2, Bytes::from_static(&[0; 31])),
            (0, 17, hashes(5)),
            (0, u32::MAX, hashes(32)),
        ] {
            let proof = BatchProof { index, size, path };
            let forged = SignedAcknowledgement { batch: Some(proof.clone()), ..signed.clone() };
            assert_eq!(check(&forged, &key.public()), Err(SignatureError::Proof), "{proof:?}");
        }
    }

    #[test]
    fn an_instructions_id_names_all_that_makes_it_one() {
        let cancellation = CancellationId::parse("can_1").unwrap();
        let id = instruction_id(&cancellation, "ledger", InstructionKind::Execute, 2);
        assert_eq!(id, "can_1/ledger/execute/2");
    }
}
