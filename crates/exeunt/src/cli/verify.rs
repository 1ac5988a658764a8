//! Verifies a receipt, or several versions of one, with public keys and nothing else: no server, no
//! network.

use std::{fs, io::Read, path::Path};

use cancellation::receipt::{self, Receipt};
use keys::JwkSet;
use serde_json::json;

use super::{Failure, Output, args};
use crate::text;

pub fn verify(flags: &args::Verify, output: &Output) -> Result<(), Failure> {
    let is_stdin = |path: &Path| path == Path::new("-");
    let from_stdin = flags.receipts.iter().chain([&flags.keys]).filter(|path| is_stdin(path)).count();
    if from_stdin > 1 {
        return Err(Failure::plain("only one of the receipts and the keys can come from standard input"));
    }
    let receipts = flags.receipts.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let keys = read(&flags.keys)?;
    let keys = key_set(&keys).map_err(|error| {
        Failure::local(format!("{} does not hold public keys", flags.keys.display()), error)
    })?;
    let mut versions = receipt::verify_all(receipts.iter().map(String::as_str), &keys)
        .map_err(|error| Failure::NotVerified(error.into()))?;
    let Some(newest) = versions.pop() else { return Ok(()) };
    let not_shown = versions.first().unwrap_or(&newest).version.saturating_sub(1);
    if output.is_json() {
        let told = json!({
            "verified": true, "receipt": newest, "earlier": versions, "versions_not_shown": not_shown,
        });
        output.line(&told.to_string());
    } else {
        output.text(&(told(&newest) + &of_versions(&newest, versions.len(), not_shown)));
    }
    Ok(())
}

/// Reads a key set, or what `keys --output json` prints around it.
fn key_set(text: &str) -> Result<JwkSet, Box<dyn std::error::Error + Send + Sync>> {
    let wrapped = serde_json::from_str::<serde_json::Value>(text)?;
    let inner = wrapped.get("jwksJson").and_then(|inner| inner.as_str());
    Ok(JwkSet::parse(inner.unwrap_or(text))?)
}

/// What holds, in words.
#[must_use]
pub(crate) fn told(receipt: &Receipt) -> String {
    let mut lines = vec![
        format!("The receipt of cancellation {} holds.", receipt.cancellation_id),
        format!("  subject    {}", receipt.subject_id),
        format!("  ended      {}", receipt.scope.join(", ")),
        format!("  requested  {}", receipt.requested_at),
        format!("  completed  {}", receipt.completed_at),
    ];
    if !receipt.quote_digest.is_empty() {
        lines.push(format!("  accepted   quote {}", receipt.quote_digest));
    }
    let all = if receipt.attestations.is_empty() { "all " } else { "" };
    let signed = receipt.acknowledgements.len();
    lines.push(format!("Its seal and the signatures of {all}{signed} participants were verified:"));
    let widest = receipt.acknowledgements.iter().map(|one| one.participant.len()).max().unwrap_or_default();
    lines.extend(receipt.acknowledgements.iter().map(|one| {
        let outcome = text::word(&one.outcome, "OUTCOME_");
        format!("  {:<widest$}  {outcome:<13}  signed with key {}", one.participant, one.kid)
    }));
    lines.extend(receipt.attestations.iter().map(|one| {
        let (by, at) = (&one.attested_by, &one.attested_at);
        format!(
            "  {}  has signed nothing: attested by {by} at {at}, evidence {}",
            one.participant, one.evidence
        )
    }));
    lines.join("\n") + "\n"
}

/// What is to be said of a receipt that was amended.
fn of_versions(newest: &Receipt, earlier: usize, not_shown: u32) -> String {
    let mut text = String::new();
    for one in newest.unfinished() {
        let outcome = text::word(&one.outcome, "OUTCOME_");
        text.push_str(&format!("After completion {} said otherwise: {outcome}.\n", one.participant));
    }
    if earlier > 0 {
        let version = newest.version;
        text.push_str(&format!("This is version {version}; each version shown amends the one before.\n"));
    }
    match not_shown {
        0 => {}
        1 => text.push_str("It amends version 1, which was not shown: what that said is not known here.\n"),
        _ => text.push_str(&format!(
            "It amends versions 1 to {not_shown}, which were not shown: what they said is not known here.\n"
        )),
    }
    text
}

fn read(path: &Path) -> Result<String, Failure> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    read.map_err(|error| Failure::local(format!("{} cannot be read", path.display()), error))
}
