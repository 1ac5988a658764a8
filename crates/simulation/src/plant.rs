//! Bugs that are put in on purpose, one at a time, to see that they are found. Each is a door of the
//! simulation itself: no production code knows of it.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use cancellation::receipt::{self, Receipt};
use event_store::{Append, AppendError, Engine, Expected, Memory, NewEvent, Position, StoreError, Verdict};
use keys::jws;
use messaging::{Message, Record};
use participant::contract;
use prost::Message as _;
use proto::{
    cancellation::v1::ReceiptAmended,
    participant::v1::{Acknowledgement, Answered, Instruction, InstructionKind, Outcome},
};
use types::Timestamp;

use crate::{services::key, users::CANARY};

/// Whose bug it is, where it is a participant's.
const VICTIM: &str = "wallet";
/// Where it is told what to do.
const INSTRUCTIONS: &str = "exeunt.instructions.wallet";

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A participant acknowledges an EXECUTE when it is told, before it has done anything.
    EarlyAnswer,
    /// The store takes an append of the coordinator although a stream has moved.
    IgnoredVersion,
    /// A participant executes without comparing what it finds with what was accepted.
    BlindExecution,
    /// A consumer's offset is committed before the effects of the record.
    OffsetFirst,
    /// An address of the subject's stands in a header of what is published.
    LeakedContact,
    /// A timer of the coordinator's is not written with the facts that it follows from.
    UndatedWait,
    /// A receipt that amends another says that it amends some other.
    UnlinkedAmendment,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::EarlyAnswer,
        Self::IgnoredVersion,
        Self::BlindExecution,
        Self::OffsetFirst,
        Self::LeakedContact,
        Self::UndatedWait,
        Self::UnlinkedAmendment,
    ];

    /// Whether it is the coordinator's store alone that has it.
    #[must_use]
    pub fn is_the_coordinators(self) -> bool {
        matches!(self, Self::IgnoredVersion | Self::UndatedWait | Self::UnlinkedAmendment)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EarlyAnswer => "early-answer",
            Self::IgnoredVersion => "ignored-version",
            Self::BlindExecution => "blind-execution",
            Self::OffsetFirst => "offset-first",
            Self::LeakedContact => "leaked-contact",
            Self::UndatedWait => "undated-wait",
            Self::UnlinkedAmendment => "unlinked-amendment",
        })
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|bug| bug.to_string()).join(", ");
        Self::ALL
            .into_iter()
            .find(|bug| bug.to_string() == text)
            .ok_or_else(|| format!("one of: {}", names()))
    }
}

/// Commits, and where streams moved commits all the same.
///
/// # Errors
/// [`StoreError`].
pub async fn ignoring_versions(
    memory: &Memory,
    appends: &Arc<Vec<Append>>,
) -> Result<Vec<Verdict>, StoreError> {
    let mut verdicts = memory.commit(appends).await?;
    for (append, verdict) in appends.iter().zip(&mut verdicts) {
        if !matches!(verdict, Err(AppendError::Conflict(_))) {
            continue;
        }
        let mut blind = Append { guards: Vec::new(), ..append.clone() };
        blind.streams.iter_mut().for_each(|stream| stream.expected = Expected::Any);
        let mut again = memory.commit(&Arc::new(vec![blind])).await?;
        if let Some(taken) = again.pop() {
            *verdict = taken;
        }
    }
    Ok(verdicts)
}

/// What the store is given, where that is otherwise.
#[must_use]
pub fn altered(bug: Option<Bug>, appends: &Arc<Vec<Append>>) -> Arc<Vec<Append>> {
    let mut altered = Vec::clone(appends);
    match bug {
        Some(Bug::UndatedWait) => {
            altered.iter_mut().filter(|it| !it.streams.is_empty()).for_each(|it| it.timers.clear());
        }
        Some(Bug::UnlinkedAmendment) => {
            let streams = altered.iter_mut().flat_map(|append| &mut append.streams);
            streams.flat_map(|stream| &mut stream.events).for_each(unlink);
        }
        _ => return appends.clone(),
    }
    Arc::new(altered)
}

