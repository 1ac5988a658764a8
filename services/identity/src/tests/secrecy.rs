//! Canaries: contact data leaves the process in messages to the subject, and nowhere else.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use proto::{
    identity::v1::{
        AppealBanRequest, BanSubjectRequest, Contact, Factor, WithdrawAppealRequest, contact::Address,
        identity_service_server::IdentityService,
    },
    participant::v1::InstructionKind,
};
use tonic::Code;
use types::Scope;

use super::harness::*;

/// What must not be found: whole addresses, and what of them would do.
const CANARIES: [&str; 4] = [SMS, "13999990001", EMAIL, "canary"];

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn canaries_in(bytes: &[u8]) -> Vec<&'static str> {
    let holds = |canary: &&str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    CANARIES.into_iter().filter(holds).collect()
}

/// Files with canaries in them, but for those in the message folder.
fn files_with_canaries(directory: &Path, messages: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path != messages {
            found.extend(files_with_canaries(&path, messages));
        } else if path.is_file() && !canaries_in(&fs::read(&path).unwrap()).is_empty() {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn contact_data_is_in_messages_and_in_no_other_byte_that_leaves_the_process() {
    let lines = Lines::default();
    let writer = lines.clone();
    // Every line of every thread of this test run: another test's only make it stricter.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &Scope::WholeAccount).await;
    let mut answers = Vec::new();
    for factor in [Factor::EmailCode, Factor::SmsCode] {
        let started = service.start(starting(&subject, "s", factor)).await;
        answers.push(format!("{started:?}"));
        let Ok(started) = started else { continue };
        let code = home.code(&started.verification_id);
        let wrong = service.complete(&started.verification_id, other_than(&code), "").await;
        answers.push(format!("{wrong:?}"));
        service.complete(&started.verification_id, &code, "").await.unwrap();
    }
    service.start(starting(&subject, "", Factor::SmsCode)).await.unwrap();
    let (request_id, subject_id) = (String::new(), subject.to_string());
    let (reason_code, actor) = ("FRAUD".to_owned(), "ops-1".to_owned());
    let ban = BanSubjectRequest {
        request_id: request_id.clone(),
        subject_id: subject_id.clone(),
        reason_code,
        actor,
    };
    service.api.ban_subject(called(ban)).await.unwrap();
    let appeal = AppealBanRequest { request_id, subject_id, text: "it was my canary".into() };
    let appeal = service.api.appeal_ban(called(appeal)).await.unwrap().into_inner();
    let withdrawal = WithdrawAppealRequest { request_id: String::new(), appeal_id: appeal.appeal_id };
    service.api.withdraw_appeal(called(withdrawal)).await.unwrap();
    let mut bad = registration("");
    bad.contacts.extend(bad.contacts.clone());
    bad.contacts.push(Contact { address: Some(Address::Email(format!("{EMAIL} "))) });
    let refused = service.register(bad).await;
    let status = assert_refused(refused, Code::InvalidArgument, "INVALID_ARGUMENT");
    answers.push(format!("{status:?}"));
    answers.push(format!("{:?}", service.accounts.get(&subject).await.unwrap()));

    let messages: String = home.message_files().into_values().collect();
    assert!(messages.contains(SMS) && messages.contains(EMAIL));
    assert_eq!(canaries_in(answers.concat().as_bytes()), [] as [&str; 0]);
    assert_eq!(files_with_canaries(home.stage.directory.path(), &home.messages), [] as [String; 0]);

    home.tell(&subject, &Scope::WholeAccount, InstructionKind::Execute, 2).await;
    home.stage.answer(&service.accounts, &subject, &can(), (2, 2)).await;
    service.stop().await;
    assert!(home.message_files().is_empty());
    assert_eq!(files_with_canaries(home.stage.directory.path(), &home.messages), [] as [String; 0]);
    let written = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(!written.is_empty(), "lines were captured");
    assert_eq!(canaries_in(&written), [] as [&str; 0]);
}
