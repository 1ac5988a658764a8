//! Data that a court wants kept: everything else goes, that waits, and when the hold is released it goes
//! too, by itself.

use proto::{
    cancellation::v1 as pb,
    participant::v1::WaitingOn,
    retention::v1::{self as retention, DataCategory, DataSetState},
};

use super::{
    live::Live,
    play::{Play, expect},
    setting,
};
use crate::cli::Failure;

impl Play<'_> {
    pub(super) async fn leave_under_a_hold(mut self) -> Result<(), Failure> {
        self.story.step("A user in China has six data sets, and a court wants one of them");
        let subject_id = setting::with_data(&mut self.services).await?;
        let hold_id = self.place_hold(&subject_id).await?;
        let mut follow = self.request(&subject_id).await?;
        let quoted = self.quote(&mut follow).await?;
        let token = self.verify_subject(&quoted).await?;
        self.confirm(&quoted, token).await?;

        self.story.step("Everything goes but what is held");
        let mut live = Live::new(self.story);
        let held = |it: &pb::Cancellation| {
            let waiting = it.participants.iter().filter_map(|one| one.waiting.as_ref());
            it.state() == pb::State::Executing
                && waiting.filter(|waiting| waiting.waiting_on() == WaitingOn::Hold).count() > 0
        };
        follow.until("waiting for the hold", |it| live.show(it), held).await?;
        let chats = self.chats(&subject_id).await?;
        expect(chats == DataSetState::Held, "what a court wants should stand")?;
        live.aside("→ the chats stand as they were; nobody reads them for anything else");
        self.release(&hold_id).await?;
        live.aside("→ ReleaseHold: the court has no more need of them");
        let completed = |it: &pb::Cancellation| it.state() == pb::State::Completed;
        let ended = follow.until("completed", |it| live.show(it), completed).await;
        self.reached.cancellation = follow.latest().clone();
        drop(live);
        ended?;
        let chats = self.chats(&subject_id).await?;
        expect(chats == DataSetState::Erased, "what nobody wants any more should be erased")?;
        self.story.tell("the chats are erased, without anybody asking again");
        self.prove(&quoted.cancellation_id).await
    }

    async fn place_hold(&mut self, subject_id: &str) -> Result<String, Failure> {
        let request = retention::PlaceHoldRequest {
            subject_id: subject_id.into(),
            categories: vec![DataCategory::ChatMessages.into()],
            ground: "LITIGATION".into(),
            authority: "Shanghai No. 1 Intermediate People's Court, (2026) 0417".into(),
            actor: "legal-7".into(),
            ..retention::PlaceHoldRequest::default()
        };
        let answer = self.services.retention.place_hold(request).await?.into_inner();
        self.story.tell("PlaceHold: their chats must not be erased, by order of a court");
        Ok(answer.hold.unwrap_or_default().hold_id)
    }

    async fn release(&mut self, hold_id: &str) -> Result<(), Failure> {
        let request = retention::ReleaseHoldRequest {
            hold_id: hold_id.into(),
            reason: "The case is closed.".into(),
            actor: "legal-7".into(),
            ..retention::ReleaseHoldRequest::default()
        };
        self.services.retention.release_hold(request).await?;
        Ok(())
    }

    /// What has become of the chats.
    async fn chats(&mut self, subject_id: &str) -> Result<DataSetState, Failure> {
        let request = retention::ListDataSetsRequest { subject_id: subject_id.into(), ground: String::new() };
        let sets = self.services.retention.list_data_sets(request).await?.into_inner().data_sets;
        let chats = sets.iter().find(|set| set.category() == DataCategory::ChatMessages);
        chats.map(retention::DataSet::state).ok_or_else(|| Failure::plain("the chats should be listed"))
    }
}
