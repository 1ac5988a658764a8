//! A cancellation: where it stands, what blocks it, who has answered.

use proto::{cancellation::v1 as pb, participant::v1 as contract};

use super::{Lines, consequences, day, moment, money, scope, word};

/// All of it.
#[must_use]
pub fn cancellation(of: &pb::Cancellation) -> String {
    let mut lines = Lines::default();
    lines.add(format!("Cancellation {}", of.cancellation_id));
    let facts = [
        ("state", word(of.state().as_str_name(), "STATE_")),
        ("subject", of.subject_id.clone()),
        ("ends", scope(of.scope.as_ref())),
        ("channel", of.channel.clone()),
        ("requested", moment(of.requested_at.as_ref())),
        ("confirmed", moment(of.confirmed_at.as_ref())),
        ("revocable until", moment(undo_until(of))),
        ("executed from", moment(of.cooling_off_until.as_ref())),
        ("due by", day(of.due_at.as_ref())),
        ("extension", of.extension.as_ref().map(extension).unwrap_or_default()),
        ("rules", of.terms.as_ref().map(rules).unwrap_or_default()),
        ("ended", moment(of.ended_at.as_ref())),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        lines.add(format!("  {name:<16}{value}"));
    }
    for part in [
        blockers(&of.blockers),
        rejections(&of.rejections),
        differences(&of.differences),
        quote_of(of),
        participants(of),
        attention(&of.attention),
    ] {
        if !part.is_empty() {
            lines.blank();
            lines.0.push_str(&part);
        }
    }
    lines.0
}

/// The pack that it stands under.
fn rules(of: &pb::Terms) -> String {
    format!("{}, version {}", of.pack, of.version)
}

/// Whether the clock runs longer, or what that depends on.
fn extension(of: &pb::Extension) -> String {
    match &of.told_at {
        Some(told_at) => format!("told {}", moment(Some(told_at))),
        None => format!(
            "until {}, if the subject is told by {}",
            day(of.due_at.as_ref()),
            moment(of.notice_by.as_ref())
        ),
    }
}

/// In what the facts differ from those accepted before.
fn differences(all: &[pb::Difference]) -> String {
    let mut lines = Lines::default();
    if all.is_empty() {
        return lines.0;
    }
    lines.add("What is otherwise than it was accepted:");
    for one in all {
        let what = word(one.kind().as_str_name(), "DIFFERENCE_KIND_");
        let asked = if one.material { ", to be accepted anew" } else { "" };
        let about = about(&one.item_id);
        let values = match (one.before.as_str(), one.after.as_str()) {
            ("", "") => String::new(),
            (before, after) => format!(" {before} → {after}"),
        };
        lines.add(format!("  {} · {}: {what}{values}{asked}{about}", one.participant, one.code));
    }
    lines.0
}

/// Where confirming leaves no time to revoke, nothing is to be told of it.
fn undo_until(of: &pb::Cancellation) -> Option<&prost_types::Timestamp> {
    of.undo_until.as_ref().filter(|_| of.undo_until != of.confirmed_at)
}

/// What follows, or will follow once it is confirmed; nothing before there is a quote.
#[must_use]
pub fn quote_of(of: &pb::Cancellation) -> String {
    of.quote.as_ref().map(|quote| consequences::quote(quote, of.confirmed_at.is_some())).unwrap_or_default()
}

/// One line of a list.
#[must_use]
pub fn row(of: &pb::Cancellation) -> String {
    let state = word(of.state().as_str_name(), "STATE_");
    let at = moment(of.requested_at.as_ref());
    format!("{:<40}  {state:<21}  {at}  {}", of.cancellation_id, of.subject_id)
}

/// Everything that must be cleared first, each with its remedy.
#[must_use]
pub fn blockers(all: &[contract::Blocker]) -> String {
    let mut lines = Lines::default();
    if all.is_empty() {
        return lines.0;
    }
    lines.add(format!("What blocks it ({}):", all.len()));
    for (number, blocker) in all.iter().enumerate() {
        let head = [blocker.participant.clone(), blocker.code.clone(), money(blocker.amount.as_ref())];
        let head: Vec<_> = head.into_iter().filter(|part| !part.is_empty()).collect();
        lines.add(format!("  {}. {}", number + 1, head.join(" · ")));
        lines.add(format!("     {}", blocker.cause));
        lines.add(format!("     → {}{}", blocker.remedy, about(&blocker.item_id)));
    }
    lines.0
}

