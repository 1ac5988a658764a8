//! Records of the log: acknowledgements, and what is told of subjects, of those that are closed, and of
//! keys.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use event_store::{NewEvent, Recorded, StreamId};
use keys::{Jwk, JwkSet};
use messaging::{Decision, Handler, Missing, Poison, Record, StreamEvents, Streams, Undecided, Unreadable};
use participant::{
    Encoded,
    contract::{self, SignatureError},
};
use prost::{Message as _, Name as _};
use proto::{
    cancellation::v1 as pb,
    identity::v1 as told,
    participant::v1::{Acknowledgement, KeyAnnounced, SignedAcknowledgement},
};
use types::{CancellationId, ParticipantName, Scope, SubjectId, Timestamp};

use crate::{
    app::metadata,
    domain::{Case, Command, Entry, Phase, Rejection},
    late_keys,
    participant_keys::ParticipantKeys,
    shell::{Outcome, Shell},
    streams::{self, Folded},
    wire,
};

/// Who writes what is read from the log.
const ACTOR: &str = "cancellation";

/// Parsed keys kept at the most; a roster has a handful.
const PARSED_KEYS_MAX: usize = 1_000;

/// Signed roots kept at the most, twice: one serves sixteen acknowledgements, which come soon after
/// each other.
const ROOTS_MAX: usize = 2_048;

/// Reads the log for the coordinator.
pub(crate) struct Acknowledgements {
    shell: Shell,
    participant_keys: Arc<ParticipantKeys>,
    /// Parsed keys by their JSON: a roster names the same few in every cancellation.
    parsed: RwLock<HashMap<String, Jwk>>,
    roots: Mutex<Roots>,
}

/// What signatures over roots of batches were found to hold: key, and signed bytes with signature.
/// Two generations bound them.
#[derive(Default)]
struct Roots {
    young: HashSet<([u8; 32], Vec<u8>)>,
    old: HashSet<([u8; 32], Vec<u8>)>,
}

impl Roots {
    fn contains(&self, root: &([u8; 32], Vec<u8>)) -> bool {
        self.young.contains(root) || self.old.contains(root)
    }

    fn insert(&mut self, root: ([u8; 32], Vec<u8>)) {
        if self.young.len() >= ROOTS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(root);
    }
}

/// What a record says.
pub(crate) enum Told {
    Acknowledgement(CancellationId, Box<(SignedAcknowledgement, Acknowledgement)>),
    Subject(SubjectId, pb::SubjectKnown),
    TokenKey(String),
    ParticipantKey(ParticipantName, String),
    /// An entry of the ledger: that subject is closed, by that cancellation.
    Closed(SubjectId, CancellationId),
    /// Of no use here.
    Other,
}

impl Acknowledgements {
    pub(crate) fn new(shell: Shell, participant_keys: Arc<ParticipantKeys>) -> Self {
        Self { shell, participant_keys, parsed: RwLock::default(), roots: Mutex::default() }
    }

    fn acknowledge(
        &self,
        case: &Case,
        signed: &SignedAcknowledgement,
        acknowledgement: &Acknowledgement,
        known: &Streams<'_, Arc<Folded>>,
        now: Timestamp,
    ) -> Result<Outcome, Undecided> {
        let entry =
            case.request.roster.iter().find(|entry| entry.name.as_str() == acknowledgement.participant);
        let entry =
            entry.ok_or_else(|| Poison::apart("UNKNOWN_PARTICIPANT", "not on the cancellation's roster"))?;
        let keys = self.keys_of(entry, &signed.kid, known)?;
        self.check(signed, &keys).map_err(|error| {
            let cause = match error {
                SignatureError::UnknownKey => late_keys::CAUSE,
                _ => "SIGNATURE",
            };
            Poison::apart(cause, error.to_string())
        })?;
        if acknowledgement.cancellation_id != case.request.id.as_str()
            || acknowledgement.subject_id != case.request.subject.as_str()
        {
            return Err(Poison::apart("FOREIGN", "acknowledgement is about another cancellation").into());
        }
        let answer = wire::answer(acknowledgement, signed).map_err(|e| undecodable(&e))?;
        let carry_out = |closed| {
            let state = Some(Box::new(case.clone()));
            self.shell.carry_out_with(state, Command::Acknowledge(answer.clone()), closed, now)
        };
        match carry_out(None) {
            Ok(outcome) if outcome.comes_back => {
                let closed = known.get(&streams::of_subject(&case.request.subject))?.closed.clone();
                match closed {
                    None => Ok(outcome),
                    closed => carry_out(closed).map_err(|e| Poison::new("REFUSED", e.to_string()).into()),
                }
            }
            Ok(outcome) => Ok(outcome),
            Err(Rejection::UnknownParticipant(_)) => {
                Err(Poison::new("UNKNOWN_PARTICIPANT", "not on the roster").into())
            }
            Err(other) => Err(Poison::new("REFUSED", other.to_string()).into()),
        }
    }

