//! Several versions of one receipt: each holds by itself, and each says which one it amends.

use std::collections::BTreeMap;

use keys::JwkSet;

use super::{Receipt, VerifyError, bytes, contract_pb, digest, verify};

/// Checks receipts that are versions of one, in any order: each of them, and that each amends the one
/// before. Gives them in their order. Where the first given is not version 1, those before it were not
/// shown, and of what they said nothing is known.
///
/// # Errors
/// [`VerifyError`] with everything that does not hold.
pub fn verify_all<'a>(
    receipts: impl IntoIterator<Item = &'a str>,
    keys: &JwkSet,
) -> Result<Vec<Receipt>, VerifyError> {
    let mut faults = Vec::new();
    let mut versions: BTreeMap<u32, (&str, Receipt)> = BTreeMap::new();
    for text in receipts {
        let receipt = verify(text, keys)?;
        let version = receipt.version;
        match versions.get(&version) {
            Some((other, _)) if other.trim() != text.trim() => {
                faults.push(format!("there are two of version {version}"));
            }
            Some(_) => {}
            None => drop(versions.insert(version, (text, receipt))),
        }
    }
    let pairs = versions.values().zip(versions.values().skip(1));
    for ((text, before), (_, after)) in pairs {
        faults.extend(link(text, before, after).map(|fault| format!("version {}: {fault}", after.version)));
    }
    if versions.is_empty() {
        faults.push("there is none".to_owned());
    }
    if !faults.is_empty() {
        return Err(VerifyError::Chain(faults));
    }
    Ok(versions.into_values().map(|(_, receipt)| receipt).collect())
}

/// What is wrong with a version as the one that amends another.
fn link(text: &str, before: &Receipt, after: &Receipt) -> Option<String> {
    if before.version.checked_add(1) != Some(after.version) {
        return Some(format!("comes after version {}, and what is between was not shown", before.version));
    }
    if after.previous_digest.as_deref() != Some(&digest(text)) {
        return Some("amends another receipt than the version before".to_owned());
    }
    let same = [
        (before.cancellation_id == after.cancellation_id, "is of another cancellation"),
        (before.subject_id == after.subject_id, "is of another subject"),
        (before.scope == after.scope, "is of another scope"),
        (before.requested_at == after.requested_at, "was requested at another moment"),
        (before.completed_at == after.completed_at, "was completed at another moment"),
        (before.quote_digest == after.quote_digest, "is of another quote"),
        (before.roster == after.roster, "has another roster"),
        (turns(before).iter().zip(turns(after)).all(rises), "takes back a later answer"),
    ];
    same.iter().find(|(holds, _)| !holds).map(|(_, fault)| (*fault).to_owned())
}

/// Epoch and revision of what a participant said.
type Turn = Option<(u32, u32)>;

/// Where an attestation stands in its place, nothing was said that could be later.
fn rises((was, is): (&Turn, Turn)) -> bool {
    was.zip(is).is_none_or(|(was, is)| was <= is)
}

/// What each participant said, in the roster's order.
fn turns(receipt: &Receipt) -> Vec<Turn> {
    let turn = |name: &String| {
        let signed = receipt.acknowledgements.iter().find(|signed| signed.participant == *name)?;
        let answer: contract_pb::Acknowledgement =
            prost::Message::decode(bytes(&signed.signed).ok()?).ok()?;
        Some((answer.epoch, answer.revision))
    };
    receipt.roster.iter().map(turn).collect()
}

#[cfg(test)]
mod tests;
