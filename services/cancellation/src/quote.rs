//! The quote: all assessments together, with one digest. What the subject accepts is exactly these
//! bytes, and anybody can take the digest of them again.

use std::fmt::Write as _;

use bytes::Bytes;
use proto::cancellation::v1 as pb;
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{Case, Digest},
    wire::decoded,
};

/// Every participant's assessment, in the roster's order.
pub(crate) fn content(case: &Case) -> pb::QuoteContent {
    let assessed = case.participants().filter_map(|(entry, progress)| {
        let answer = progress.assessment.as_ref()?;
        Some(pb::QuotedAssessment {
            participant: entry.name.to_string(),
            assessment_digest: answer
                .digest
                .map_or_else(Bytes::new, |digest| Bytes::copy_from_slice(&digest)),
            items: decoded(answer).assessment.map(|assessment| assessment.items).unwrap_or_default(),
        })
    });
    pb::QuoteContent { cancellation_id: case.request.id.to_string(), assessments: assessed.collect() }
}

/// The digest of a quote's canonical bytes.
pub(crate) fn digest(canonical: &[u8]) -> Digest {
    Sha256::digest(canonical).into()
}

/// A digest as people and JSON carry it: lower-case hexadecimal.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
