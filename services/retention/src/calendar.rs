//! Civil dates: what day an instant is in a zone, and where a period that starts on it ends.
//!
//! The zones are those built into the program, so that every machine counts alike.

use std::sync::LazyLock;

use jiff::{
    Span,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use types::Timestamp;

use crate::domain::Period;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Whether there is a zone of that IANA name.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    ZONES.get(name).is_ok()
}

/// The first instant, in the zone, of the day on which the period ends. A day that its month does
/// not have is the month's last: what starts on 29 February ends on the 28th.
#[must_use]
pub fn end(zone: &str, start: Timestamp, period: Period) -> Timestamp {
    let span = Span::new()
        .years(i64::from(period.years))
        .months(i64::from(period.months))
        .days(i64::from(period.days));
    let midnight = civil_date(zone, start).saturating_add(span).to_zoned(zone_of(zone));
    midnight.map_or(Timestamp::from_micros(i64::MAX), |at| {
        Timestamp::from_micros(at.timestamp().as_microsecond())
    })
}

/// The day of an instant in the zone: `2036-11-21`.
#[must_use]
pub fn date(zone: &str, at: Timestamp) -> String {
    civil_date(zone, at).to_string()
}

fn civil_date(zone: &str, at: Timestamp) -> Date {
    at.to_jiff().to_zoned(zone_of(zone)).date()
}

/// Tables are checked when they are read; a zone that is none would count in UTC.
fn zone_of(name: &str) -> TimeZone {
    ZONES.get(name).unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: &str, start: &str, years_months: (u8, u8), expected_instant: &str, expected_date: &str) {
        let period = Period { years: years_months.0, months: years_months.1, days: 0 };
        let end = end(zone, Timestamp::parse(start).unwrap(), period);
        assert_eq!(end.to_string(), expected_instant);
        assert_eq!(date(zone, end), expected_date);
    }

    #[test]
    fn a_period_ends_at_the_zones_midnight() {
        check("Asia/Shanghai", "2026-11-21T03:00:00Z", (10, 0), "2036-11-20T16:00:00Z", "2036-11-21");
        check("Europe/London", "2026-12-01T12:00:00Z", (5, 0), "2031-12-01T00:00:00Z", "2031-12-01");
        check("America/Los_Angeles", "2026-12-01T12:00:00Z", (5, 0), "2031-12-01T08:00:00Z", "2031-12-01");
    }

    #[test]
    fn the_day_is_the_zones_day_and_every_instant_of_it_gives_the_same_end() {
        check("Asia/Shanghai", "2026-11-20T15:59:59.999999Z", (10, 0), "2036-11-19T16:00:00Z", "2036-11-20");
        check("Asia/Shanghai", "2026-11-20T16:00:00Z", (10, 0), "2036-11-20T16:00:00Z", "2036-11-21");
        check("Asia/Shanghai", "2026-11-20T16:30:00Z", (10, 0), "2036-11-20T16:00:00Z", "2036-11-21");
        check("Asia/Shanghai", "2026-11-21T15:59:59Z", (10, 0), "2036-11-20T16:00:00Z", "2036-11-21");
        check("America/Los_Angeles", "2026-12-02T07:59:59Z", (5, 0), "2031-12-01T08:00:00Z", "2031-12-01");
    }

    #[test]
    fn a_day_that_its_month_lacks_is_the_last_of_it() {
        check("Asia/Shanghai", "2024-02-29T04:00:00Z", (10, 0), "2034-02-27T16:00:00Z", "2034-02-28");
        check("Asia/Shanghai", "2024-02-29T04:00:00Z", (4, 0), "2028-02-28T16:00:00Z", "2028-02-29");
        check("Asia/Shanghai", "2026-08-31T04:00:00Z", (0, 6), "2027-02-27T16:00:00Z", "2027-02-28");
    }

    #[test]
    fn summer_time_moves_the_instant_but_not_the_day() {
        check("Europe/Berlin", "2026-01-15T12:00:00Z", (0, 6), "2026-07-14T22:00:00Z", "2026-07-15");
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let period = Period { years: 255, months: 255, days: u16::MAX };
        let last = Timestamp::from_micros(i64::MAX);
        assert_eq!(end("Asia/Shanghai", last, period), Timestamp::parse("9999-12-30T16:00:00Z").unwrap());
    }

    #[test]
    fn only_iana_names_are_zones() {
        assert!(is_zone("Asia/Shanghai"));
        assert!(is_zone("UTC"));
        assert!(!is_zone("Shanghai"));
        assert!(!is_zone(""));
    }
}
