//! One cancellation, from request to completed.

use std::time::Duration;

use anyhow::{Context, Result};
use proto::{
    cancellation::v1::State,
    types::v1::{WholeAccount, scope::Kind},
};
use tokio::time::timeout;

use crate::{client::Client, unit};

/// Beyond this, a cancellation counts as stuck and the measurement as failed.
const COMPLETES_WITHIN: Duration = Duration::from_secs(60);

/// What is done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Workload {
    /// A scope without gates: six units execute at once.
    FanOut,
    /// A whole account: assessed, quoted, verified, confirmed, executed in order.
    Full,
}

impl Workload {
    /// As one says it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::FanOut => "fan_out",
            Self::Full => "full",
        }
    }

    /// Whether the units take part.
    pub fn with_units(self) -> bool {
        self == Self::FanOut
    }

    /// Completes a cancellation of that subject, seals its receipt, and gives its id.
    pub async fn play(self, client: &mut Client, subject_id: &str) -> Result<String> {
        let play = async {
            match self {
                Self::FanOut => fan_out(client, subject_id).await,
                Self::Full => full(client, subject_id).await,
            }
        };
        timeout(COMPLETES_WITHIN, play).await.context("a cancellation does not complete")?
    }
}

async fn fan_out(client: &mut Client, subject_id: &str) -> Result<String> {
    client.request(subject_id, Kind::Named(unit::SCOPE.to_owned())).await?.completed().await
}

async fn full(client: &mut Client, subject_id: &str) -> Result<String> {
    let mut watch = client.request(subject_id, Kind::WholeAccount(WholeAccount {})).await?;
    let quoted = watch.until(State::AwaitingConfirmation).await?;
    let token = client.verify(&quoted).await?;
    client.confirm(&quoted, token).await?;
    watch.completed().await
}
