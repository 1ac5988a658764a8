//! Who registers with a contact that a closed account had.

use event_store::StreamId;
use participant::AccountError;
use types::SubjectId;

use super::App;
use crate::{
    address::Address,
    domain::{
        self, Event, State,
        coming_back::{self, Week, judge},
        standing::Cause,
    },
    effects::known_contact_stream,
    error::Error,
    wire::events::decode,
};

/// The cause in the envelope of what a person allowed.
const ALLOWED: &str = "AllowReRegistration";

impl App {
    /// Whether somebody with these contacts may register now, as the rules of the accounts have it that
    /// had them.
    pub(super) async fn may_come_back(&self, contacts: Vec<Address>) -> Result<(), Error> {
        let now = self.accounts.now();
        for stream in self.contact_streams(contacts).await? {
            let Some(released) = self.released(&stream).await?.coming_back.released else { continue };
            let Some(pack) = self.packs.of_region(&released.region) else { continue };
            let rule = &pack.re_registration;
            judge(rule, &released, pack.after(rule.wait, released.at), now)?;
        }
        Ok(())
    }

    /// Has whoever has the contact register again, because a person says so.
    pub(crate) async fn allow(&self, contact: Address, cause: Cause) -> Result<(), Error> {
        for stream in self.contact_streams(vec![contact]).await? {
            let allow = |state: &State, _| {
                let known = state.coming_back.released.is_some();
                let event = known.then(|| coming_back::Event::Allowed(cause.clone()));
                (event.map(Event::ComingBack).into_iter().collect(), Vec::new())
            };
            self.accounts.record(&stream, ALLOWED, allow).await?;
        }
        Ok(())
    }

    /// The streams that these contacts have, should they be known, under the keys that stand.
    async fn contact_streams(&self, contacts: Vec<Address>) -> Result<Vec<SubjectId>, Error> {
        let (vault, now) = (self.vault.clone(), self.accounts.now());
        let look = move || {
            let mut streams = Vec::new();
            for week in Week::standing(now) {
                for contact in &contacts {
                    // A week without a key has none for the other contacts either.
                    let Some(stream) = known_contact_stream(&vault, week, contact)? else { break };
                    streams.extend(SubjectId::parse(&stream).ok());
                }
            }
            Ok::<_, Error>(streams)
        };
        participant::aside(look).await?
    }

    async fn released(&self, stream: &SubjectId) -> Result<State, Error> {
        let stream = StreamId::new(stream.as_str());
        let recorded = self.accounts.store().load(&stream).await.map_err(AccountError::from)?;
        let fold = |state, event: &event_store::Recorded| {
            let fact = decode(&event.kind, event.schema, &event.payload).map_err(AccountError::Unreadable)?;
            Ok::<_, Error>(domain::evolve(state, &fact))
        };
        recorded.iter().try_fold(State::default(), fold)
    }
}
