//! Given what happened, when something is asked, then this is what follows.

mod holds;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn id_of(text: &str) -> DataSetId {
    DataSetId::parse(text).unwrap()
}

fn law() -> Basis {
    Basis { rule: "law.1".into(), source: "Law 1".into() }
}

fn cancellation() -> CancellationId {
    CancellationId::parse("can_1").unwrap()
}

fn new(id: &str) -> NewDataSet {
    NewDataSet {
        id: id_of(id),
        subject: SubjectId::parse("sbj_1").unwrap(),
        controller: Controller { name: "Example Pay".into(), jurisdiction: "CN".into(), class: None },
        category: Category::TransactionRecords,
        content: Content { system: "ledger".into(), last_event_at: at(5) },
        evidence_of: None,
    }
}

fn recorded(id: &str) -> Event {
    Event::Recorded(new(id))
}

fn gone() -> Gone {
    Gone { basis: law(), since: at(10), due: None }
}

fn erased(id: &str) -> Event {
    Event::Erased { id: id_of(id), cancellation: cancellation(), gone: gone() }
}

fn restricted(id: &str, until: Option<Timestamp>) -> Event {
    let (ground, basis) = ("AUDIT".into(), law());
    let restriction = Restriction { ground, basis, until, cancellation: cancellation(), since: at(10) };
    Event::Restricted { id: id_of(id), restriction }
}

fn given<const N: usize>(history: [Event; N]) -> State {
    history.iter().fold(State::default(), evolve)
}

fn treated(id: &str, treatment: Treatment) -> Treated {
    Treated { id: id_of(id), treatment, basis: law() }
}

fn restrict(until: Option<Timestamp>) -> Treatment {
    Treatment::Restrict { ground: "AUDIT".into(), until }
}

#[test]
fn a_data_set_is_recorded_once() {
    let state = given([]);
    assert_eq!(decide(&state, Command::Record(new("dat_1"))), Ok(vec![recorded("dat_1")]));
    let state = given([recorded("dat_1")]);
    assert_eq!(decide(&state, Command::Record(new("dat_1"))), Ok(vec![]));
}

#[test]
fn a_subject_has_no_more_data_sets_than_an_assessment_can_name() {
    let state = (0..DATA_SETS_MAX)
        .map(|n| recorded(&format!("dat_{n}")))
        .fold(State::default(), |s, e| evolve(s, &e));
    assert_eq!(decide(&state, Command::Record(new("dat_x"))), Err(Rejection::TooManyDataSets));
    let state = evolve(state, &erased("dat_7"));
    assert_eq!(decide(&state, Command::Record(new("dat_x"))), Ok(vec![recorded("dat_x")]));
}

#[test]
fn each_data_set_is_treated_as_said() {
    let state = given([recorded("a"), recorded("b"), recorded("c")]);
    let all = vec![
        treated("a", Treatment::Erase),
        treated("b", Treatment::Anonymise),
        treated("c", restrict(Some(at(90)))),
    ];
    let anonymised = Event::Anonymised { id: id_of("b"), cancellation: cancellation(), gone: gone() };
    let expected = vec![erased("a"), anonymised, restricted("c", Some(at(90)))];
    assert_eq!(treat(&state, &cancellation(), all, at(10)), expected);
}

#[test]
fn what_is_treated_already_stays_as_it_is() {
    let state = given([recorded("a"), recorded("b"), erased("a"), restricted("b", Some(at(90)))]);
    let all =
        vec![treated("a", Treatment::Erase), treated("b", Treatment::Erase), treated("x", Treatment::Erase)];
    assert_eq!(treat(&state, &cancellation(), all, at(10)), vec![]);
}

#[test]
fn what_was_restricted_without_a_date_can_still_get_one() {
    let state = given([recorded("a"), restricted("a", None)]);
    let events = treat(&state, &cancellation(), vec![treated("a", restrict(Some(at(90))))], at(10));
    assert_eq!(events, vec![restricted("a", Some(at(90)))]);
}

#[test]
fn what_is_erased_or_anonymised_leaves_no_content_behind() {
    let anonymised = Event::Anonymised { id: id_of("b"), cancellation: cancellation(), gone: gone() };
    let state = given([recorded("a"), recorded("b"), erased("a"), anonymised]);
    assert!(!format!("{state:?}").contains("ledger"), "{state:?}");
    assert_eq!(state.data_sets[0].holding, Holding::Erased(gone()));
    assert_eq!(state.data_sets[1].holding, Holding::Anonymised(gone()));
}

#[test]
fn what_is_restricted_keeps_its_content() {
    let state = given([recorded("a"), restricted("a", None)]);
    assert_eq!(state.data_sets[0].content(), Some(&new("a").content));
}

#[test]
fn what_is_gone_cannot_come_back() {
    let state = given([recorded("a"), erased("a"), restricted("a", None)]);
    assert_eq!(state.data_sets[0].holding, Holding::Erased(gone()));
}

#[test]
fn what_is_restricted_is_erased_when_its_date_has_come_and_not_before() {
    let state = given([recorded("a"), recorded("b"), restricted("a", Some(at(90))), restricted("b", None)]);
    let (a, b) = (id_of("a"), id_of("b"));
    assert_eq!(expire(&state, &a, at(89)), None);
    let basis = law();
    let gone = Gone { basis, since: at(90), due: Some(at(90)) };
    let expected = Event::Erased { id: a.clone(), cancellation: cancellation(), gone };
    assert_eq!(expire(&state, &a, at(90)), Some(expected.clone()));
    assert_eq!(expire(&evolve(state.clone(), &expected), &a, at(91)), None);
    assert_eq!(expire(&state, &b, at(1_000)), None);
}
