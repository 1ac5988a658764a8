//! Clocks: by when something must have happened, and how that was counted.

use jiff::{civil::Date, tz::TimeZone};
use types::Timestamp;

use crate::{Authority, Calendar, Period, calendar::Day, period};

/// One clock: every rule that sets it. The strictest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// What it measures, in words.
    pub about: String,
    /// What it is counted from: `the request`.
    pub from: String,
    /// The rules, none empty.
    pub rules: Vec<ClockRule>,
}

/// What one rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockRule {
    /// Its id: `cn.close.manual`.
    pub id: String,
    /// How long; for a notice, how long before at the latest.
    pub period: Period,
    /// Counted back from something to come, instead of on from something that was.
    pub before: bool,
    /// For what is counted back: not earlier than so long before.
    pub opens: Option<Period>,
    /// By how much it may be made longer, once, if that is told before it is over.
    pub extension: Option<Period>,
    /// Whether it stands still while the subject is waited for.
    pub pauses: bool,
    /// Whether a last day on which nobody works is followed by the next on which people do.
    pub rolls: bool,
    /// Whose rule it is.
    pub authority: Authority,
}

/// Time in which a clock stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// A step of the count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which rule is being counted.
    pub rule: String,
    /// The day or the instant that it is about.
    pub at: String,
    /// What it is.
    pub what: String,
}

/// What a clock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reckoning {
    /// The instant by which it must have happened: of a last day, its end.
    pub due: Timestamp,
    /// The last day in the pack's zone, where it is counted in days.
    pub last_day: Option<String>,
    /// Not before this instant.
    pub opens: Option<Timestamp>,
    /// By when an extension must be told to the subject, when there may be one.
    pub extension_notice: Option<Timestamp>,
    /// The rule that sets `due`.
    pub rule: String,
    /// Whether that rule stands still while the subject is waited for.
    pub pauses: bool,
    /// Whether a year was counted whose holidays are not announced yet.
    pub provisional: bool,
    /// How it was counted, rule by rule.
    pub steps: Vec<Step>,
}

/// Where and by what days a clock counts.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub zone: &'a TimeZone,
    pub zone_name: &'a str,
    pub calendar: &'a Calendar,
}

impl Clock {
    /// Counts all rules; the strictest wins: the earliest end and, of what has a beginning, the latest.
    /// `None` for a clock without rules, which no pack has.
    pub(crate) fn reckon(
        &self,
        place: Place<'_>,
        from: Timestamp,
        pauses: &[Pause],
        extended: bool,
    ) -> Option<Reckoning> {
        let pauses = merged(pauses);
        let counted = self.rules.iter().map(|rule| {
            let count = Count { place, rule, steps: Vec::new(), provisional: false };
            count.reckon(from, &pauses, extended)
        });
        counted.reduce(Reckoning::strictest)
    }
}

impl Reckoning {
    fn strictest(mut self, mut other: Self) -> Self {
        let mut steps = std::mem::take(&mut self.steps);
        steps.append(&mut other.steps);
        let (opens, provisional) = (self.opens.max(other.opens), self.provisional || other.provisional);
        let earlier = if other.due < self.due { other } else { self };
        Self { opens, provisional, steps, ..earlier }
    }
}

/// Counts one rule.
struct Count<'a> {
    place: Place<'a>,
    rule: &'a ClockRule,
    steps: Vec<Step>,
    provisional: bool,
}

