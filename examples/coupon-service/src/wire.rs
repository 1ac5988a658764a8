//! Events as they are stored: protobuf, by hand.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{
    Encoded, unreadable,
    wire::{money, money_from},
};
use prost::Message;
use types::CancellationId;

use crate::book::Event;

const ISSUED: &str = "coupons.v1.Issued";
const REDEEMED: &str = "coupons.v1.Redeemed";
const SUSPENDED: &str = "coupons.v1.Suspended";
const RESUMED: &str = "coupons.v1.Resumed";
const VOIDED: &str = "coupons.v1.Voided";
const RESTORED: &str = "coupons.v1.Restored";

/// Every fact of ours; each uses the fields that it has.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    title: String,
    #[prost(message, optional, tag = "3")]
    value: Option<proto::types::v1::Money>,
    #[prost(string, tag = "4")]
    by: String,
}

/// A fact for the store.
pub fn encode(event: &Event) -> Encoded {
    let stored = Stored::default();
    let (kind, stored) = match event.clone() {
        Event::Issued { id, title, value } => {
            (ISSUED, Stored { id, title, value: Some(money(value)), ..stored })
        }
        Event::Redeemed { id } => (REDEEMED, Stored { id, ..stored }),
        Event::Suspended { by } => (SUSPENDED, Stored { by: by.to_string(), ..stored }),
        Event::Resumed => (RESUMED, stored),
        Event::Voided { id, by } => (VOIDED, Stored { id, by: by.to_string(), ..stored }),
        Event::Restored { id } => (RESTORED, Stored { id, ..stored }),
    };
    Encoded { kind: kind.into(), schema: 1, payload: stored.encode_to_vec().into() }
}

/// A stored fact.
pub fn decode(kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
    let wrong = |detail: &str| unreadable(kind, schema, detail);
    if schema != 1 {
        return Err(wrong("this program knows schema 1 only"));
    }
    let Stored { id, title, value, by } =
        Stored::decode(payload.clone()).map_err(|error| wrong(&error.to_string()))?;
    let by = || CancellationId::parse(&by).map_err(|_| wrong("names no cancellation"));
    Ok(match kind {
        ISSUED => {
            let value = value.as_ref().and_then(money_from).ok_or_else(|| wrong("has no value"))?;
            Event::Issued { id, title, value }
        }
        REDEEMED => Event::Redeemed { id },
        SUSPENDED => Event::Suspended { by: by()? },
        RESUMED => Event::Resumed,
        VOIDED => Event::Voided { id, by: by()? },
        RESTORED => Event::Restored { id },
        _ => return Err(wrong("this program has no such fact")),
    })
}

#[cfg(test)]
mod tests {
    use types::{Currency, Money};

    use super::*;

    #[test]
    fn every_fact_comes_back_from_the_store_as_it_went() {
        let by = CancellationId::parse("can_1").unwrap();
        let id = || "cpn_1".to_owned();
        let value = Money { currency: Currency::parse("CNY").unwrap(), minor_units: 500 };
        for event in [
            Event::Issued { id: id(), title: "Tea".into(), value },
            Event::Redeemed { id: id() },
            Event::Suspended { by: by.clone() },
            Event::Resumed,
            Event::Voided { id: id(), by },
            Event::Restored { id: id() },
        ] {
            let Encoded { kind, schema, payload } = encode(&event);
            assert_eq!(decode(&kind, schema, &payload).unwrap(), event);
            assert!(decode(&kind, 2, &payload).is_err());
        }
    }
}
