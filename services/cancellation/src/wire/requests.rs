//! Requests, read: every bad field at once.

use std::{ops::RangeInclusive, time::Duration};

use event_store::{ListQuery, StreamId};
use proto::{cancellation::v1 as pb, types::v1 as words};
use service_kit::{BadRequest, Violations};
use types::{Action, CancellationId, Item, ItemKind, Scope, SubjectId, Timestamp};

use super::CANCELLATIONS;
use crate::{
    app::page_from,
    case_token::{LIFETIME, LIFETIME_MAX},
};

const ITEMS_MAX: usize = 100;
const CHANNEL_LENGTH_MAX: usize = 32;
/// Of free text.
const REASON_LENGTH_MAX: usize = 1_000;
const TOKENS_MAX: usize = 5;
const TOKEN_LENGTH_MAX: usize = 4_096;
/// Of a case token.
const LIFETIME_SECONDS: RangeInclusive<i32> = 60..=LIFETIME_MAX.as_secs() as i32;
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: i32 = 1_000;

/// A request for a new cancellation.
pub(crate) struct Requested {
    pub(crate) request_id: String,
    pub(crate) subject: SubjectId,
    pub(crate) scope: Scope,
    pub(crate) channel: String,
    pub(crate) reason: String,
    /// The kind of scope whose rules hold, where a pack has it.
    pub(crate) intent: Option<&'static str>,
}

/// A request that changes a cancellation.
pub(crate) struct Changed {
    pub(crate) request_id: String,
    pub(crate) id: CancellationId,
}

pub(crate) fn request(
    message: &pb::RequestCancellationRequest,
    now: Timestamp,
    knows_scope: impl Fn(&Scope) -> bool,
) -> Result<Requested, BadRequest> {
    let mut v = Violations::new();
    let request_id = v.request_id("request_id", &message.request_id);
    let subject = v.subject_id("subject_id", &message.subject_id);
    let scope = v.required("scope", message.scope.as_ref()).and_then(|scope| read_scope(&mut v, scope));
    if let Some(scope @ Scope::Named(_)) = &scope {
        v.check(knows_scope(scope), "scope.named", "must be a scope of the roster");
    }
    let intent = match message.intent {
        0 => Some(None),
        given => v.enumeration::<pb::Intent>("intent", given).map(|intent| match intent {
            pb::Intent::Unspecified => None,
            pb::Intent::Termination => Some("termination"),
            pb::Intent::Withdrawal => Some("withdrawal"),
        }),
    };
    // What is declared ends a contract, and nothing else may go without the gates of its own.
    let contracts = match &scope {
        Some(Scope::Selected(items)) => items.iter().all(|item| item.kind == ItemKind::Subscription),
        Some(Scope::WholeAccount | Scope::Named(_)) => false,
        None => true,
    };
    v.check(intent.flatten().is_none() || contracts, "intent", "is for selected subscriptions");
    let channel = v.optional_text("channel", &message.channel, CHANNEL_LENGTH_MAX);
    v.check(
        message.channel.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
        "channel",
        "must consist of letters, digits, _ and -",
    );
    let reason = free_text(&mut v, &message.reason);
    let effective = v.optional_timestamp("effective", message.effective.as_ref()).flatten();
    let at_once = effective.is_none_or(|effective| effective <= now);
    v.check(at_once, "effective", "must not lie in the future: a later moment is not supported yet");
    v.finish(|| {
        Some(Requested {
            request_id: request_id?,
            subject: subject?,
            scope: scope?,
            channel: channel?.unwrap_or_default(),
            reason: reason?,
            intent: intent?,
        })
    })
}

/// The subject's own words may have lines.
fn free_text(v: &mut Violations, text: &str) -> Option<String> {
    let lines = text.replace(['\n', '\r', '\t'], " ");
    v.optional_text("reason", &lines, REASON_LENGTH_MAX).map(|_| text.to_owned())
}

fn read_scope(v: &mut Violations, scope: &words::Scope) -> Option<Scope> {
    let Some(kind) = &scope.kind else {
        v.push("scope", "must be one of whole_account, selected and named");
        return None;
    };
    match kind {
        words::scope::Kind::WholeAccount(_) => Some(Scope::WholeAccount),
        words::scope::Kind::Named(name) => v.text("scope.named", name, 64).map(Scope::Named),
        words::scope::Kind::Selected(selected) => {
            v.check(!selected.items.is_empty(), "scope.selected.items", "must not be empty");
            let items = v.each("scope.selected.items", &selected.items, ITEMS_MAX, read_item)?;
            for (index, item) in items.iter().enumerate() {
                let twice =
                    items[..index].iter().any(|before| before.kind == item.kind && before.id == item.id);
                v.check(!twice, &format!("scope.selected.items[{index}]"), "must not stand there twice");
            }
            Some(Scope::Selected(items))
        }
    }
}

