//! The receipt: the sealed, signed collection of terminal acknowledgements, and how anybody checks
//! it with nothing but public keys.

mod chain;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
pub use chain::verify_all;
use keys::{JwkSet, SigningKey, jws};
use participant::{contract, is_success, wire};
use proto::{cancellation::v1 as pb, participant::v1 as contract_pb};
use serde::{Deserialize, Serialize};
use types::{Action, ItemKind, Scope, Timestamp};

use crate::{
    domain::{Answer, Attestation, Case},
    quote,
    wire::outcome_to,
};

/// The JWS header's `typ`.
pub const TYPE: &str = "exeunt-receipt+jws";

/// Whose the keys are that seal receipts. No participant can have this name.
pub const SEALERS: &str = "exeunt:receipts";

/// What a receipt says, as its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The shape's version.
    pub format: u32,
    /// Rises with every amendment, from 1.
    pub version: u32,
    /// The cancellation.
    pub cancellation_id: String,
    /// Whose.
    pub subject_id: String,
    /// What ended: `wholeAccount`, `named:<scope>`, or the items.
    pub scope: Vec<String>,
    /// RFC 3339.
    pub requested_at: String,
    /// RFC 3339.
    pub completed_at: String,
    /// Of the accepted quote, lower-case hexadecimal; empty where the scope has none.
    pub quote_digest: String,
    /// Of version 2 and later: the SHA-256 of the version before, which is the text of its JWS, in
    /// lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_digest: Option<String>,
    /// Of version 2 and later: when it was sealed. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amended_at: Option<String>,
    /// Everybody who had to acknowledge.
    pub roster: Vec<String>,
    /// Their terminal acknowledgements, in the roster's order; in version 2 and later what each said
    /// last.
    pub acknowledgements: Vec<SignedAnswer>,
    /// In place of the acknowledgements of those whose work was done outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attested>,
}

impl Receipt {
    /// Those who have said since they finished that they have not: only an amended receipt has any.
    pub fn unfinished(&self) -> impl Iterator<Item = &SignedAnswer> {
        self.acknowledgements.iter().filter(|signed| !signed.is_success())
    }
}

/// That a participant's work was done outside. The seal of the receipt vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// Whose work.
    pub participant: String,
    /// Where the evidence is.
    pub evidence: String,
    /// Who attested it.
    pub attested_by: String,
    /// Empty: why is the operators' to read. Receipts of releases before have it here.
    pub reason: String,
    /// RFC 3339.
    pub attested_at: String,
}

/// One acknowledgement within a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAnswer {
    /// Whose.
    pub participant: String,
    /// The outcome's name, like `OUTCOME_DONE`.
    pub outcome: String,
    /// The signed bytes, base64url without padding: an encoded exeunt.participant.v1.Acknowledgement.
    pub signed: String,
    /// Ed25519 over them, base64url without padding.
    pub signature: String,
    /// Which key: the RFC 7638 thumbprint of its JWK.
    pub kid: String,
    /// Where the signature covers several acknowledgements: that this is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<SignedBatch>,
}

impl SignedAnswer {
    fn is_success(&self) -> bool {
        contract_pb::Outcome::from_str_name(&self.outcome).is_some_and(is_success)
    }
}

/// That an acknowledgement is one of a batch with one signature; see exeunt.participant.v1.BatchProof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedBatch {
    /// Which of them, from 0.
    pub index: u32,
    /// Of how many.
    pub size: u32,
    /// The hashes that lead to the signed root, one behind the other, base64url without padding.
    pub path: String,
}

/// Seals the receipt of a cancellation that everybody has finished.
pub(crate) fn seal(case: &Case, completed_at: Timestamp, key: &SigningKey) -> String {
    sealed(&content(case, completed_at), key)
}

/// Seals the next version of the receipt of a completed cancellation, linked to the one before.
pub(crate) fn amend(case: &Case, now: Timestamp, key: &SigningKey) -> String {
    let previous = case.receipts.last().map(String::as_str).unwrap_or_default();
    let receipt = Receipt {
        version: u32::try_from(case.receipts.len()).unwrap_or(u32::MAX).saturating_add(1),
        previous_digest: Some(digest(previous)),
        amended_at: Some(now.to_string()),
        ..content(case, case.ended_at.unwrap_or(now))
    };
    sealed(&receipt, key)
}

/// What links a version to the one before: the SHA-256 of that one's JWS.
fn digest(receipt_jws: &str) -> String {
    quote::hex(&quote::digest(receipt_jws.trim().as_bytes()))
}

fn sealed(receipt: &Receipt, key: &SigningKey) -> String {
    // A structure of strings and numbers always has a JSON form.
    let payload = serde_json::to_vec(receipt).unwrap_or_default();
    jws::sign(key, TYPE, &payload)
}

