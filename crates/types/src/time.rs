//! Instants: UTC with microseconds, and the clock that tells them.

use std::{fmt, time::Duration};

/// An instant, in microseconds since 1970-01-01T00:00:00Z. Never negative, never beyond year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

const MICROS_MAX: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The instant so many microseconds after the epoch, brought into range.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(0, MICROS_MAX))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// The instant so much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; nothing when it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        (0..=MICROS_MAX).contains(&instant.as_microsecond()).then(|| Self(instant.as_microsecond()))
    }

    /// As protobuf's well-known type.
    #[must_use]
    pub fn to_proto(self) -> prost_types::Timestamp {
        prost_types::Timestamp {
            seconds: self.0.div_euclid(1_000_000),
            nanos: i32::try_from(self.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
        }
    }

    /// From protobuf's well-known type; nanoseconds are cut to microseconds. `None` out of range.
    #[must_use]
    pub fn from_proto(proto: &prost_types::Timestamp) -> Option<Self> {
        if !(0..1_000_000_000).contains(&proto.nanos) {
            return None;
        }
        let micros = proto.seconds.checked_mul(1_000_000)?.checked_add(i64::from(proto.nanos) / 1_000)?;
        (0..=MICROS_MAX).contains(&micros).then_some(Self(micros))
    }

    /// For people, to the day: `2026-12-10`, in UTC.
    #[must_use]
    pub fn day(self) -> String {
        self.to_jiff().strftime("%Y-%m-%d").to_string()
    }

    /// For people, to the minute: `2026-12-10 12:31 UTC`.
    #[must_use]
    pub fn minute(self) -> String {
        self.to_jiff().strftime("%Y-%m-%d %H:%M UTC").to_string()
    }

    /// As `jiff` knows it, for civil dates and zones. Its last instant is 26 hours before ours, so
    /// that what is later becomes that.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}

/// Tells the time. The system's in production, a manual one in tests.
pub trait Clock: Send + Sync + 'static {
    /// The instant now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one home of the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_text_and_protobuf() {
        let at = Timestamp::parse("2026-11-21T08:00:00.123456Z").unwrap();
        assert_eq!(at.to_string(), "2026-11-21T08:00:00.123456Z");
        assert_eq!(Timestamp::from_proto(&at.to_proto()), Some(at));
        assert_eq!((at.day(), at.minute()), ("2026-11-21".into(), "2026-11-21 08:00 UTC".into()));
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert_eq!(Timestamp::parse("1960-01-01T00:00:00Z"), None);
        let beyond = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
        assert_eq!(Timestamp::from_proto(&beyond), None);
        assert_eq!(Timestamp::from_proto(&prost_types::Timestamp { seconds: 1, nanos: -1 }), None);
    }

    #[test]
    fn the_last_instant_is_not_taken_for_the_first() {
        assert!(Timestamp::from_micros(i64::MAX).to_string().starts_with("9999-12-30"));
    }

    #[test]
    fn spans_are_never_negative() {
        let at = Timestamp::from_micros(5);
        assert_eq!(at.since(at.plus(Duration::from_secs(1))), Duration::ZERO);
    }
}
