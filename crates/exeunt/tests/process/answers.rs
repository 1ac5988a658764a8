//! What participants and others say on the log, however odd: who waits for an honest answer gets it.

use std::sync::Arc;

use exeunt::compose::Overrides;
use keys::SigningKey;
use messaging::Message;
use participant::contract;
use prost::{Message as _, bytes::Bytes};
use proto::{
    cancellation::v1 as pb,
    operations::v1::{ListParkedRequest, operations_service_client::OperationsServiceClient},
    participant::v1::{Acknowledgement, InstructionKind, Outcome, SignedAcknowledgement},
    types::v1::{Scope, scope::Kind},
};
use types::{Clock, SystemClock};

use crate::harness::{App, config, eventually, program, stderr, stdout};

/// A participant that nobody runs: the test says what it says.
pub struct Partner {
    pub app: App,
    pub key: SigningKey,
}

impl Partner {
    pub async fn start() -> Self {
        Self::beside("extends = \"default\"\n", "partner", Overrides::default()).await
    }

    /// The only participant of that scope, beside what the roster begins with.
    pub async fn beside(roster: &str, scope: &str, overrides: Overrides) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed([5; 32]);
        let roster = format!(
            "{roster}[scopes.{scope}]\ngates = \"none\"\n[[participant]]\nname = \"partner\"\n\
             scopes = [\"{scope}\"]\nkeys = ['{}']\n",
            key.jwk().to_json()
        );
        let path = home.path().join("roster.toml");
        std::fs::write(&path, roster).unwrap();
        let mut config = config(&home.path().join("data"));
        config.roster = Some(path);
        Self { app: App::run(home, config, overrides).await, key }
    }

    /// Asks for something that only the partner has to do; gives the cancellation and its subject.
    pub async fn request(&mut self, request_id: &str) -> (String, String) {
        self.request_of(request_id, Kind::Named("partner".into())).await
    }

    pub async fn request_of(&mut self, request_id: &str, scope: Kind) -> (String, String) {
        let subject = self.app.register().await;
        let request = pb::RequestCancellationRequest {
            request_id: request_id.into(),
            subject_id: subject.clone(),
            scope: Some(Scope { kind: Some(scope) }),
            ..pb::RequestCancellationRequest::default()
        };
        let answer = self.app.cancellation.request_cancellation(request).await.unwrap().into_inner();
        (answer.cancellation.unwrap().cancellation_id, subject)
    }

    /// Says on the log, with that cancellation's key, what is signed here.
    pub async fn publish(&self, id: &str, said: &[SignedAcknowledgement]) {
        let message = |signed: &SignedAcknowledgement| message(id, signed.encode_to_vec());
        self.app.running.log().publish(said.iter().map(message).collect()).await.unwrap();
    }

    pub async fn receipt(&mut self, id: &str, version: u32) -> pb::GetReceiptResponse {
        let request = pb::GetReceiptRequest { cancellation_id: id.into(), version, ..Default::default() };
        self.app.cancellation.get_receipt(request).await.unwrap().into_inner()
    }

    async fn parked(&self) -> Vec<String> {
        let mut operations = OperationsServiceClient::new(self.app.channel.clone());
        let listed = operations.list_parked(ListParkedRequest::default()).await.unwrap().into_inner();
        listed.records.into_iter().map(|record| record.cause).collect()
    }
}

fn message(id: &str, payload: Vec<u8>) -> Message {
    Message {
        topic: Arc::from(contract::ACKNOWLEDGEMENTS),
        key: Bytes::copy_from_slice(id.as_bytes()),
        headers: Vec::new(),
        payload: Some(payload.into()),
    }
}

