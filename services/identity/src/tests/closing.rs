//! What becomes of a subject when its account closes.

use messaging::{CE_ID, CE_TYPE};
use participant::contract;
use proto::{
    identity::v1::{Factor, SubjectClosed},
    participant::v1::{InstructionKind, Outcome},
};
use tonic::Code;
use types::Scope;

use super::harness::*;
use crate::domain::{self, Key};

const WHOLE: Scope = Scope::WholeAccount;

#[tokio::test]
async fn closing_destroys_the_key_and_the_messages_and_is_told_for_ever() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    let other = service.register(registration("")).await.unwrap();
    let id = service.start(starting(&subject, "s-1", Factor::EmailCode)).await.unwrap().verification_id;
    let code = home.code(&id);
    service.complete(&id, &code, "c-1").await.unwrap();
    let assessed = home.stage.answer(&service.accounts, &subject, &can(), (1, 1)).await;

    let name = types::ParticipantName::parse("identity").unwrap();
    let execute = told(&name, &subject, &WHOLE, InstructionKind::Execute, 2);
    home.stage.instruct_as_assessed(execute, &assessed).await;
    let done = home.stage.answer(&service.accounts, &subject, &can(), (2, 2)).await;
    assert_eq!((done.outcome(), &done.assessment_digest), (Outcome::Done, &assessed.assessment_digest));
    let facts = home.facts(&subject).await;
    assert_eq!(
        facts,
        [
            "SubjectKnown",
            "SubjectRegistered",
            "ContactsRecorded",
            "Answered",
            "VerificationStarted",
            "VerificationCompleted",
            "KeyDestructionIntended",
            "Answered",
            "KeyDestroyed",
            "SubjectClosed",
            "Answered",
            "SubjectClosed",
        ]
    );

    assert!(home.message_files().is_empty());
    let account = service.accounts.get(&subject).await.unwrap();
    let opened = crate::effects::open_contact(&home.vault, &subject, &account.state, 0);
    assert!(matches!(opened, Err(keys::VaultError::Destroyed)));
    let account = service.accounts.get(&other).await.unwrap();
    assert_eq!(crate::effects::open_contact(&home.vault, &other, &account.state, 0).unwrap().expose(), SMS);

    // Repeated requests find no more than new ones.
    for request_id in ["s-1", "s-2"] {
        let refused = service.start(starting(&subject, request_id, Factor::EmailCode)).await;
        assert_refused(refused, Code::FailedPrecondition, "SUBJECT_CLOSED");
    }
    for request_id in ["c-1", "c-2"] {
        let refused = service.complete(&id, &code, request_id).await;
        assert_refused(refused, Code::FailedPrecondition, "SUBJECT_CLOSED");
    }

    let told = home.records(contract::CLOSURES, 1).await;
    let entry = <SubjectClosed as prost::Message>::decode(told[0].payload.clone()).unwrap();
    assert_eq!((entry.subject_id.as_str(), entry.cancellation_id.as_str()), (subject.as_str(), "can_1"));
    assert_eq!(told[0].key, subject.as_str());
    assert!(told[0].header(CE_ID).unwrap().ends_with("/closures"));
    let mut public = home.records(contract::IDENTITY_EVENTS, 4).await;
    public.sort_by_key(|record| record.header(CE_TYPE).map(str::to_owned));
    let public: Vec<_> = public.iter().map(|it| (it.header(CE_TYPE).unwrap(), it.key.as_ref())).collect();
    assert_eq!(public[0], ("exeunt.identity.v1.SubjectClosed", subject.as_str().as_bytes()));
    assert_eq!(public[1].0, "exeunt.identity.v1.SubjectRegistered");
    assert_eq!(public[2].0, "exeunt.identity.v1.SubjectRegistered");
    assert_eq!(public[3], ("exeunt.identity.v1.TokenKeyPublished", b"token-keys".as_slice()));
    service.stop().await;
}

#[tokio::test]
async fn selected_items_leave_the_account_as_it_is() {
    let home = Home::new().await;
    let service = home.run().await;
    let scope = Scope::Selected(Vec::new());
    let subject = service.assessed(&home, &scope).await;
    home.tell(&subject, &scope, InstructionKind::Execute, 2).await;
    let answer = home.stage.answer(&service.accounts, &subject, &can(), (2, 1)).await;
    assert_eq!(answer.outcome(), Outcome::NothingToDo);
    assert!(service.accounts.get(&subject).await.unwrap().closed.is_none());
    assert!(service.start(starting(&subject, "", Factor::EmailCode)).await.is_ok());
    service.stop().await;
}

