//! Registering again with the contacts of a closed account.

use std::sync::Arc;

use participant::timers;
use policy::{Files, Packs};
use proto::{
    identity::v1::{self as pb, Factor, contact::Address, identity_service_server::IdentityService},
    participant::v1::InstructionKind,
};
use tonic::{Code, Status};
use types::{Scope, SubjectId, Timestamp};

use super::harness::*;
use crate::domain::coming_back::{KNOWN_FOR, Week};

const WHOLE: Scope = Scope::WholeAccount;

/// The text of the item about registering again, and the account closed.
async fn closed(home: &Home, service: &Running, ban: Option<&str>) -> (SubjectId, String) {
    let subject = service.register(registration("")).await.unwrap();
    if let Some(reason_code) = ban {
        let request = pb::BanSubjectRequest {
            request_id: String::new(),
            subject_id: subject.to_string(),
            reason_code: reason_code.into(),
            actor: "ops-1".into(),
        };
        service.api.ban_subject(called(request)).await.unwrap();
    }
    home.tell(&subject, &WHOLE, InstructionKind::Assess, 1).await;
    let assessed = home.stage.answer(&service.accounts, &subject, &can(), (1, 1)).await;
    let items = assessed.assessment.clone().unwrap().items;
    let told = items.iter().find(|item| item.code == "REREGISTRATION").unwrap().text.clone();
    let name = types::ParticipantName::parse("identity").unwrap();
    let execute = super::harness::told(&name, &subject, &WHOLE, InstructionKind::Execute, 2);
    home.stage.instruct_as_assessed(execute, &assessed).await;
    home.stage.answer(&service.accounts, &subject, &can(), (2, 2)).await;
    (subject, told)
}

/// Somebody with another mailbox, and the telephone number that another had.
fn recycled_number() -> pb::RegisterSubjectRequest {
    let mut request = registration("");
    request.contacts.truncate(1);
    request
}

fn week_key(home: &Home) -> Option<std::path::PathBuf> {
    let name = Week::of(home.stage.options().clock.now()).name();
    let shelves = std::fs::read_dir(home.stage.directory.path().join("vault")).unwrap();
    let mut shelves = shelves.map(|shelf| shelf.unwrap().path()).filter(|shelf| shelf.is_dir());
    shelves.find_map(|shelf| Some(shelf.join(format!("{name}.key"))).filter(|key| key.exists()))
}

async fn allow(service: &Running, address: Address) -> Result<(), Status> {
    let (actor, reason) = ("ops-2".to_owned(), "another person".to_owned());
    let contact = Some(pb::Contact { address: Some(address) });
    let request = pb::AllowReRegistrationRequest { contact, actor, reason };
    service.api.allow_re_registration(called(request)).await.map(drop)
}

#[tokio::test]
async fn b15_who_left_registers_again_at_once_as_somebody_new_and_inherits_nothing() {
    let home = Home::new().await;
    let service = home.run().await;
    let (old, told) = closed(&home, &service, None).await;
    assert_eq!(
        told,
        "You may register again; the new account starts empty and inherits nothing from this one."
    );
    assert_eq!(week_key(&home), None, "nothing is kept that no rule needs");
    let new = service.register(registration("")).await.unwrap();
    assert_ne!(new, old);
    let account = service.accounts.get(&new).await.unwrap();
    assert!(account.cases.is_empty() && account.closed.is_none() && account.state.verifications.is_empty());
    assert_eq!(home.facts(&new).await, ["SubjectKnown", "SubjectRegistered", "ContactsRecorded"]);
    // The number opens the new account, and the old one to nobody.
    let opened = crate::effects::open_contact(&home.vault, &new, &account.state, 0);
    assert_eq!(opened.unwrap().expose(), SMS);
    let old_state = service.accounts.get(&old).await.unwrap().state;
    let opened = crate::effects::open_contact(&home.vault, &old, &old_state, 0);
    assert!(matches!(opened, Err(keys::VaultError::Destroyed)));
    let refused = service.start(starting(&old, "", Factor::SmsCode)).await;
    assert_refused(refused, Code::FailedPrecondition, "SUBJECT_CLOSED");
    service.stop().await;
}

#[tokio::test]
async fn b15_b19_only_a_ban_for_fraud_refuses_and_says_why_until_when_and_who_looks_at_it() {
    let home = Home::new().await;
    let service = home.run().await;
    closed(&home, &service, Some("SPAM")).await;
    assert!(service.register(recycled_number()).await.is_ok());
    let (_, told) = closed(&home, &service, Some("FRAUD")).await;
    assert!(told.contains("FRAUD") && told.contains("Art. 31") && told.contains("keyed hash"), "{told}");
    let now = home.stage.options().clock.now();
    for request in [registration(""), recycled_number()] {
        let refused = service.register(request).await;
        let status = assert_refused(refused, Code::FailedPrecondition, "REREGISTRATION_REFUSED");
        assert_eq!(metadata(&status, "reason_code"), "FRAUD");
        assert!(metadata(&status, "basis").contains("Art. 31"));
        assert_eq!(metadata(&status, "human_review"), "AllowReRegistration");
        assert_eq!(Timestamp::parse(&metadata(&status, "until")), Some(Week::of(now).ends()));
    }
    // A person who has the number now is heard, and the mailbox stays refused.
    allow(&service, Address::Sms(SMS.into())).await.unwrap();
    assert!(service.register(recycled_number()).await.is_ok());
    let refused = service.register(registration("")).await;
    assert_refused(refused, Code::FailedPrecondition, "REREGISTRATION_REFUSED");
    service.stop().await;
}

#[tokio::test]
async fn b15_a_contact_is_known_again_for_180_days_at_the_most_and_then_its_key_is_gone() {
    let home = Home::new().await;
    let service = home.run().await;
    closed(&home, &service, Some("FRAUD")).await;
    let key = week_key(&home).expect("the week has a key");
    let accounts = service.accounts.clone();
    home.stage.clock.advance(KNOWN_FOR);
    assert!(service.register(registration("")).await.is_ok());
    timers::fire_due(&accounts).await.unwrap();
    service.stop().await;
    home.repeat_effects(&accounts).await;
    assert!(!key.exists(), "the hashes say nothing any more");
}

#[tokio::test]
async fn b15_where_the_rule_has_a_wait_it_is_told_and_kept() {
    let mut home = Home::new().await;
    let mut files = Files::built_in();
    let pack = files.packs.get_mut("cn").unwrap();
    let waits = "[re_registration]\nallowed = true\nwait = \"P30D\"";
    *pack = pack.replace("[re_registration]\nallowed = true\nwait = \"P0D\"", waits);
    home.packs = Arc::new(Packs::read(&files).unwrap());
    let service = home.run().await;
    let (_, told) = closed(&home, &service, None).await;
    assert!(told.contains("P30D after the account has closed"), "{told}");
    let refused = service.register(registration("")).await;
    let status = assert_refused(refused, Code::FailedPrecondition, "REREGISTRATION_TOO_EARLY");
    // The end of the thirtieth day after the 21st of November, in China.
    let from = Timestamp::parse("2026-12-21T16:00:00Z").unwrap();
    assert_eq!(Timestamp::parse(&metadata(&status, "from")), Some(from));
    home.stage.clock.set(from);
    assert!(service.register(registration("")).await.is_ok());
    service.stop().await;
}
