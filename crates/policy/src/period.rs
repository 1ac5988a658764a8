//! How long something takes.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Span, civil::Date};

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

    /// The day on which civil time ends, or began when it is counted back. `None` for what is not civil time,
    /// or beyond the calendar.
    pub(crate) fn counted(self, day: Date, back: bool) -> Option<Date> {
        let Self::Civil { years, months, days } = self else { return None };
        let span = Span::new().years(i64::from(years)).months(i64::from(months)).days(i64::from(days));
        if back { day.checked_sub(span).ok() } else { day.checked_add(span).ok() }
    }
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
}
