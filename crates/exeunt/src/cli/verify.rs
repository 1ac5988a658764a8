//! Verifies a receipt with public keys and nothing else: no server, no network.

use std::{fs, io::Read, path::Path};

use cancellation::receipt::{self, Receipt};
use keys::JwkSet;
use serde_json::json;

use super::{Failure, Output, args};
use crate::text;

pub fn verify(flags: &args::Verify, output: &Output) -> Result<(), Failure> {
    let is_stdin = |path: &Path| path == Path::new("-");
    if is_stdin(&flags.receipt) && is_stdin(&flags.keys) {
        return Err(Failure::plain("the receipt and the keys cannot both come from standard input"));
    }
    let (receipt, keys) = (read(&flags.receipt)?, read(&flags.keys)?);
    let keys = key_set(&keys).map_err(|error| {
        Failure::local(format!("{} does not hold public keys", flags.keys.display()), error)
    })?;
    let receipt =
        receipt::verify(receipt.trim(), &keys).map_err(|error| Failure::NotVerified(error.into()))?;
    if output.is_json() {
        output.line(&json!({ "verified": true, "receipt": receipt }).to_string());
    } else {
        output.text(&told(&receipt));
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
    lines.push(format!(
        "Its seal and the signatures of all {} participants were verified:",
        receipt.acknowledgements.len()
    ));
    let widest = receipt.acknowledgements.iter().map(|one| one.participant.len()).max().unwrap_or_default();
    lines.extend(receipt.acknowledgements.iter().map(|one| {
        let outcome = text::word(&one.outcome, "OUTCOME_");
        format!("  {:<widest$}  {outcome:<13}  signed with key {}", one.participant, one.kid)
    }));
    lines.join("\n") + "\n"
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
