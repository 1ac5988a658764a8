//! Which days people work on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};

use crate::read::Reader;

/// Holidays, and weekends on which people work instead, year by year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Who says so.
    pub source: String,
    years: BTreeMap<i16, Year>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Year {
    holidays: BTreeSet<Date>,
    workdays: BTreeSet<Date>,
}

/// Why people work on a day, or do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    Working,
    /// A day of a weekend that is worked for a holiday.
    MadeUp,
    Weekend,
    Holiday,
}

impl Day {
    pub(crate) fn is_worked(self) -> bool {
        matches!(self, Self::Working | Self::MadeUp)
    }

    /// In words.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Working => "working day",
            Self::MadeUp => "weekend day worked for a holiday",
            Self::Weekend => "weekend",
            Self::Holiday => "public holiday",
        }
    }
}

/// A year's days as they are written: `2026-10-01`, or `2026-10-01/2026-10-07` for all from one to the other.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    source: String,
    years: BTreeMap<String, WrittenYear>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenYear {
    holidays: Vec<String>,
    #[serde(default)]
    workdays: Vec<String>,
}

impl Calendar {
    /// Reads a calendar; faults are added to those of the reader.
    pub(crate) fn read(reader: &mut Reader, text: &str) -> Option<Self> {
        let written: Written = reader.toml(text)?;
        let mut years = BTreeMap::new();
        for (name, days) in written.years {
            let at = format!("years.{name}");
            let Ok(number) = name.parse::<i16>() else {
                reader.fault(&at, "is no year");
                continue;
            };
            let mut year = Year::default();
            for (field, list, into) in [
                ("holidays", days.holidays, &mut year.holidays),
                ("workdays", days.workdays, &mut year.workdays),
            ] {
                for text in list {
                    match days_of(&text, number) {
                        Some(days) => into.extend(days),
                        None => {
                            let message = format!("`{text}` is no day of {number}");
                            reader.fault(&format!("{at}.{field}"), &message);
                        }
                    }
                }
            }
            for both in year.holidays.intersection(&year.workdays) {
                reader.fault(&at, &format!("{both} is a holiday and worked"));
            }
            years.insert(number, year);
        }
        Some(Self { source: written.source, years })
    }

    /// Whether the days of that year have been announced; until then only its weekends are known.
    #[must_use]
    pub fn knows(&self, year: i16) -> bool {
        self.years.contains_key(&year)
    }

    pub(crate) fn day(&self, day: Date) -> Day {
        let year = self.years.get(&day.year());
        if year.is_some_and(|year| year.holidays.contains(&day)) {
            return Day::Holiday;
        }
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            return Day::Working;
        }
        if year.is_some_and(|year| year.workdays.contains(&day)) { Day::MadeUp } else { Day::Weekend }
    }
}

fn days_of(text: &str, year: i16) -> Option<Vec<Date>> {
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    let (first, last): (Date, Date) = (first.parse().ok()?, last.parse().ok()?);
    let sound = first <= last && first.year() == year && last.year() == year;
    sound.then(|| first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last).collect())
}
