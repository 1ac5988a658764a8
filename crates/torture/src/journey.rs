//! One subject's way out, whatever happens to the servers meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};
use proto::{cancellation::v1::State, types::v1 as words};

use crate::{
    Client,
    fleet::NAMED_SCOPE,
    settle::{Thing, give},
};

/// How long a subject waits for a quote. Under faults and load what came before has to be worked off first;
/// whether that ever ends is for the judge to say.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Journey {
    /// The named scope without gates: a request is all.
    Named,
    /// The whole account of somebody who has one thing: request, quote, verification, confirmation.
    Whole(Thing),
}

impl Journey {
    fn scope(self) -> words::scope::Kind {
        match self {
            Self::Named => words::scope::Kind::Named(NAMED_SCOPE.to_owned()),
            Self::Whole(_) => words::scope::Kind::WholeAccount(words::WholeAccount {}),
        }
    }
}

/// An accepted request, as its answer told.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The id that it was asked for with.
    pub request_id: String,
    /// Whose.
    pub subject_id: String,
    /// What.
    pub journey: Journey,
    /// The answer.
    pub cancellation_id: String,
    /// Whether an answer was lost on the way, so that the same request was sent again.
    pub lost_answer: bool,
}

/// Asks; what is accepted is told before anything further is done.
pub(crate) async fn travel(
    client: &Client,
    name: &str,
    journey: Journey,
    accepted: impl FnOnce(Accepted),
) -> Result<()> {
    let subject_id = client.register(name).await.context("registration")?;
    if let Journey::Whole(thing) = journey {
        give(client, &subject_id, thing, &format!("{name}-has")).await?;
    }
    let request_id = format!("{name}-leaves");
    let requested = client.request(&request_id, &subject_id, journey.scope()).await.context("request")?;
    let cancellation_id = requested.answer;
    accepted(Accepted {
        request_id,
        subject_id: subject_id.clone(),
        journey,
        cancellation_id: cancellation_id.clone(),
        lost_answer: requested.lost,
    });
    if let Journey::Whole(_) = journey {
        let quoted = client.until(&cancellation_id, State::AwaitingConfirmation, PATIENCE).await?;
        let digest = quoted.quote.context("a cancellation that awaits confirmation has no quote")?.digest;
        let token = client.verify(&subject_id, &cancellation_id).await.context("verification")?;
        client.confirm(&cancellation_id, &digest, &token).await.context("confirmation")?;
    }
    Ok(())
}

/// Asks the same again.
pub(crate) async fn repeat(client: &Client, accepted: &Accepted) -> Result<String> {
    let Accepted { request_id, subject_id, journey, .. } = accepted;
    Ok(client.request(request_id, subject_id, journey.scope()).await?.answer)
}
