//! The judge: compares what was accepted with what the stores say, once things have come to rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cancellation::receipt;
use proto::cancellation::v1::State;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    Client, Fleet,
    fleet::{PARTICIPANTS, ROLES},
    journey::{Accepted, Journey, repeat},
    ledger::Ledger,
    load::Asked,
    settle::Thing,
};

/// How many calls the judge has under way.
const AT_ONCE: usize = 16;
/// How many of each kind of finding are told.
const TOLD_MAX: usize = 20;

/// What the judge found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many requests were accepted.
    pub accepted: usize,
    /// How many of them have completed, as the coordinator's store says.
    pub completed: usize,
    /// What was accepted and has not happened.
    pub lost: Vec<String>,
    /// What happened more than once, or unasked.
    pub doubled: Vec<String>,
    /// Gaps, parked records, receipts that do not verify, journeys that failed.
    pub faults: Vec<String>,
    /// How many answers of requests were lost, so that the same request was sent again.
    pub lost_answers: usize,
    /// How many records came to topics once more.
    pub repeated: usize,
}

impl Verdict {
    /// Whether all is as it must be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.completed == self.accepted
            && self.lost.is_empty()
            && self.doubled.is_empty()
            && self.faults.is_empty()
    }

    /// # Errors
    /// Everything that was found, when anything was; or that nothing was accepted at all.
    pub fn ensure_good(&self) -> Result<()> {
        ensure!(self.accepted > 0, "nothing was accepted, so nothing was tried");
        ensure!(self.is_good(), "{self}\n{}", self.findings());
        Ok(())
    }

    /// What was found, a line each.
    #[must_use]
    pub fn findings(&self) -> String {
        let told = |what: &'static str, found: &[String]| {
            let lines = found.iter().take(TOLD_MAX).map(|line| format!("{what}: {line}")).collect::<Vec<_>>();
            let more = found.len().saturating_sub(TOLD_MAX);
            lines.into_iter().chain((more > 0).then(|| format!("{what}: {more} more")))
        };
        let all = told("lost", &self.lost).chain(told("doubled", &self.doubled));
        all.chain(told("fault", &self.faults)).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, completed, lost, doubled, .. } = self;
        write!(
            f,
            "{accepted} accepted, {completed} completed, {} lost, {} doubled",
            lost.len(),
            doubled.len()
        )
    }
}

/// Waits for rest, checks receipts and repeated requests through the API, stops the processes, and
/// counts in the stores. Nothing may be parked but the keys that were planted, and each of them must be.
///
/// # Errors
/// When the judge itself cannot do its work; what it finds is in the verdict.
pub async fn judge(
    fleet: &mut Fleet,
    asked: Asked,
    planted: &BTreeSet<String>,
    quiet: Duration,
) -> Result<Verdict> {
    let Asked { accepted, failed } = asked;
    let mut verdict = Verdict { accepted: accepted.len(), ..Verdict::default() };
    verdict.lost_answers = accepted.iter().filter(|it| it.lost_answer).count();
    verdict.faults.extend(failed.iter().map(|error| format!("{error:#}")));
    let client = fleet.client();
    let keys = Arc::new(client.keys().await?);
    let accepted = Arc::new(accepted);

    let mut checks = JoinSet::new();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let deadline = tokio::time::Instant::now() + quiet;
    for _ in 0..AT_ONCE {
        let (accepted, next, client, keys) = (accepted.clone(), next.clone(), client.clone(), keys.clone());
        checks.spawn(async move {
            let mut found = Vec::new();
            while let Some(one) = accepted.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                let left = deadline.saturating_duration_since(tokio::time::Instant::now());
                if let Err(error) = check(&client, &keys, one, left.max(Duration::from_secs(1))).await {
                    found.push(format!("{} of {}: {error:#}", one.cancellation_id, one.subject_id));
                }
            }
            found
        });
    }
    while let Some(found) = checks.join_next().await {
        verdict.faults.extend(found?);
    }
    fleet.stop().await?;
    let mut ledgers = Vec::new();
    for service in ROLES {
        ledgers.push(Ledger::read(service, &fleet.ledger_url(service)).await?);
    }
    compare(&mut verdict, &accepted, &ledgers, failed.is_empty());
    let parked: BTreeSet<String> = ledgers.iter().flat_map(|ledger| ledger.planted.iter().cloned()).collect();
    let strays = parked.symmetric_difference(planted);
    verdict.faults.extend(strays.map(|key| format!("{key}: planted and not parked, or the reverse")));
    Ok(verdict)
}