    /// The keys that the cancellation was requested with; those known by now where it was another.
    fn keys_of(
        &self,
        entry: &Entry,
        kid: &str,
        streams: &Streams<'_, Arc<Folded>>,
    ) -> Result<JwkSet, Missing> {
        let frozen = self.keys(&entry.keys);
        if frozen.find(kid).is_some() {
            return Ok(frozen);
        }
        // The latest may have come in this very batch, or through another replica.
        let announced = streams.get(&streams::of_participant_keys())?;
        Ok(self.keys(&self.participant_keys.with(&entry.name, announced)))
    }

    /// Checks the signature; of a batch once for all of it.
    fn check(&self, signed: &SignedAcknowledgement, keys: &JwkSet) -> Result<(), SignatureError> {
        let key = keys.find(&signed.kid).ok_or(SignatureError::UnknownKey)?;
        if signed.batch.is_none() {
            return contract::check(signed, key);
        }
        let said = [contract::signed_bytes(signed)?, signed.signature.clone()].concat();
        let root = (*key.as_bytes(), said);
        if self.roots.lock().unwrap_or_else(PoisonError::into_inner).contains(&root) {
            return Ok(());
        }
        contract::check(signed, key)?;
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).insert(root);
        Ok(())
    }

    fn keys(&self, jwks: &[String]) -> JwkSet {
        let parsed = self.parsed.read().unwrap_or_else(PoisonError::into_inner);
        let known: Option<JwkSet> = jwks.iter().map(|json| parsed.get(json).cloned()).collect();
        drop(parsed);
        known.unwrap_or_else(|| {
            let fresh: Vec<(String, Jwk)> =
                jwks.iter().filter_map(|json| Some((json.clone(), Jwk::parse(json).ok()?))).collect();
            let mut parsed = self.parsed.write().unwrap_or_else(PoisonError::into_inner);
            if parsed.len() > PARSED_KEYS_MAX {
                parsed.clear();
            }
            parsed.extend(fresh.iter().cloned());
            fresh.into_iter().map(|(_, jwk)| jwk).collect()
        })
    }

    /// That a subject is closed, unless that is known: the ledger and the cancellation's completion say it,
    /// and either may come first.
    fn closed(
        subject: &SubjectId,
        by: &CancellationId,
        cause: &str,
        at: Timestamp,
        known: &Streams<'_, Arc<Folded>>,
    ) -> Result<Option<StreamEvents<Self>>, Missing> {
        let stream = streams::of_subject(subject);
        let is_new = known.get(&stream)?.closed.is_none();
        Ok(is_new.then(|| Self::record(stream, cause, vec![streams::closed(by)], at)))
    }

    fn record(stream: StreamId, cause: &str, events: Vec<NewEvent>, at: Timestamp) -> StreamEvents<Self> {
        let metadata = metadata(ACTOR.into(), cause, stream.as_str());
        StreamEvents { stream, metadata, at, events, folded: None, open: Vec::new() }
    }
}

fn undecodable(error: &dyn std::fmt::Display) -> Poison {
    Poison::new("UNDECODABLE", error.to_string())
}

fn read(record: &Record) -> Result<Told, Poison> {
    if *record.topic == *contract::ACKNOWLEDGEMENTS {
        // Answers have no order among each other, and anybody's garbage holds up nobody's.
        let forged = |error: &dyn std::fmt::Display| Poison::apart("UNDECODABLE", error.to_string());
        let key = std::str::from_utf8(&record.key).map_err(|e| forged(&e))?;
        let id = CancellationId::parse(key).map_err(|e| forged(&e))?;
        if key.starts_with(contract::CONFORMANCE) {
            return Ok(Told::Other);
        }
        let signed = SignedAcknowledgement::decode(record.payload.clone()).map_err(|e| forged(&e))?;
        let said = Acknowledgement::decode(signed.acknowledgement.clone()).map_err(|e| forged(&e))?;
        return Ok(Told::Acknowledgement(id, Box::new((signed, said))));
    }
    if let Some(name) = contract::keys_topic_of(&record.topic) {
        let fact = KeyAnnounced::decode(record.payload.clone()).map_err(|e| undecodable(&e))?;
        if fact.participant != name.as_str() {
            return Err(Poison::new("FOREIGN", "a participant announces its own keys only"));
        }
        let jwk = Jwk::parse(&fact.jwk_json).map_err(|e| undecodable(&e))?;
        return Ok(Told::ParticipantKey(name, jwk.to_json()));
    }
    if *record.topic == *contract::CLOSURES {
        let entry = told::SubjectClosed::decode(record.payload.clone()).map_err(|e| undecodable(&e))?;
        let subject = SubjectId::parse(&entry.subject_id).map_err(|e| undecodable(&e))?;
        let by = CancellationId::parse(&entry.cancellation_id).map_err(|e| undecodable(&e))?;
        return Ok(Told::Closed(subject, by));
    }
    let kind = record.header(messaging::CE_TYPE).unwrap_or_default();
    if kind == told::SubjectRegistered::full_name() {
        let fact = told::SubjectRegistered::decode(record.payload.clone()).map_err(|e| undecodable(&e))?;
        let subject = SubjectId::parse(&fact.subject_id).map_err(|e| undecodable(&e))?;
        let known =
            pb::SubjectKnown { subject_id: fact.subject_id, region: fact.region, edition: fact.edition };
        return Ok(Told::Subject(subject, known));
    }
    if kind == told::TokenKeyPublished::full_name() {
        let fact = told::TokenKeyPublished::decode(record.payload.clone()).map_err(|e| undecodable(&e))?;
        return Ok(Told::TokenKey(fact.jwk_json));
    }
    Ok(Told::Other)
}

