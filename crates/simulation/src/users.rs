//! The people: who they are, what they have asked for, and what they know of it.
//!
//! A person does the next sensible thing most of the time, and something else at the worst moment
//! otherwise. What is not answered they ask again, with the same request id.

mod calls;
mod verbs;

use std::collections::BTreeSet;

use proto::{
    cancellation::v1::{self as pb, State},
    types::v1::Scope,
};

pub use self::{calls::Answer, verbs::Verb};
use testkit::Dice;

/// Stands in everything personal that people say, and must stand nowhere else.
pub const CANARY: &str = "canary4f1d";

const NAMES: [&str; 4] = ["ann", "bo", "cy", "dee"];
const REGIONS: [&str; 4] = ["CN", "CN", "DE", "US"];

/// How many refused calls people keep in mind.
const AGAIN_MAX: usize = 64;

/// One who may leave.
pub struct Person {
    /// What they are called here.
    pub name: &'static str,
    /// Where they live.
    pub region: &'static str,
    /// The id that identity gave them.
    pub id: Option<String>,
    /// What they asked to end.
    pub journeys: Vec<Journey>,
    /// The ids of what they have: subscriptions, authorisations, orders, purchases, and so on.
    pub things: Vec<String>,
    /// Ids that they had before: of accounts that were closed, or that identity has forgotten.
    pub former: Vec<String>,
}

impl Person {
    fn has(&self, prefix: &str) -> bool {
        self.things.iter().any(|id| id.starts_with(prefix))
    }

    /// One of their things of a kind.
    fn one_of(&self, prefix: &str, dice: &mut Dice) -> Option<String> {
        let mine: Vec<&String> = self.things.iter().filter(|id| id.starts_with(prefix)).collect();
        mine.get(dice.place(mine.len())).map(ToString::to_string)
    }
}

/// One cancellation, as its subject sees it.
#[derive(Default)]
pub struct Journey {
    /// What it is called here.
    pub name: String,
    /// The id under which it is asked for, however often.
    pub request_id: String,
    /// What decides what is asked for.
    pub wish: u64,
    /// What it is to end, once it was asked for.
    pub scope: Option<Scope>,
    /// The id that it got.
    pub id: Option<String>,
    /// Under which of their subject's ids it was asked for.
    pub subject: Option<String>,
    /// Reaches it in the place of its id.
    pub case_token: Option<String>,
    /// How it stood when its subject looked last.
    pub view: Option<Box<pb::Cancellation>>,
    /// The code that was asked for last.
    pub verification: Option<String>,
    /// The token that it gave.
    pub token: Option<String>,
    /// Whether nothing could be done about what blocks it.
    pub is_at_a_loss: bool,
    /// Digests of quotes that the subject wanted to accept.
    pub accepted: Vec<String>,
    /// Whether it was refused since the account was closed by another.
    pub is_moot: bool,
}

impl Journey {
    /// One more.
    fn again(name: &str, others: usize) -> Self {
        let name = format!("{name}/{}", others + 1);
        Self { request_id: format!("leave-{name}"), wish: others as u64, name, ..Self::default() }
    }

    /// Whether its subject has seen that it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_moot || self.view.as_ref().is_some_and(|view| view.ended_at.is_some())
    }

    fn state(&self) -> State {
        self.view.as_ref().map_or(State::Unspecified, |view| view.state())
    }
}

/// A call: who, what, and everything that repeating it needs.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which of the people.
    pub person: usize,
    /// Which of their journeys; none for what is about no cancellation.
    pub journey: Option<usize>,
    /// What.
    pub verb: Verb,
    /// The request's own id.
    pub request_id: String,
    /// What decides its content.
    pub content: u64,
}

/// All people.
pub struct Users {
    /// Them.
    pub people: Vec<Person>,
    /// Calls that were not answered.
    pub again: Vec<Call>,
    made: u64,
}

impl Users {
    /// Some people, with up to two journeys each.
    #[must_use]
    pub fn new(dice: &mut Dice) -> Self {
        let count = 1 + dice.place(NAMES.len() - 1);
        let person = |(index, name): (usize, &&'static str)| {
            let journeys = 1 + usize::from(dice.chance(300));
            let journey = |others| Journey { wish: dice.number(), ..Journey::again(name, others) };
            let journeys = (0..journeys).map(journey).collect();
            Person {
                name,
                region: REGIONS[index],
                id: None,
                journeys,
                things: Vec::new(),
                former: Vec::new(),
            }
        };
        let people = NAMES.iter().take(count).enumerate().map(person).collect();
        Self { people, again: Vec::new(), made: 0 }
    }

