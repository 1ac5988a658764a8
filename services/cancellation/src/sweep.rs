//! What an older release opened has no timer, so that nothing would happen to it by itself: every open
//! cancellation gets the one that it should have. This is done once, page by page, by whatever replica.

use event_store::{Append, AppendError, Guard, ListQuery, LogOffset, OffsetAdvance, StreamId};
use messaging::BackOff;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{Cancellations, page_from, page_token},
    domain::Phase,
    error::Error,
    shell, streams,
    wire::{CANCELLATIONS, state_of},
};

/// Under this name stands among the offsets how far it is: the end of the last page, or that it is done.
const CONSUMER: &str = "sweep/timers";
const DONE: &str = "done";
/// How many are looked at in one transaction.
pub(crate) const PAGE: usize = 50;

/// Goes through all, if nobody has, until told to stop.
pub(crate) async fn run(cancellations: Cancellations, shutdown: CancellationToken) {
    let mut pause = BackOff::default();
    while let Some(swept) = shutdown.run_until_cancelled(sweep(&cancellations)).await {
        let Err(error) = swept else { return };
        tracing::warn!(%error, "timers of older cancellations are set later");
        if !pause.wait(&shutdown).await {
            return;
        }
    }
}

async fn sweep(cancellations: &Cancellations) -> Result<(), Error> {
    while step(cancellations).await? {}
    Ok(())
}

/// The next page, and that it is done, in one transaction. False when nothing is left.
pub(crate) async fn step(cancellations: &Cancellations) -> Result<bool, Error> {
    let store = &cancellations.store;
    let row = store.offsets(CONSUMER).await?.into_iter().next();
    if row.as_ref().is_some_and(|row| *row.incarnation == *DONE) {
        return Ok(false);
    }
    let after = row.as_ref().and_then(|row| page_from(&row.incarnation));
    let states = Phase::OPEN.map(|phase| state_of(phase).as_str_name().into()).into();
    let page = store
        .list(&ListQuery { list: CANCELLATIONS.into(), owner: None, states, after, limit: PAGE })
        .await?;
    let mut append = Append::default();
    let names: Vec<StreamId> = page.rows.iter().map(|row| row.stream.clone()).collect();
    let histories = store.load_many(&names).await?;
    for (stream, events) in names.into_iter().zip(histories) {
        match streams::fold_all(&events) {
            Ok((folded, version)) => {
                let Some(case) = folded.case.as_deref().filter(|case| case.next_due().is_some()) else {
                    continue;
                };
                append.timers.push(shell::timer(case));
                append.guards.push(Guard { stream, version });
            }
            Err(error) => tracing::error!(cancellation = %stream, %error, "left without a timer"),
        }
    }
    let seen = row.as_ref().map_or(0, |row| row.next) + i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
    let place = page.rows.last().filter(|_| page.more).map(|row| (row.since, row.stream.clone()));
    let to = LogOffset {
        consumer: CONSUMER.into(),
        topic: "".into(),
        partition: 0,
        incarnation: place.as_ref().map_or_else(|| DONE.to_owned(), page_token).into(),
        next: seen,
    };
    let from = row.map(|row| (row.incarnation, row.next));
    append.offsets.push(OffsetAdvance { from, to });
    match store.append(append).await {
        Ok(_) => Ok(page.more),
        // Another replica was faster.
        Err(AppendError::OffsetMoved { .. }) => Ok(true),
        Err(other) => Err(other.into()),
    }
}
