//! What is refused at the edge, what is told, and what is stored.

use bytes::Bytes;
use participant::Encoded;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

use super::*;
use crate::domain::{CleanUp, End, Event, Gone, HoldId, NewHold, Reach, Release, Restriction, Suspension};

const NOW: Timestamp = Timestamp::EPOCH;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn law() -> Basis {
    Basis { rule: "law.1".into(), source: "Law 1".into() }
}

fn right() -> pb::RecordDataSetRequest {
    pb::RecordDataSetRequest {
        request_id: "r1".into(),
        subject_id: "sbj_1".into(),
        system: "ledger".into(),
        controller: Some(pb::Controller {
            name: "Example Pay".into(),
            jurisdiction: "CN".into(),
            class: pb::ControllerClass::PaymentInstitution.into(),
        }),
        category: pb::DataCategory::Marketing.into(),
        last_event_at: Some(at(5).to_proto()),
        evidence_of: "can_9".into(),
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut pb::RecordDataSetRequest), expected: &[&str]) {
    let mut request = right();
    change(&mut request);
    let faults = record_data_set(&request, NOW).map_or_else(|error| error.faults, |_| Vec::new());
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, expected);
}

fn controller_of(change: impl FnOnce(&mut pb::Controller)) -> impl FnOnce(&mut pb::RecordDataSetRequest) {
    |request| change(request.controller.as_mut().unwrap())
}

#[test]
fn a_right_request_is_read_whole() {
    let read = record_data_set(&right(), NOW).unwrap();
    assert_eq!(read.category, Category::Marketing);
    assert_eq!(read.content, Content { system: "ledger".into(), last_event_at: at(5) });
    assert_eq!(read.evidence_of, CancellationId::parse("can_9").ok());
    check(|request| request.evidence_of.clear(), &[]);
    check(|request| request.request_id.clear(), &[]);
    check(|request| request.system = "账".repeat(64), &[]);
}

#[test]
fn every_bad_field_of_a_new_data_set_is_named() {
    check(|request| request.request_id = "a b".into(), &["request_id"]);
    check(|request| request.request_id = "a".repeat(65), &["request_id"]);
    for wrong in ["", "a b", &"a".repeat(65)] {
        check(|request| request.subject_id = wrong.into(), &["subject_id"]);
    }
    for wrong in ["", "a\nb", &"a".repeat(65)] {
        check(|request| request.system = wrong.into(), &["system"]);
    }
    check(|request| request.last_event_at = Some(at(86_400).to_proto()), &["last_event_at"]);
    check(|request| request.evidence_of = "a b".into(), &["evidence_of"]);
    check(|request| request.controller = None, &["controller"]);
    for wrong in ["", "a\u{0}", &"a".repeat(101)] {
        check(controller_of(|controller| controller.name = wrong.into()), &["controller.name"]);
    }
    for wrong in ["", "cn", "CHN", "C1", "中国"] {
        check(
            controller_of(|controller| controller.jurisdiction = wrong.into()),
            &["controller.jurisdiction"],
        );
    }
    check(controller_of(|controller| controller.class = 0), &[]);
    check(controller_of(|controller| controller.class = 5), &["controller.class"]);
    for wrong in [0, 11, -1] {
        check(|request| request.category = wrong, &["category"]);
    }
    check(|request| request.last_event_at = None, &["last_event_at"]);
    let wrong = prost_types::Timestamp { seconds: -1, nanos: 0 };
    check(|request| request.last_event_at = Some(wrong), &["last_event_at"]);
    check(
        |request| *request = pb::RecordDataSetRequest::default(),
        &["subject_id", "system", "controller", "category", "last_event_at"],
    );
}

#[test]
fn a_list_is_asked_for_by_subject_and_at_most_one_ground() {
    let request = |subject: &str, ground: &str| {
        let (subject_id, ground) = (subject.into(), ground.into());
        list_data_sets(&pb::ListDataSetsRequest { subject_id, ground })
    };
    assert!(request("sbj_1", "").is_ok());
    assert!(request("sbj_1", "ANTI_MONEY_LAUNDERING").is_ok());
    assert_eq!(request("", "aml").unwrap_err().faults.len(), 2);
    assert_eq!(request("sbj_1", &"A".repeat(64)).unwrap_err().faults[0].field, "ground");
}