/// Has a receipt amend none that there is, and seals it again.
fn unlink(event: &mut NewEvent) {
    if !event.kind.ends_with(".ReceiptAmended") {
        return;
    }
    let Ok(mut amended) = ReceiptAmended::decode(event.payload.clone()) else { return };
    let Some(mut receipt) = jws::parse(&amended.receipt_jws)
        .ok()
        .and_then(|sealed| serde_json::from_slice::<Receipt>(&sealed.payload).ok())
    else {
        return;
    };
    receipt.previous_digest = Some("0".repeat(64));
    let payload = serde_json::to_vec(&receipt).unwrap_or_default();
    amended.receipt_jws = jws::sign(&key("receipt"), receipt::TYPE, &payload);
    event.payload = amended.encode_to_vec().into();
}

/// The offsets of appends that have more than those; `None` when there is no such.
#[must_use]
pub fn offsets_alone(appends: &[Append]) -> Option<Vec<Append>> {
    let mixed = |append: &&Append| !append.offsets.is_empty() && !append.streams.is_empty();
    let alone = |append: &Append| Append { offsets: append.offsets.clone(), ..Append::default() };
    let offsets: Vec<Append> = appends.iter().filter(mixed).map(alone).collect();
    (!offsets.is_empty()).then_some(offsets)
}

/// The same without the offsets that [`offsets_alone`] gives.
#[must_use]
pub fn without_offsets(appends: &[Append]) -> Vec<Append> {
    let rest = |append: &Append| {
        let mut rest = append.clone();
        if !rest.streams.is_empty() {
            rest.offsets.clear();
        }
        rest
    };
    appends.iter().map(rest).collect()
}

/// What a participant says that acknowledges before it has done anything, to what it was told.
#[must_use]
pub fn early_answer(record: &Record, now: Timestamp) -> Option<Message> {
    let told = Instruction::decode(record.payload.clone()).ok()?;
    if &*record.topic != INSTRUCTIONS || told.kind() != InstructionKind::Execute {
        return None;
    }
    let answer = Acknowledgement {
        cancellation_id: told.cancellation_id.clone(),
        participant: told.participant,
        kind: told.kind,
        epoch: told.epoch,
        revision: 1,
        outcome: Outcome::Done.into(),
        assessment_digest: told.assessment_digest,
        acknowledged_at: Some(now.to_proto()),
        subject_id: told.subject_id,
        ..Acknowledgement::default()
    };
    Some(Message {
        topic: contract::ACKNOWLEDGEMENTS.into(),
        key: told.cancellation_id.into(),
        headers: Vec::new(),
        payload: Some(contract::sign(&answer, &key(VICTIM)).encode_to_vec().into()),
    })
}

/// What a bug does to what a service publishes.
#[must_use]
pub fn tampering(
    service: &str,
    bug: Option<Bug>,
    memories: &BTreeMap<&'static str, Arc<Memory>>,
) -> Box<dyn Fn(&mut Message) + Send + Sync> {
    match (bug, service) {
        (Some(Bug::LeakedContact), "identity") => Box::new(|message| {
            if &*message.topic == contract::IDENTITY_EVENTS {
                message.headers.push(("reply-to".into(), format!("{CANARY}@example.com").into()));
            }
        }),
        (Some(Bug::BlindExecution), "cancellation") => {
            let memory = memories[VICTIM].clone();
            Box::new(move |message| {
                if &*message.topic == INSTRUCTIONS {
                    blind(message, &memory);
                }
            })
        }
        _ => Box::new(|_| {}),
    }
}

/// Has an EXECUTE say what its receiver finds anyway, so that comparing finds no difference.
fn blind(message: &mut Message, memory: &Memory) {
    let Some(Ok(mut told)) = message.payload.clone().map(Instruction::decode) else { return };
    if told.kind() != InstructionKind::Execute {
        return;
    }
    let answers = memory.after(Position::default()).into_iter().filter_map(|event| {
        let answered = Answered::decode(event.payload).ok().filter(|_| event.kind.ends_with(".Answered"))?;
        Acknowledgement::decode(answered.signed?.acknowledgement).ok()
    });
    let of_case = answers.filter(|answer| answer.cancellation_id == told.cancellation_id);
    if let Some(answer) = of_case.filter(|answer| answer.assessment.is_some()).last() {
        told.assessed_at = answer.assessment.and_then(|made| made.assessed_at);
        told.assessment_digest = answer.assessment_digest;
        message.payload = Some(told.encode_to_vec().into());
    }
}
