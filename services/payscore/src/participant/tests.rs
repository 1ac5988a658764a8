//! The answers, without a store.

use std::collections::BTreeSet;

use proto::participant::v1::{Blocker, QuoteItemKind};
use testkit::conformance::{self, Scenario};
use types::{Action, CancellationId, Edition, Money, SubjectId};

use super::*;
use crate::domain::{
    Authorization, AuthorizationId, Collection, Command, CreditPurchase, Merchant, OrderId, OrderState,
    PurchaseId, Scheme, ServiceOrder, decide, evolve,
};

const NOW: &str = "2026-11-21T08:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor_units: i64) -> Money {
    Money { currency: types::Currency::parse("CNY").unwrap(), minor_units }
}

fn then(state: State, command: Command) -> State {
    let events = decide(&state, command).unwrap();
    events.iter().fold(state, evolve)
}

fn authorization(id: &str) -> Command {
    Command::RecordAuthorization(Box::new(Authorization {
        id: AuthorizationId::parse(id).unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        scheme: Scheme::WechatPayScore,
        merchant: Merchant { mchid: "1900000109".into(), name: format!("Merchant of {id}") },
        service_id: "rent".into(),
        code: id.into(),
        unbound_at: None,
        unbound_by: None,
        frozen_by: BTreeSet::new(),
        orders: Vec::new(),
    }))
}

fn order(id: &str, authorization: &str) -> Command {
    Command::CreateOrder(Box::new(ServiceOrder {
        id: OrderId::parse(id).unwrap(),
        authorization: AuthorizationId::parse(authorization).unwrap(),
        out_order_no: id.into(),
        amount: cny(600),
        deposit_waived: Some(cny(9_900)),
        state: OrderState::Doing,
    }))
}

