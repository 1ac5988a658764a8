//! What may be chosen instead of leaving. It is told where the law allows offering it, and neither
//! blocks, delays nor changes anything of the exit.

use participant::Case;
use policy::{Offer, Packs};
use proto::participant::v1::{QuoteItem, QuoteItemKind};
use types::Scope;

use crate::domain::{Billing, Plan, State, Status, Wanted};

/// The code of an offer to pause.
const PAUSE: &str = "PAUSE_POSSIBLE";
/// The code of an offer to go on for less.
const DOWNGRADE: &str = "DOWNGRADE_POSSIBLE";

/// That renewals of our own billing could be paused instead, or go on for less: an item for each. Whether
/// the subject has chosen that already makes no difference, so that choosing it makes no other quote.
#[must_use]
pub fn items(packs: &Packs, case: &Case, state: &State, wanted: &Wanted) -> Vec<QuoteItem> {
    let pack = packs.of_region(&case.region);
    let Some(rules) = pack.and_then(|pack| pack.scope(kind(&case.scope))) else { return Vec::new() };
    let (pause, downgrade) = (rules.offers.contains(&Offer::Pause), rules.offers.contains(&Offer::Downgrade));
    let ours = wanted
        .in_scope(state)
        .map(|(it, _)| it)
        .filter(|it| it.terms.billing == Billing::Merchant && it.status == Status::Active);
    ours.flat_map(|it| {
        let paused = pause
            .then(|| (PAUSE, "It could be paused instead, and nothing would be charged meanwhile.".into()));
        let cheaper = it.terms.alternative.as_ref().filter(|_| downgrade).and_then(cheaper);
        paused.into_iter().chain(cheaper.map(|text| (DOWNGRADE, text))).map(|(code, text)| QuoteItem {
            kind: QuoteItemKind::Effect.into(),
            code: code.into(),
            item_id: it.id.to_string(),
            title: it.terms.plan.name.clone(),
            text,
            ..QuoteItem::default()
        })
    })
    .collect()
}

fn cheaper(plan: &Plan) -> Option<String> {
    let tier = if plan.tier.is_empty() { String::new() } else { format!(" ({})", plan.tier) };
    let (name, price) = (&plan.name, plan.price?);
    Some(format!(
        "It could go on as {name}{tier} for {price} a period instead, once the paid period is over."
    ))
}

/// The kind of a scope, as packs name it.
fn kind(scope: &Scope) -> &str {
    match scope {
        Scope::WholeAccount => "whole_account",
        Scope::Selected(_) => "selected",
        Scope::Named(name) => name,
    }
}
