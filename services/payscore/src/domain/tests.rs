//! Given what happened, when something is asked, then what follows.

use super::*;

const NOW: &str = "2026-11-21T08:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor_units: i64) -> Money {
    Money { currency: types::Currency::parse("CNY").unwrap(), minor_units }
}

fn subject() -> SubjectId {
    SubjectId::parse("sbj_1").unwrap()
}

fn authorization(id: &str, code: &str) -> Command {
    Command::RecordAuthorization(Box::new(Authorization {
        id: AuthorizationId::parse(id).unwrap(),
        subject: subject(),
        scheme: Scheme::WechatPayScore,
        merchant: Merchant { mchid: "1900000109".into(), name: "Power Bank".into() },
        service_id: "rent".into(),
        code: code.into(),
        unbound_at: None,
        unbound_by: None,
        frozen_by: BTreeSet::new(),
        orders: Vec::new(),
    }))
}

fn ord(id: &str) -> OrderId {
    OrderId::parse(id).unwrap()
}

fn pur(id: &str) -> PurchaseId {
    PurchaseId::parse(id).unwrap()
}

fn order(id: &str, authorization: &str, no: &str, deposit: Option<Money>) -> Command {
    Command::CreateOrder(Box::new(ServiceOrder {
        id: ord(id),
        authorization: AuthorizationId::parse(authorization).unwrap(),
        out_order_no: no.into(),
        amount: cny(600),
        deposit_waived: deposit,
        state: OrderState::Doing,
    }))
}

fn purchase(id: &str) -> Command {
    Command::RecordPurchase(Box::new(CreditPurchase {
        id: pur(id),
        subject: subject(),
        amount: cny(39_900),
        out_trade_no: "T-1".into(),
        settled: false,
    }))
}

fn when(state: State, command: Command) -> Result<(State, usize), Rejection> {
    let events = decide(&state, command)?;
    Ok((events.iter().fold(state, evolve), events.len()))
}

fn given(commands: impl IntoIterator<Item = Command>) -> State {
    commands.into_iter().fold(State::default(), |state, command| when(state, command).unwrap().0)
}

fn rented() -> State {
    given([authorization("aut_1", "c-1"), order("ord_1", "aut_1", "n-1", Some(cny(9_900)))])
}

fn chosen(id: &str) -> Wanted {
    Wanted::Chosen { authorizations: vec![id.into()], face_payment: false }
}

fn ended(state: State, wanted: &Wanted) -> (State, Vec<Event>) {
    let events = end(&state, wanted, &CancellationId::parse("can_1").unwrap(), at(NOW));
    (events.iter().fold(state, evolve), events)
}

fn blocks(state: &State, wanted: &Wanted) -> Vec<String> {
    let name = |it: &Blocking<'_>| match it {
        Blocking::InUse(_, order) => format!("{} in use", order.id),
        Blocking::Unpaid(_, order) => format!("{} unpaid", order.id),
        Blocking::Unsettled(purchase) => format!("{} unsettled", purchase.id),
    };
    blocking(state, wanted).iter().map(name).collect()
}

#[test]
fn a_code_stands_for_one_authorization_of_a_merchants_service() {
    let state = given([authorization("aut_1", "c-1")]);
    let first = AuthorizationId::parse("aut_1").unwrap();
    assert_eq!(decide(&state, authorization("aut_2", "c-1")), Err(Rejection::AuthorizationExists { first }));
    assert_eq!(when(state.clone(), authorization("aut_2", "c-2")).unwrap().1, 1);
    let Command::RecordAuthorization(mut other) = authorization("aut_2", "c-1") else { unreachable!() };
    other.service_id = "lend".into();
    assert_eq!(when(state, Command::RecordAuthorization(other)).unwrap().1, 1);
}

#[test]
fn a_number_stands_for_one_order_under_an_authorization() {
    let refused = decide(&rented(), order("ord_2", "aut_1", "n-1", None));
    assert_eq!(refused, Err(Rejection::OrderExists { first: ord("ord_1") }));
    let state = when(rented(), authorization("aut_2", "c-2")).unwrap().0;
    assert_eq!(when(state, order("ord_2", "aut_2", "n-1", None)).unwrap().1, 1);
}

#[test]
fn nothing_is_used_under_an_authorization_that_is_unbound_or_not_there() {
    let (state, _) = ended(given([authorization("aut_1", "c-1")]), &Wanted::All);
    let id = AuthorizationId::parse("aut_1").unwrap();
    assert_eq!(decide(&state, order("ord_1", "aut_1", "n-1", None)), Err(Rejection::Unbound(id)));
    let refused = decide(&state, order("ord_1", "aut_9", "n-1", None));
    assert_eq!(refused, Err(Rejection::Unknown("aut_9".into())));
}