fn content(case: &Case, completed_at: Timestamp) -> Receipt {
    let request = &case.request;
    let own = case.progress.iter().filter(|progress| progress.attestation.is_none());
    let finished = own.filter_map(|progress| progress.execution.as_ref());
    let attested = case.progress.iter().filter_map(|progress| progress.attestation.as_deref());
    Receipt {
        format: 1,
        version: 1,
        cancellation_id: request.id.to_string(),
        subject_id: request.subject.to_string(),
        scope: scope_words(&request.scope),
        requested_at: request.at.to_string(),
        completed_at: completed_at.to_string(),
        quote_digest: case.confirmation.as_ref().map(|c| quote::hex(&c.digest)).unwrap_or_default(),
        roster: request.roster.iter().map(|entry| entry.name.to_string()).collect(),
        previous_digest: None,
        amended_at: None,
        acknowledgements: finished.map(|answer| signed_answer(answer)).collect(),
        attestations: attested.map(attestation).collect(),
    }
}

fn attestation(of: &Attestation) -> Attested {
    Attested {
        participant: of.participant.to_string(),
        evidence: of.evidence.clone(),
        attested_by: of.actor.to_string(),
        reason: String::new(),
        attested_at: of.at.to_string(),
    }
}

fn signed_answer(answer: &Answer) -> SignedAnswer {
    SignedAnswer {
        participant: answer.participant.to_string(),
        outcome: outcome_to(answer.outcome).as_str_name().to_owned(),
        signed: URL_SAFE_NO_PAD.encode(&answer.signed.bytes),
        signature: URL_SAFE_NO_PAD.encode(&answer.signed.signature),
        kid: answer.signed.kid.to_string(),
        batch: answer.signed.batch.as_deref().map(|batch| SignedBatch {
            index: batch.index,
            size: batch.size,
            path: URL_SAFE_NO_PAD.encode(&batch.path),
        }),
    }
}

fn scope_words(scope: &Scope) -> Vec<String> {
    match scope {
        Scope::WholeAccount => vec!["wholeAccount".to_owned()],
        Scope::Named(name) => vec![format!("named:{name}")],
        Scope::Selected(items) => items
            .iter()
            .map(|item| format!("{}:{}:{}", kind_word(item.kind), item.id, action_word(item.action)))
            .collect(),
    }
}

fn kind_word(kind: ItemKind) -> &'static str {
    wire::item_kind(kind).as_str_name()
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::StopRenewal => "ACTION_STOP_RENEWAL",
        Action::EndNow => "ACTION_END_NOW",
        Action::Unbind => "ACTION_UNBIND",
        Action::Disable => "ACTION_DISABLE",
        Action::Erase => "ACTION_ERASE",
    }
}