fn set(holding: Holding) -> DataSet {
    let NewDataSet { id, controller, category, evidence_of, .. } = new();
    DataSet { id, controller, category, holding, evidence_of, suspended: vec![], clean_ups: vec![] }
}

fn new() -> NewDataSet {
    record_data_set(&right(), NOW).unwrap().with_id(DataSetId::parse("dat_1").unwrap())
}

fn restriction(until: Option<Timestamp>) -> Restriction {
    let cancellation = CancellationId::parse("can_1").unwrap();
    Restriction { ground: "AUDIT".into(), basis: law(), until, cancellation, since: at(7) }
}

#[test]
fn restricted_data_is_told_in_full_on_its_own_ground_only() {
    let set = set(Holding::Restricted(new().content, restriction(Some(at(9)))));
    let subject = SubjectId::parse("sbj_1").unwrap();
    for ground in ["", "MARKETING"] {
        let told = data_set(&subject, &set, ground);
        assert_eq!((told.system.as_str(), told.last_event_at), ("", None), "{ground}");
        assert_eq!((told.ground.as_str(), told.source.as_str()), ("AUDIT", "Law 1"));
        assert_eq!(told.restricted_until, Some(at(9).to_proto()));
        assert_eq!(told.controller.unwrap().name, "Example Pay");
    }
    let told = data_set(&subject, &set, "AUDIT");
    assert_eq!((told.system.as_str(), told.last_event_at), ("ledger", Some(at(5).to_proto())));
}

#[test]
fn of_what_is_gone_only_that_and_why_is_told() {
    let subject = SubjectId::parse("sbj_1").unwrap();
    let gone = Gone { basis: law(), since: at(7), due: None };
    for (holding, state) in [
        (Holding::Erased(gone.clone()), pb::DataSetState::Erased),
        (Holding::Anonymised(gone), pb::DataSetState::Anonymised),
    ] {
        let told = data_set(&subject, &set(holding), "AUDIT");
        assert_eq!(told.state(), state);
        assert_eq!((told.system.as_str(), told.last_event_at), ("", None));
        assert_eq!((told.source.as_str(), told.changed_at), ("Law 1", Some(at(7).to_proto())));
    }
}

#[test]
fn every_event_is_stored_and_read_back() {
    let cancellation = CancellationId::parse("can_1").unwrap();
    let (id, gone) = (DataSetId::parse("dat_1").unwrap(), Gone { basis: law(), since: at(7), due: None });
    let suspension =
        Suspension { cancellation: cancellation.clone(), anonymise: true, basis: law(), since: at(7) };
    let release = Release { reason: "settled".into(), actor: "legal".into(), at: at(8) };
    for event in [
        Event::Suspended { id: id.clone(), suspension },
        Event::Erased {
            id: id.clone(),
            cancellation: cancellation.clone(),
            gone: Gone { due: Some(at(6)), ..gone.clone() },
        },
        Event::Dropped { cancellation: cancellation.clone(), at: at(7) },
        Event::Deferred { id: id.clone(), cancellation: cancellation.clone(), until: at(9), at: at(8) },
        Event::HoldPlaced(new_hold()),
        Event::HoldPlaced(NewHold { expires_at: None, reach: Reach::default(), ..new_hold() }),
        Event::HoldReleased { id: new_hold().id, release },
        Event::HoldExpired { id: new_hold().id, at: at(9) },
        Event::CleanedUp {
            id: DataSetId::parse("dat_1").unwrap(),
            done: CleanUp { client: "ios".into(), at: at(9) },
        },
        Event::Recorded(NewDataSet { evidence_of: None, ..new() }),
        Event::Recorded(new()),
        Event::Erased { id: id.clone(), cancellation: cancellation.clone(), gone: gone.clone() },
        Event::Anonymised { id: id.clone(), cancellation, gone },
        Event::Restricted { id: id.clone(), restriction: restriction(None) },
        Event::Restricted { id, restriction: restriction(Some(at(9))) },
    ] {
        let stored = encode(&event);
        assert_eq!(decode(&stored.kind, stored.schema, &stored.payload), Ok(event));
    }
}