#[test]
fn an_order_is_completed_then_paid() {
    let paid = Command::RecordCollection(ord("ord_1"), Collection::UserPaid);
    let paying = Command::RecordCollection(ord("ord_1"), Collection::UserPaying);
    let early = decide(&rented(), paid.clone());
    assert_eq!(early, Err(Rejection::OrderNotCompleted { id: ord("ord_1"), state: OrderState::Doing }));
    let (state, _) = when(rented(), Command::CompleteOrder(ord("ord_1"))).unwrap();
    let (state, added) = when(state, paying.clone()).unwrap();
    assert_eq!((state.order("ord_1").unwrap().state, added), (OrderState::Completed, 0));
    let (state, added) = when(state, paid.clone()).unwrap();
    assert_eq!((state.order("ord_1").unwrap().state, added), (OrderState::Paid, 1));
    assert_eq!(decide(&state, paid), Ok(vec![]));
    assert_eq!(decide(&state, paying), Ok(vec![]));
}

#[test]
fn only_an_order_in_use_is_completed_or_cancelled() {
    let (completed, _) = when(rented(), Command::CompleteOrder(ord("ord_1"))).unwrap();
    let (cancelled, _) = when(rented(), Command::CancelOrder(ord("ord_1"))).unwrap();
    for (state, found) in [(completed, OrderState::Completed), (cancelled.clone(), OrderState::Cancelled)] {
        for command in [Command::CompleteOrder(ord("ord_1")), Command::CancelOrder(ord("ord_1"))] {
            let refused = Rejection::OrderNotOpen { id: ord("ord_1"), state: found };
            assert_eq!(decide(&state, command), Err(refused));
        }
    }
    let collected = Command::RecordCollection(ord("ord_1"), Collection::UserPaid);
    assert!(matches!(decide(&cancelled, collected), Err(Rejection::OrderNotCompleted { .. })));
    assert_eq!(
        decide(&cancelled, Command::CompleteOrder(ord("ord_9"))),
        Err(Rejection::Unknown("ord_9".into()))
    );
}

#[test]
fn a_purchase_is_settled_once() {
    let (state, added) = when(given([purchase("pur_1")]), Command::SettlePurchase(pur("pur_1"))).unwrap();
    assert!(state.purchase("pur_1").unwrap().settled);
    assert_eq!(added, 1);
    assert_eq!(decide(&state, Command::SettlePurchase(pur("pur_1"))), Ok(vec![]));
    assert_eq!(
        decide(&state, Command::SettlePurchase(pur("pur_2"))),
        Err(Rejection::Unknown("pur_2".into()))
    );
}

#[test]
fn face_payment_is_set_once() {
    let (state, added) = when(State::default(), Command::SetFacePayment(true)).unwrap();
    assert_eq!((state.face_payment, added), (true, 1));
    assert_eq!(decide(&state, Command::SetFacePayment(true)), Ok(vec![]));
    assert_eq!(when(state, Command::SetFacePayment(false)).unwrap().1, 1);
}

#[test]
fn an_account_has_no_more_open_than_one_assessment_can_name() {
    let mut state = given([authorization("aut_0", "c-0")]);
    for n in 1..OPEN_MAX {
        state = when(state, authorization(&format!("aut_{n}"), &format!("c-{n}"))).unwrap().0;
    }
    assert_eq!(decide(&state, authorization("aut_x", "c-x")), Err(Rejection::TooMany("authorizations")));
    for n in 0..OPEN_MAX {
        state = when(state, order(&format!("ord_{n}"), "aut_0", &format!("n-{n}"), None)).unwrap().0;
        state = when(state, purchase(&format!("pur_{n}"))).unwrap().0;
    }
    let another = order("ord_x", "aut_0", "n-x", None);
    assert_eq!(decide(&state, another.clone()), Err(Rejection::TooMany("service orders")));
    assert_eq!(decide(&state, purchase("pur_x")), Err(Rejection::TooMany("credit purchases")));
    // What is settled makes room.
    let state = when(state, Command::CancelOrder(ord("ord_0"))).unwrap().0;
    assert!(decide(&state, another).is_ok());
}

#[test]
fn everything_unsettled_blocks_at_once() {
    let mut state = rented();
    for command in [
        order("ord_2", "aut_1", "n-2", None),
        order("ord_3", "aut_1", "n-3", None),
        Command::CompleteOrder(ord("ord_2")),
        Command::CancelOrder(ord("ord_3")),
        purchase("pur_1"),
        purchase("pur_2"),
        Command::SettlePurchase(pur("pur_2")),
    ] {
        state = when(state, command).unwrap().0;
    }
    assert_eq!(blocks(&state, &Wanted::All), ["ord_1 in use", "ord_2 unpaid", "pur_1 unsettled"]);
    assert_eq!(blocks(&state, &chosen("aut_1")), ["ord_1 in use", "ord_2 unpaid"]);
}

