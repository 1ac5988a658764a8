//! Any message of the contract as protobuf's JSON mapping gives it.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(proto::DESCRIPTORS).expect("the embedded descriptors are those that were compiled")
});

/// The message as JSON: names in camelCase, enumerations by name, 64-bit numbers as text, fields
/// that have no value left out.
#[must_use]
pub fn of<M: Message + Name>(message: &M) -> Value {
    let described = POOL.get_message_by_name(&M::full_name());
    let descriptor = described.expect("every message of the contract stands in the descriptors");
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message).expect("the generated code and the descriptors have one source");
    serde_json::to_value(dynamic).expect("a message of the contract always has JSON")
}

/// The same as one line.
#[must_use]
pub fn line<M: Message + Name>(message: &M) -> String {
    of(message).to_string()
}

#[cfg(test)]
mod tests {
    use proto::{
        cancellation::v1::{Cancellation, State},
        types::v1::{Scope, WholeAccount, scope::Kind},
    };

    use super::*;

    #[test]
    fn a_message_reads_as_protobufs_json_mapping_has_it() {
        let cancellation = Cancellation {
            cancellation_id: "can_1".into(),
            state: State::AwaitingConfirmation.into(),
            scope: Some(Scope { kind: Some(Kind::WholeAccount(WholeAccount {})) }),
            requested_at: Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 500_000_000 }),
            version: 7,
            ..Cancellation::default()
        };
        let expected = r#"{"cancellationId":"can_1","requestedAt":"2025-11-21T08:00:00.500Z","scope":{"wholeAccount":{}},"state":"STATE_AWAITING_CONFIRMATION","version":"7"}"#;
        assert_eq!(line(&cancellation), expected);
    }
}