    /// A call that somebody makes now.
    pub fn choose(&mut self, dice: &mut Dice) -> Option<Call> {
        if !self.again.is_empty() && dice.chance(400) {
            return Some(self.again.remove(dice.place(self.again.len())));
        }
        let person = dice.place(self.people.len());
        let sensible = dice.chance(700);
        let it = &self.people[person];
        if it.id.is_none() {
            return Some(self.call(person, None, Verb::Register, dice));
        }
        let open: Vec<usize> =
            (0..it.journeys.len()).filter(|index| !it.journeys[*index].is_over()).collect();
        let journey = open.get(dice.place(open.len())).copied();
        let verb = match journey {
            Some(index) if sensible => match it.journeys[index].state() {
                // What takes long is looked at.
                State::Executing if dice.chance(300) => {
                    [Verb::Retry, Verb::Attest, Verb::Assign][dice.place(3)]
                }
                _ => self.sensible(person, index),
            },
            _ => verbs::any(dice),
        };
        let journey = journey.filter(|_| verb.is_about_a_case());
        if verb.is_about_a_case() && journey.is_none() {
            return None;
        }
        Some(self.call(person, journey, verb, dice))
    }

    /// What brings each person on, when nothing goes wrong any more.
    pub fn onwards(&mut self, dice: &mut Dice) -> Vec<Call> {
        let mut calls: Vec<Call> = std::mem::take(&mut self.again);
        // An unanswered revocation is not insisted on: it may have been answered by what came after.
        calls.retain(|call| call.verb != Verb::Revoke);
        for person in 0..self.people.len() {
            if self.people[person].id.is_none() {
                calls.push(self.call(person, None, Verb::Register, dice));
                continue;
            }
            // No hold lasts for ever, and nobody decides never: what waits for that ends with it.
            let it = &self.people[person];
            let open = it.journeys.iter().any(|journey| !journey.is_over());
            let others: Vec<Verb> = [
                ("", Verb::Release),
                ("apl_", Verb::DecideAppeal),
                ("sub_", Verb::Refunds),
                ("ref_", Verb::DecideRefund),
                ("ref_", Verb::PayRefund),
            ]
            .into_iter()
            .filter_map(|(prefix, verb)| (open && (prefix.is_empty() || it.has(prefix))).then_some(verb))
            .collect();
            for verb in others {
                calls.push(self.call(person, None, verb, dice));
            }
            for journey in 0..self.people[person].journeys.len() {
                let it = &self.people[person].journeys[journey];
                if it.is_over() {
                    continue;
                }
                let look = it.id.is_some().then_some(Verb::Look);
                let next = Some(self.sensible(person, journey)).filter(|verb| Some(*verb) != look);
                for verb in look.into_iter().chain(next) {
                    let about = verb.is_about_a_case().then_some(journey);
                    calls.push(self.call(person, about, verb, dice));
                }
            }
        }
        calls
    }

    fn call(&mut self, person: usize, journey: Option<usize>, verb: Verb, dice: &mut Dice) -> Call {
        self.made += 1;
        let fresh = || format!("{}-{}", verb.word(), self.made);
        let request_id = match (verb, journey) {
            (Verb::Register, _) => format!("register-{}", self.people[person].name),
            (Verb::Request, Some(journey)) => self.people[person].journeys[journey].request_id.clone(),
            _ => fresh(),
        };
        let content = match (verb, journey) {
            // What a person asks to end they ask alike each time.
            (Verb::Request, Some(journey)) => self.people[person].journeys[journey].wish,
            _ => dice.number(),
        };
        Call { person, journey, verb, request_id, content }
    }

    /// The next step towards the end of a journey, by what its subject has seen.
    fn sensible(&self, person: usize, journey: usize) -> Verb {
        let it = &self.people[person].journeys[journey];
        if it.id.is_none() {
            return Verb::Request;
        }
        let is_left_behind = it.subject != self.people[person].id;
        match it.state() {
            // Nobody can be verified for it any more.
            State::Assessing | State::Blocked | State::AwaitingConfirmation if is_left_behind => Verb::Revoke,
            State::Blocked if it.is_at_a_loss => Verb::Reassess,
            State::Blocked => Verb::Clear,
            State::AwaitingConfirmation if it.token.is_some() => Verb::Confirm,
            State::AwaitingConfirmation if it.verification.is_some() => Verb::Complete,
            State::AwaitingConfirmation => Verb::Verify,
            State::Executing if it.waits_for_subject() => Verb::Report,
            State::Executing if it.has_failed() && self.made.is_multiple_of(2) => Verb::Retry,
            State::Executing if it.has_failed() => Verb::Reassess,
            _ => Verb::Look,
        }
    }

    /// What one thing leads to.
    fn follow(&mut self, call: &Call, dice: &mut Dice) {
        let next = match call.verb {
            Verb::Ban => [Verb::Appeal, Verb::Lift][usize::from(dice.chance(200))],
            Verb::Appeal => [Verb::DecideAppeal, Verb::Withdraw][usize::from(dice.chance(300))],
            Verb::Subscribe => Verb::Charge,
            Verb::Charge => Verb::Apply,
            Verb::Apply | Verb::Refunds => Verb::DecideRefund,
            Verb::DecideRefund => Verb::PayRefund,
            Verb::DataSet => Verb::CleanUp,
            _ => return,
        };
        if dice.chance(300) && self.again.len() < AGAIN_MAX {
            let next = self.call(call.person, None, next, dice);
            self.again.push(next);
        }
    }