fn read_item(v: &mut Violations, item: &words::Item) -> Option<Item> {
    let kind: Option<words::ItemKind> = v.enumeration("kind", item.kind);
    let kind = kind.and_then(|kind| participant::wire::item_kind_from(kind.into()));
    let action: Option<words::Action> = v.enumeration("action", item.action);
    let action = action.and_then(|action| participant::wire::action_from(action.into()));
    let id = match kind {
        Some(ItemKind::FacePayment) if item.id.is_empty() => Some(String::new()),
        _ => {
            v.check(item.id.is_empty() || types::is_opaque_id(&item.id), "id", "must have an id's form");
            v.text("id", &item.id, 64)
        }
    };
    let (kind, action) = (kind?, action?);
    let fits = kind.allows(action);
    v.check(fits, "action", format!("must be one that fits the kind: {}", allowed(kind)));
    fits.then_some(Item { kind, id: id?, action })
}

fn allowed(kind: ItemKind) -> &'static str {
    let actions = [Action::StopRenewal, Action::EndNow, Action::Unbind, Action::Disable, Action::Erase];
    match actions.into_iter().find(|action| kind.allows(*action)) {
        Some(Action::StopRenewal | Action::EndNow) => "ACTION_STOP_RENEWAL or ACTION_END_NOW",
        Some(Action::Unbind) => "ACTION_UNBIND",
        Some(Action::Disable) => "ACTION_DISABLE",
        Some(Action::Erase) | None => "ACTION_ERASE",
    }
}

pub(crate) fn cancellation_id(text: &str) -> Result<CancellationId, BadRequest> {
    let mut v = Violations::new();
    let id = v.cancellation_id("cancellation_id", text);
    v.finish(|| id)
}

/// How long a case token shall be good.
pub(crate) fn lifetime(
    message: &pb::IssueCaseTokenRequest,
) -> Result<(CancellationId, Duration), BadRequest> {
    let mut v = Violations::new();
    let id = v.cancellation_id("cancellation_id", &message.cancellation_id);
    let seconds = match message.lifetime_seconds {
        0 => Some(LIFETIME),
        given => v
            .within_range("lifetime_seconds", given, LIFETIME_SECONDS)
            .map(|given| Duration::from_secs(u64::from(given.unsigned_abs()))),
    };
    v.finish(|| Some((id?, seconds?)))
}

/// What a case token says beside the id that the request may name, too: they must agree.
pub(crate) fn reached(id: &str, by_token: CancellationId) -> Result<CancellationId, BadRequest> {
    let mut v = Violations::new();
    let agrees = id.is_empty() || id == by_token.as_str();
    v.check(agrees, "cancellation_id", "must be the case token's own, or empty");
    v.finish(|| Some(by_token))
}

pub(crate) fn reassess(message: &pb::ReassessRequest) -> Result<Changed, BadRequest> {
    let mut v = Violations::new();
    let changed = changed(&mut v, &message.request_id, &message.cancellation_id);
    v.finish(|| changed)
}

pub(crate) fn revoke(message: &pb::RevokeCancellationRequest) -> Result<(Changed, String), BadRequest> {
    let mut v = Violations::new();
    let changed = changed(&mut v, &message.request_id, &message.cancellation_id);
    let reason = free_text(&mut v, &message.reason);
    v.finish(|| Some((changed?, reason?)))
}

pub(crate) fn confirm(message: &pb::ConfirmCancellationRequest) -> Result<(Changed, [u8; 32]), BadRequest> {
    let mut v = Violations::new();
    let changed = changed(&mut v, &message.request_id, &message.cancellation_id);
    let digest = v.digest("quote_digest", &message.quote_digest);
    let tokens = &message.verification_tokens;
    v.check(!tokens.is_empty(), "verification_tokens", "must not be empty");
    v.each("verification_tokens", tokens, TOKENS_MAX, |v, token| v.text("", token, TOKEN_LENGTH_MAX));
    v.finish(|| Some((changed?, digest?)))
}

fn changed(v: &mut Violations, request_id: &str, id: &str) -> Option<Changed> {
    let request_id = v.optional_request_id("request_id", request_id);
    let id = v.cancellation_id("cancellation_id", id);
    Some(Changed { request_id: request_id?.unwrap_or_default(), id: id? })
}

pub(crate) fn list(message: &pb::ListCancellationsRequest) -> Result<ListQuery, BadRequest> {
    let mut v = Violations::new();
    let owner = (!message.subject_id.is_empty()).then(|| v.subject_id("subject_id", &message.subject_id));
    let states = v.each("states", &message.states, ITEMS_MAX, |v, state| {
        let state: Option<pb::State> = v.enumeration("", *state);
        state.map(|state| state.as_str_name().into())
    });
    let size = v.within_range("page_size", message.page_size, 0..=PAGE_MAX);
    let after: Option<(Timestamp, StreamId)> = page_from(&message.page_token);
    let token_holds = message.page_token.is_empty() || after.is_some();
    v.check(token_holds, "page_token", "must come from the response before");
    v.finish(|| {
        let owner = match owner {
            Some(owner) => Some(owner?.as_str().into()),
            None => None,
        };
        let limit = match usize::try_from(size?) {
            Ok(0) | Err(_) => PAGE_DEFAULT,
            Ok(size) => size,
        };
        Some(ListQuery { list: CANCELLATIONS.into(), owner, states: states?, after, limit })
    })
}
