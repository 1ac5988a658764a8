//! Bulk retries: an operator begins one, a timer carries it on step by step on whatever replica, and
//! each step can be taken again.

use std::{sync::Arc, time::Duration};

use event_store::{Append, AppendError, Expected, ListQuery, Listed, StreamAppend, StreamId, TimerChange};
use participant::RequestClaim;
use types::{Caller, CancellationId, Tenant, Timestamp, fresh_uuid};

use crate::{
    app::{Cancellations, Change, metadata},
    domain::{
        Action, Operation, Words,
        bulk::{Allowance, Bulk, BulkEvent, evolve},
    },
    error::Error,
    wire::{self, ATTENTION, OPEN},
};

/// The kind of a bulk retry's timer.
pub(crate) const TIMER: &str = "bulk";
/// How many cancellations a step looks at, at the most.
const LOOKED_AT_MAX: usize = 1_000;
/// How many of them it reads at once, and how many participants it tells before it rests.
const STEP_MAX: usize = 50;
/// How often a change is decided again when the bulk retry moved under it.
const ATTEMPTS_MAX: usize = 16;

/// What one step did.
struct Step {
    after: Option<(Timestamp, Arc<str>)>,
    retried: u64,
    skipped: u64,
    /// Whether nothing is left.
    over: bool,
    /// How long to wait before the next one: as long as those who were told need. What was only looked
    /// at costs nobody anything.
    rest: Duration,
}

impl Cancellations {
    /// Begins one; the same request again is the same one.
    pub(crate) async fn start_bulk(
        &self,
        caller: &Caller,
        claim: Option<RequestClaim>,
        bulk: Bulk,
    ) -> Result<(String, Bulk), Error> {
        if let Some(claim) = &claim
            && let Some(value) = self.store.claim(claim.key()).await?
        {
            return self.bulk(claim.same(&value)?).await.map(|(id, bulk, _)| (id, bulk));
        }
        let id = format!("blk_{}", fresh_uuid().simple());
        let (at, due) = (bulk.started_at, bulk.started_at);
        let started = BulkEvent::Started(Arc::new(bulk.clone()));
        let mut append = changing(&id, 0, &caller.name, at, &[started]);
        append.timers.push(TimerChange::Set { stream: StreamId::new(id.as_str()), kind: TIMER.into(), due });
        append.claims.extend(claim.as_ref().map(|claim| claim.claim(&id)));
        match self.store.append(append).await {
            Ok(_) => Ok((id, bulk)),
            Err(AppendError::Claimed { value, .. }) => match &claim {
                Some(claim) => self.bulk(claim.same(&value)?).await.map(|(id, bulk, _)| (id, bulk)),
                None => Err(Error::Conflict),
            },
            Err(other) => Err(other.into()),
        }
    }

    /// How one stands: its id, itself, and the version of its stream.
    pub(crate) async fn bulk(&self, id: String) -> Result<(String, Bulk, u64), Error> {
        let (folded, version) = self.folded(&StreamId::new(id.as_str())).await?;
        match Arc::unwrap_or_clone(folded).bulk {
            Some(bulk) => Ok((id, bulk, version)),
            None => Err(Error::NoBulkRetry(id)),
        }
    }