/// It completes; its receipt proves it; where an answer was lost, the same request is the same cancellation.
async fn check(client: &Client, keys: &keys::JwkSet, one: &Accepted, within: Duration) -> Result<()> {
    client.until(&one.cancellation_id, State::Completed, within).await?;
    let sealed = client.receipt(&one.cancellation_id).await?;
    let proven = receipt::verify(&sealed, keys).context("the receipt does not verify")?;
    ensure!(proven.cancellation_id == one.cancellation_id, "the receipt is another cancellation's");
    ensure!(proven.subject_id == one.subject_id, "the receipt is another subject's");
    ensure!(proven.acknowledgements.len() == PARTICIPANTS.len(), "the receipt lacks acknowledgements");
    if one.lost_answer {
        let again = timeout(within, repeat(client, one)).await.context("the repeated request")??;
        ensure!(again == one.cancellation_id, "the repeated request is another cancellation: {again}");
    }
    Ok(())
}

/// Counts. `all_known` says that every request was answered, so that nothing else may have begun.
fn compare(verdict: &mut Verdict, accepted: &[Accepted], ledgers: &[Ledger], all_known: bool) {
    verdict.faults.extend(ledgers.iter().flat_map(|ledger| ledger.faults.iter().cloned()));
    let ids: BTreeSet<&str> = accepted.iter().map(|it| it.cancellation_id.as_str()).collect();
    if ids.len() != accepted.len() {
        verdict.doubled.push("two requests were answered with the same cancellation".to_owned());
    }
    let whole: BTreeSet<&str> = accepted
        .iter()
        .filter(|it| it.journey != Journey::Named)
        .map(|it| it.cancellation_id.as_str())
        .collect();
    for ledger in ledgers {
        if PARTICIPANTS.contains(&ledger.service.as_str()) {
            let what = format!("{}'s successful end", ledger.service);
            once(
                verdict,
                &what,
                &ids,
                ledger.ends.iter().map(|(id, times)| (id.as_str(), *times)),
                all_known,
            );
        } else {
            let completed = ledger.of("exeunt.cancellation.v1.Completed");
            verdict.completed = ids.iter().filter(|id| completed.contains_key(**id)).count();
            for (kind, wanted) in [("Requested", &ids), ("Completed", &ids), ("Confirmed", &whole)] {
                let found = ledger.of(&format!("exeunt.cancellation.v1.{kind}"));
                let found = found.iter().map(|(id, times)| (&**id, *times));
                once(verdict, kind, wanted, found, all_known);
            }
        }
    }
    let of_whole: BTreeSet<&str> = subjects(accepted, |journey| journey != Journey::Named);
    let mut effects = vec![
        ("identity", "exeunt.identity.v1.KeyDestroyed", of_whole.clone()),
        ("identity", "exeunt.identity.v1.SubjectClosed", of_whole.clone()),
        ("cancellation", "exeunt.cancellation.v1.SubjectClosed", of_whole),
    ];
    for thing in Thing::ALL {
        let (service, kind) = thing.end();
        effects.push((service, kind, subjects(accepted, |journey| journey == Journey::Whole(thing))));
    }
    for (service, kind, wanted) in effects {
        let Some(ledger) = ledgers.iter().find(|ledger| ledger.service == service) else { continue };
        let found = ledger.of(kind);
        once(verdict, kind, &wanted, found.iter().map(|(subject, times)| (&**subject, *times)), all_known);
    }
}

/// Whose journeys are such.
fn subjects(accepted: &[Accepted], such: impl Fn(Journey) -> bool) -> BTreeSet<&str> {
    accepted.iter().filter(|it| such(it.journey)).map(|it| it.subject_id.as_str()).collect()
}