impl Handler for Acknowledgements {
    type State = Arc<Folded>;

    type Input = Told;

    type Open = Infallible;

    fn read(&self, record: &Record) -> Result<(StreamId, Told), Poison> {
        let told = read(record)?;
        let stream = match &told {
            Told::Acknowledgement(id, _) => streams::of_case(id),
            Told::Subject(id, _) | Told::Closed(id, _) => streams::of_subject(id),
            Told::ParticipantKey(..) => streams::of_participant_keys(),
            Told::TokenKey(_) | Told::Other => streams::of_token_keys(),
        };
        Ok((stream, told))
    }

    fn evolve(&self, state: Self::State, event: &Recorded) -> Result<Self::State, Unreadable> {
        streams::fold(state, event)
    }

    fn decide(
        &self,
        record: &Record,
        told: &Told,
        streams: &Streams<'_, Self::State>,
    ) -> Result<Decision<Self>, Undecided> {
        let cause = record.header(messaging::CE_ID).unwrap_or_default();
        let mut decision = Decision::default();
        let now = self.shell.clock.now();
        match told {
            Told::Acknowledgement(id, answer) => {
                let stream = streams::of_case(id);
                let Some(case) = &streams.get(&stream)?.case else {
                    return Err(Poison::apart("UNKNOWN_CANCELLATION", "there is no such cancellation").into());
                };
                let (signed, said) = &**answer;
                // All of its answers look at it, not only the one that completes it: so what a batch needs
                // is loaded at once.
                if case.phase == Phase::Executing && case.request.scope == Scope::WholeAccount {
                    streams.get(&streams::of_subject(&case.request.subject))?;
                }
                let outcome = self.acknowledge(case, signed, said, streams, now)?;
                decision.listings.extend(outcome.listings);
                decision.timers.extend(outcome.timer);
                if outcome.comes_back {
                    decision.guards.push(streams::of_subject(&case.request.subject));
                }
                if outcome.closes_subject {
                    decision.events.extend(Self::closed(&case.request.subject, id, cause, now, streams)?);
                }
                if !outcome.events.is_empty() {
                    let folded = Some(Arc::new(Folded { case: outcome.state, ..Folded::default() }));
                    let recorded = Self::record(stream, cause, outcome.events, now);
                    decision.events.push(StreamEvents { folded, ..recorded });
                }
            }
            Told::Closed(id, by) => decision.events.extend(Self::closed(id, by, cause, now, streams)?),
            Told::Subject(id, known) => {
                let stream = streams::of_subject(id);
                if streams.get(&stream)?.subject.is_none() {
                    let events = vec![Encoded::of(known).into()];
                    decision.events.push(Self::record(stream, cause, events, now));
                }
            }
            Told::TokenKey(jwk_json) => {
                let stream = streams::of_token_keys();
                if !streams.get(&stream)?.keys.contains(jwk_json) {
                    let jwk_json = jwk_json.clone();
                    let events = vec![Encoded::of(&pb::TokenKeyKnown { jwk_json }).into()];
                    decision.events.push(Self::record(stream, cause, events, now));
                }
            }
            Told::ParticipantKey(name, jwk_json) => {
                let stream = streams::of_participant_keys();
                let known = (name.clone(), jwk_json.clone());
                if !streams.get(&stream)?.participant_keys.contains(&known) {
                    let (name, jwk_json) = known;
                    let known = pb::ParticipantKeyKnown { participant: name.to_string(), jwk_json };
                    let events = vec![Encoded::of(&known).into()];
                    decision.events.push(Self::record(stream, cause, events, now));
                }
            }
            Told::Other => {}
        }
        Ok(decision)
    }

    /// A cancellation that has ended is asked after no more, and what is known of a subject only now
    /// and then.
    fn rests(&self, folded: &Self::State) -> bool {
        match &folded.case {
            Some(case) => case.phase.is_ended(),
            None => folded.keys.is_empty() && folded.participant_keys.is_empty(),
        }
    }
}
