//! What is refused at the edge, what is told, and what is stored.

use super::*;

const NOW: Timestamp = Timestamp::EPOCH;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn right() -> pb::RecordDataSetRequest {
    pb::RecordDataSetRequest {
        request_id: "r1".into(),
        subject_id: "sbj_1".into(),
        system: "ledger".into(),
        controller: Some(pb::Controller { name: "Example Pay".into(), jurisdiction: "CN".into() }),
        category: pb::DataCategory::Marketing.into(),
        last_event_at: Some(at(5).to_proto()),
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
    let NewDataSet { id, controller, category, .. } = new();
    DataSet { id, controller, category, holding }
}

fn new() -> NewDataSet {
    record_data_set(&right(), NOW).unwrap().with_id(DataSetId::parse("dat_1").unwrap())
}

fn restriction(until: Option<Timestamp>) -> Restriction {
    let cancellation = CancellationId::parse("can_1").unwrap();
    Restriction { ground: "AUDIT".into(), source: "Law 1".into(), until, cancellation, since: at(7) }
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
    let gone = Gone { source: "Law 1".into(), since: at(7) };
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
    let (id, gone) = (DataSetId::parse("dat_1").unwrap(), Gone { source: "Law 1".into(), since: at(7) });
    for event in [
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
fn an_event_of_another_type_or_version_is_unreadable() {
    let stored = encode(&Event::Recorded(new()));
    assert!(decode(&stored.kind, 2, &stored.payload).is_err());
    assert!(decode("exeunt.retention.v1.Unheard", 1, &stored.payload).is_err());
    assert!(decode(&stored.kind, 1, &Bytes::from_static(b"\xff")).is_err());
    assert!(decode(&stored.kind, 1, &Bytes::new()).is_err());
}