#[test]
fn a_completed_order_blocks_until_its_collection_is_paid() {
    let (state, _) = when(rented(), Command::CompleteOrder(ord("ord_1"))).unwrap();
    assert_eq!(blocks(&state, &Wanted::All), ["ord_1 unpaid"]);
    let (state, _) = when(state, Command::RecordCollection(ord("ord_1"), Collection::UserPaid)).unwrap();
    assert!(blocks(&state, &Wanted::All).is_empty());
}

#[test]
fn of_chosen_authorizations_only_their_own_orders_block() {
    let state = when(rented(), authorization("aut_2", "c-2")).unwrap().0;
    assert!(blocks(&state, &chosen("aut_2")).is_empty());
    let face = Wanted::Chosen { authorizations: vec![], face_payment: true };
    assert!(blocks(&state, &face).is_empty());
    assert_eq!(chosen("aut_9").unknown(&state), ["aut_9"]);
    assert!(chosen("aut_1").unknown(&state).is_empty());
}

#[test]
fn the_last_deposit_waived_is_what_is_asked_for_again() {
    let later = order("ord_2", "aut_1", "n-2", Some(cny(19_900)));
    let without = order("ord_3", "aut_1", "n-3", None);
    let state = [later, without].into_iter().fold(rented(), |state, it| when(state, it).unwrap().0);
    let found = consequences(&state, &Wanted::All);
    let it = &state.authorizations[0];
    assert_eq!(found, [Consequence::Unbinds(it), Consequence::DepositFreeEnds(it, Some(cny(19_900)))]);
}

#[test]
fn the_whole_ends_every_authorization_and_face_payment_once() {
    let state =
        given([authorization("aut_1", "c-1"), authorization("aut_2", "c-2"), Command::SetFacePayment(true)]);
    assert_eq!(consequences(&state, &Wanted::All).len(), 5);
    let (state, events) = ended(state, &Wanted::All);
    assert_eq!(events.len(), 3);
    assert!(state.authorizations.iter().all(|it| it.unbound_at == Some(at(NOW))));
    assert!(!state.face_payment);
    assert_eq!(consequences(&state, &Wanted::All), []);
    assert_eq!(ended(state, &Wanted::All).1, []);
}

#[test]
fn face_payment_ends_while_the_score_stays() {
    let state = given([authorization("aut_1", "c-1"), Command::SetFacePayment(true)]);
    let face = Wanted::Chosen { authorizations: vec![], face_payment: true };
    assert_eq!(consequences(&state, &face), [Consequence::FacePaymentEnds]);
    let (state, events) = ended(state, &face);
    assert_eq!(events.len(), 1);
    assert!(state.authorizations[0].unbound_at.is_none());
    assert_eq!(ended(state, &chosen("aut_1")).1.len(), 1);
}

#[test]
fn nothing_new_is_used_under_what_is_suspended_and_what_is_in_use_goes_on() {
    let can = |text: &str| CancellationId::parse(text).unwrap();
    let id = || AuthorizationId::parse("aut_1").unwrap();
    let frozen_by = |text: &str, state: State| {
        freeze(&state, &Wanted::All, &can(text), at(NOW)).iter().fold(state, evolve)
    };
    let state = frozen_by("can_2", frozen_by("can_1", rented()));
    assert_eq!(freeze(&state, &Wanted::All, &can("can_1"), at(NOW)), [], "suspending again adds nothing");
    let refused = decide(&state, order("ord_2", "aut_1", "n-2", None));
    assert_eq!(refused, Err(Rejection::Frozen { id: id(), by: can("can_1") }));
    assert!(decide(&state, Command::CompleteOrder(ord("ord_1"))).is_ok());
    assert_eq!(blocks(&state, &Wanted::All), blocks(&rented(), &Wanted::All));

    let state = thaw(&state, &can("can_1"), at(NOW)).iter().fold(state, evolve);
    let refused = decide(&state, order("ord_2", "aut_1", "n-2", None));
    assert_eq!(refused, Err(Rejection::Frozen { id: id(), by: can("can_2") }));
    let state = thaw(&state, &can("can_2"), at(NOW)).iter().fold(state, evolve);
    assert_eq!(state, rented(), "all is as it was");
    assert_eq!(thaw(&state, &can("can_2"), at(NOW)), []);
}
