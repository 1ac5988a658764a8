//! Whether a subject may sign in, and who decides on it.

use event_store::Listed;
use participant::AccountError;
use proto::identity::v1 as pb;
use types::{SubjectId, Timestamp, fresh_uuid};

use super::{App, Asked, open_state};
use crate::{
    domain::{
        self, AppealId, Command, Event, Rejection, State,
        standing::{self, Appeal, Told},
    },
    effects::appeal_field,
    error::Error,
    wire::standing as wire,
};

/// The clock of a pack that says by when a person decides on an appeal.
const APPEAL: &str = "appeal";

/// What an app is told that asks whether a subject may sign in.
pub(crate) struct SignIn {
    pub(crate) told: Told,
    /// By which cancellation the account is closed, or ends.
    pub(crate) closed_by: String,
    /// The appeal that a person has to decide on.
    pub(crate) appeal: Option<AppealId>,
}

/// An appeal, opened.
pub(crate) struct Opened {
    pub(crate) subject: SubjectId,
    pub(crate) text: String,
    pub(crate) appeal: Appeal,
}

impl App {
    /// Whether the subject may sign in.
    pub(crate) async fn check_sign_in(&self, subject: &SubjectId) -> Result<SignIn, Error> {
        let account = self.accounts.get(subject).await?;
        let mut told = standing::standing(&account.state);
        let by = account.closed.as_ref().or(account.state.key.ended_by());
        let closed_by = by.map(ToString::to_string).unwrap_or_default();
        if account.closed.is_some() {
            told.standing = standing::Standing::Closed;
        }
        let appeal = account.state.standing.undecided().map(|(id, _)| id.clone());
        Ok(SignIn { told, closed_by, appeal })
    }

    /// Bans a subject.
    pub(crate) async fn ban(&self, asked: Asked<'_>, ban: wire::Ban) -> Result<(), Error> {
        let wire::Ban { subject, reason_code, actor } = ban;
        self.stand(asked, &subject, standing::Command::Ban { reason_code, actor }).await
    }

    /// Ends a ban.
    pub(crate) async fn lift(&self, asked: Asked<'_>, lift: wire::Lift) -> Result<(), Error> {
        self.stand(asked, &lift.subject, standing::Command::Lift(lift.cause)).await
    }

    /// Takes an appeal; says which it is and by when a person decides.
    pub(crate) async fn appeal(
        &self,
        asked: Asked<'_>,
        appeal: wire::Appeal,
    ) -> Result<(AppealId, Timestamp), Error> {
        let wire::Appeal { subject, text } = appeal;
        let region = self.accounts.get(&subject).await?.known.map(|(region, _)| region).unwrap_or_default();
        let id = AppealId::mint(fresh_uuid());
        let (vault, owner, field) = (self.vault.clone(), subject.clone(), appeal_field(&id));
        let seal = move || vault.seal(owner.as_str(), &field, text.as_bytes());
        let sealed: std::sync::Arc<[u8]> = participant::aside(seal).await??.into();
        let decide = |state: &State, now| {
            let due = self.due(&region, now);
            let command = standing::Command::Appeal { id: id.clone(), sealed: sealed.clone(), due };
            let command = Command::Standing { subject: subject.clone(), command, now };
            Ok::<_, Rejection>((domain::decide(state, command)?, id.to_string()))
        };
        let written = self.accounts.write(asked.write(&subject), decide).await?;
        let id = AppealId::parse(&written.reference).map_err(|_| Rejection::AppealUnknown)?;
        let appeal = written.account.state.standing.appeals.get(&id).ok_or(Rejection::AppealUnknown)?;
        Ok((id, appeal.due))
    }

    /// By when a person decides on an appeal that is made now, as the law of the region has it.
    fn due(&self, region: &str, now: Timestamp) -> Timestamp {
        let pack = self.packs.of_region(region);
        pack.and_then(|pack| pack.reckon(APPEAL, now, &[], false)).map_or(now, |reckoned| reckoned.due)
    }

    /// An appeal, with what the subject says in it.
    pub(crate) async fn opened(&self, id: &AppealId) -> Result<Opened, Error> {
        let subject = self.accounts.subject_of(id.as_str()).await?;
        let state = open_state(self.accounts.get(&subject).await?)?;
        let appeal = state.standing.appeals.get(id).ok_or(Rejection::AppealUnknown)?.clone();
        let (vault, owner) = (self.vault.clone(), subject.clone());
        let (field, sealed) = (appeal_field(id), appeal.sealed.clone());
        let open = move || vault.open_sealed(owner.as_str(), &field, &sealed);
        let text = participant::aside(open).await??;
        Ok(Opened { subject, text: String::from_utf8_lossy(&text).into_owned(), appeal })
    }

    /// Appeals, and the row of the list that the page ended with when there are more.
    pub(crate) async fn appeals(
        &self,
        wanted: wire::Listing,
    ) -> Result<(Vec<pb::Appeal>, Option<Listed>), Error> {
        let query = match wanted {
            wire::Listing::Of(subject) => {
                return Ok((wire::listed(&subject, &self.accounts.get(&subject).await?), None));
            }
            wire::Listing::Undecided(query) => query,
        };
        let page = self.accounts.store().list(&query).await.map_err(AccountError::from)?;
        let mut appeals = Vec::new();
        for row in &page.rows {
            let Ok(subject) = SubjectId::parse(&row.owner) else { continue };
            let listed = wire::listed(&subject, &self.accounts.get(&subject).await?);
            let undecided = |appeal: &pb::Appeal| appeal.state() == pb::AppealState::Undecided;
            appeals.extend(listed.into_iter().filter(undecided));
        }
        Ok((appeals, page.rows.into_iter().next_back().filter(|_| page.more)))
    }

    /// Takes an appeal back.
    pub(crate) async fn withdraw(&self, asked: Asked<'_>, id: AppealId) -> Result<(), Error> {
        let subject = self.accounts.subject_of(id.as_str()).await?;
        self.stand(asked, &subject, standing::Command::Withdraw(id)).await
    }

    /// Decides on an appeal.
    pub(crate) async fn decide_appeal(&self, asked: Asked<'_>, decide: wire::Decide) -> Result<(), Error> {
        let subject = self.accounts.subject_of(decide.id.as_str()).await?;
        let wire::Decide { id, decision, cause } = decide;
        self.stand(asked, &subject, standing::Command::Decide { id, decision, cause }).await
    }

    async fn stand(
        &self,
        asked: Asked<'_>,
        subject: &SubjectId,
        command: standing::Command,
    ) -> Result<(), Error> {
        let decide = |state: &State, now| {
            let (subject, command) = (subject.clone(), command.clone());
            let events = domain::decide(state, Command::Standing { subject, command, now })?;
            Ok::<(Vec<Event>, _), Rejection>((events, String::new()))
        };
        self.accounts.write(asked.write(subject), decide).await?;
        Ok(())
    }
}
