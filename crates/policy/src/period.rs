//! How long something takes.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{
    Span,
    civil::{Date, Time},
    tz::TimeZone,
};
use types::Timestamp;

/// A length of time as laws have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// So many seconds, whatever the calendar says: `PT24H`.
    Exact(u32),
    /// Civil time, counted from the day on which something happens, which is not one of them: `P1M`, `P45D`.
    Civil {
        /// Years.
        years: u16,
        /// Months. A day that its month lacks is the month's last.
        months: u16,
        /// Days.
        days: u16,
    },
    /// Days on which people work: `15 working days`.
    Working(u16),
}

/// What text is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a period is P1Y2M3D, PT24H or `15 working days`")]
pub struct NotAPeriod;

impl Period {
    /// Both, one after the other.
    ///
    /// # Errors
    /// [`NotAPeriod`] for two that are not counted alike: nobody could say which comes first.
    pub fn and(self, more: Self) -> Result<Self, NotAPeriod> {
        match (self, more) {
            (Self::Exact(a), Self::Exact(b)) => a.checked_add(b).map(Self::Exact).ok_or(NotAPeriod),
            (Self::Working(a), Self::Working(b)) => a.checked_add(b).map(Self::Working).ok_or(NotAPeriod),
            (Self::Civil { years, months, days }, Self::Civil { years: y, months: m, days: d }) => {
                let sum = |a: u16, b: u16| a.checked_add(b).ok_or(NotAPeriod);
                Ok(Self::Civil { years: sum(years, y)?, months: sum(months, m)?, days: sum(days, d)? })
            }
            _ => Err(NotAPeriod),
        }
    }

    /// Whether it takes no time at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Exact(0) | Self::Working(0) | Self::Civil { years: 0, months: 0, days: 0 })
    }

    /// How long it always is, a day counted as 24 hours. `None` for months, years and working days.
    #[must_use]
    pub fn exact(self) -> Option<Duration> {
        match self {
            Self::Exact(seconds) => Some(Duration::from_secs(u64::from(seconds))),
            Self::Civil { years: 0, months: 0, days } => Some(Duration::from_hours(u64::from(days) * 24)),
            Self::Civil { .. } | Self::Working(_) => None,
        }
    }

    /// For people: `10 years`, `1 year and 6 months`.
    #[must_use]
    pub fn in_words(self) -> String {
        let Self::Civil { years, months, days } = self else { return self.to_string() };
        let parts = [(years, "year"), (months, "month"), (days, "day")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let words =
            parts.map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }));
        words.collect::<Vec<_>>().join(" and ")
    }

    /// The day on which civil time ends, or began when it is counted back. `None` for what is not civil time,
    /// or beyond the calendar.
    pub(crate) fn counted(self, day: Date, back: bool) -> Option<Date> {
        let Self::Civil { years, months, days } = self else { return None };
        let span = Span::new().try_years(years).ok()?.try_months(months).ok()?.try_days(days).ok()?;
        if back { day.checked_sub(span).ok() } else { day.checked_add(span).ok() }
    }
}

/// The first instant, in the zone, of the day that civil time from an instant reaches. A day that its
/// month lacks is the month's last; the end of the calendar is not passed.
pub(crate) fn end(zone: &TimeZone, start: Timestamp, period: Period) -> Timestamp {
    let day = start.to_jiff().to_zoned(zone.clone()).date();
    beginning(zone, period.counted(day, false).unwrap_or(Date::MAX))
}

/// The first instant of a day.
pub(crate) fn beginning(zone: &TimeZone, day: Date) -> Timestamp {
    let midnight = day.to_datetime(Time::midnight()).to_zoned(zone.clone());
    midnight.map_or(Timestamp::from_micros(i64::MAX), |at| {
        Timestamp::from_micros(at.timestamp().as_microsecond())
    })
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        if let Some(days) = text.strip_suffix(" working days").or_else(|| text.strip_suffix(" working day")) {
            return days.parse().map(Self::Working).map_err(|_| NotAPeriod);
        }
        let rest = text.strip_prefix('P').ok_or(NotAPeriod)?;
        match rest.strip_prefix('T') {
            Some(time) => exact(time),
            None => civil(rest),
        }
    }
}

/// The parts of `1Y2M3D`: every unit once, in this order.
fn parts<const N: usize>(mut rest: &str, units: [char; N]) -> Result<[u32; N], NotAPeriod> {
    let mut found = [0; N];
    if rest.is_empty() {
        return Err(NotAPeriod);
    }
    for (place, unit) in units.into_iter().enumerate() {
        let Some((number, more)) = rest.split_once(unit) else { continue };
        found[place] = number.parse().map_err(|_| NotAPeriod)?;
        rest = more;
    }
    if rest.is_empty() { Ok(found) } else { Err(NotAPeriod) }
}

