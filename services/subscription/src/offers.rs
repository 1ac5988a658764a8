//! What may be chosen instead of leaving. It is told where the law allows offering it, and neither
//! blocks, delays nor changes anything of the exit.

use participant::Case;
use policy::{Offer, Packs};
use proto::participant::v1::{QuoteItem, QuoteItemKind};
use types::Scope;

use crate::domain::{Billing, State, Status, Wanted};

/// That renewals of our own billing could be paused instead, one item for each.
#[must_use]
pub fn items(packs: &Packs, case: &Case, state: &State, wanted: &Wanted) -> Vec<QuoteItem> {
    let pack = packs.of_region(&case.region);
    let rules = pack.and_then(|pack| pack.scope(kind(&case.scope)));
    if !rules.is_some_and(|rules| rules.offers.contains(&Offer::Pause)) {
        return Vec::new();
    }
    let ours = wanted
        .in_scope(state)
        .map(|(it, _)| it)
        .filter(|it| it.terms.billing == Billing::Merchant && it.status == Status::Active);
    ours.map(|it| QuoteItem {
        kind: QuoteItemKind::Effect.into(),
        code: "PAUSE_POSSIBLE".into(),
        item_id: it.id.to_string(),
        title: it.terms.plan.name.clone(),
        text: "It could be paused instead, and nothing would be charged meanwhile.".into(),
        ..QuoteItem::default()
    })
    .collect()
}

/// The kind of a scope, as packs name it.
fn kind(scope: &Scope) -> &str {
    match scope {
        Scope::WholeAccount => "whole_account",
        Scope::Selected(_) => "selected",
        Scope::Named(name) => name,
    }
}
