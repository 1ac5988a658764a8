//! Guardians, and their consent to the end of an account.

use event_store::StreamId;
use keys::{Jwk, JwkSet, VerificationClaims};
use participant::AccountError;
use types::{CancellationId, SubjectId, Timestamp};

use super::{App, Asked};
use crate::{
    domain::{
        self, Command, Event, Rejection, State, TokenId,
        guardian::{self, Shown},
    },
    error::Error,
    token_key,
    wire::{events, guardian as wire},
};

impl App {
    /// Notes who is whose guardian.
    pub(crate) async fn record_guardian(&self, asked: Asked<'_>, record: wire::Record) -> Result<(), Error> {
        let wire::Record { subject, guardian, ground } = record;
        // A guardian is somebody: who is unknown could never be verified, and nobody could leave.
        let known = self.accounts.get(&guardian).await?;
        if known.closed.is_some() {
            return Err(AccountError::Closed.into());
        }
        self.guard(asked, &subject, guardian::Command::Record { guardian, ground }).await
    }

    /// Notes who is whose guardian no more.
    pub(crate) async fn end_guardian(&self, asked: Asked<'_>, end: wire::End) -> Result<(), Error> {
        let wire::End { subject, guardian, cause } = end;
        self.guard(asked, &subject, guardian::Command::End { guardian, cause }).await
    }

    /// Takes a guardian's consent, if the token shows that it is one.
    pub(crate) async fn consent(&self, asked: Asked<'_>, consent: wire::Consent) -> Result<(), Error> {
        let wire::Consent { subject, cancellation, token } = consent;
        self.await_case(&subject, |account| account.cases.contains_key(&cancellation)).await?;
        let shown = self.shown(&token).await?;
        self.guard(asked, &subject, guardian::Command::Consent { cancellation, shown }).await
    }

    /// Whether somebody guards the subject: only then are they verified for its cancellation.
    pub(super) async fn guards(&self, ward: &SubjectId, guardian: &SubjectId) -> Result<(), Error> {
        let account = self.accounts.get(ward).await?;
        let guards = account.state.guardians.guardians.contains_key(guardian);
        if guards { Ok(()) } else { Err(Rejection::NotGuardian.into()) }
    }

    /// What a token says that one of the keys published here signed.
    async fn shown(&self, token: &str) -> Result<Shown, Error> {
        let stream = StreamId::new(token_key::STREAM);
        let recorded = self.accounts.store().load(&stream).await.map_err(AccountError::from)?;
        let jwk =
            |event: &event_store::Recorded| match events::decode(&event.kind, event.schema, &event.payload) {
                Ok(Event::TokenKeyPublished { jwk_json }) => Jwk::parse(&jwk_json).ok(),
                _ => None,
            };
        let keys: JwkSet = recorded.iter().filter_map(jwk).collect();
        let claims = VerificationClaims::verify(token, &keys).map_err(Error::TokenInvalid)?;
        let foreign = |_| Error::from(Rejection::TokenForeign);
        Ok(Shown {
            subject: SubjectId::parse(&claims.sub).map_err(foreign)?,
            cancellation: CancellationId::parse(&claims.can).map_err(foreign)?,
            token: TokenId::parse(&claims.jti).map_err(foreign)?,
            expires_at: Timestamp::from_micros(claims.exp.saturating_mul(1_000_000)),
        })
    }

    async fn guard(
        &self,
        asked: Asked<'_>,
        subject: &SubjectId,
        command: guardian::Command,
    ) -> Result<(), Error> {
        let decide = |state: &State, now| {
            let command = command.clone();
            let events = domain::decide(state, Command::Guardian { command, now })?;
            Ok::<(Vec<Event>, _), Rejection>((events, String::new()))
        };
        self.accounts.write(asked.write(subject), decide).await?;
        Ok(())
    }
}
