//! Registering, and proving to be there.

use keys::VerificationClaims;
use proto::identity::v1::{Factor, VerificationLevel};
use tonic::Code;
use types::{Scope, SubjectId, Timestamp};

use super::harness::*;
use crate::domain::{CODE_LIFETIME, TOKEN_LIFETIME};

#[tokio::test]
async fn a_repeated_registration_finds_the_first_and_makes_no_key() {
    let home = Home::new().await;
    let service = home.run().await;
    let first = service.register(registration("r-1")).await.unwrap();
    let sealed = || walk(&home.stage.directory.path().join("vault"));
    let before = sealed();
    assert_eq!(service.register(registration("r-1")).await.unwrap(), first);
    assert_eq!(sealed(), before);

    let mut other = registration("r-1");
    other.region = "DE".into();
    let status = assert_refused(service.register(other).await, Code::AlreadyExists, "REQUEST_ID_TAKEN");
    assert_eq!(metadata(&status, "first"), first.as_str());
    assert_ne!(service.register(registration("")).await.unwrap(), first);
    service.stop().await;
}

fn walk(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn the_code_in_the_message_gives_a_token_for_this_cancellation() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &Scope::WholeAccount).await;
    let started = service.start(starting(&subject, "s-1", Factor::EmailCode)).await.unwrap();
    assert_eq!(started.masked_address, "c***@example.com");
    let now = home.stage.options().clock.now();
    assert_eq!(Timestamp::from_proto(&started.expires_at.unwrap()), Some(now.plus(CODE_LIFETIME)));

    let code = home.code(&started.verification_id);
    let given = service.complete(&started.verification_id, &code, "").await.unwrap();
    assert_eq!(given.level(), VerificationLevel::Single);
    let claims = VerificationClaims::verify(&given.verification_token, &token_keys(&home).await).unwrap();
    assert_eq!((claims.sub.as_str(), claims.can.as_str()), (subject.as_str(), can().as_str()));
    assert_eq!(claims.factor, "EMAIL_CODE");
    assert_eq!(claims.exp, given.expires_at.unwrap().seconds);
    assert_eq!(claims.exp - claims.iat, 600);
    assert!(claims.holds_at(now) && !claims.holds_at(now.plus(TOKEN_LIFETIME)));

    // The same again, with and without a request id, while it holds.
    assert_eq!(service.complete(&started.verification_id, &code, "").await.unwrap(), given);
    assert_eq!(service.complete(&started.verification_id, &code, "c-1").await.unwrap(), given);
    assert_eq!(service.complete(&started.verification_id, &code, "c-1").await.unwrap(), given);
    let wrong = service.complete(&started.verification_id, other_than(&code), "").await;
    assert_refused(wrong, Code::FailedPrecondition, "CODE_WRONG");
    home.stage.clock.advance(TOKEN_LIFETIME);
    for request_id in ["", "c-1"] {
        let late = service.complete(&started.verification_id, &code, request_id).await;
        assert_refused(late, Code::FailedPrecondition, "CODE_EXPIRED");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_repeated_start_sends_nothing_new_and_is_answered_alike() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &Scope::WholeAccount).await;
    let started = service.start(starting(&subject, "s-1", Factor::SmsCode)).await.unwrap();
    assert_eq!(started.masked_address, "+86*****0001");
    assert_eq!(service.start(starting(&subject, "s-1", Factor::SmsCode)).await.unwrap(), started);
    let files = home.message_files();
    assert_eq!(files.len(), 1);
    assert!(files[&format!("{}.eml", started.verification_id)].contains("\r\nX-Channel: sms\r\n"));
    let other = service.start(starting(&subject, "s-1", Factor::EmailCode)).await;
    assert_refused(other, Code::AlreadyExists, "REQUEST_ID_TAKEN");
    service.stop().await;
}

#[tokio::test]
async fn wrong_codes_are_counted_and_then_nothing_is_taken() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &Scope::WholeAccount).await;
    let id = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
    let code = home.code(&id);
    for tries_left in (0..5).rev() {
        let request_id = format!("c-{tries_left}");
        // The second time is the same try.
        for _ in 0..2 {
            let refused = service.complete(&id, other_than(&code), &request_id).await;
            let status = assert_refused(refused, Code::FailedPrecondition, "CODE_WRONG");
            assert_eq!(metadata(&status, "tries_left"), tries_left.to_string());
        }
    }
    let refused = service.complete(&id, &code, "").await;
    assert_refused(refused, Code::FailedPrecondition, "TOO_MANY_TRIES");
    // Another code has tries of its own.
    let id = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
    assert!(service.complete(&id, &home.code(&id), "").await.is_ok());
    service.stop().await;
}

#[tokio::test]
async fn only_so_many_codes_are_sent_within_their_lifetime() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &Scope::WholeAccount).await;
    let mut last = String::new();
    for _ in 0..5 {
        last = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
    }
    let refused = service.start(starting(&subject, "", Factor::SmsCode)).await;
    let status = assert_refused(refused, Code::ResourceExhausted, "TOO_MANY_CODES");
    let retry = tonic_types::StatusExt::get_details_retry_info(&status).unwrap().retry_delay;
    assert_eq!(retry, Some(CODE_LIFETIME));
    home.stage.clock.advance(CODE_LIFETIME);
    let refused = service.complete(&last, &home.code(&last), "").await;
    assert_refused(refused, Code::FailedPrecondition, "CODE_EXPIRED");
    assert!(service.start(starting(&subject, "", Factor::SmsCode)).await.is_ok());
    service.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.register(registration("")).await.unwrap();
    let nobody = SubjectId::parse("sbj_nobody").unwrap();
    // The name of a stream that is no subject's.
    let no_subject = SubjectId::parse(crate::token_key::STREAM).unwrap();
    let (one, two, three, four) = tokio::join!(
        service.start(starting(&subject, "", Factor::EmailCode)),
        service.start(starting(&nobody, "", Factor::EmailCode)),
        service.start(starting(&no_subject, "", Factor::EmailCode)),
        service.complete("ver_none", "123456", ""),
    );
    for refused in [one.err(), two.err(), three.err(), four.err()] {
        assert_refused(Err::<(), _>(refused.unwrap()), Code::NotFound, "NOT_FOUND");
    }
    let mut request = registration("");
    request.contacts.truncate(1);
    let subject = service.register(request).await.unwrap();
    // The case comes while it is awaited.
    let (refused, ()) = tokio::join!(
        service.start(starting(&subject, "", Factor::EmailCode)),
        home.tell(&subject, &Scope::WholeAccount, proto::participant::v1::InstructionKind::Assess, 1),
    );
    assert_refused(refused, Code::FailedPrecondition, "FACTOR_UNAVAILABLE");
    service.stop().await;
}

#[tokio::test]
async fn a_token_key_is_published_once_and_a_new_one_beside_it() {
    let home = Home::new().await;
    for token_key in [1, 1, 2, 1, 2] {
        crate::build(home.options(token_key)).await.unwrap();
    }
    let keys = token_keys(&home).await;
    let kids: Vec<&str> = keys.keys.iter().map(keys::Jwk::kid).collect();
    assert_eq!(kids, [1, 2].map(|seed| keys::SigningKey::from_seed([seed; 32]).kid().to_owned()));
}