/// Two authorisations, one of them with a rental, a purchase on credit, and face payment.
fn busy() -> State {
    let purchase = CreditPurchase {
        id: PurchaseId::parse("pur_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        amount: cny(39_900),
        out_trade_no: String::new(),
        settled: false,
    };
    [
        authorization("aut_1"),
        authorization("aut_2"),
        order("ord_1", "aut_1"),
        Command::RecordPurchase(Box::new(purchase)),
        Command::SetFacePayment(true),
    ]
    .into_iter()
    .fold(State::default(), then)
}

fn completed(state: State) -> State {
    then(state, Command::CompleteOrder(OrderId::parse("ord_1").unwrap()))
}

fn settled() -> State {
    let order = OrderId::parse("ord_1").unwrap();
    let paid = then(completed(busy()), Command::RecordCollection(order, Collection::UserPaid));
    then(paid, Command::SettlePurchase(PurchaseId::parse("pur_1").unwrap()))
}

fn case(scope: Scope) -> Case {
    Case {
        cancellation: CancellationId::parse("can_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        region: "CN".into(),
        edition: Edition::Domestic,
        scope,
        assessed_at: at(NOW),
    }
}

fn item(kind: ItemKind, id: &str, action: Action) -> Item {
    Item { kind, id: id.into(), action }
}

fn unbind(id: &str) -> Case {
    case(Scope::Selected(vec![item(ItemKind::PayscoreAuthorization, id, Action::Unbind)]))
}

fn assess(case: &Case, state: &State) -> Assessed {
    let assessed = Payscore::default().assess(case, state);
    assert_eq!(assessed, Payscore::default().assess(case, state));
    assessed
}

fn execute(case: &Case, state: State) -> (State, Answer) {
    let step = Payscore::default().execute(case, &state, at(NOW));
    (step.events.iter().fold(state, evolve), step.answer)
}

fn names(blockers: &[Blocker]) -> Vec<(&str, &str, i64)> {
    let amount = |it: &Blocker| it.amount.as_ref().unwrap().minor_units;
    blockers.iter().map(|it| (it.code.as_str(), it.item_id.as_str(), amount(it))).collect()
}

#[test]
fn everything_that_blocks_is_told_at_once_with_its_remedy() {
    let whole = case(Scope::WholeAccount);
    let blockers = assess(&whole, &busy()).blockers;
    let purchase = ("CREDIT_PURCHASE_UNSETTLED", "pur_1", 39_900);
    assert_eq!(names(&blockers), [("SERVICE_ORDER_OPEN", "ord_1", 600), purchase]);
    assert!(blockers.iter().all(|it| !it.cause.is_empty() && !it.remedy.is_empty()));
    assert!(blockers[0].remedy.contains("Merchant of aut_1"), "{}", blockers[0].remedy);
    let blockers = assess(&whole, &completed(busy())).blockers;
    assert_eq!(names(&blockers), [("SERVICE_ORDER_UNPAID", "ord_1", 600), purchase]);
    assert!(assess(&whole, &settled()).blockers.is_empty());
}

#[test]
fn of_one_authorization_only_its_own_orders_block() {
    assert_eq!(names(&assess(&unbind("aut_1"), &busy()).blockers), [("SERVICE_ORDER_OPEN", "ord_1", 600)]);
    assert!(assess(&unbind("aut_2"), &busy()).blockers.is_empty());
    let face = case(Scope::Selected(vec![item(ItemKind::FacePayment, "", Action::Disable)]));
    assert!(assess(&face, &busy()).blockers.is_empty());
}

#[test]
fn the_quote_tells_the_effect_on_services_without_a_deposit() {
    let items = assess(&case(Scope::WholeAccount), &settled()).items;
    let told: Vec<_> = items.iter().map(|it| (it.item_id.as_str(), it.code.as_str())).collect();
    assert_eq!(
        told,
        [
            ("aut_1", "AUTHORIZATION_UNBINDS"),
            ("aut_1", "DEPOSIT_FREE_ENDS"),
            ("aut_2", "AUTHORIZATION_UNBINDS"),
            ("aut_2", "DEPOSIT_FREE_ENDS"),
            ("", "FACE_PAYMENT_ENDS"),
        ]
    );
    assert_eq!((items[0].kind(), items[0].title.as_str()), (QuoteItemKind::Ends, "Merchant of aut_1"));
    assert_eq!(items[0].access_ends_at, Some(at(NOW).to_proto()));
    assert_eq!(items[1].amount.as_ref().unwrap().minor_units, 9_900);
    assert_eq!((items[3].kind(), items[3].amount.clone()), (QuoteItemKind::Effect, None));
}

#[test]
fn b08_what_is_unbound_already_is_success() {
    let whole = case(Scope::WholeAccount);
    let (state, answer) = execute(&whole, settled());
    assert_eq!(answer, Answer::Done);
    assert!(state.authorizations.iter().all(|it| it.unbound_at.is_some()) && !state.face_payment);
    let (again, answer) = execute(&whole, state.clone());
    assert_eq!((again, answer), (state.clone(), Answer::NothingToDo));
    assert_eq!(assess(&whole, &state), Assessed::default());
    assert_eq!(execute(&whole, State::default()).1, Answer::NothingToDo);
}

#[test]
fn parts_end_on_their_own() {
    let (state, answer) = execute(&unbind("aut_2"), busy());
    assert_eq!(answer, Answer::Done);
    let unbound: Vec<_> = state.authorizations.iter().map(|it| it.unbound_at.is_some()).collect();
    assert_eq!((unbound, state.face_payment), (vec![false, true], true));
    assert_eq!(execute(&unbind("aut_2"), state).1, Answer::NothingToDo);
    let face = case(Scope::Selected(vec![item(ItemKind::FacePayment, "", Action::Disable)]));
    let (state, answer) = execute(&face, busy());
    assert_eq!((answer, state.face_payment), (Answer::Done, false));
    assert_eq!(execute(&case(Scope::Named("bench".into())), busy()).1, Answer::NothingToDo);
}

#[test]
fn what_the_subject_does_not_have_or_cannot_end_so_is_rejected() {
    let scope = Scope::Selected(vec![
        item(ItemKind::PayscoreAuthorization, "aut_9", Action::Unbind),
        item(ItemKind::PayscoreAuthorization, "aut_1", Action::Disable),
        item(ItemKind::Subscription, "sub_1", Action::EndNow),
    ]);
    let assessed = assess(&case(scope), &settled());
    let told: Vec<_> = assessed.rejections.iter().map(|it| (it.item_id.as_str(), it.code.as_str())).collect();
    assert_eq!(told, [("aut_9", "ITEM_UNKNOWN"), ("aut_1", "ACTION_NOT_POSSIBLE")]);
    assert!(assessed.items.is_empty());
}

#[test]
fn b02_a_failure_to_take_back_names_what_did_happen_and_what_the_subject_can_do() {
    let it = Payscore::default();
    let whole = case(Scope::WholeAccount);
    assert_eq!(it.undo(&whole, &settled(), at(NOW)), Step::nothing_to_do());
    let (state, _) = execute(&whole, settled());
    let undone = it.undo(&whole, &state, at(NOW));
    let Answer::Failed(failure) = undone.answer else { panic!("says so") };
    assert_eq!((failure.code.as_str(), failure.owner.as_str()), ("CONSENT_WITHDRAWN", "payscore"));
    for told in ["aut_1", "aut_2", "face payment"] {
        assert!(failure.cause.contains(told), "{}", failure.cause);
    }
    let left: Vec<_> = undone.remaining.iter().map(|it| (it.item_id.as_str(), it.code.as_str())).collect();
    assert_eq!(
        left,
        [
            ("aut_1", "AUTHORIZATION_UNBOUND"),
            ("aut_1", "AUTHORIZE_AGAIN"),
            ("aut_2", "AUTHORIZATION_UNBOUND"),
            ("aut_2", "AUTHORIZE_AGAIN"),
            ("", "FACE_PAYMENT_OFF"),
        ]
    );
    let other = Case { cancellation: CancellationId::parse("can_2").unwrap(), ..whole };
    assert_eq!(it.undo(&other, &state, at(NOW)), Step::nothing_to_do());
}

#[test]
fn being_suspended_changes_no_assessment_and_is_taken_back_whole() {
    let it = Payscore::default();
    let whole = case(Scope::WholeAccount);
    let frozen = it.freeze(&whole, &busy(), at(NOW));
    assert_eq!((frozen.events.len(), &frozen.answer), (2, &Answer::Done));
    let state = frozen.events.iter().fold(busy(), evolve);
    assert_eq!(assess(&whole, &state), assess(&whole, &busy()));
    let again = it.freeze(&whole, &state, at(NOW));
    assert_eq!((again.events, again.answer), (vec![], Answer::Done));
    let undone = it.undo(&whole, &state, at(NOW));
    assert_eq!((&undone.answer, undone.remaining.len()), (&Answer::Done, 0));
    assert_eq!(undone.events.iter().fold(state, evolve), busy());
    // Face payment alone has nothing that could be suspended.
    let face = case(Scope::Selected(vec![item(ItemKind::FacePayment, "", Action::Disable)]));
    assert_eq!(it.freeze(&face, &busy(), at(NOW)), Step::nothing_to_do());
}

/// A subject with two authorisations and face payment; a rental blocks until it is paid.
fn scenario() -> Scenario<Payscore> {
    let facts = |commands: Vec<Command>, state: State| -> Vec<Event> {
        commands.into_iter().flat_map(|command| decide(&state, command).unwrap()).collect()
    };
    let given = facts(
        vec![authorization("aut_1"), authorization("aut_2"), Command::SetFacePayment(true)],
        State::default(),
    );
    let state = given.iter().fold(State::default(), evolve);
    let ord = || OrderId::parse("ord_1").unwrap();
    Scenario::new(Payscore::default(), move |_| given.clone())
        .at(at(NOW))
        .changed_by([Event::FacePaymentSet { enabled: false, cancellation: None }])
        .blocked_by(
            facts(vec![order("ord_1", "aut_1")], state),
            [Event::OrderCompleted(ord()), Event::OrderPaid(ord())],
        )
}

const UNBOUND: &str = "exeunt.payscore.v1.AuthorizationUnbound";
const FACE: &str = "exeunt.payscore.v1.FacePaymentSet";

#[tokio::test]
async fn it_conforms_when_the_account_closes() {
    conformance::check(scenario().adds([UNBOUND, UNBOUND, FACE])).await;
}

#[tokio::test]
async fn it_conforms_when_parts_end() {
    let items = vec![
        item(ItemKind::PayscoreAuthorization, "aut_1", Action::Unbind),
        item(ItemKind::FacePayment, "", Action::Disable),
    ];
    conformance::check(scenario().ending(Scope::Selected(items)).adds([UNBOUND, FACE])).await;
}

#[test]
fn the_fullest_account_still_fits_into_one_event() {
    let mut state = State::default();
    for n in 0..crate::domain::OPEN_MAX {
        let Command::RecordAuthorization(mut it) = authorization(&format!("aut_{n:060}")) else {
            panic!("is one")
        };
        it.merchant.name = "名".repeat(100);
        state = then(state, Command::RecordAuthorization(it));
        state = then(state, order(&format!("ord_{n:060}"), &format!("aut_{n:060}")));
        state = then(
            state,
            Command::RecordPurchase(Box::new(CreditPurchase {
                id: PurchaseId::parse(&format!("pur_{n:060}")).unwrap(),
                subject: SubjectId::parse("sbj_1").unwrap(),
                amount: cny(i64::MAX),
                out_trade_no: String::new(),
                settled: false,
            })),
        );
    }
    let assessed = assess(&case(Scope::WholeAccount), &state);
    let blockers = assessed.blockers.iter().map(prost::Message::encoded_len);
    let bytes: usize = assessed.items.iter().map(prost::Message::encoded_len).chain(blockers).sum();
    assert!(bytes < 240_000, "{bytes} bytes");
}
