//! What must hold of receipts: each version holds and links to the one before; and what was proven once
//! is proven by what a restored coordinator seals, too.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cancellation::receipt::{self, Receipt};
use keys::JwkSet;
use prost::Message as _;
use proto::{
    cancellation::v1 as pb,
    participant::v1::{Acknowledgement, Kept},
};

use super::{Finding, must};
use crate::liar::LIAR;

/// What a participant says that it has done: its outcome, and what it keeps.
type End = (String, Vec<Kept>);

/// The receipts of all cases.
#[derive(Default)]
pub struct Receipts {
    /// Every version as the coordinator's store has it, the first one first.
    versions: BTreeMap<String, Vec<String>>,
    /// Who has said since that they have not finished.
    unfinished: BTreeMap<String, Vec<String>>,
    /// What each participant had done by the last version that was ever told.
    told: BTreeMap<String, BTreeMap<String, End>>,
    /// Who may do it otherwise the second time: its own store was put back to an older copy.
    restored: BTreeSet<String>,
}

impl Receipts {
    /// Those who have taken their success in a case back.
    pub fn unfinished(&self, case: &str) -> &[String] {
        self.unfinished.get(case).map_or(&[], Vec::as_slice)
    }

    /// Somebody's store was put back to an older copy. The coordinator's receipts are read again.
    pub fn restored(&mut self, service: &'static str) {
        if service == "cancellation" {
            self.versions.clear();
            self.unfinished.clear();
        } else {
            self.restored.insert(service.to_owned());
        }
    }

    /// Takes a version in that is known to hold.
    pub fn fold(&mut self, case: &str, jws: &str, unfinished: &[String]) {
        self.versions.entry(case.to_owned()).or_default().push(jws.to_owned());
        self.unfinished.insert(case.to_owned(), unfinished.to_vec());
    }

    /// Whether the first version of a receipt holds, and what a restored coordinator seals says what it
    /// said before.
    pub fn fits_first(&mut self, case: &str, jws: &str, keys: &JwkSet) -> Result<(), Finding> {
        let receipt = read(case, receipt::verify(jws, keys))?;
        must!(receipt.cancellation_id == case, "{case} has the receipt of another");
        must!(receipt.version == 1, "the first receipt of {case} is version {}", receipt.version);
        let ends = ends(&receipt);
        for (name, before) in self.told.get(case).into_iter().flatten() {
            let may_differ = name == LIAR || self.restored.contains(name);
            let same = may_differ || ends.get(name) == Some(before);
            must!(same, "{case} was proven with {name} {before:?}, and is with {:?}", ends.get(name));
        }
        self.told.insert(case.to_owned(), ends);
        Ok(())
    }

    /// Whether a version of a receipt is the next one of those before it.
    pub fn fits_next(
        &mut self,
        case: &str,
        amended: &pb::ReceiptAmended,
        keys: &JwkSet,
    ) -> Result<(), Finding> {
        let before = self.versions.get(case).map_or(&[][..], Vec::as_slice);
        must!(amended.version as usize == before.len() + 1, "{case} has version {}", amended.version);
        let all = before.iter().map(String::as_str).chain([amended.receipt_jws.as_str()]);
        let chain = read(case, receipt::verify_all(all, keys))?;
        let Some(newest) = chain.last() else { return Ok(()) };
        let unfinished: Vec<&String> = newest.unfinished().map(|signed| &signed.participant).collect();
        let said: Vec<&String> = amended.unfinished.iter().collect();
        must!(unfinished == said, "{case} is amended for {said:?}, and its receipt for {unfinished:?}");
        self.told.insert(case.to_owned(), ends(newest));
        Ok(())
    }
}

fn read<T>(case: &str, verified: Result<T, receipt::VerifyError>) -> Result<T, Finding> {
    verified.map_err(|error| Finding(format!("the receipt of {case} does not hold: {error}")))
}

fn ends(receipt: &Receipt) -> BTreeMap<String, End> {
    let end = |signed: &receipt::SignedAnswer| {
        let bytes = URL_SAFE_NO_PAD.decode(&signed.signed).unwrap_or_default();
        let answer = Acknowledgement::decode(bytes.as_slice()).unwrap_or_default();
        (signed.participant.clone(), (signed.outcome.clone(), answer.kept))
    };
    receipt.acknowledgements.iter().map(end).collect()
}