impl Count<'_> {
    fn step(&mut self, at: impl ToString, what: impl Into<String>) {
        self.steps.push(Step { rule: self.rule.id.clone(), at: at.to_string(), what: what.into() });
    }

    fn reckon(mut self, from: Timestamp, pauses: &[Pause], extended: bool) -> Reckoning {
        let rule = self.rule;
        let start = from.to_jiff().to_zoned(self.place.zone.clone()).date();
        let zone = self.place.zone_name;
        self.step(from, format!("counted from here: {start} in {zone}, a day that does not count"));
        let (base, base_day) = self.end(from, start, rule.period);
        let held = if rule.pauses { pauses } else { &[] };
        let extension_notice = rule.extension.map(|_| held_up(base, from, held));
        let longer = rule.extension.filter(|_| extended).and_then(|more| rule.period.and(more).ok());
        let (mut due, mut last_day) = match longer {
            None => (base, base_day),
            Some(period) => {
                self.step(base, format!("extended, if told by now: {period} in all"));
                self.end(from, start, period)
            }
        };
        if extended && longer.is_none() {
            self.step(due, "this rule knows no extension");
        }
        let opens = rule.opens.and_then(|opens| {
            let day = opens.counted(start, true)?;
            self.step(day, format!("not before {opens} ahead"));
            Some(self.beginning(day))
        });
        let later = held_up(due, from, held);
        if later > due {
            let stood = later.since(due).as_secs_f64();
            self.step(later, format!("it stood still for {stood} s, which are added"));
            (due, last_day) = (later, None);
        } else if !rule.pauses && !pauses.is_empty() {
            self.step(due, "this rule does not stand still");
        }
        self.step(due, "due");
        Reckoning {
            due,
            last_day: last_day.map(|day| day.to_string()),
            opens,
            extension_notice,
            rule: rule.id.clone(),
            pauses: rule.pauses,
            provisional: self.provisional,
            steps: self.steps,
        }
    }

    /// The end of a period, and its last day where it has one.
    fn end(&mut self, from: Timestamp, start: Date, period: Period) -> (Timestamp, Option<Date>) {
        let day = match period {
            Period::Exact(seconds) => {
                let span = i64::from(seconds) * 1_000_000 * if self.rule.before { -1 } else { 1 };
                return (Timestamp::from_micros(from.as_micros().saturating_add(span)), None);
            }
            Period::Civil { .. } => {
                let day = period.counted(start, self.rule.before).unwrap_or(Date::MAX);
                let way = if self.rule.before { "before" } else { "later" };
                self.step(day, format!("{period} {way}"));
                day
            }
            Period::Working(days) => self.working(start, days),
        };
        let day = if self.rule.rolls { self.rolled(day) } else { day };
        let end = self.ending(day);
        // What comes before something comes before it on its own day, too.
        (if self.rule.before { end.min(from) } else { end }, Some(day))
    }

    /// So many days on which people work, the first not counted.
    fn working(&mut self, start: Date, days: u16) -> Date {
        let (mut day, mut left) = (start, days);
        while left > 0 {
            let Some(next) = self.neighbour(day) else { break };
            day = next;
            let kind = self.look(day);
            if kind.is_worked() {
                left -= 1;
                self.step(day, format!("{} {} of {days}", kind.told(), days - left));
            } else {
                self.step(day, kind.told());
            }
        }
        day
    }

    /// The day itself, or the nearest on which people work: later for an end, earlier for a notice.
    fn rolled(&mut self, mut day: Date) -> Date {
        loop {
            let kind = self.look(day);
            let next = self.neighbour(day).filter(|_| !kind.is_worked());
            let Some(next) = next else { return day };
            self.step(day, format!("{}: moves on", kind.told()));
            day = next;
        }
    }

    fn look(&mut self, day: Date) -> Day {
        if !self.place.calendar.knows(day.year()) && !self.provisional {
            self.provisional = true;
            self.step(
                day,
                format!("the holidays of {} are not announced: only weekends are known", day.year()),
            );
        }
        self.place.calendar.day(day)
    }

    /// The day to look at next; none at the ends of the calendar.
    fn neighbour(&self, day: Date) -> Option<Date> {
        if self.rule.before { day.yesterday() } else { day.tomorrow() }.ok()
    }

    /// The first instant of a day.
    fn beginning(&self, day: Date) -> Timestamp {
        period::beginning(self.place.zone, day)
    }

    /// The end of a day, which is the first instant of the next.
    fn ending(&self, day: Date) -> Timestamp {
        self.beginning(day.tomorrow().unwrap_or(day))
    }
}

/// An end with the time added in which the clock stood still before it.
fn held_up(end: Timestamp, from: Timestamp, pauses: &[Pause]) -> Timestamp {
    pauses.iter().fold(end, |end, pause| {
        let begun = pause.from.max(from);
        if begun < end { end.plus(pause.to.since(begun)) } else { end }
    })
}

/// Pauses in order, those that overlap made one.
fn merged(pauses: &[Pause]) -> Vec<Pause> {
    let mut sorted: Vec<Pause> = pauses.iter().copied().filter(|pause| pause.to > pause.from).collect();
    sorted.sort_by_key(|pause| pause.from);
    let mut merged: Vec<Pause> = Vec::new();
    for pause in sorted {
        match merged.last_mut() {
            Some(last) if pause.from <= last.to => last.to = last.to.max(pause.to),
            _ => merged.push(pause),
        }
    }
    merged
}