/// Each that is wanted is found exactly once, and nothing else. Whatever is found more than once is told,
/// also where nobody knows all that was asked for.
fn once<'a>(
    verdict: &mut Verdict,
    what: &str,
    wanted: &BTreeSet<&str>,
    found: impl Iterator<Item = (&'a str, usize)>,
    all_known: bool,
) {
    let found: BTreeMap<&str, usize> = found.collect();
    let lost = wanted.iter().filter(|id| !found.contains_key(**id));
    verdict.lost.extend(lost.map(|id| format!("{what} of {id}")));
    let again = found.iter().filter(|(_, times)| **times > 1);
    verdict.doubled.extend(again.map(|(id, times)| format!("{what}: {times} times in {id}")));
    let unasked = found.keys().filter(|id| all_known && !wanted.contains(**id));
    verdict.doubled.extend(unasked.map(|id| format!("{what} of {id}, which nobody asked for")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(id: &str, journey: Journey) -> Accepted {
        Accepted {
            request_id: format!("{id}-leaves"),
            subject_id: format!("subject of {id}"),
            journey,
            cancellation_id: id.to_owned(),
            lost_answer: false,
        }
    }

    /// Ledgers of an installation where everything has happened once.
    fn ledgers(all: &[Accepted]) -> Vec<Ledger> {
        let mut ledgers: Vec<Ledger> = ROLES
            .iter()
            .map(|service| Ledger { service: (*service).to_owned(), ..Ledger::default() })
            .collect();
        let mut happened = |service: &str, kind: &str, stream: &str| {
            let ledger = ledgers.iter_mut().find(|it| it.service == service).unwrap();
            *ledger.counts.entry(kind.into()).or_default().entry(stream.into()).or_default() += 1;
        };
        for one in all {
            for kind in ["Requested", "Completed"] {
                happened("cancellation", &format!("exeunt.cancellation.v1.{kind}"), &one.cancellation_id);
            }
            if let Journey::Whole(thing) = one.journey {
                let (service, kind) = thing.end();
                happened(service, kind, &one.subject_id);
                happened("cancellation", "exeunt.cancellation.v1.Confirmed", &one.cancellation_id);
                happened("cancellation", "exeunt.cancellation.v1.SubjectClosed", &one.subject_id);
                happened("identity", "exeunt.identity.v1.KeyDestroyed", &one.subject_id);
                happened("identity", "exeunt.identity.v1.SubjectClosed", &one.subject_id);
            }
        }
        for ledger in ledgers.iter_mut().filter(|it| PARTICIPANTS.contains(&it.service.as_str())) {
            ledger.ends.extend(all.iter().map(|one| (one.cancellation_id.clone(), 1)));
        }
        ledgers
    }

    fn judged(all: &[Accepted], ledgers: &[Ledger]) -> Verdict {
        let mut verdict = Verdict { accepted: all.len(), ..Verdict::default() };
        compare(&mut verdict, all, ledgers, true);
        verdict
    }

    fn two() -> [Accepted; 2] {
        [accepted("one", Journey::Named), accepted("two", Journey::Whole(Thing::Benefit))]
    }

    #[test]
    fn what_has_happened_once_is_good() {
        let verdict = judged(&two(), &ledgers(&two()));
        verdict.ensure_good().unwrap();
        assert_eq!(verdict.to_string(), "2 accepted, 2 completed, 0 lost, 0 doubled");
    }

    #[test]
    fn what_is_missing_is_lost() {
        let mut missing = ledgers(&two());
        missing[0].counts.get_mut("exeunt.cancellation.v1.Completed").unwrap().remove("one");
        missing[4].ends.remove("two");
        missing[4].counts.clear();
        let verdict = judged(&two(), &missing);
        assert_eq!((verdict.completed, verdict.lost.len(), verdict.doubled.len()), (1, 3, 0), "{verdict:?}");
        assert!(!verdict.is_good());
    }

    #[test]
    fn what_happens_twice_or_unasked_is_doubled() {
        let mut twice = ledgers(&two());
        *twice[1].ends.get_mut("one").unwrap() = 2;
        let kinds = twice[0].counts.get_mut("exeunt.cancellation.v1.Requested").unwrap();
        kinds.insert("three".into(), 1);
        *twice[4].counts.get_mut("exeunt.wallet.v1.BenefitLapsed").unwrap().values_mut().next().unwrap() = 2;
        let verdict = judged(&two(), &twice);
        assert_eq!((verdict.lost.len(), verdict.doubled.len()), (0, 3), "{verdict:?}");
    }

    #[test]
    fn an_effect_on_somebody_else_is_lost_and_doubled() {
        let mut wrong = ledgers(&two());
        let lapsed = wrong[4].counts.get_mut("exeunt.wallet.v1.BenefitLapsed").unwrap();
        let times = lapsed.remove("subject of two").unwrap();
        lapsed.insert("subject of one".into(), times);
        let verdict = judged(&two(), &wrong);
        let kind = "exeunt.wallet.v1.BenefitLapsed";
        assert_eq!(verdict.lost, [format!("{kind} of subject of two")]);
        assert_eq!(verdict.doubled, [format!("{kind} of subject of one, which nobody asked for")]);
    }

    #[test]
    fn what_is_parked_or_has_a_gap_is_not_good() {
        let mut faulty = ledgers(&two());
        faulty[2].faults.push("subscription: position 3 follows 1".to_owned());
        assert!(judged(&two(), &faulty).ensure_good().is_err());
    }
}