/// A receipt in protobuf's shape; the scope is not in words there. `None` for what is no receipt.
pub(crate) fn to_proto(receipt_jws: &str, scope: &Scope) -> Option<pb::Receipt> {
    let receipt: Receipt = serde_json::from_slice(&jws::parse(receipt_jws).ok()?.payload).ok()?;
    let moment = |text: &str| Timestamp::parse(text).map(Timestamp::to_proto);
    let acknowledgement = |signed: &SignedAnswer| {
        Ok(pb::ReceiptAcknowledgement {
            participant: signed.participant.clone(),
            outcome: contract_pb::Outcome::from_str_name(&signed.outcome).unwrap_or_default().into(),
            signed: bytes(&signed.signed)?,
            signature: bytes(&signed.signature)?,
            kid: signed.kid.clone(),
            batch: signed.batch.as_ref().map(proof).transpose()?,
        })
    };
    let attestation = |of: &Attested| pb::Attestation {
        participant: of.participant.clone(),
        evidence: of.evidence.clone(),
        attested_by: of.attested_by.clone(),
        reason: of.reason.clone(),
        attested_at: moment(&of.attested_at),
    };
    let acknowledgements: Result<_, String> = receipt.acknowledgements.iter().map(acknowledgement).collect();
    Some(pb::Receipt {
        requested_at: moment(&receipt.requested_at),
        completed_at: moment(&receipt.completed_at),
        amended_at: receipt.amended_at.as_deref().and_then(moment),
        cancellation_id: receipt.cancellation_id,
        subject_id: receipt.subject_id,
        scope: Some(wire::scope(scope)),
        quote_digest: receipt.quote_digest,
        acknowledgements: acknowledgements.ok()?,
        attestations: receipt.attestations.iter().map(attestation).collect(),
        version: receipt.version,
        previous_digest: receipt.previous_digest.unwrap_or_default(),
    })
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The seal does not hold.
    #[error("the receipt's own signature does not hold")]
    Seal(#[source] jws::JwsError),
    /// The payload is not a receipt.
    #[error("the receipt's content cannot be read")]
    Content(#[from] serde_json::Error),
    /// The receipt's key is not the coordinator's.
    #[error("the receipt is not sealed with a receipt key")]
    SealKey,
    /// Everything that is wrong with its acknowledgements.
    #[error("acknowledgements do not hold: {}", .0.join("; "))]
    Acknowledgements(Vec<String>),
    /// What keeps several receipts from being versions of one.
    #[error("the receipts are not versions of one that follow each other: {}", .0.join("; "))]
    Chain(Vec<String>),
}

/// Checks a receipt with nothing but public keys: its seal, every acknowledgement's signature, and
/// that everybody on the roster finished this very cancellation.
///
/// `keys` is what `GetKeys` gives: each key says whose it is, so that no participant's passes for
/// another's, or for the coordinator's.
///
/// # Errors
/// [`VerifyError`] with everything that does not hold.
pub fn verify(receipt_jws: &str, keys: &JwkSet) -> Result<Receipt, VerifyError> {
    let verified = jws::verify(receipt_jws.trim(), &keys.of(SEALERS));
    let verified = verified.and_then(|verified| verified.of_type(TYPE)).map_err(|error| match error {
        jws::JwsError::UnknownKid(kid) if keys.find(&kid).is_some() => VerifyError::SealKey,
        other => VerifyError::Seal(other),
    })?;
    let receipt: Receipt = serde_json::from_slice(&verified.payload)?;
    let mut faults = Vec::new();
    if receipt.roster.is_empty() {
        faults.push("nobody had to acknowledge".to_owned());
    }
    if receipt.version != 1 && receipt.previous_digest.is_none() {
        faults.push(format!("version {} does not say what it amends", receipt.version));
    }
    for name in &receipt.roster {
        let mut of_this = receipt.acknowledgements.iter().filter(|signed| signed.participant == *name);
        let attested = receipt.attestations.iter().filter(|attested| attested.participant == *name).count();
        match (of_this.next(), of_this.next()) {
            (None, None) if attested == 1 => {}
            _ if attested > 0 => {
                faults.push(format!("{name} is attested and acknowledged, or attested twice"));
            }
            (Some(signed), None) => {
                faults.extend(check(&receipt, signed, keys).err().map(|fault| format!("{name}: {fault}")));
            }
            (Some(_), Some(_)) => faults.push(format!("{name} acknowledged twice")),
            (None, _) => faults.push(format!("{name} has not acknowledged")),
        }
    }
    let signed = receipt.acknowledgements.iter().map(|signed| &signed.participant);
    let named = signed.chain(receipt.attestations.iter().map(|attested| &attested.participant));
    faults.extend(
        named
            .filter(|name| !receipt.roster.contains(name))
            .map(|name| format!("{name} is not on the roster")),
    );
    if faults.is_empty() { Ok(receipt) } else { Err(VerifyError::Acknowledgements(faults)) }
}

fn bytes(text: &str) -> Result<Bytes, String> {
    URL_SAFE_NO_PAD.decode(text).map(Bytes::from).map_err(|_| "not base64url".to_owned())
}

fn proof(batch: &SignedBatch) -> Result<contract_pb::BatchProof, String> {
    Ok(contract_pb::BatchProof { index: batch.index, size: batch.size, path: bytes(&batch.path)? })
}

fn check(receipt: &Receipt, signed: &SignedAnswer, keys: &JwkSet) -> Result<(), String> {
    let message = contract_pb::SignedAcknowledgement {
        acknowledgement: bytes(&signed.signed)?,
        signature: bytes(&signed.signature)?,
        kid: signed.kid.clone(),
        batch: signed.batch.as_ref().map(proof).transpose()?,
    };
    let own = keys.of(&signed.participant);
    let answer = contract::verify(&message, &own).map_err(|error| error.to_string())?;
    let told = [
        (answer.cancellation_id == receipt.cancellation_id, "is about another cancellation"),
        (answer.subject_id == receipt.subject_id, "is about another subject"),
        (answer.participant == signed.participant, "is another participant's"),
        (answer.kind() == contract_pb::InstructionKind::Execute, "does not answer EXECUTE"),
        (answer.outcome().as_str_name() == signed.outcome, "has another outcome"),
        // Only what comes after a completion may take it back.
        (receipt.version > 1 || is_success(answer.outcome()), "is not a successful end"),
    ];
    match told.iter().find(|(holds, _)| !holds) {
        Some((_, fault)) => Err((*fault).to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    /// The coordinator's key, and those of two participants; the second has two.
    fn keys() -> JwkSet {
        let own = |seed, owner| key(seed).jwk().owned_by(owner);
        [own(1, SEALERS), own(2, "till"), own(3, "partner"), own(4, "partner")].into_iter().collect()
    }

    fn told(participant: &str) -> contract_pb::Acknowledgement {
        contract_pb::Acknowledgement {
            cancellation_id: "can_1".into(),
            subject_id: "sbj_1".into(),
            participant: participant.into(),
            kind: contract_pb::InstructionKind::Execute.into(),
            outcome: contract_pb::Outcome::Done.into(),
            ..Default::default()
        }
    }

    fn within_receipt(participant: &str, signed: contract_pb::SignedAcknowledgement) -> SignedAnswer {
        SignedAnswer {
            participant: participant.into(),
            outcome: contract_pb::Outcome::Done.as_str_name().into(),
            signed: URL_SAFE_NO_PAD.encode(&signed.acknowledgement),
            signature: URL_SAFE_NO_PAD.encode(&signed.signature),
            kid: signed.kid,
            batch: signed.batch.map(|batch| SignedBatch {
                index: batch.index,
                size: batch.size,
                path: URL_SAFE_NO_PAD.encode(&batch.path),
            }),
        }
    }

    fn answer(participant: &str, key: &SigningKey) -> SignedAnswer {
        within_receipt(participant, contract::sign(&told(participant), key))
    }

    /// One that was signed with five others.
    fn batched(participant: &str, key: &SigningKey) -> SignedAnswer {
        let mut all: Vec<Bytes> = (0..5_u8).map(|other| vec![other].into()).collect();
        all.insert(3, told(participant).encode_to_vec().into());
        within_receipt(participant, contract::sign_batch(all, key).remove(3))
    }

    fn sealed(acknowledgements: Vec<SignedAnswer>, by: &SigningKey) -> String {
        let receipt = Receipt {
            format: 1,
            version: 1,
            cancellation_id: "can_1".into(),
            subject_id: "sbj_1".into(),
            scope: vec!["wholeAccount".into()],
            requested_at: String::new(),
            completed_at: String::new(),
            quote_digest: String::new(),
            previous_digest: None,
            amended_at: None,
            roster: acknowledgements.iter().map(|signed| signed.participant.clone()).collect(),
            acknowledgements,
            attestations: Vec::new(),
        };
        jws::sign(by, TYPE, &serde_json::to_vec(&receipt).unwrap())
    }

    #[test]
    fn a_receipt_holds_when_the_coordinator_sealed_what_each_participant_signed() {
        let all = vec![answer("till", &key(2)), answer("partner", &key(3))];
        verify(&sealed(all, &key(1)), &keys()).unwrap();
    }

    #[test]
    fn a_receipt_holds_when_an_acknowledgement_is_one_of_a_batch_and_not_when_it_is_of_another() {
        let all = vec![batched("till", &key(2)), answer("partner", &key(3))];
        verify(&sealed(all.clone(), &key(1)), &keys()).unwrap();
        let changed = |change: fn(&mut SignedBatch)| {
            let mut all = all.clone();
            change(all[0].batch.as_mut().unwrap());
            verify(&sealed(all, &key(1)), &keys()).unwrap_err().to_string()
        };
        assert!(changed(|batch| batch.index = 2).contains("till: "));
        assert!(changed(|batch| batch.path.truncate(8)).contains("malformed"));
        assert!(changed(|batch| batch.path = "*".into()).contains("not base64url"));
        let alone = SignedAnswer { batch: None, ..all[0].clone() };
        let refused = verify(&sealed(vec![alone, all[1].clone()], &key(1)), &keys()).unwrap_err();
        assert!(refused.to_string().contains("signature does not hold"), "{refused}");
    }

    #[test]
    fn a_participant_cannot_seal_a_receipt_though_it_has_a_key_that_signs_nothing_in_it() {
        let all = vec![answer("till", &key(2)), answer("partner", &key(3))];
        for others in [all, vec![answer("till", &key(2))], vec![answer("partner", &key(3))]] {
            let refused = verify(&sealed(others, &key(4)), &keys());
            assert!(matches!(refused, Err(VerifyError::SealKey)), "{refused:?}");
        }
    }

    #[test]
    fn nobody_acknowledges_for_another() {
        for seed in [1, 3, 9] {
            let refused = verify(&sealed(vec![answer("till", &key(seed))], &key(1)), &keys());
            assert!(matches!(refused, Err(VerifyError::Acknowledgements(_))), "{refused:?}");
        }
    }

    #[test]
    fn keys_that_do_not_say_whose_they_are_prove_nothing() {
        let nobodys: JwkSet = [key(1).jwk(), key(2).jwk()].into_iter().collect();
        let refused = verify(&sealed(vec![answer("till", &key(2))], &key(1)), &nobodys);
        assert!(matches!(refused, Err(VerifyError::SealKey)), "{refused:?}");
    }
}