    /// Stops one; what it has told it has told.
    pub(crate) async fn cancel_bulk(
        &self,
        caller: &Caller,
        id: String,
        reason: &str,
    ) -> Result<(String, Bulk), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (_, bulk, version) = self.bulk(id.clone()).await?;
            if bulk.ended.is_some() {
                return Ok((id, bulk));
            }
            let at = self.shell.clock.now();
            let (actor, reason) = (caller.name.clone(), reason.to_owned());
            let ended = BulkEvent::Ended { cancelled: true, actor, reason, at };
            let mut append = changing(&id, version, &caller.name, at, std::slice::from_ref(&ended));
            append.timers.push(TimerChange::Clear { stream: StreamId::new(id.as_str()), kind: TIMER.into() });
            match self.store.append(append).await {
                Ok(_) => return Ok((id, evolve(Some(bulk.clone()), ended).unwrap_or(bulk))),
                Err(AppendError::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// Takes the next step of one, and sets its timer to the one after. What a step did before it was
    /// cut short is not done again: each retry has a claim of its own.
    pub(crate) async fn step_bulk(&self, id: &str) -> Result<bool, Error> {
        let (_, bulk, version) = self.bulk(id.to_owned()).await?;
        let (stream, kind) = (StreamId::new(id), Arc::<str>::from(TIMER));
        if bulk.ended.is_some() {
            let cleared = vec![TimerChange::Clear { stream, kind }];
            self.store.append(Append { timers: cleared, ..Append::default() }).await?;
            return Ok(true);
        }
        let Step { after, retried, skipped, over, rest } = self.retry_some(id, &bulk).await?;
        let at = self.shell.clock.now();
        let mut events: Vec<BulkEvent> = Vec::new();
        events.extend(after.map(|after| BulkEvent::Progressed { after, retried, skipped }));
        if over {
            let (actor, reason) = (bulk.actor.clone(), String::new());
            events.push(BulkEvent::Ended { cancelled: false, actor, reason, at });
        }
        let mut append = changing(id, version, &crate::NAME.into(), at, &events);
        append.timers.push(if over {
            TimerChange::Clear { stream, kind }
        } else {
            TimerChange::Set { stream, kind, due: at.plus(rest) }
        });
        match self.store.append(append).await {
            Ok(_) => Ok(true),
            // Another replica took the step, or somebody stopped it.
            Err(AppendError::Conflict(_)) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Tells as many as one step may, in the list's order, and looks past those that are not meant.
    async fn retry_some(&self, id: &str, bulk: &Bulk) -> Result<Step, Error> {
        let mut step = Step { after: None, retried: 0, skipped: 0, over: false, rest: Duration::ZERO };
        let (mut allowance, mut looked_at) = (bulk.allowance(), 0);
        let mut after = bulk.after.clone().map(|(since, stream)| (since, StreamId::new(stream)));
        let mut goes_on = true;
        while goes_on {
            let (list, states, limit) = (ATTENTION.into(), vec![OPEN.into()], STEP_MAX);
            let page = self.store.list(&ListQuery { list, owner: None, states, after, limit }).await?;
            let all = self.retry_page(id, bulk, &page.rows, (&mut allowance, &mut step)).await?;
            step.over = all && !page.more;
            looked_at += page.rows.len();
            after = page.rows.last().map(|row| (row.since, row.stream.clone()));
            let done = step.retried + step.skipped;
            goes_on = all && page.more && looked_at < LOOKED_AT_MAX && done < STEP_MAX as u64;
        }
        step.rest = allowance.spent(bulk.pace());
        Ok(step)
    }

    /// Tells those of a page; false when one of them may be told no more in this step.
    async fn retry_page(
        &self,
        id: &str,
        bulk: &Bulk,
        rows: &[Listed],
        (allowance, step): (&mut Allowance, &mut Step),
    ) -> Result<bool, Error> {
        // Those that are there, in the rows' order.
        let mut cases = self.cases(rows).await?.into_iter().peekable();
        for row in rows {
            let case = cases.next_if(|case| case.request.id.as_str() == row.stream.as_str());
            let meant = case.map_or_else(Vec::new, |case| bulk.meant(&case));
            if !allowance.has(&meant) {
                return Ok(false);
            }
            for participant in meant {
                if self.retry_one(id, bulk, &row.stream, &participant).await? {
                    allowance.told(participant);
                    step.retried += 1;
                } else {
                    step.skipped += 1;
                }
            }
            step.after = Some((row.since, row.stream.shared()));
        }
        Ok(true)
    }

    async fn retry_one(
        &self,
        id: &str,
        bulk: &Bulk,
        case: &StreamId,
        participant: &types::ParticipantName,
    ) -> Result<bool, Error> {
        let Ok(case) = CancellationId::parse(case.as_str()) else { return Ok(false) };
        let caller = Caller { tenant: Tenant::local(), name: bulk.actor.clone(), roles: Vec::new() };
        let request_id = format!("{id}/{case}/{participant}");
        let claim =
            RequestClaim::new(&caller, &request_id, self.secret.hmac(TIMER, &[request_id.as_bytes()]));
        let change = Change { caller: &caller, claim, id: &case };
        let action = Action::Retry { participant: participant.clone() };
        // The bulk retry has the reason; here its id tells which one it was.
        let (actor, reason) = (&bulk.actor, Words::from(id));
        let operation =
            |at| Operation { action: action.clone(), actor: actor.clone(), reason: reason.clone(), at };
        match self.operate(change, operation).await {
            Ok(_) => Ok(true),
            // It came by itself meanwhile, or its history is another release's.
            Err(Error::Rejected(_) | Error::NotFound(_) | Error::Unreadable(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

fn changing(id: &str, version: u64, actor: &Arc<str>, at: Timestamp, events: &[BulkEvent]) -> Append {
    let encode = |event| wire::bulk::encode(event).into();
    let stream = StreamAppend {
        stream: StreamId::new(id),
        expected: Expected::Exactly(version),
        metadata: metadata(actor.clone(), "", id),
        at,
        events: events.iter().map(encode).collect(),
    };
    let streams = if events.is_empty() { Vec::new() } else { vec![stream] };
    Append { streams, ..Append::default() }
}
