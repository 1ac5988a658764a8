//! Bad input, every field of it at once.

use std::{fmt, time::Duration};

use tonic::{Code, Status};
use types::{CancellationId, Currency, IdError, Money, SubjectId, Timestamp};

use crate::{Refusal, reason};

/// Longest request id, in characters.
pub const REQUEST_ID_LENGTH_MAX: usize = 64;

/// How far ahead the clock of one who observed something may be.
const CLOCKS_APART_MAX: Duration = Duration::from_mins(5);

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Its path in the proto's names: `contacts[1].email`.
    pub field: String,
    /// What it must be, without repeating what it is.
    pub description: String,
}

/// A request with wrong fields. Becomes INVALID_ARGUMENT with a violation for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// The wrong fields, in the order in which they were found; never empty.
    pub faults: Vec<FieldFault>,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [fault] => write!(f, "{} {}", fault.field, fault.description),
            faults => {
                const NAMED_MAX: usize = 8;
                let named: Vec<_> = faults.iter().take(NAMED_MAX).map(|fault| fault.field.as_str()).collect();
                let more = if faults.len() > NAMED_MAX { ", …" } else { "" };
                write!(f, "{} fields are wrong: {}{more}", faults.len(), named.join(", "))
            }
        }
    }
}

impl std::error::Error for BadRequest {}

impl From<BadRequest> for Refusal {
    fn from(error: BadRequest) -> Self {
        Self::new(Code::InvalidArgument, reason::INVALID_ARGUMENT, error.to_string()).fields(error.faults)
    }
}

impl From<BadRequest> for Status {
    fn from(error: BadRequest) -> Self {
        Refusal::from(error).into()
    }
}

/// Collects what is wrong with a request while it is read.
///
/// Each reader gives `None` for a field that is wrong and remembers why, so that reading goes on;
/// [`Violations::finish`] gives the value when nothing was wrong.
///
/// ```
/// # use service_kit::{BadRequest, Violations};
/// # struct Order { id: String, note: Option<String> }
/// fn order(id: &str, note: &str) -> Result<Order, BadRequest> {
///     let mut v = Violations::new();
///     let id = v.text("id", id, 64);
///     let note = v.optional_text("note", note, 200);
///     v.finish(|| Some(Order { id: id?, note: note? }))
/// }
/// assert!(order("1", "").is_ok());
/// assert_eq!(order("", "a\nb").err().unwrap().faults.len(), 2);
/// ```
#[derive(Debug, Default)]
pub struct Violations {
    faults: Vec<FieldFault>,
    prefix: String,
}

impl Violations {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers that a field is wrong and what it must be (`must be …`).
    pub fn push(&mut self, field: &str, description: impl Into<String>) {
        let field = if self.prefix.is_empty() {
            field.to_owned()
        } else if field.is_empty() {
            self.prefix.clone()
        } else {
            format!("{}.{field}", self.prefix)
        };
        self.faults.push(FieldFault { field, description: description.into() });
    }

