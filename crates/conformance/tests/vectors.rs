//! What an assessment and an acknowledgement are, byte by byte, as `examples/vectors.json` has it for
//! every language.
#![expect(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

use keys::{Jwk, SigningKey};
use participant::contract;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};
use proto::participant::v1::{Acknowledgement, Assessment, SignedAcknowledgement};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../examples/vectors.json")).unwrap()
}

fn read<M: Message + Name + Default>(json: &Value) -> M {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let described = pool.get_message_by_name(&M::full_name()).unwrap();
    DynamicMessage::deserialize(described, json).unwrap().transcode_to().unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key() -> SigningKey {
    let seed = vectors()["key"]["seed"].as_str().unwrap().to_owned();
    let bytes: Vec<u8> =
        (0..seed.len()).step_by(2).map(|at| u8::from_str_radix(&seed[at..at + 2], 16).unwrap()).collect();
    SigningKey::from_seed(bytes.try_into().unwrap())
}

#[test]
fn a_key_has_this_jwk() {
    let published = Jwk::parse(&vectors()["key"]["jwk"].to_string()).unwrap();
    assert_eq!(published, key().jwk());
    assert_eq!(serde_json::from_str::<Value>(&key().jwk().to_json()).unwrap(), vectors()["key"]["jwk"]);
}

#[test]
fn an_assessment_has_this_digest() {
    let vector = &vectors()["assessment"];
    let assessment: Assessment = read(&vector["message"]);
    assert_eq!(hex(contract::assessment_digest(&assessment)), vector["digest"]);
    let timeless = Assessment { assessed_at: None, ..assessment };
    assert_eq!(hex(timeless.encode_to_vec()), vector["encoded_without_assessed_at"]);
}

#[test]
fn an_acknowledgement_has_these_bytes_and_this_signature() {
    let vector = &vectors()["acknowledgement"];
    let answer: Acknowledgement = read(&vector["message"]);
    let signed: SignedAcknowledgement = contract::sign(&answer, &key());
    assert_eq!(hex(&signed.acknowledgement), vector["encoded"]);
    assert_eq!(hex(&signed.signature), vector["signature"]);
    assert_eq!(hex(signed.encode_to_vec()), vector["signed_acknowledgement"]);
    assert_eq!(contract::verify(&signed, &[key().jwk()].into_iter().collect()), Ok(answer));
}
