//! Participants that are not ours, in the same process: for tests, the bench, and whoever embeds us.

use std::{pin::Pin, sync::Arc};

use participant::{Options, Participant, Runtime, StartError};
use types::ParticipantName;

use super::{part::Part, readiness::Watched};

type Starting = Pin<Box<dyn Future<Output = Result<(Part, Watched), StartError>> + Send>>;

/// A participant to be started beside our own, with a store and a key of its own.
pub struct Guest {
    name: ParticipantName,
    start: Box<dyn FnOnce(Options) -> Starting + Send>,
}

impl Guest {
    /// Has this participant join.
    #[must_use]
    pub fn new<P: Participant>(participant: Arc<P>) -> Self {
        let name = participant.name().clone();
        let part = name.to_string();
        let start = move |options| -> Starting {
            Box::pin(async move {
                let runtime = Runtime::new(participant, options, true).await?;
                let watched = Watched::new(&part, None, &runtime.consumer());
                Ok((Part::new(part, |stop| runtime.run(stop)), watched))
            })
        };
        Self { name, start: Box::new(start) }
    }

    /// Its name, as the roster must have it.
    #[must_use]
    pub fn name(&self) -> &ParticipantName {
        &self.name
    }

    pub(super) async fn start(self, options: Options) -> Result<(Part, Watched), StartError> {
        (self.start)(options).await
    }
}