#[test]
fn every_category_of_the_contract_is_known() {
    for number in 1..=10 {
        let on_the_wire = pb::DataCategory::try_from(number).unwrap();
        let here = category_from(on_the_wire).unwrap();
        assert_eq!(category(here), on_the_wire);
    }
}

#[test]
fn every_class_of_controllers_of_the_contract_is_known() {
    for number in 1..=4 {
        let on_the_wire = pb::ControllerClass::try_from(number).unwrap();
        assert_eq!(class(class_from(on_the_wire).unwrap()), on_the_wire);
    }
    assert_eq!(pb::ControllerClass::try_from(5).ok(), None);
    assert_eq!(class_from(pb::ControllerClass::Unspecified), None);
}

#[test]
fn what_was_stored_before_rules_had_ids_is_read() {
    let stored = Encoded::of(&pb::DataSetErased {
        data_set_id: "dat_1".into(),
        cancellation_id: "can_1".into(),
        source: "Law 1".into(),
        changed_at: Some(at(7).to_proto()),
        rule: String::new(),
        restricted_until: None,
    });
    let Ok(Event::Erased { gone, .. }) = decode(&stored.kind, 1, &stored.payload) else { panic!() };
    assert_eq!(gone.basis, Basis { rule: String::new(), source: "Law 1".into() });
}

#[test]
fn an_event_of_another_type_or_version_is_unreadable() {
    let stored = encode(&Event::Recorded(new()));
    assert!(decode(&stored.kind, 2, &stored.payload).is_err());
    assert!(decode("exeunt.retention.v1.Unheard", 1, &stored.payload).is_err());
    assert!(decode(&stored.kind, 1, &Bytes::from_static(b"\xff")).is_err());
    assert!(decode(&stored.kind, 1, &Bytes::new()).is_err());
}

fn right_hold() -> pb::PlaceHoldRequest {
    pb::PlaceHoldRequest {
        request_id: "r1".into(),
        subject_id: "sbj_1".into(),
        categories: vec![pb::DataCategory::Marketing.into()],
        data_set_ids: vec!["dat_1".into()],
        ground: "LITIGATION".into(),
        authority: "District Court, 2026-4711".into(),
        expires_at: Some(at(9).to_proto()),
        actor: String::new(),
    }
}

fn new_hold() -> NewHold {
    place_hold(&right_hold(), "local").unwrap().with_id(HoldId::parse("hld_1").unwrap(), at(1))
}

#[track_caller]
fn check_hold(change: impl FnOnce(&mut pb::PlaceHoldRequest), expected: &[&str]) {
    let mut request = right_hold();
    change(&mut request);
    let faults = place_hold(&request, "local").map_or_else(|error| error.faults, |_| Vec::new());
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, expected);
}

#[test]
fn a_hold_is_read_whole_and_every_bad_field_of_it_is_named() {
    let read = place_hold(&right_hold(), "local").unwrap();
    assert_eq!((read.actor.as_str(), read.expires_at), ("local", Some(at(9))));
    assert_eq!(read.reach.categories, [Category::Marketing]);
    check_hold(|request| request.actor = "legal-7".into(), &[]);
    check_hold(|request| (request.categories, request.data_set_ids) = Default::default(), &[]);
    check_hold(|request| request.expires_at = None, &[]);
    check_hold(|request| request.categories = vec![3, 0, 11], &["categories[1]", "categories[2]"]);
    check_hold(|request| request.data_set_ids = vec!["a b".into()], &["data_set_ids[0]"]);
    check_hold(|request| request.data_set_ids = vec!["dat_1".into(); 100], &["data_set_ids"]);
    for wrong in ["", "court order", &"A".repeat(64)] {
        check_hold(|request| request.ground = wrong.into(), &["ground"]);
    }
    check_hold(|request| request.authority = "a".repeat(201), &["authority"]);
    check_hold(|request| request.actor = "a b".into(), &["actor"]);
    check_hold(|request| *request = pb::PlaceHoldRequest::default(), &["subject_id", "ground", "authority"]);
    let wrong = release_hold(&pb::ReleaseHoldRequest::default(), "local").unwrap_err();
    assert_eq!(wrong.faults.len(), 2);
    assert_eq!(list_holds(&pb::ListHoldsRequest::default()).unwrap_err().faults.len(), 1);
}