#[tokio::test]
async fn a_crash_after_the_destruction_and_before_its_record_is_repaired_at_the_next_start() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap();
    let accounts = service.accounts.clone();
    service.stop().await;
    let doom = |state: &domain::State, _| (domain::doom(state, &can()), Vec::new());
    accounts.record(&subject, "test", doom).await.unwrap();
    home.vault.destroy(subject.as_str()).unwrap();

    let service = home.run().await;
    let destroyed =
        |account: &participant::Account<domain::State>| matches!(account.state.key, Key::Destroyed(_));
    home.stage.until(&service.accounts, &subject, destroyed).await;
    assert!(home.message_files().is_empty());
    service.stop().await;
}

#[tokio::test]
async fn effects_that_come_again_change_nothing_and_bring_nothing_back() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap();
    let files = home.message_files();
    home.repeat_effects(&service.accounts).await;
    assert_eq!(home.message_files(), files);

    home.tell(&subject, &WHOLE, InstructionKind::Execute, 2).await;
    home.stage.answer(&service.accounts, &subject, &can(), (2, 2)).await;
    let facts = home.facts(&subject).await;
    let accounts = service.accounts.clone();
    service.stop().await;
    // What a crash in the midst of writing would leave goes too.
    let name = files.keys().next().unwrap();
    let unfinished = home.messages.join(format!(".{name}.new"));
    std::fs::write(&unfinished, "half").unwrap();
    for _ in 0..2 {
        home.repeat_effects(&accounts).await;
        assert_eq!(home.facts(&subject).await, facts);
        assert!(home.message_files().is_empty());
    }
}

#[tokio::test]
async fn one_batch_delivers_and_destroys_for_many_subjects() {
    let home = Home::new().await;
    let service = home.run().await;
    let (mut staying, mut leaving) = (Vec::new(), Vec::new());
    for number in 0..10 {
        let subject = service.assessed(&home, &WHOLE).await;
        let id = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
        if number % 2 == 0 { leaving.push(subject) } else { staying.push((subject, id)) }
    }
    let accounts = service.accounts.clone();
    service.stop().await;
    for name in home.message_files().into_keys() {
        std::fs::remove_file(home.messages.join(name)).unwrap();
    }
    for subject in &leaving {
        let doom = |state: &domain::State, _| (domain::doom(state, &can()), Vec::new());
        accounts.record(subject, "test", doom).await.unwrap();
    }

    home.repeat_effects(&accounts).await;
    let mut delivered: Vec<_> = home.message_files().into_keys().collect();
    let mut wanted: Vec<_> = staying.iter().map(|(_, id)| format!("{id}.eml")).collect();
    delivered.sort();
    wanted.sort();
    assert_eq!(delivered, wanted);
    for subject in &leaving {
        assert!(matches!(accounts.get(subject).await.unwrap().state.key, Key::Destroyed(_)));
        let sealed = home.vault.seal(subject.as_str(), "contact/0", b"x");
        assert!(matches!(sealed, Err(keys::VaultError::Destroyed)));
    }
    for (subject, _) in &staying {
        assert_eq!(accounts.get(subject).await.unwrap().state.key, Key::Stands);
    }
}

#[tokio::test]
async fn a_code_that_expired_before_it_could_be_sent_is_not_sent() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap();
    let accounts = service.accounts.clone();
    service.stop().await;
    for name in home.message_files().into_keys() {
        std::fs::remove_file(home.messages.join(name)).unwrap();
    }
    home.stage.clock.advance(domain::CODE_LIFETIME);
    home.repeat_effects(&accounts).await;
    assert!(home.message_files().is_empty());
}

#[tokio::test]
async fn b16_the_key_of_somebody_whom_an_older_copy_does_not_know_goes_and_others_get_their_codes() {
    let home = Home::new().await;
    let service = home.run().await;
    let forgotten = types::SubjectId::parse("sbj_forgotten").unwrap();
    home.vault.seal(forgotten.as_str(), "contact/0", b"x").unwrap();
    home.stage.close(&forgotten, &can()).await;
    home.records(contract::CLOSURES, 1).await;
    let subject = service.assessed(&home, &WHOLE).await;
    let id = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
    assert!(!home.code(&id).is_empty());
    let sealed = home.vault.seal(forgotten.as_str(), "contact/0", b"x");
    assert!(matches!(sealed, Err(keys::VaultError::Destroyed)));
    assert!(home.facts(&forgotten).await.contains(&"KeyDestroyed".to_owned()));
    service.stop().await;
}