    /// Takes an answer in; a refusal teaches something too.
    pub fn learn(&mut self, call: &Call, answer: Result<Answer, tonic::Status>, dice: &mut Dice) {
        if answer.is_ok() {
            self.follow(call, dice);
        }
        let person = &mut self.people[call.person];
        let answer = match answer {
            Ok(answer) => answer,
            Err(refused) => {
                if calls::is_worth_repeating(&refused) && self.again.len() < AGAIN_MAX {
                    self.again.push(call.clone());
                }
                if let Some(journey) = call.journey.and_then(|index| person.journeys.get_mut(index)) {
                    journey.refused(call.verb, &refused);
                }
                return;
            }
        };
        let journey = call.journey.and_then(|index| person.journeys.get_mut(index));
        match (answer, journey) {
            (Answer::Subject(id), _) => {
                if let Some(former) = person.id.replace(id.clone()).filter(|former| *former != id) {
                    person.former.push(former);
                    person.journeys.push(Journey::again(person.name, person.journeys.len()));
                }
            }
            (Answer::CaseToken(token), Some(journey)) => journey.case_token = Some(token),
            (Answer::Things(ids), _) => {
                for id in ids.into_iter().filter(|id| !id.is_empty()) {
                    if !person.things.contains(&id) {
                        person.things.push(id);
                    }
                }
            }
            (Answer::Case(view), Some(journey)) => {
                journey.is_at_a_loss &= call.verb != Verb::Reassess;
                journey.id = Some(view.cancellation_id.clone());
                journey.subject = Some(view.subject_id.clone());
                if journey.view.as_ref().is_none_or(|seen| seen.version <= view.version) {
                    journey.view = Some(view);
                }
            }
            (Answer::Verification(id), Some(journey)) => {
                (journey.verification, journey.token) = (Some(id), None);
            }
            (Answer::Token(token), Some(journey)) => journey.token = Some(token),
            (
                Answer::Case(_)
                | Answer::Verification(_)
                | Answer::Token(_)
                | Answer::CaseToken(_)
                | Answer::Nothing,
                _,
            ) => {}
        }
    }

    /// Whether all that is open waits for a day to come.
    #[must_use]
    pub fn wait_for_days(&self) -> bool {
        let mut open = self.people.iter().flat_map(|it| &it.journeys).filter(|it| !it.is_over()).peekable();
        open.peek().is_some() && open.all(|journey| journey.state() == State::CoolingOff)
    }

    /// Whoever registered since identity's copy was made has to do so again, and to ask again for what has
    /// not ended.
    pub fn forget_people(&mut self, known: &BTreeSet<&str>) {
        for person in &mut self.people {
            if person.id.as_deref().is_none_or(|id| known.contains(id)) {
                continue;
            }
            person.former.extend(person.id.take());
            let open = person.journeys.iter().filter(|journey| !journey.is_over()).count();
            for _ in 0..open {
                person.journeys.push(Journey::again(person.name, person.journeys.len()));
            }
        }
    }

    /// Everybody forgets what the coordinator no longer has: it was put back to an older copy.
    pub fn forget_views(&mut self) {
        for journey in self.people.iter_mut().flat_map(|person| &mut person.journeys) {
            (journey.view, journey.verification, journey.token) = (None, None, None);
        }
    }
}

impl Journey {
    fn refused(&mut self, verb: Verb, refused: &tonic::Status) {
        match verb {
            // Another code is asked for, whatever was wrong with this one.
            Verb::Confirm | Verb::Complete => {
                (self.verification, self.token) = (None, None);
            }
            // An older copy of the coordinator does not know it: it is asked for again.
            Verb::Look if calls::is_unknown(refused) => {
                (self.id, self.view, self.case_token) = (None, None, None);
            }
            // It is good for a while only.
            Verb::Look | Verb::Revoke => self.case_token = None,
            Verb::Request => self.is_moot = calls::reason(refused) == "SUBJECT_CLOSED",
            Verb::Clear => self.is_at_a_loss = true,
            Verb::Reassess => self.is_at_a_loss = false,
            _ => {}
        }
    }

    fn waits_for_subject(&self) -> bool {
        let participants = self.view.iter().flat_map(|view| &view.participants);
        participants.flat_map(|it| &it.waiting).any(|waiting| !waiting.item_ids.is_empty())
    }

    fn has_failed(&self) -> bool {
        let mut participants = self.view.iter().flat_map(|view| &view.participants);
        participants.any(|it| it.state() == pb::ParticipantState::Failed)
    }
}
