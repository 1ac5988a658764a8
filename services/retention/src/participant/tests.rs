//! The table's rules over data sets: what is quoted, what is done, and the worked dates.

mod keeping;

use policy::{ControllerClass, Files};
use types::{Action as ItemAction, CancellationId, Edition, SubjectId};

use super::*;
use crate::domain::{Content, Controller, NewDataSet};

fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn retention() -> Retention {
    Retention::new(Arc::new(Packs::read(&Files::built_in()).unwrap()))
}

fn case(scope: Scope, assessed_at: &str) -> Case {
    Case {
        cancellation: CancellationId::parse("can_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        region: "CN".into(),
        edition: Edition::Domestic,
        scope,
        assessed_at: instant(assessed_at),
    }
}

fn closure() -> Case {
    case(Scope::WholeAccount, "2026-12-01T04:00:00Z")
}

fn selected<const N: usize>(ids: [&str; N]) -> Case {
    let item = |id: &str| Item { kind: ItemKind::DataCategory, id: id.into(), action: ItemAction::Erase };
    case(Scope::Selected(ids.map(item).to_vec()), "2026-12-01T04:00:00Z")
}

fn recorded(jurisdiction: &str, category: Category, last_event_at: &str) -> Event {
    Event::Recorded(NewDataSet {
        id: DataSetId::parse(&format!("dat_{}", category.name().to_lowercase())).unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        controller: Controller { name: "Example Pay".into(), jurisdiction: jurisdiction.into(), class: None },
        category,
        content: Content { system: "ledger".into(), last_event_at: instant(last_event_at) },
        evidence_of: None,
    })
}

fn given(history: impl IntoIterator<Item = Event>) -> State {
    history.into_iter().fold(State::default(), |state, event| domain::evolve(state, &event))
}

/// One of each category, all of one jurisdiction.
fn everything(jurisdiction: &str) -> State {
    given(Category::ALL.map(|category| recorded(jurisdiction, category, "2026-11-21T04:00:00Z")))
}

fn one(jurisdiction: &str, category: Category, last_event_at: &str) -> State {
    given([recorded(jurisdiction, category, last_event_at)])
}

/// What one data set's quote says: kind, and until when in Greenwich.
fn quoted(case: &Case, state: &State) -> (pb::QuoteItemKind, Option<String>) {
    let [item] = retention().assess(case, state).items.try_into().unwrap();
    let until = item.kept.as_ref().and_then(|kept| kept.until.as_ref());
    (item.kind(), until.and_then(Timestamp::from_proto).map(|until| until.to_string()))
}

#[track_caller]
fn check_kept(jurisdiction: &str, category: Category, last_event_at: &str, expected: &str) {
    let (kind, until) = quoted(&closure(), &one(jurisdiction, category, last_event_at));
    assert_eq!((kind, until.as_deref()), (pb::QuoteItemKind::Kept, Some(expected)));
}

#[test]
fn the_worked_dates_come_out() {
    let (transactions, identity) = (Category::TransactionRecords, Category::IdentityDocuments);
    let last = "2026-11-21T04:00:00Z";
    check_kept("CN", transactions, last, "2036-11-20T16:00:00Z");
    check_kept("CN", identity, last, "2036-11-30T16:00:00Z");
    check_kept("GB", transactions, last, "2031-12-01T00:00:00Z");
    check_kept("GB", identity, last, "2031-12-01T00:00:00Z");
    check_kept("DE", transactions, last, "2031-11-30T23:00:00Z");
    check_kept("BE", transactions, last, "2036-11-30T23:00:00Z");
    check_kept("US", transactions, last, "2031-11-20T08:00:00Z");
    check_kept("JP", transactions, last, "2031-12-01T00:00:00Z");
    // It is the 21st in Shanghai already.
    check_kept("CN", transactions, "2026-11-20T16:30:00Z", "2036-11-20T16:00:00Z");
    check_kept("CN", transactions, "2024-02-29T04:00:00Z", "2034-02-27T16:00:00Z");
    check_kept("CN", Category::DeviceLogs, "2026-08-31T04:00:00Z", "2027-02-27T16:00:00Z");
}

#[test]
fn what_need_not_be_kept_any_more_is_erased() {
    let logs = one("CN", Category::DeviceLogs, "2026-06-01T03:00:00Z");
    assert_eq!(quoted(&closure(), &logs).0, pb::QuoteItemKind::Erased);
    let logs = one("CN", Category::DeviceLogs, "2026-06-02T03:00:00Z");
    assert_eq!(quoted(&closure(), &logs).0, pb::QuoteItemKind::Kept);
}

#[test]
fn the_longest_period_after_the_last_event_caps_what_counts_from_closure() {
    check_kept("GB", Category::TransactionRecords, "2020-05-01T12:00:00Z", "2030-04-30T23:00:00Z");
    let old = one("GB", Category::TransactionRecords, "2015-05-01T12:00:00Z");
    assert_eq!(quoted(&closure(), &old).0, pb::QuoteItemKind::Erased);
}

#[test]
fn every_data_set_is_quoted_in_the_order_of_recording_with_who_and_why() {
    let retention = retention();
    let assessed = retention.assess(&closure(), &everything("CN"));
    assert_eq!((assessed.blockers.len(), assessed.rejections.len()), (0, 0));
    let told: Vec<_> = assessed.items.iter().map(|item| (item.code.as_str(), item.text.as_str())).collect();
    let erased = "Example Pay erases this (Network Data Reg. Art. 24, PIPL Art. 47).";
    assert_eq!(
        told,
        [
            (
                "DATA_KEPT",
                "Example Pay keeps this until 2036-11-21 (anti money laundering: AML Law 2024 Art. 34), and it is used for nothing else."
            ),
            (
                "DATA_KEPT",
                "Example Pay keeps this until 2036-12-01 (anti money laundering: AML Law 2024 Art. 34), and it is used for nothing else."
            ),
            ("DATA_ERASED", erased),
            ("DATA_ERASED", erased),
            ("DATA_ERASED", &format!("{erased} Those whom you wrote to keep their copies.")),
            (
                "DATA_KEPT",
                "Example Pay decides how long this is kept (controller decides: PIPL Art. 21), and it is used for nothing else."
            ),
            (
                "DATA_KEPT",
                "Example Pay keeps this until 2027-05-21 (network security: Cybersecurity Law Art. 23(3)), and it is used for nothing else."
            ),
            (
                "CLEAR_ON_DEVICE",
                "Clear the app's cache, or uninstall the app, on each of your devices: nobody can do it for you."
            ),
            ("DATA_ERASED", erased),
            ("DATA_ERASED", "Example Pay erases this (Non-bank Payment Reg. Art. 26, PIPL Art. 47)."),
        ]
    );
    let kept = assessed.items[0].kept.as_ref().unwrap();
    assert_eq!(kept.data_set_id, "dat_transaction_records");
    assert_eq!(kept.category, "TRANSACTION_RECORDS");
    assert_eq!(kept.ground, "ANTI_MONEY_LAUNDERING");
    assert_eq!(kept.controller, "Example Pay");
    assert_eq!(assessed.items[5].kept.as_ref().unwrap().until, None);
    assert!(assessed.items[2].kept.is_none());
}

#[test]
fn closing_does_what_was_quoted_and_answers_with_what_is_kept() {
    let retention = retention();
    let state = everything("CN");
    let now = instant("2026-12-03T00:00:00Z");
    let step = retention.execute(&closure(), &state, now);
    let quoted = retention.assess(&closure(), &state).items;
    let kept: Vec<_> = quoted.into_iter().filter_map(|item| item.kept).collect();
    assert_eq!(kept.len(), 4);
    assert_eq!(step.answer, Answer::Restricted(kept));
    let after = step.events.iter().fold(state, domain::evolve);
    let restricted = after.data_sets.iter().filter(|set| matches!(set.holding, Holding::Restricted(..)));
    let erased = after.data_sets.iter().filter(|set| matches!(set.holding, Holding::Erased(_)));
    assert_eq!((restricted.count(), erased.count()), (4, 6));
    assert_eq!(retention.execute(&closure(), &after, now), Step::nothing_to_do());
    assert_eq!(retention.assess(&closure(), &after).items, vec![]);
}

#[test]
fn closing_without_anything_to_keep_is_done_and_without_data_sets_nothing() {
    let now = instant("2026-12-03T00:00:00Z");
    let step = retention().execute(&closure(), &one("CN", Category::Profile, "2026-11-21T04:00:00Z"), now);
    assert_eq!(step.answer, Answer::Done);
    assert_eq!(retention().execute(&closure(), &State::default(), now), Step::nothing_to_do());
}

#[test]
fn where_the_law_lets_data_be_anonymised_it_is() {
    let state = one("US", Category::ChatMessages, "2026-11-21T04:00:00Z");
    assert_eq!(quoted(&closure(), &state).0, pb::QuoteItemKind::Anonymised);
    let step = retention().execute(&closure(), &state, instant("2026-12-03T00:00:00Z"));
    assert!(matches!(step.events.as_slice(), [Event::Anonymised { .. }]));
    assert_eq!(step.answer, Answer::Done);
}

#[test]
fn only_the_chosen_categories_are_erased() {
    let state = everything("CN");
    for id in ["MARKETING", "DATA_CATEGORY_MARKETING"] {
        let step = retention().execute(&selected([id]), &state, instant("2026-12-03T00:00:00Z"));
        let [Event::Erased { id, .. }] = step.events.as_slice() else { panic!("{:?}", step.events) };
        assert_eq!(id.as_str(), "dat_marketing");
        assert_eq!(step.answer, Answer::Done);
    }
}

#[test]
fn a_chosen_category_of_which_there_is_nothing_asks_for_nothing() {
    let state = one("CN", Category::Profile, "2026-11-21T04:00:00Z");
    let assessed = retention().assess(&selected(["MARKETING"]), &state);
    assert_eq!(assessed, Assessed::default());
    let step = retention().execute(&selected(["MARKETING"]), &state, instant("2026-12-03T00:00:00Z"));
    assert_eq!(step, Step::nothing_to_do());
}

#[test]
fn an_unknown_category_and_another_action_are_rejected_and_nothing_is_done() {
    let state = everything("CN");
    let mut case = selected(["SHOE_SIZE", "MARKETING", "marketing"]);
    let Scope::Selected(items) = &mut case.scope else { unreachable!() };
    items[1].action = ItemAction::Unbind;
    let rejections = retention().assess(&case, &state).rejections;
    let told: Vec<_> = rejections.iter().map(|it| (it.code.as_str(), it.item_id.as_str())).collect();
    let unknown = "ITEM_UNKNOWN";
    assert_eq!(told, [(unknown, "SHOE_SIZE"), ("ACTION_NOT_ALLOWED", "MARKETING"), (unknown, "marketing")]);
    let step = retention().execute(&case, &state, instant("2026-12-03T00:00:00Z"));
    assert!(step.events.is_empty());
    assert!(matches!(step.answer, Answer::Failed(failure) if failure.code == unknown));
}

#[test]
fn other_scopes_are_no_concern_of_retention() {
    let item = Item { kind: ItemKind::Subscription, id: "sub_1".into(), action: ItemAction::EndNow };
    for scope in [Scope::Selected(vec![item]), Scope::Named("demo".into())] {
        let case = case(scope, "2026-12-01T04:00:00Z");
        assert_eq!(retention().assess(&case, &everything("CN")), Assessed::default());
    }
}

#[test]
fn what_counts_from_closure_has_no_date_while_the_account_goes_on_and_gets_one_when_it_closes() {
    let retention = retention();
    let state = one("CN", Category::IdentityDocuments, "2026-11-21T04:00:00Z");
    let erase = selected(["IDENTITY_DOCUMENTS"]);
    let [item] = retention.assess(&erase, &state).items.try_into().unwrap();
    assert!(item.text.contains("until 10 years after your account closes"), "{}", item.text);
    let step = retention.execute(&erase, &state, instant("2026-12-03T00:00:00Z"));
    let state = step.events.iter().fold(state, domain::evolve);
    assert_eq!(retention.execute(&erase, &state, instant("2026-12-04T00:00:00Z")), Step::nothing_to_do());

    let (kind, until) = quoted(&closure(), &state);
    assert_eq!((kind, until.as_deref()), (pb::QuoteItemKind::Kept, Some("2036-11-30T16:00:00Z")));
}

#[test]
fn what_its_controller_decides_on_is_not_quoted_again() {
    let retention = retention();
    let state = one("CN", Category::EnterpriseChat, "2026-11-21T04:00:00Z");
    let step = retention.execute(&closure(), &state, instant("2026-12-03T00:00:00Z"));
    let state = step.events.iter().fold(state, domain::evolve);
    assert_eq!(retention.assess(&closure(), &state), Assessed::default());
}

#[test]
fn the_same_case_and_facts_are_assessed_alike_whenever_that_is() {
    let state = everything("GB");
    assert_eq!(retention().assess(&closure(), &state), retention().assess(&closure(), &state));
    let first = retention().execute(&closure(), &state, instant("2026-12-01T05:00:00Z"));
    let later = retention().execute(&closure(), &state, instant("2027-12-01T05:00:00Z"));
    assert_eq!(first.answer, later.answer);
}

#[test]
fn a_date_that_comes_erases_what_was_kept_until_then() {
    let retention = retention();
    let state = one("CN", Category::DeviceLogs, "2026-11-21T04:00:00Z");
    let step = retention.execute(&closure(), &state, instant("2026-12-03T00:00:00Z"));
    let due = instant("2027-05-20T16:00:00Z");
    let wish = TimerWish { kind: "erase/dat_device_logs".into(), due: Some(due) };
    assert_eq!(retention.timers(&step.events[0]), [wish]);
    let state = step.events.iter().fold(state, domain::evolve);
    let early = instant("2027-05-20T15:59:59Z");
    assert_eq!(retention.due(&state, "erase/dat_device_logs", early), vec![]);
    let erased = retention.due(&state, "erase/dat_device_logs", due);
    assert!(matches!(erased.as_slice(), [Event::Erased { .. }]));
    assert_eq!(retention.due(&state, "something else", due), vec![]);
}

#[test]
fn the_rule_that_won_is_recorded_and_a_platform_keeps_by_its_own() {
    let Event::Recorded(mut new) = recorded("CN", Category::TransactionRecords, "2026-11-21T04:00:00Z")
    else {
        unreachable!()
    };
    let restricted = |new: &NewDataSet| {
        let state = given([Event::Recorded(new.clone())]);
        let step = retention().execute(&closure(), &state, instant("2026-12-03T00:00:00Z"));
        let [Event::Restricted { restriction, .. }] = &step.events[..] else { panic!("{:?}", step.events) };
        (restriction.basis.rule.clone(), restriction.ground.clone(), restriction.until)
    };
    let expected = (
        "cn.aml.transaction_records".into(),
        "ANTI_MONEY_LAUNDERING".into(),
        Some(instant("2036-11-20T16:00:00Z")),
    );
    assert_eq!(restricted(&new), expected);
    new.controller.class = Some(ControllerClass::Platform);
    let expected =
        ("cn.ecl.transaction_records".into(), "TRADE_RECORDS".into(), Some(instant("2029-11-20T16:00:00Z")));
    assert_eq!(restricted(&new), expected);
}