pub fn said((id, subject): &(String, String), revision: u32, outcome: Outcome) -> Acknowledgement {
    Acknowledgement {
        cancellation_id: id.clone(),
        subject_id: subject.clone(),
        participant: "partner".into(),
        kind: InstructionKind::Execute.into(),
        epoch: 1,
        revision,
        outcome: outcome.into(),
        acknowledged_at: Some(SystemClock.now().to_proto()),
        ..Acknowledgement::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_foreign_answers_lie_apart_and_hold_up_no_honest_one() {
    let mut partner = Partner::start().await;
    let (case, other) = (partner.request("one").await, partner.request("other").await);
    let stranger = SigningKey::from_seed([6; 32]);
    let honest = said(&case, 1, Outcome::Done);
    let changed = Bytes::from(said(&case, 2, Outcome::Done).encode_to_vec());
    let signed = contract::sign(&honest, &partner.key);
    let forged = [
        SignedAcknowledgement { acknowledgement: changed, ..signed.clone() },
        SignedAcknowledgement { kid: partner.key.kid().into(), ..contract::sign(&honest, &stranger) },
        contract::sign(&honest, &stranger),
        contract::sign(&Acknowledgement { participant: "nobody".into(), ..honest.clone() }, &stranger),
        contract::sign(&said(&other, 1, Outcome::Done), &partner.key),
    ];
    partner.app.running.log().publish(vec![message(&case.0, b"\xff\xff".to_vec())]).await.unwrap();
    partner.publish(&case.0, &forged).await;
    partner.publish("can_unheard_of", std::slice::from_ref(&signed)).await;
    partner.publish(&case.0, &[signed]).await;
    partner.app.reach(&case.0, pb::State::Completed).await;
    let mut causes = eventually(async || Some(partner.parked().await).filter(|all| all.len() == 7)).await;
    causes.sort();
    let expected = [
        "FOREIGN",
        "KEY_UNKNOWN",
        "SIGNATURE",
        "SIGNATURE",
        "UNDECODABLE",
        "UNKNOWN_CANCELLATION",
        "UNKNOWN_PARTICIPANT",
    ];
    assert_eq!(causes, expected);
    // Nobody answered for the other one: it waits, and then its own answer is heard.
    partner.publish(&other.0, &[contract::sign(&said(&other, 1, Outcome::Done), &partner.key)]).await;
    partner.app.reach(&other.0, pb::State::Completed).await;
    partner.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b09_late_repeated_and_contradicting_answers_end_a_cancellation_once_and_amend_its_receipt() {
    let mut partner = Partner::start().await;
    let case = partner.request("one").await;
    let sign = |revision, outcome| contract::sign(&said(&case, revision, outcome), &partner.key);
    let (waiting, failed, done) =
        (sign(2, Outcome::Waiting), sign(1, Outcome::Failed), sign(3, Outcome::Done));
    let contradiction = sign(4, Outcome::Failed);
    // Of a batch that has one signature, in any order, each as often as it likes.
    let together =
        (5..9).map(|revision| said(&case, revision, Outcome::Failed).encode_to_vec().into()).collect();
    let mut all = vec![waiting.clone(), failed.clone(), waiting.clone(), done.clone(), done.clone()];
    all.extend([waiting, contradiction, failed, done.clone()]);
    all.extend(contract::sign_batch(together, &partner.key));
    partner.publish(&case.0, &all).await;
    partner.app.reach(&case.0, pb::State::Completed).await;
    // What comes after this is behind all of them.
    partner.app.running.log().publish(vec![message(&case.0, b"\xff\xff".to_vec())]).await.unwrap();
    eventually(async || (partner.parked().await == ["UNDECODABLE"]).then_some(())).await;
    let request = pb::GetCancellationRequest { cancellation_id: case.0.clone(), ..Default::default() };
    let now = partner.app.cancellation.get_cancellation(request).await.unwrap().into_inner();
    let now = now.cancellation.unwrap();
    assert_eq!((now.state(), now.receipt_version), (pb::State::Completed, 2));
    assert_eq!(now.participants[0].state(), pb::ParticipantState::Failed);
    assert_eq!(now.version, 8, "asked for, told, waiting, done, completed, failed, amended, somebody's");
    assert_eq!(now.attention[0].cause(), pb::AttentionCause::Contradicted);
    let keys = keys::JwkSet::parse(&partner.app.keys().await).unwrap();
    let (first, second) = (partner.receipt(&case.0, 1).await, partner.receipt(&case.0, 0).await);
    assert_eq!((first.newest_version, second.newest_version), (2, 2));
    assert_eq!(second.receipt.as_ref().unwrap().version, 2);
    let texts = [first.receipt_jws.as_str(), &second.receipt_jws];
    let receipts = cancellation::receipt::verify_all(texts, &keys).unwrap();
    let outcomes = receipts.iter().map(|receipt| receipt.acknowledgements[0].outcome.as_str());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["OUTCOME_DONE", "OUTCOME_FAILED"]);
    verify_by_command_line(&mut partner, &case.0).await;
    let request = pb::GetReceiptRequest { cancellation_id: case.0.clone(), version: 3, ..Default::default() };
    let refused = partner.app.cancellation.get_receipt(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    partner.app.stop().await;
}

/// Both versions together, and the second alone, with no server.
async fn verify_by_command_line(partner: &mut Partner, id: &str) {
    let (first, second, keys) =
        (partner.app.path("1.jws"), partner.app.path("2.jws"), partner.app.path("jwks.json"));
    std::fs::write(&keys, partner.app.keys().await).unwrap();
    for (path, version) in [(&first, "1"), (&second, "2")] {
        let printed = program(&["--server", &partner.app.server, "receipt", id, "--version", version]);
        std::fs::write(path, &printed.stdout).unwrap();
    }
    let verify = |receipts: &[&std::path::Path]| {
        let files = receipts.iter().map(|path| path.to_str().unwrap());
        let words: Vec<&str> =
            ["verify"].into_iter().chain(files).chain(["--keys", keys.to_str().unwrap()]).collect();
        let verified = program(&words);
        assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
        stdout(&verified).to_owned()
    };
    let both = verify(&[&second, &first]);
    assert!(both.contains("After completion partner said otherwise: failed."), "{both}");
    assert!(both.contains("This is version 2; each version shown amends the one before."), "{both}");
    let alone = verify(&[&second]);
    assert!(alone.contains("It amends version 1, which was not shown"), "{alone}");
    let again = verify(&[&first]);
    assert!(!again.contains("version"), "{again}");
}