/// What cannot be asked at all, and what can instead.
#[must_use]
pub fn rejections(all: &[contract::Rejection]) -> String {
    let mut lines = Lines::default();
    if all.is_empty() {
        return lines.0;
    }
    lines.add("Why it was rejected:");
    for rejection in all {
        let about = about(&rejection.item_id);
        lines.add(format!("  {} · {}: {}{about}", rejection.participant, rejection.code, rejection.cause));
        if !rejection.basis.is_empty() {
            lines.add(format!("     basis: {}", rejection.basis));
        }
        if !rejection.remedy.is_empty() {
            lines.add(format!("     → {}", rejection.remedy));
        }
    }
    lines.0
}

fn about(item_id: &str) -> String {
    if item_id.is_empty() { String::new() } else { format!(" [{item_id}]") }
}

/// What of it waits for a person, whose it is, and by when.
#[must_use]
pub fn attention(all: &[pb::Attention]) -> String {
    let mut lines = Lines::default();
    if all.is_empty() {
        return lines.0;
    }
    lines.add("What waits for a person:");
    for one in all {
        let level = word(one.level().as_str_name(), "ATTENTION_LEVEL_");
        let due = moment(one.due_at.as_ref());
        lines.add(format!("  {} ({level}; with {}, until {due})", one.text, one.owner));
    }
    lines.0
}

/// Who must acknowledge, and who has.
#[must_use]
pub fn participants(of: &pb::Cancellation) -> String {
    let mut lines = Lines::default();
    if of.participants.is_empty() {
        return lines.0;
    }
    let widest = of.participants.iter().map(|one| one.name.len()).max().unwrap_or_default();
    lines.add("Participants:");
    for one in &of.participants {
        lines.add(format!("  {:<widest$}  {}", one.name, participant(one)));
    }
    lines.0
}

/// Where one participant stands, in a few words.
#[must_use]
pub fn participant(of: &pb::Participant) -> String {
    match of.state() {
        pb::ParticipantState::Unspecified => "unknown".into(),
        pb::ParticipantState::Assessing => "is assessing".into(),
        pb::ParticipantState::Assessed => "has assessed".into(),
        pb::ParticipantState::Pending if of.after.is_empty() => "will be told to execute".into(),
        pb::ParticipantState::Pending => format!("comes after {}", of.after.join(", ")),
        pb::ParticipantState::Instructed => "is executing".into(),
        pb::ParticipantState::Waiting => waiting(of.waiting.as_ref()),
        pb::ParticipantState::Finished => finished(of),
        pb::ParticipantState::Failed => failed(of.failure.as_ref()),
        pb::ParticipantState::Frozen => frozen(of),
        pb::ParticipantState::Undoing => "is taking back what it suspended".into(),
        pb::ParticipantState::Undone => undone(of),
        pb::ParticipantState::NotUndone => format!("could not take it back; {}", undone(of)),
    }
}

fn frozen(of: &pb::Participant) -> String {
    match &of.undo_until {
        Some(until) => format!("has suspended what it can, revocable until {}", moment(Some(until))),
        None => "has suspended what it can".into(),
    }
}

/// What became of the way back, and what is left for the subject to do.
fn undone(of: &pb::Participant) -> String {
    let mut text = match (of.state(), of.outcome()) {
        (pb::ParticipantState::NotUndone, _) => failed(of.failure.as_ref()),
        (_, contract::Outcome::Done) => "has taken back what it had suspended".into(),
        _ => "had nothing to take back".into(),
    };
    for item in &of.remaining {
        let link = if item.link.is_empty() { String::new() } else { format!(": {}", item.link) };
        text.push_str(&format!("; {}{link}", item.text));
    }
    text
}

fn waiting(of: Option<&contract::Waiting>) -> String {
    let Some(of) = of else { return "is waiting".into() };
    let on = word(of.waiting_on().as_str_name(), "WAITING_ON_");
    let article = if of.waiting_on() == contract::WaitingOn::Unspecified { "" } else { "the " };
    let mut text = format!("waits for {article}{on}");
    if !of.code.is_empty() {
        text.push_str(&format!(" ({})", word(&of.code, "")));
    }
    if of.until.is_some() {
        text.push_str(&format!(", expected until {}", day(of.until.as_ref())));
    }
    if !of.remedy.is_empty() {
        text.push_str(&format!("; {}", of.remedy));
    }
    if !of.link.is_empty() {
        text.push_str(&format!(": {}", of.link));
    }
    text
}