fn civil(text: &str) -> Result<Period, NotAPeriod> {
    let [years, months, days] = parts(text, ['Y', 'M', 'D'])?;
    let small = |number: u32| u16::try_from(number).map_err(|_| NotAPeriod);
    Ok(Period::Civil { years: small(years)?, months: small(months)?, days: small(days)? })
}

fn exact(text: &str) -> Result<Period, NotAPeriod> {
    let [hours, minutes, seconds] = parts(text, ['H', 'M', 'S'])?;
    let all = u64::from(hours) * 3_600 + u64::from(minutes) * 60 + u64::from(seconds);
    u32::try_from(all).map(Period::Exact).map_err(|_| NotAPeriod)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Working(1) => f.write_str("1 working day"),
            Self::Working(days) => write!(f, "{days} working days"),
            Self::Civil { years, months, days } => {
                f.write_str("P")?;
                let letters = [(years, 'Y'), (months, 'M'), (days, 'D')];
                write!(f, "{}", Letters(letters.map(|(number, unit)| (u32::from(number), unit)), "0D"))
            }
            Self::Exact(seconds) => {
                let letters = [(seconds / 3_600, 'H'), (seconds / 60 % 60, 'M'), (seconds % 60, 'S')];
                write!(f, "PT{}", Letters(letters, "0S"))
            }
        }
    }
}

/// Numbers with their units, without those of which there are none.
struct Letters([(u32, char); 3], &'static str);

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(letters, zero) = self;
        if letters.iter().all(|(number, _)| *number == 0) {
            return f.write_str(zero);
        }
        letters
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_and_written_alike() {
        for text in
            ["PT24H", "PT1H30M", "PT0S", "P1M", "P45D", "P1Y2M3D", "P0D", "15 working days", "1 working day"]
        {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in
            ["", "P", "PT", "1M", "P1W", "P-1D", "P1D2M", "P99999D", "days", " working days", "PT1H1H"]
        {
            assert_eq!(text.parse::<Period>(), Err(NotAPeriod), "{text}");
        }
    }

    #[test]
    fn only_what_is_counted_alike_is_added() {
        let period = |text: &str| text.parse::<Period>().unwrap();
        assert_eq!(period("P1M").and(period("P2M")).unwrap(), period("P3M"));
        assert_eq!(period("PT1H").and(period("PT1H")).unwrap(), period("PT2H"));
        assert!(period("P1M").and(period("15 working days")).is_err());
    }

    #[test]
    fn periods_read_as_people_say_them() {
        let words = |text: &str| text.parse::<Period>().unwrap().in_words();
        assert_eq!(words("P10Y"), "10 years");
        assert_eq!(words("P1Y6M"), "1 year and 6 months");
        assert_eq!(words("P90D"), "90 days");
        assert_eq!(words("15 working days"), "15 working days");
    }

    #[track_caller]
    fn check_end(zone: &str, start: &str, period: &str, expected: &str) {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let end = end(&zone, Timestamp::parse(start).unwrap(), period.parse().unwrap());
        assert_eq!(end.to_string(), expected);
    }

    #[test]
    fn civil_time_ends_at_the_zones_midnight() {
        check_end("Asia/Shanghai", "2026-11-21T03:00:00Z", "P10Y", "2036-11-20T16:00:00Z");
        check_end("Europe/London", "2026-12-01T12:00:00Z", "P5Y", "2031-12-01T00:00:00Z");
        check_end("America/Los_Angeles", "2026-12-01T12:00:00Z", "P5Y", "2031-12-01T08:00:00Z");
    }

    #[test]
    fn the_day_is_the_zones_day_and_every_instant_of_it_gives_the_same_end() {
        check_end("Asia/Shanghai", "2026-11-20T15:59:59.999999Z", "P10Y", "2036-11-19T16:00:00Z");
        for start in ["2026-11-20T16:00:00Z", "2026-11-20T16:30:00Z", "2026-11-21T15:59:59Z"] {
            check_end("Asia/Shanghai", start, "P10Y", "2036-11-20T16:00:00Z");
        }
        check_end("America/Los_Angeles", "2026-12-02T07:59:59Z", "P5Y", "2031-12-01T08:00:00Z");
    }

    #[test]
    fn a_day_that_its_month_lacks_is_the_last_of_it() {
        check_end("Asia/Shanghai", "2024-02-29T04:00:00Z", "P10Y", "2034-02-27T16:00:00Z");
        check_end("Asia/Shanghai", "2024-02-29T04:00:00Z", "P4Y", "2028-02-28T16:00:00Z");
        check_end("Asia/Shanghai", "2026-08-31T04:00:00Z", "P6M", "2027-02-27T16:00:00Z");
    }

    #[test]
    fn summer_time_moves_the_instant_but_not_the_day() {
        check_end("Europe/Berlin", "2026-01-15T12:00:00Z", "P6M", "2026-07-14T22:00:00Z");
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        check_end("Asia/Shanghai", "9999-01-01T00:00:00Z", "P60000Y", "9999-12-30T16:00:00Z");
    }
}
