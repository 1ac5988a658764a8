//! Facts as they are stored.

mod coming_back;
mod guardian;
mod standing;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Encoded, unreadable, wire::edition_from};
use prost::{Message, Name};
use proto::identity::v1 as pb;
use types::{CancellationId, SubjectId, Timestamp};

use super::{factor, factor_from};
use crate::domain::{Event, SealedContact, Token, TokenId, VerificationId};

/// The largest place of a contact that is read.
const CONTACT_PLACES: u32 = 1 << 16;

/// A fact as it is stored.
#[must_use]
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::Registered { subject, region, edition } => Encoded::of(&pb::SubjectRegistered {
            subject_id: subject.to_string(),
            region: region.clone(),
            edition: participant::wire::edition(*edition).into(),
        }),
        Event::ContactsRecorded(contacts) => Encoded::of(&pb::ContactsRecorded {
            contacts: contacts
                .iter()
                .map(|contact| pb::SealedContact {
                    factor: factor(contact.factor).into(),
                    sealed_address: Bytes::copy_from_slice(&contact.sealed),
                })
                .collect(),
        }),
        Event::VerificationStarted { id, cancellation, factor: by, contact, code_hash, expires_at } => {
            Encoded::of(&pb::VerificationStarted {
                verification_id: id.to_string(),
                cancellation_id: cancellation.to_string(),
                factor: factor(*by).into(),
                code_hash: Bytes::copy_from_slice(code_hash),
                expires_at: Some(expires_at.to_proto()),
                contact: u32::try_from(*contact).unwrap_or(u32::MAX),
            })
        }
        Event::CodeRefused(id) => Encoded::of(&pb::CodeRefused { verification_id: id.to_string() }),
        Event::VerificationCompleted { id, token } => Encoded::of(&pb::VerificationCompleted {
            verification_id: id.to_string(),
            token_id: token.id.to_string(),
            token_expires_at: Some(token.expires_at.to_proto()),
        }),
        Event::KeyDestructionIntended(cancellation) => {
            Encoded::of(&pb::KeyDestructionIntended { cancellation_id: cancellation.to_string() })
        }
        Event::KeyDestroyed(cancellation) => {
            Encoded::of(&pb::KeyDestroyed { cancellation_id: cancellation.to_string() })
        }
        Event::Closed { subject, cancellation, at } => Encoded::of(&pb::SubjectClosed {
            subject_id: subject.to_string(),
            cancellation_id: cancellation.to_string(),
            closed_at: Some(at.to_proto()),
        }),
        Event::TokenKeyPublished { jwk_json } => {
            Encoded::of(&pb::TokenKeyPublished { jwk_json: jwk_json.clone() })
        }
        Event::Standing(event) => standing::encode(event),
        Event::Guardian(event) => guardian::encode(event),
        Event::ComingBack(event) => coming_back::encode(event),
    }
}

/// Whether a stored fact is told to everybody.
#[must_use]
pub fn is_public(kind: &str) -> bool {
    kind == pb::SubjectRegistered::full_name()
        || kind == pb::TokenKeyPublished::full_name()
        || kind == pb::SubjectClosed::full_name()
        || standing::is_public(kind)
}

/// A stored fact.
///
/// # Errors
/// [`Unreadable`] for what this program does not know.
pub fn decode(kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
    let event = match schema {
        1 if kind == pb::SubjectRegistered::full_name() => message(payload, registered),
        1 if kind == pb::ContactsRecorded::full_name() => message(payload, contacts_recorded),
        1 if kind == pb::VerificationStarted::full_name() => message(payload, verification_started),
        1 if kind == pb::CodeRefused::full_name() => message(payload, |message: pb::CodeRefused| {
            Some(Event::CodeRefused(VerificationId::parse(&message.verification_id).ok()?))
        }),
        1 if kind == pb::VerificationCompleted::full_name() => message(payload, verification_completed),
        1 if kind == pb::KeyDestructionIntended::full_name() => {
            message(payload, |message: pb::KeyDestructionIntended| {
                Some(Event::KeyDestructionIntended(CancellationId::parse(&message.cancellation_id).ok()?))
            })
        }
        1 if kind == pb::KeyDestroyed::full_name() => message(payload, |message: pb::KeyDestroyed| {
            Some(Event::KeyDestroyed(CancellationId::parse(&message.cancellation_id).ok()?))
        }),
        1 if kind == pb::SubjectClosed::full_name() => message(payload, closed),
        1 if kind == pb::TokenKeyPublished::full_name() => {
            message(payload, |message: pb::TokenKeyPublished| {
                Some(Event::TokenKeyPublished { jwk_json: message.jwk_json })
            })
        }
        1 => standing::decode(kind, payload)
            .or_else(|| guardian::decode(kind, payload))
            .or_else(|| coming_back::decode(kind, payload))
            .unwrap_or_else(|| Err("is not known".to_owned())),
        _ => Err("is not known".to_owned()),
    };
    event.map_err(|detail| unreadable(kind, schema, detail))
}