fn finished(of: &pb::Participant) -> String {
    if let Some(attested) = &of.attestation {
        return format!("attested by {}: {}", attested.attested_by, attested.evidence);
    }
    let outcome = word(of.outcome().as_str_name(), "OUTCOME_");
    let at = moment(of.acknowledged_at.as_ref());
    match of.kept.len() {
        0 => format!("acknowledged: {outcome}, {at}"),
        kept => format!("acknowledged: {outcome}, {kept} kept by law, {at}"),
    }
}

fn failed(of: Option<&contract::Failure>) -> String {
    of.map_or_else(
        || "failed".into(),
        |failure| format!("failed: {} ({}; with {})", failure.cause, failure.code, failure.owner),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocker() -> contract::Blocker {
        contract::Blocker {
            participant: "till".into(),
            code: "BALANCE_REMAINING".into(),
            cause: "CNY 128.40 is left.".into(),
            remedy: "Pay it out.".into(),
            item_id: "CNY".into(),
            amount: Some(proto::types::v1::Money { currency_code: "CNY".into(), minor_units: 12_840 }),
        }
    }

    #[test]
    fn a_blocked_cancellation_names_each_blocker_with_its_remedy() {
        let of = pb::Cancellation {
            cancellation_id: "can_1".into(),
            subject_id: "sbj_1".into(),
            state: pb::State::Blocked.into(),
            blockers: vec![blocker()],
            participants: vec![pb::Participant {
                name: "till".into(),
                state: pb::ParticipantState::Assessed.into(),
                ..pb::Participant::default()
            }],
            ..pb::Cancellation::default()
        };
        let expected = "\
Cancellation can_1
  state           blocked
  subject         sbj_1
  ends            nothing

What blocks it (1):
  1. till · BALANCE_REMAINING · CNY 128.40
     CNY 128.40 is left.
     → Pay it out. [CNY]

Participants:
  till  has assessed
";
        assert_eq!(cancellation(&of), expected);
    }

    #[test]
    fn what_was_confirmed_is_not_to_be_confirmed_again_nor_revocable_at_once() {
        let at = Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let mut of = pb::Cancellation {
            quote: Some(pb::Quote { digest: "ab".into(), ..pb::Quote::default() }),
            ..pb::Cancellation::default()
        };
        assert!(cancellation(&of).contains("  Digest to confirm: ab\n"));
        (of.confirmed_at, of.undo_until) = (at, at);
        let told = cancellation(&of);
        assert!(told.contains("  Confirmed digest: ab\n") && !told.contains("revocable"), "{told}");
        of.undo_until = Some(prost_types::Timestamp { seconds: 1_763_712_060, nanos: 0 });
        assert!(cancellation(&of).contains("revocable until 2025-11-21"), "{}", cancellation(&of));
    }

    #[test]
    fn what_waits_for_a_person_says_why_whose_it_is_and_by_when() {
        let attention = pb::Attention {
            level: pb::AttentionLevel::Overdue.into(),
            text: "till failed.".into(),
            owner: "tills".into(),
            due_at: Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 }),
            ..pb::Attention::default()
        };
        let told = cancellation(&pb::Cancellation { attention: vec![attention], ..Default::default() });
        assert!(told.contains("\n  till failed. (overdue; with tills, until 2025-11-21"), "{told}");
    }

    #[test]
    fn a_participant_that_waits_says_for_whom_where_and_until_when() {
        let waiting = contract::Waiting {
            waiting_on: contract::WaitingOn::Subject.into(),
            until: Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 }),
            link: "https://example.com".into(),
            code: "STORE_SUBSCRIPTION".into(),
            item_ids: Vec::new(),
            ..contract::Waiting::default()
        };
        let of = pb::Participant {
            state: pb::ParticipantState::Waiting.into(),
            waiting: Some(waiting),
            ..pb::Participant::default()
        };
        let expected =
            "waits for the subject (store subscription), expected until 2025-11-21: https://example.com";
        assert_eq!(participant(&of), expected);
    }
}