#[test]
fn a_hold_is_told_with_how_it_ended() {
    let new = new_hold();
    let standing = hold(&new, None);
    assert_eq!((standing.state(), standing.ended_at), (pb::HoldState::Standing, None));
    let release = Release { reason: "settled".into(), actor: "legal".into(), at: at(8) };
    let told = hold(&new, Some(&End::Released(release)));
    assert_eq!((told.state(), told.release_reason.as_str()), (pb::HoldState::Released, "settled"));
    assert_eq!((told.released_by.as_str(), told.ended_at), ("legal", Some(at(8).to_proto())));
    let told = hold(&new, Some(&End::Expired(at(9))));
    assert_eq!((told.state(), told.ended_at), (pb::HoldState::Expired, Some(at(9).to_proto())));
}

#[test]
fn a_data_set_is_told_with_the_holds_over_it_and_what_waits_for_their_end() {
    let subject = SubjectId::parse("sbj_1").unwrap();
    let suspension = Suspension {
        cancellation: CancellationId::parse("can_1").unwrap(),
        anonymise: false,
        basis: law(),
        since: at(7),
    };
    let (placed, id) = (Event::HoldPlaced(new_hold()), new().id);
    let all = [Event::Recorded(new()), placed, Event::Suspended { id, suspension }];
    let state = all.iter().fold(State::default(), crate::domain::evolve);
    let [told] = data_sets(&subject, &state, "").try_into().unwrap();
    assert_eq!(told.hold_ids, ["hld_1"]);
    assert_eq!(told.waiting_cancellation_ids, ["can_1"]);
    assert_eq!(told.evidence_of, "can_9");
}

/// What text in facts may be: ids, names of systems and organisations, codes, kinds of apps, and law.
const IMPERSONAL: [&str; 20] = [
    "subject_id",
    "data_set_id",
    "data_set_ids",
    "cancellation_id",
    "waiting_cancellation_ids",
    "evidence_of",
    "hold_id",
    "hold_ids",
    "actor",
    "released_by",
    "system",
    "client",
    "name",
    "jurisdiction",
    "ground",
    "source",
    "rule",
    "authority",
    "reason",
    "release_reason",
];

/// The text fields of a message and of those inside it, with the message's name.
fn texts(files: &FileDescriptorSet, message: &str, found: &mut Vec<String>) {
    let of = |file: &FileDescriptorProto| {
        let package = file.package().to_owned();
        file.message_type.iter().find(|it| format!(".{package}.{}", it.name()) == message).cloned()
    };
    let described = files.file.iter().find_map(of).unwrap();
    for field in &described.field {
        match field.r#type() {
            Type::Message if field.type_name().starts_with(".exeunt.") => {
                texts(files, field.type_name(), found);
            }
            Type::String | Type::Bytes => found.push(field.name().to_owned()),
            _ => {}
        }
    }
}

#[test]
fn b24_no_fact_has_a_place_for_who_somebody_is_or_what_they_wrote() {
    let files = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let events = files.file.iter().find(|file| file.name() == "exeunt/retention/v1/events.proto").unwrap();
    let mut found = Vec::new();
    for event in &events.message_type {
        texts(&files, &format!(".exeunt.retention.v1.{}", event.name()), &mut found);
    }
    assert!(found.len() > IMPERSONAL.len());
    for field in found {
        assert!(IMPERSONAL.contains(&field.as_str()), "{field}: seal it, or say why it is not personal");
    }
}