    /// Remembers the field unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, description: impl Into<String>) {
        if !holds {
            self.push(field, description);
        }
    }

    /// Reads the fields of a message inside: what is wrong there is named `<field>.<its field>`.
    pub fn within<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.prefix.len();
        if length > 0 {
            self.prefix.push('.');
        }
        self.prefix.push_str(field);
        let value = read(self);
        self.prefix.truncate(length);
        value
    }

    /// Reads each element of a repeated field of messages, which is named `<field>[<index>]`.
    /// `None` when there are more than `max`, or one of them is wrong.
    pub fn each<M, T>(
        &mut self,
        field: &str,
        messages: impl IntoIterator<Item = M>,
        max: usize,
        mut read: impl FnMut(&mut Self, M) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut values = Some(Vec::new());
        for (index, message) in messages.into_iter().enumerate() {
            if index == max {
                self.push(field, format!("must have at most {max} elements"));
                return None;
            }
            let value = self.within(&format!("{field}[{index}]"), |v| read(v, message));
            match (&mut values, value) {
                (Some(values), Some(value)) => values.push(value),
                _ => values = None,
            }
        }
        values
    }

    /// A field that must be there: a message, or one of a oneof.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        self.check(value.is_some(), field, "must be given");
        value
    }

    /// Text of 1 to `max` characters, not all of them white space, none of them a control character.
    pub fn text(&mut self, field: &str, text: &str, max: usize) -> Option<String> {
        if text.is_empty() {
            self.push(field, "must not be empty");
            return None;
        }
        if text.trim().is_empty() {
            self.push(field, "must not be blank");
            return None;
        }
        self.optional_text(field, text, max)?
    }

    /// Text of at most `max` characters, none of them a control character; empty means none.
    pub fn optional_text(&mut self, field: &str, text: &str, max: usize) -> Option<Option<String>> {
        if text.chars().nth(max).is_some() {
            self.push(field, format!("must have at most {max} characters"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.push(field, "must not have control characters");
            return None;
        }
        Some((!text.is_empty()).then(|| text.to_owned()))
    }

    /// An id of any kind, by its own rule: `v.id("order_id", &order_id, OrderId::parse)`.
    pub fn id<T>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        parse(text).map_err(|error| self.push(field, error.to_string())).ok()
    }

    /// A subject's id.
    pub fn subject_id(&mut self, field: &str, text: &str) -> Option<SubjectId> {
        self.id(field, text, SubjectId::parse)
    }

    /// A cancellation's id.
    pub fn cancellation_id(&mut self, field: &str, text: &str) -> Option<CancellationId> {
        self.id(field, text, CancellationId::parse)
    }

    /// A request id that must be given: 1 to 64 printable ASCII characters.
    pub fn request_id(&mut self, field: &str, text: &str) -> Option<String> {
        if text.is_empty() {
            self.push(field, "must not be empty");
            return None;
        }
        self.optional_request_id(field, text)?
    }

    /// A request id that may be left out: at most 64 printable ASCII characters, empty means none.
    pub fn optional_request_id(&mut self, field: &str, text: &str) -> Option<Option<String>> {
        if text.len() > REQUEST_ID_LENGTH_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = format!("must have at most {REQUEST_ID_LENGTH_MAX} characters, all printable ASCII");
            self.push(field, rule);
            return None;
        }
        Some((!text.is_empty()).then(|| text.to_owned()))
    }

    /// An instant that must be given.
    pub fn timestamp(&mut self, field: &str, value: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
        let value = self.required(field, value)?;
        self.optional_timestamp(field, Some(value))?
    }

    /// An instant that must be given, and has come. Clocks of others may be five minutes ahead.
    pub fn past(
        &mut self,
        field: &str,
        value: Option<&prost_types::Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let instant = self.timestamp(field, value)?;
        let come = instant <= now.plus(CLOCKS_APART_MAX);
        self.check(come, field, "must not lie in the future");
        come.then_some(instant)
    }

    /// An instant that may be left out.
    pub fn optional_timestamp(
        &mut self,
        field: &str,
        value: Option<&prost_types::Timestamp>,
    ) -> Option<Option<Timestamp>> {
        let Some(value) = value else { return Some(None) };
        let instant = Timestamp::from_proto(value);
        self.check(instant.is_some(), field, "must be an instant of the years 1970 to 9999");
        instant.map(Some)
    }

    /// A value of an enum that must be given: neither unspecified (0) nor unknown.
    pub fn enumeration<E: TryFrom<i32>>(&mut self, field: &str, value: i32) -> Option<E> {
        if value == 0 {
            self.push(field, "must be given");
            return None;
        }
        self.optional_enumeration(field, value)?
    }

    /// A value of an enum that may be left unspecified (0), but not be unknown.
    pub fn optional_enumeration<E: TryFrom<i32>>(&mut self, field: &str, value: i32) -> Option<Option<E>> {
        if value == 0 {
            return Some(None);
        }
        let known = E::try_from(value).ok();
        self.check(known.is_some(), field, "must be a known value");
        known.map(Some)
    }

    /// An amount of money, not negative, from the fields of a Money message: its currency's code
    /// and a number of its smallest unit.
    pub fn money(&mut self, field: &str, currency_code: &str, minor_units: i64) -> Option<Money> {
        self.within(field, |v| {
            let currency = Currency::parse(currency_code)
                .map_err(|error| v.push("currency_code", error.to_string()))
                .ok();
            v.check(minor_units >= 0, "minor_units", "must not be negative");
            currency.filter(|_| minor_units >= 0).map(|currency| Money { currency, minor_units })
        })
    }

    /// 32 bytes as 64 small hexadecimal digits, such as a digest.
    pub fn digest(&mut self, field: &str, text: &str) -> Option<[u8; 32]> {
        let digest = decode_hex(text);
        self.check(digest.is_some(), field, "must be 64 hexadecimal digits, 0-9 and a-f");
        digest
    }

    /// A number within bounds.
    pub fn within_range<N: PartialOrd + fmt::Display>(
        &mut self,
        field: &str,
        value: N,
        range: std::ops::RangeInclusive<N>,
    ) -> Option<N> {
        if range.contains(&value) {
            return Some(value);
        }
        self.push(field, format!("must be from {} to {}", range.start(), range.end()));
        None
    }

    /// Whether nothing was wrong.
    ///
    /// # Errors
    /// [`BadRequest`] with everything that was.
    pub fn into_result(self) -> Result<(), BadRequest> {
        if self.faults.is_empty() { Ok(()) } else { Err(BadRequest { faults: self.faults }) }
    }

    /// The value that `build` makes of what was read, when nothing was wrong.
    ///
    /// # Errors
    /// [`BadRequest`] with everything that was.
    pub fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, BadRequest> {
        if self.faults.is_empty() {
            if let Some(value) = build() {
                return Ok(value);
            }
            // A reader gave `None` without a word. Refusing is all that is left.
            self.push("", "is not complete");
        }
        Err(BadRequest { faults: self.faults })
    }
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Colour(i32);

    impl TryFrom<i32> for Colour {
        type Error = ();
        fn try_from(value: i32) -> Result<Self, ()> {
            if value < 3 { Ok(Self(value)) } else { Err(()) }
        }
    }

    /// What reading alone one field finds wrong.
    fn faults<T>(read: impl FnOnce(&mut Violations) -> Option<T>) -> Vec<String> {
        let mut violations = Violations::new();
        let value = read(&mut violations);
        let faults = violations.faults;
        assert_eq!(value.is_none(), !faults.is_empty(), "a wrong field gives no value");
        faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.description)).collect()
    }

    #[test]
    fn what_was_observed_has_happened_give_or_take_the_difference_of_clocks() {
        let now = Timestamp::parse("2026-11-21T08:00:00Z").unwrap();
        let read = |text: &str| {
            let value = Timestamp::parse(text).unwrap().to_proto();
            faults(|v| v.past("observed_at", Some(&value), now))
        };
        assert_eq!(read("2026-11-21T08:05:00Z"), Vec::<String>::new());
        assert_eq!(read("2026-11-21T08:05:01Z"), ["observed_at must not lie in the future"]);
        assert_eq!(faults(|v| v.past("observed_at", None, now)), ["observed_at must be given"]);
    }

    #[test]
    fn every_bad_field_is_named_at_once_with_its_path() {
        let mut v = Violations::new();
        v.subject_id("subject_id", "");
        v.each("contacts", ["ok", "a\tb"], 5, |v, email| v.text("email", email, 10));
        v.within("plan", |v| v.money("price", "yuan", -1));
        let status = Status::from(v.into_result().unwrap_err());
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "INVALID_ARGUMENT");
        let fields: Vec<_> =
            details.bad_request().unwrap().field_violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            fields,
            ["subject_id", "contacts[1].email", "plan.price.currency_code", "plan.price.minor_units"]
        );
        assert_eq!(
            status.message(),
            "4 fields are wrong: subject_id, contacts[1].email, plan.price.currency_code, plan.price.minor_units"
        );
    }

    #[test]
    fn text_has_a_length_and_no_control_characters() {
        assert!(faults(|v| v.text("f", "四个汉字", 4)).is_empty());
        assert_eq!(faults(|v| v.text("f", "五个汉字啊", 4)), ["f must have at most 4 characters"]);
        assert_eq!(faults(|v| v.text("f", "", 4)), ["f must not be empty"]);
        for blank in [" ", "      ", "\t\n", "\u{3000}"] {
            assert_eq!(faults(|v| v.text("f", blank, 4)), ["f must not be blank"]);
        }
        assert!(faults(|v| v.text("f", " a ", 4)).is_empty());
        assert_eq!(faults(|v| v.text("f", "a\u{0}", 4)), ["f must not have control characters"]);
        assert_eq!(Violations::new().optional_text("f", "", 4), Some(None));
    }

    #[test]
    fn ids_have_their_form() {
        assert!(faults(|v| v.subject_id("f", "sbj_1")).is_empty());
        assert_eq!(faults(|v| v.cancellation_id("f", "")), ["f must not be empty"]);
        assert_eq!(faults(|v| v.cancellation_id("f", "a b")), ["f must consist of letters, digits, _ and -"]);
        assert!(faults(|v| v.request_id("f", "3f/2:a")).is_empty());
        for wrong in ["a b", "é", &"a".repeat(65)] {
            assert_eq!(faults(|v| v.optional_request_id("f", wrong)).len(), 1, "{wrong}");
        }
        assert_eq!(faults(|v| v.request_id("f", "")), ["f must not be empty"]);
        assert_eq!(Violations::new().optional_request_id("f", ""), Some(None));
    }

    #[test]
    fn instants_lie_in_range() {
        let at = |seconds, nanos| prost_types::Timestamp { seconds, nanos };
        assert!(faults(|v| v.timestamp("f", Some(&at(1, 5)))).is_empty());
        assert_eq!(faults(|v| v.timestamp("f", None)), ["f must be given"]);
        for wrong in [at(-1, 0), at(i64::MAX, 0), at(1, -1)] {
            assert_eq!(faults(|v| v.optional_timestamp("f", Some(&wrong))).len(), 1);
        }
        assert_eq!(Violations::new().optional_timestamp("f", None), Some(None));
    }

    #[test]
    fn an_enum_is_given_and_known() {
        assert_eq!(Violations::new().enumeration("f", 2), Some(Colour(2)));
        assert_eq!(faults(|v| v.enumeration::<Colour>("f", 0)), ["f must be given"]);
        assert_eq!(faults(|v| v.enumeration::<Colour>("f", 7)), ["f must be a known value"]);
        assert_eq!(faults(|v| v.optional_enumeration::<Colour>("f", 7)), ["f must be a known value"]);
        assert_eq!(Violations::new().optional_enumeration::<Colour>("f", 0), Some(None));
    }

    #[test]
    fn a_digest_is_64_small_hexadecimal_digits() {
        let digest = Violations::new().digest("f", &"0f".repeat(32));
        assert_eq!(digest, Some([0x0f; 32]));
        for wrong in ["", "0f", &"0F".repeat(32), &"0g".repeat(32), &"0".repeat(65)] {
            assert_eq!(faults(|v| v.digest("f", wrong)).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn lists_and_numbers_have_bounds() {
        let wrong = faults(|v| v.each("f", 0..3, 2, |_, n| Some(n)));
        assert_eq!(wrong, ["f must have at most 2 elements"]);
        assert_eq!(Violations::new().each("f", 0..2, 2, |_, n| Some(n)), Some(vec![0, 1]));
        assert_eq!(faults(|v| v.within_range("f", 0, 1..=9)), ["f must be from 1 to 9"]);
    }

    #[test]
    fn a_value_comes_only_of_a_request_without_fault() {
        assert_eq!(Violations::new().finish(|| Some(1)), Ok(1));
        assert!(Violations::new().finish(|| None::<i32>).is_err());
        let mut v = Violations::new();
        v.check(false, "f", "must be something else");
        assert_eq!(v.finish(|| Some(1)).unwrap_err().to_string(), "f must be something else");
    }
}
