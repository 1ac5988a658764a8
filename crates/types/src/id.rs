//! Ids: opaque text of at most 64 characters, a prefix and a UUIDv7.

use std::cell::RefCell;

use uuid::Uuid;

/// Longest id in characters, of any kind.
pub const ID_LENGTH_MAX: usize = 64;

/// The tenant of an installation that has only one.
pub const TENANT_LOCAL: &str = "local";

/// Text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than an id may be.
    #[error("must have at most {ID_LENGTH_MAX} characters")]
    TooLong,
    /// The text has characters that no id has.
    #[error("must consist of {0}")]
    Characters(&'static str),
}

/// Where a thread's fresh ids come from, when not from the time and chance.
type Source = Box<dyn FnMut() -> Uuid>;

thread_local! {
    static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
}

/// A new UUIDv7: its high bits are the time, so that new rows land beside each other.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one home of fresh ids")]
pub fn fresh_uuid() -> Uuid {
    let given = SOURCE.try_with(|source| source.borrow_mut().as_mut().map(|next| next()));
    given.ok().flatten().unwrap_or_else(Uuid::now_v7)
}

/// Has [`fresh_uuid`] take what `next` gives, on this thread, for as long as the guard lives. For
/// simulations, which must repeat exactly; what takes ids for unique relies on `next` giving each once.
#[must_use]
pub fn ids_from(next: impl FnMut() -> Uuid + 'static) -> IdsGuard {
    SOURCE.set(Some(Box::new(next)));
    IdsGuard { _not_sent: std::marker::PhantomData }
}

/// Ends what [`ids_from`] began, when it goes.
pub struct IdsGuard {
    /// It must go on the thread on which it was made.
    _not_sent: std::marker::PhantomData<*const ()>,
}

impl Drop for IdsGuard {
    fn drop(&mut self) {
        let _ = SOURCE.try_with(RefCell::take);
    }
}

/// Whether the text has the form of an id: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[must_use]
pub fn is_opaque_id(text: &str) -> bool {
    check_opaque_id(text).is_ok()
}

/// The rule of an opaque id: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// # Errors
/// [`IdError`] when the text does not have that form.
pub fn check_opaque_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_LENGTH_MAX {
        return Err(IdError::TooLong);
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(IdError::Characters("letters, digits, _ and -"));
    }
    Ok(())
}

/// Makes a type of ids: text that keeps to a rule.
#[macro_export]
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(::std::sync::Arc<str>);

        impl $name {
            /// Takes the text as an id.
            ///
            /// # Errors
            /// An `IdError` when the text does not have an id's form.
            pub fn parse(text: &str) -> ::std::result::Result<Self, $crate::IdError> {
                let check: fn(&str) -> ::std::result::Result<(), $crate::IdError> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Makes a type of opaque ids of one kind of thing, with that kind's prefix.
#[macro_export]
macro_rules! minted_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $crate::text_id!($(#[$doc])* $name, $crate::check_opaque_id);

        impl $name {
            /// The id of this kind that the UUID gives.
            #[must_use]
            pub fn mint(uuid: $crate::Uuid) -> Self {
                Self(format!(concat!($prefix, "_{}"), uuid.simple()).into())
            }
        }
    };
}

minted_id!(
    /// One request to end an account or services, from intake to receipt.
    CancellationId, "can"
);
minted_id!(
    /// The person whose account or services end. Opaque everywhere outside `identity`.
    SubjectId, "sbj"
);
text_id!(
    /// One organisation's share of an installation.
    Tenant, check_opaque_id
);
text_id!(
    /// The name of a service that must acknowledge cancellations: `[a-z][a-z0-9-]{0,31}`.
    ParticipantName,
    |text| {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > 32 {
            return Err(IdError::TooLong);
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !text.as_bytes()[0].is_ascii_lowercase() || !text.bytes().all(allowed) {
            return Err(IdError::Characters("a small letter, then small letters, digits and -"));
        }
        Ok(())
    }
);

impl Tenant {
    /// The tenant of an installation that has only one.
    #[must_use]
    pub fn local() -> Self {
        Self(TENANT_LOCAL.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_opaque_text_of_at_most_64_characters() {
        assert!(CancellationId::parse("can_0190").is_ok());
        assert_eq!(CancellationId::parse(""), Err(IdError::Empty));
        assert_eq!(CancellationId::parse(&"a".repeat(65)), Err(IdError::TooLong));
        assert!(matches!(CancellationId::parse("a b"), Err(IdError::Characters(_))));
        assert!(matches!(CancellationId::parse("é"), Err(IdError::Characters(_))));
    }

    #[test]
    fn a_minted_id_has_the_prefix_of_its_kind_and_parses() {
        let id = SubjectId::mint(fresh_uuid());
        assert!(id.as_str().starts_with("sbj_"));
        assert_eq!(SubjectId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn ids_come_from_where_they_are_told_to_until_that_ends_and_on_this_thread_only() {
        let mut next = 0;
        let guard = ids_from(move || {
            next += 1;
            Uuid::from_u128(next)
        });
        assert_eq!([fresh_uuid(), fresh_uuid()].map(|id| id.as_u128()), [1, 2]);
        let elsewhere = std::thread::spawn(fresh_uuid).join().unwrap();
        assert_eq!(elsewhere.get_version_num(), 7);
        drop(guard);
        assert_eq!(fresh_uuid().get_version_num(), 7);
    }

    #[test]
    fn a_participants_name_is_a_small_hyphenated_word() {
        assert!(ParticipantName::parse("coupon-service").is_ok());
        for wrong in ["", "9a", "Upper", "a_b", "-a"] {
            assert!(ParticipantName::parse(wrong).is_err(), "{wrong}");
        }
    }
}
