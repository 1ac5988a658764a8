//! Answers given, and their signed form as soon as there is one; many are signed at once.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use keys::SigningKey;
use prost::Message as _;
use proto::participant::v1 as pb;

use crate::contract;

/// An answer. It is encoded once, when it is given, and signed once, before it is stored.
#[derive(Debug)]
pub struct Given {
    answer: pb::Acknowledgement,
    bytes: Bytes,
    signed: OnceLock<pb::SignedAcknowledgement>,
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Given {
    pub(crate) fn new(answer: pb::Acknowledgement) -> Self {
        let bytes = answer.encode_to_vec().into();
        Self { answer, bytes, signed: OnceLock::new() }
    }

    /// One that is stored; `None` when what was signed is no answer.
    pub(crate) fn stored(signed: pb::SignedAcknowledgement) -> Option<Self> {
        let bytes = signed.acknowledgement.clone();
        let answer = pb::Acknowledgement::decode(bytes.clone()).ok()?;
        Some(Self { answer, bytes, signed: signed.into() })
    }

    pub(crate) fn answer(&self) -> &pb::Acknowledgement {
        &self.answer
    }

    /// Its signed form; signs it alone when nobody has signed it yet.
    pub(crate) fn signed(&self, key: &SigningKey) -> &pb::SignedAcknowledgement {
        self.signed.get_or_init(|| contract::sign_bytes(self.bytes.clone(), key))
    }
}

/// An answer that is to be stored.
#[derive(Debug)]
pub struct ToStore {
    /// The instruction that is answered, as it came, when it is new.
    pub(crate) instruction: Option<Bytes>,
    pub(crate) given: Arc<Given>,
}

/// `Answered` with its parts as they came: on the wire they are the same.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RawAnswered {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) instruction: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) signed: Option<Bytes>,
}

/// Signs answers.
#[derive(Debug, Clone)]
pub struct Signer {
    pub(crate) key: Arc<SigningKey>,
    /// Whether one signature may cover several answers.
    pub(crate) batched: bool,
}

impl Signer {
    /// Signs those that are not signed yet, and encodes all as the stored fact that says so.
    pub(crate) fn seal(&self, answers: &[ToStore]) -> Vec<Bytes> {
        if self.batched {
            let unsigned: Vec<_> =
                answers.iter().filter(|answer| answer.given.signed.get().is_none()).collect();
            for batch in unsigned.chunks(contract::BATCH_MAX) {
                let bytes = batch.iter().map(|answer| answer.given.bytes.clone()).collect();
                for (answer, signed) in batch.iter().zip(contract::sign_batch(bytes, &self.key)) {
                    // Only this batch knows it, so that nobody else has signed it meanwhile.
                    let _ = answer.given.signed.set(signed);
                }
            }
        }
        answers.iter().map(|answer| self.encode(answer)).collect()
    }

    fn encode(&self, answer: &ToStore) -> Bytes {
        let signed = answer.given.signed(&self.key).encode_to_vec();
        let stored = RawAnswered { instruction: answer.instruction.clone(), signed: Some(signed.into()) };
        stored.encode_to_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use keys::JwkSet;

    use super::*;

    #[test]
    fn what_is_stored_reads_as_the_contracts_own_message() {
        let signer = Signer { key: Arc::new(SigningKey::from_seed([1; 32])), batched: true };
        let keys: JwkSet = [signer.key.jwk()].into_iter().collect();
        let instruction = pb::Instruction { instruction_id: "one".into(), ..pb::Instruction::default() };
        let answer = |number: usize| pb::Acknowledgement {
            cancellation_id: format!("can_{number}"),
            ..pb::Acknowledgement::default()
        };
        let answers: Vec<_> = (0..20)
            .map(|number| ToStore {
                instruction: (number % 2 == 0).then(|| instruction.encode_to_vec().into()),
                given: Arc::new(Given::new(answer(number))),
            })
            .collect();
        let alone = answers[3].given.signed(&signer.key).clone();
        let stored = signer.seal(&answers);
        assert_eq!(signer.seal(&answers), stored, "what is signed stays so");
        for (number, payload) in stored.into_iter().enumerate() {
            let read = pb::Answered::decode(payload).unwrap();
            assert_eq!(read.instruction, (number % 2 == 0).then(|| instruction.clone()));
            let signed = read.signed.unwrap();
            assert_eq!(contract::verify(&signed, &keys), Ok(answer(number)));
            // Nineteen are left to be signed together: sixteen, and three.
            let size = signed.batch.as_ref().map_or(1, |batch| batch.size);
            let expected = match number {
                3 => 1,
                0..=16 => 16,
                _ => 3,
            };
            assert_eq!(size, expected, "{number}");
            if number == 3 {
                assert_eq!(signed, alone);
            }
        }
    }
}
