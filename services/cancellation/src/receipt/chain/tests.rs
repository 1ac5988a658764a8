//! Receipts that are amended, from what was signed to what is verified.

use std::{collections::BTreeMap, sync::Arc};

use keys::SigningKey;
use participant::contract;
use proptest::prelude::*;
use types::{CancellationId, Edition, ParticipantName, Scope, SubjectId, SystemClock, Timestamp};

use super::*;
use crate::{
    domain::{Answer, Case, Command, Entry, Ladder, Phase, Request, Terms},
    receipt::SEALERS,
    shell::Shell,
    streams::{self, Folded},
    wire,
};

const NAMES: [&str; 2] = ["till", "partner"];
const OUTCOMES: [contract_pb::Outcome; 6] = [
    contract_pb::Outcome::Done,
    contract_pb::Outcome::Restricted,
    contract_pb::Outcome::Failed,
    contract_pb::Outcome::Waiting,
    contract_pb::Outcome::Accepted,
    contract_pb::Outcome::Superseded,
];

fn key(of: &str) -> SigningKey {
    SigningKey::from_seed([of.as_bytes()[0]; 32])
}

fn keys() -> JwkSet {
    let own = |owner: &str, sealing: &str| key(sealing).jwk().owned_by(owner);
    [own(SEALERS, "receipts"), own(NAMES[0], NAMES[0]), own(NAMES[1], NAMES[1])].into_iter().collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// What a participant says, and which category it says is kept.
#[derive(Debug, Clone, Copy)]
struct Said {
    by: usize,
    revision: u32,
    outcome: contract_pb::Outcome,
    kept: u8,
}

impl Said {
    fn signed(self) -> Answer {
        let kept = contract_pb::Kept { category: format!("C{}", self.kept), ..Default::default() };
        let said = contract_pb::Acknowledgement {
            cancellation_id: "can_1".into(),
            subject_id: "sbj_1".into(),
            participant: NAMES[self.by].into(),
            kind: contract_pb::InstructionKind::Execute.into(),
            epoch: 1,
            revision: self.revision,
            outcome: self.outcome.into(),
            acknowledged_at: Some(at(2).to_proto()),
            kept: (self.kept > 0).then_some(kept).into_iter().collect(),
            ..Default::default()
        };
        wire::answer(&said, &contract::sign(&said, &key(NAMES[self.by]))).unwrap()
    }
}

/// A cancellation of both, without gates, and who carries it on.
struct Play {
    shell: Shell,
    case: Case,
    at: i64,
}

impl Play {
    fn requested() -> Self {
        let entry = |name: &str| Entry {
            name: ParticipantName::parse(name).unwrap(),
            after: Vec::new(),
            keys: Vec::new(),
            deadline: None,
            item_kinds: Vec::new(),
            owner: None,
            freezes: false,
        };
        let request = Request {
            id: CancellationId::parse("can_1").unwrap(),
            subject: SubjectId::parse("sbj_1").unwrap(),
            region: "CN".into(),
            edition: Edition::Domestic,
            scope: Scope::WholeAccount,
            roster: NAMES.map(entry).into(),
            gates_none: true,
            tokens_required: 0,
            ladder: Ladder::default(),
            terms: Terms::default(),
            channel: String::new(),
            sealed_reason: Arc::from([]),
            at: at(1),
        };
        let shell = Shell { clock: Arc::new(SystemClock), receipt_key: Arc::new(key("receipts")) };
        let outcome = shell.carry_out(None, Command::Request(Box::new(request)), at(1)).unwrap();
        Self { shell, case: *outcome.state.unwrap(), at: 1 }
    }

    fn completed() -> Self {
        let mut play = Self::requested();
        for by in 0..NAMES.len() {
            assert!(
                !play.hear(Said { by, revision: 1, outcome: contract_pb::Outcome::Done, kept: 0 }).is_empty()
            );
        }
        assert_eq!(play.case.phase, Phase::Completed);
        play
    }

    /// The names of the events that it leads to; each reads as it was written.
    fn hear(&mut self, said: Said) -> Vec<String> {
        self.at += 1;
        let state = Some(Box::new(self.case.clone()));
        let outcome = self.shell.carry_out(state, Command::Acknowledge(said.signed()), at(self.at)).unwrap();
        assert!(!outcome.closes_subject || self.case.phase != Phase::Completed, "a subject is closed once");
        let after = *outcome.state.unwrap();
        let mut replayed = Arc::new(Folded { case: Some(Box::new(self.case.clone())), ..Folded::default() });
        for event in &outcome.events {
            let recorded = crate::wire::recorded_for_test(event, at(self.at));
            replayed = streams::fold(replayed, &recorded).unwrap();
        }
        assert_eq!(replayed.case.as_deref(), Some(&after));
        self.case = after;
        outcome.events.iter().map(|event| event.kind.rsplit('.').next().unwrap().to_owned()).collect()
    }

    fn versions(&self) -> Vec<&str> {
        self.case.receipts.iter().map(String::as_str).collect()
    }
}

fn worse(by: usize, revision: u32) -> Said {
    Said { by, revision, outcome: contract_pb::Outcome::Failed, kept: 0 }
}

#[test]
fn b09_an_amended_receipt_says_what_it_amends_and_who_has_not_finished_after_all() {
    let mut play = Play::completed();
    assert_eq!(play.hear(worse(1, 2)), ["Acknowledged", "ReceiptAmended", "AttentionRaised"]);
    assert_eq!(play.hear(worse(1, 3)), Vec::<String>::new());
    let versions = play.versions();
    let receipts = verify_all(versions.iter().rev().copied(), &keys()).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(receipts[1].previous_digest.as_deref(), Some(&*digest(versions[0])));
    let unfinished: Vec<&str> = receipts[1].unfinished().map(|it| it.participant.as_str()).collect();
    assert_eq!((receipts[0].unfinished().count(), unfinished), (0, vec!["partner"]));
    assert_eq!(receipts[0].completed_at, receipts[1].completed_at);
    // Shown alone, it holds, and says that it is not the first.
    let alone = verify_all([versions[1]], &keys()).unwrap();
    assert_eq!(alone[0].version, 2);
}

#[test]
fn receipts_that_do_not_follow_each_other_are_told_apart() {
    let mut play = Play::completed();
    for revision in 2..4 {
        let outcome =
            if revision % 2 == 0 { contract_pb::Outcome::Failed } else { contract_pb::Outcome::Done };
        play.hear(Said { by: 0, revision, outcome, kept: 0 });
    }
    let mut other = Play::completed();
    other.hear(worse(1, 2));
    let (versions, strange) = (play.versions(), other.versions());
    let refused = |receipts: &[&str]| match verify_all(receipts.iter().copied(), &keys()) {
        Err(VerifyError::Chain(faults)) => faults.join("; "),
        other => panic!("{other:?}"),
    };
    assert!(refused(&[versions[0], versions[2]]).contains("what is between was not shown"));
    assert!(refused(&[versions[0], versions[1], strange[1]]).contains("two of version 2"));
    assert_eq!(verify_all([versions[0], versions[1], versions[1]], &keys()).unwrap().len(), 2);
    let mut late = Play::requested();
    late.at = 50;
    for by in 0..NAMES.len() {
        late.hear(Said { by, revision: 1, outcome: contract_pb::Outcome::Done, kept: 0 });
    }
    assert!(refused(&[late.versions()[0], versions[1]]).contains("amends another receipt"));
    assert!(refused(&[]).contains("there is none"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes late, in whatever order and however often: the state stays, versions rise by one,
    /// each of them verifies and links to the one before, and the newest has what was said last.
    #[test]
    fn b09_whatever_comes_late_every_version_verifies_and_links_to_the_one_before(
        late in prop::collection::vec((0..2_usize, 1..6_u32, 0..OUTCOMES.len(), 0..3_u8), 0..16)
    ) {
        let mut play = Play::completed();
        let done = contract_pb::Outcome::Done;
        let mut last = [(1, done, 0), (1, done, 0)];
        for (by, revision, outcome, kept) in late {
            let said = Said { by, revision, outcome: OUTCOMES[outcome], kept };
            let (of, was, before) = last[by];
            let news = revision > of
                && said.outcome != contract_pb::Outcome::Superseded
                && (said.outcome, kept) != (was, before);
            let count = play.case.receipts.len();
            let events = play.hear(said).into_iter().filter(|name| !name.starts_with("Attention"));
            prop_assert_eq!(events.count(), if news { 2 } else { 0 });
            prop_assert_eq!(play.case.receipts.len(), count + usize::from(news));
            prop_assert_eq!((play.case.phase, play.case.ended_at), (Phase::Completed, Some(at(3))));
            if news {
                last[by] = (revision, said.outcome, kept);
            }
        }
        let receipts = verify_all(play.versions(), &keys()).unwrap();
        let numbers: Vec<usize> = receipts.iter().map(|receipt| receipt.version as usize).collect();
        prop_assert_eq!(numbers, (1..=play.case.receipts.len()).collect::<Vec<_>>());
        let newest: BTreeMap<_, _> = receipts.last().unwrap().acknowledgements.iter()
            .map(|signed| (signed.participant.as_str(), signed.outcome.as_str())).collect();
        for (name, (_, outcome, _)) in NAMES.iter().zip(last) {
            prop_assert_eq!(newest[name], outcome.as_str_name());
        }
    }
}