fn message<M: Message + Default>(payload: &Bytes, read: fn(M) -> Option<Event>) -> Result<Event, String> {
    let message = M::decode(payload.clone()).map_err(|error| error.to_string())?;
    read(message).ok_or_else(|| "lacks a field".to_owned())
}

fn registered(message: pb::SubjectRegistered) -> Option<Event> {
    Some(Event::Registered {
        subject: SubjectId::parse(&message.subject_id).ok()?,
        region: message.region,
        edition: edition_from(message.edition),
    })
}

fn contacts_recorded(message: pb::ContactsRecorded) -> Option<Event> {
    let contact = |contact: pb::SealedContact| {
        let factor = factor_from(contact.factor())?;
        Some(SealedContact { factor, sealed: contact.sealed_address.as_ref().into() })
    };
    message.contacts.into_iter().map(contact).collect::<Option<_>>().map(Event::ContactsRecorded)
}

fn verification_started(message: pb::VerificationStarted) -> Option<Event> {
    Some(Event::VerificationStarted {
        id: VerificationId::parse(&message.verification_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        factor: factor_from(message.factor())?,
        contact: usize::try_from(message.contact.min(CONTACT_PLACES)).ok()?,
        code_hash: message.code_hash.as_ref().try_into().ok()?,
        expires_at: Timestamp::from_proto(message.expires_at.as_ref()?)?,
    })
}

fn verification_completed(message: pb::VerificationCompleted) -> Option<Event> {
    let token = Token {
        id: TokenId::parse(&message.token_id).ok()?,
        expires_at: Timestamp::from_proto(message.token_expires_at.as_ref()?)?,
    };
    Some(Event::VerificationCompleted { id: VerificationId::parse(&message.verification_id).ok()?, token })
}

fn closed(message: pb::SubjectClosed) -> Option<Event> {
    Some(Event::Closed {
        subject: SubjectId::parse(&message.subject_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        at: Timestamp::from_proto(message.closed_at.as_ref()?)?,
    })
}

#[cfg(test)]
mod tests {
    use types::Edition;

    use super::*;
    use crate::domain::Factor;

    fn every_event() -> Vec<Event> {
        let id = VerificationId::parse("ver_1").unwrap();
        let subject = SubjectId::parse("sbj_1").unwrap();
        let cancellation = CancellationId::parse("can_1").unwrap();
        let at = Timestamp::from_micros(1_700_000_000_000_001);
        let mut events = vec![
            Event::Registered {
                subject: subject.clone(),
                region: "CN".into(),
                edition: Edition::International,
            },
            Event::ContactsRecorded(vec![SealedContact { factor: Factor::SmsCode, sealed: [1, 2].into() }]),
            Event::VerificationStarted {
                id: id.clone(),
                cancellation: cancellation.clone(),
                factor: Factor::EmailCode,
                contact: 1,
                code_hash: [7; 32],
                expires_at: at,
            },
            Event::CodeRefused(id.clone()),
            Event::VerificationCompleted {
                id,
                token: Token { id: TokenId::parse("tok_1").unwrap(), expires_at: at },
            },
            Event::KeyDestructionIntended(cancellation.clone()),
            Event::KeyDestroyed(cancellation.clone()),
            Event::Closed { subject, cancellation, at },
            Event::TokenKeyPublished { jwk_json: "{}".into() },
        ];
        events.extend(standing::every_event().into_iter().map(Event::Standing));
        events.extend(guardian::every_event().into_iter().map(Event::Guardian));
        events.extend(coming_back::every_event().into_iter().map(Event::ComingBack));
        events
    }

    #[test]
    fn every_fact_is_read_as_it_was_stored() {
        let mut public = Vec::new();
        for event in every_event() {
            let Encoded { kind, schema, payload } = encode(&event);
            assert_eq!(decode(&kind, schema, &payload), Ok(event));
            assert!(decode(&kind, schema + 1, &payload).is_err());
            assert!(decode(&kind, schema, &Bytes::from_static(&[0xff])).is_err());
            public.extend(is_public(&kind).then(|| kind.rsplit('.').next().unwrap_or_default().to_owned()));
        }
        public.dedup();
        assert_eq!(
            public,
            ["SubjectRegistered", "SubjectClosed", "TokenKeyPublished", "AppealOverdue", "StandingChanged"]
        );
    }

    #[test]
    fn what_is_unknown_or_lacks_a_field_is_unreadable() {
        assert!(decode("exeunt.identity.v1.Other", 1, &Bytes::new()).is_err());
        assert!(decode(&pb::VerificationStarted::full_name(), 1, &Bytes::new()).is_err());
    }
}
