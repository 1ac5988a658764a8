//! Packs from their files: each over the one that it extends, and all of their faults at once.

use std::collections::BTreeMap;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::Deserialize;

use crate::{
    Authority, Calendar, Clock, ClockRule, CoolingOff, Drift, Fault, Gates, Notice, Offer, Pack, Period,
    PolicyError, ReRegistration, Refunds, ScopeRules, Tier,
    pack::OTHER,
    read::Reader,
    retention::{self, WrittenRetention},
};

/// How many packs may extend each other in a row.
const EXTENDS_MAX: usize = 4;
/// Who is nobody else's.
const DEFAULT: &str = "default";

/// The text of packs and calendars, each with the name that stands before its extension.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Packs.
    pub packs: BTreeMap<String, String>,
    /// Calendars.
    pub calendars: BTreeMap<String, String>,
}

macro_rules! files {
    ($folder:literal, $($name:literal),+) => {
        [$(($name, include_str!(concat!("../", $folder, "/", $name, ".toml")))),+]
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    };
}

impl Files {
    /// Those that the program carries.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            packs: files!("packs", "default", "cn", "eu", "be", "de", "gb", "us-ca"),
            calendars: files!("calendars", "none", "cn", "eu", "de", "gb", "us"),
        }
    }
}

/// All packs.
#[derive(Debug, Clone)]
pub struct Packs(BTreeMap<String, Pack>);

impl Packs {
    /// Reads packs.
    ///
    /// # Errors
    /// [`PolicyError`] with everything that is wrong in any of them.
    pub fn read(files: &Files) -> Result<Self, PolicyError> {
        let mut faults = Vec::new();
        let mut calendars = BTreeMap::new();
        for (name, text) in &files.calendars {
            let file = format!("calendars/{name}.toml");
            let calendar = Calendar::read(&mut Reader::new(&file, &mut faults), text);
            calendars.extend(calendar.map(|calendar| (name.as_str(), calendar)));
        }
        let mut written = BTreeMap::new();
        for (name, text) in &files.packs {
            let file = file_of(name);
            let pack: Option<Written> = Reader::new(&file, &mut faults).toml(text);
            written.extend(pack.map(|pack| (name.as_str(), pack)));
        }
        let mut packs = BTreeMap::new();
        for name in written.keys() {
            let file = file_of(name);
            let mut reader = Reader::new(&file, &mut faults);
            let whole = over(&mut reader, &written, name);
            let pack = whole.and_then(|whole| whole.pack(&mut reader, name, &calendars));
            packs.extend(pack.map(|pack| ((*name).to_owned(), pack)));
        }
        check_regions(&packs, &mut faults);
        if !files.packs.contains_key(DEFAULT) {
            faults
                .push(Fault { at: file_of(DEFAULT), message: "is missing: who has no other gets it".into() });
        }
        if faults.is_empty() { Ok(Self(packs)) } else { Err(PolicyError { faults }) }
    }

    /// Lengthens cooling-off where packs leave room for that, as `<scope>=<period>` each. None gets
    /// shorter.
    ///
    /// # Errors
    /// [`PolicyError`] with everything that is wrong, more than a pack allows among it.
    pub fn with_cooling_off<S: AsRef<str>>(mut self, asked: &[S]) -> Result<Self, PolicyError> {
        let mut faults = Vec::new();
        for asked in asked.iter().map(AsRef::as_ref) {
            let mut reader = Reader::new("cooling_off", &mut faults);
            let (kind, text) = asked.split_once('=').unwrap_or((asked, ""));
            let Some(period) = reader.parsed::<Period>(kind, text) else { continue };
            let mut scopes: Vec<_> = self
                .0
                .values_mut()
                .filter_map(|pack| Some((&pack.id, pack.scopes.get_mut(kind)?)))
                .filter(|(_, scope)| !scope.cooling_off.longest.is_zero())
                .collect();
            if scopes.is_empty() {
                reader.fault(kind, "is no scope in which a pack leaves room for it");
            }
            for (pack, scope) in &mut scopes {
                let rule = &mut scope.cooling_off;
                if period.exact().is_none_or(|asked| Some(asked) > rule.longest.exact()) {
                    reader
                        .fault(kind, &format!("{period} is more than {}, which {pack} allows", rule.longest));
                } else if period.exact() > rule.period.exact() {
                    rule.period = period;
                }
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(PolicyError { faults }) }
    }

    /// Those that the program carries.
    #[must_use]
    pub fn built_in() -> Self {
        Self::read(&Files::built_in()).expect("what the program carries was read in its tests")
    }

    /// The pack of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Pack> {
        self.0.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Pack> {
        self.0.values()
    }

    /// The pack for subjects of a region (`US-CA`): its own, that of the country (`US`), or the default.
    #[must_use]
    pub fn of_region(&self, region: &str) -> Option<&Pack> {
        let country = region.split('-').next().unwrap_or(region);
        let named = |wanted: &str| self.iter().find(|pack| pack.regions.iter().any(|it| it == wanted));
        named(region).or_else(|| named(country)).or_else(|| self.get(DEFAULT))
    }
}

fn file_of(pack: &str) -> String {
    format!("packs/{pack}.toml")
}

fn check_regions(packs: &BTreeMap<String, Pack>, faults: &mut Vec<Fault>) {
    let mut owners = BTreeMap::new();
    for pack in packs.values() {
        for region in &pack.regions {
            if let Some(other) = owners.insert(region, &pack.id) {
                let message = format!("{region} belongs to {other} already");
                faults.push(Fault { at: format!("{}: regions", file_of(&pack.id)), message });
            }
        }
    }
}

/// A pack as it is written: what it does not say, the one that it extends does.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    name: String,
    extends: Option<String>,
    #[serde(default)]
    regions: Vec<String>,
    zone: Option<String>,
    /// Of regions that have one of their own.
    #[serde(default)]
    zones: BTreeMap<String, String>,
    calendar: Option<String>,
    #[serde(default)]
    clocks: BTreeMap<String, WrittenClock>,
    #[serde(default)]
    scopes: BTreeMap<String, WrittenScope>,
    #[serde(default)]
    notices: BTreeMap<String, WrittenNotice>,
    refunds: Option<WrittenRefunds>,
    re_registration: Option<WrittenReRegistration>,
    drift: Option<Drift>,
    keeps_by: Option<Tier>,
    #[serde(default)]
    retention: BTreeMap<String, WrittenRetention>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClock {
    about: String,
    from: String,
    rules: Vec<WrittenRule>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    id: String,
    period: String,
    #[serde(default)]
    before: bool,
    opens: Option<String>,
    extension: Option<String>,
    #[serde(default)]
    pauses: bool,
    #[serde(default)]
    rolls: bool,
    authority: Authority,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenScope {
    gates: Gates,
    login: bool,
    factors: u32,
    cooling_off: WrittenCoolingOff,
    #[serde(default)]
    offers: Vec<Offer>,
    authority: Authority,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCoolingOff {
    period: String,
    longest: String,
    authority: Authority,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNotice {
    when: String,
    within: String,
    durable: bool,
    #[serde(default)]
    contains: Vec<String>,
    authority: Authority,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRefunds {
    pro_rata: bool,
    within: String,
    authority: Authority,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenReRegistration {
    allowed: bool,
    wait: String,
    #[serde(default)]
    refused_for: Vec<String>,
    authority: Authority,
}

/// A pack with all that it extends.
fn over(reader: &mut Reader<'_>, all: &BTreeMap<&str, Written>, name: &str) -> Option<Written> {
    let mut whole = all.get(name)?.clone();
    let mut next = whole.extends.take();
    for _ in 0..EXTENDS_MAX {
        let Some(base) = next else { return Some(whole) };
        let Some(below) = all.get(base.as_str()) else {
            reader.fault("extends", &format!("there is no pack `{base}` that can be read"));
            return None;
        };
        next = below.extends.clone();
        whole = whole.over(below);
    }
    reader.fault("extends", &format!("more than {EXTENDS_MAX} packs extend each other"));
    None
}

impl Written {
    fn over(self, below: &Self) -> Self {
        fn both<T: Clone>(mut own: BTreeMap<String, T>, below: &BTreeMap<String, T>) -> BTreeMap<String, T> {
            for (name, value) in below {
                own.entry(name.clone()).or_insert_with(|| value.clone());
            }
            own
        }
        Self {
            zone: self.zone.or_else(|| below.zone.clone()),
            calendar: self.calendar.or_else(|| below.calendar.clone()),
            clocks: both(self.clocks, &below.clocks),
            scopes: both(self.scopes, &below.scopes),
            notices: both(self.notices, &below.notices),
            refunds: self.refunds.or_else(|| below.refunds.clone()),
            re_registration: self.re_registration.or_else(|| below.re_registration.clone()),
            drift: self.drift.or_else(|| below.drift.clone()),
            keeps_by: self.keeps_by.or(below.keeps_by),
            retention: both(self.retention, &below.retention),
            ..self
        }
    }

    fn pack(self, reader: &mut Reader<'_>, id: &str, calendars: &BTreeMap<&str, Calendar>) -> Option<Pack> {
        let zone = self.zone.as_deref().and_then(|zone| zone_of(reader, "zone", zone));
        let zones = each(self.zones, |region, zone| zone_of(reader, &format!("zones.{region}"), &zone));
        if self.zone.is_none() {
            reader.fault("zone", "is missing, here and in what this extends");
        }
        let calendar = self.calendar.as_deref().and_then(|name| calendars.get(name).cloned());
        if calendar.is_none() {
            let name = self.calendar.as_deref().unwrap_or_default();
            reader.fault("calendar", &format!("there is no calendar `{name}`"));
        }
        if !self.scopes.contains_key(OTHER) {
            reader.fault("scopes", &format!("`{OTHER}`, which is for scopes that are not named, is missing"));
        }
        let clocks = each(self.clocks, |name, clock| clock.read(reader, &name));
        let scopes = each(self.scopes, |name, scope| scope.read(reader, &format!("scopes.{name}")));
        let notices = each(self.notices, |name, notice| notice.read(reader, &format!("notices.{name}")));
        let refunds = self.refunds.and_then(|refunds| {
            let within = reader.parsed("refunds.within", &refunds.within)?;
            Some(Refunds { pro_rata: refunds.pro_rata, within, authority: refunds.authority })
        });
        let re_registration = self.re_registration.and_then(|it| {
            let wait = reader.parsed("re_registration.wait", &it.wait)?;
            let WrittenReRegistration { allowed, refused_for, authority, .. } = it;
            Some(ReRegistration { allowed, wait, refused_for, authority })
        });
        let keeps_by = self.keeps_by.unwrap_or(Tier::Policy);
        let retention = retention::read(reader, self.retention, keeps_by);
        for (name, missing) in [
            ("refunds", refunds.is_none()),
            ("re_registration", re_registration.is_none()),
            ("drift", self.drift.is_none()),
        ] {
            if missing {
                reader.fault(name, "cannot be had, neither here nor in what this extends");
            }
        }
        Some(Pack {
            id: id.to_owned(),
            version: self.version,
            name: self.name,
            regions: self.regions,
            zone: self.zone.unwrap_or_default(),
            clocks,
            scopes,
            notices,
            refunds: refunds?,
            re_registration: re_registration?,
            drift: self.drift?,
            retention,
            zones,
            time_zone: zone?,
            calendar: calendar?,
        })
    }
}

/// Every entry that can be read.
fn each<W, T>(
    written: BTreeMap<String, W>,
    mut read: impl FnMut(String, W) -> Option<T>,
) -> BTreeMap<String, T> {
    written.into_iter().filter_map(|(name, value)| Some((name.clone(), read(name, value)?))).collect()
}

/// The zones built into the program, so that every machine counts alike.
fn zone_of(reader: &mut Reader<'_>, at: &str, name: &str) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name);
    zone.map_err(|_| reader.fault(at, &format!("there is no zone `{name}`"))).ok()
}

impl WrittenClock {
    fn read(self, reader: &mut Reader<'_>, name: &str) -> Option<Clock> {
        let at = format!("clocks.{name}");
        if self.rules.is_empty() {
            reader.fault(&at, "has no rules");
        }
        if self.rules.iter().any(|rule| rule.before != self.rules[0].before) {
            reader.fault(&at, "some rules count on and some back");
        }
        let count = self.rules.len();
        let rules: Vec<ClockRule> = self
            .rules
            .into_iter()
            .enumerate()
            .filter_map(|(number, rule)| rule.read(reader, &format!("{at}.rules[{number}]")))
            .collect();
        let sound = count > 0 && rules.len() == count;
        sound.then_some(Clock { about: self.about, from: self.from, rules })
    }
}

impl WrittenRule {
    fn read(self, reader: &mut Reader<'_>, at: &str) -> Option<ClockRule> {
        let period: Option<Period> = reader.parsed(&format!("{at}.period"), &self.period);
        let mut more = |field: &str, text: Option<String>| match text {
            None => Some(None),
            Some(text) => reader.parsed::<Period>(&format!("{at}.{field}"), &text).map(Some),
        };
        let (opens, extension) = (more("opens", self.opens), more("extension", self.extension));
        let (period, opens, extension) = (period?, opens?, extension?);
        if extension.is_some_and(|extension| period.and(extension).is_err()) {
            reader.fault(&format!("{at}.extension"), "is not counted as the period is");
        }
        if opens.is_some() && !self.before {
            reader.fault(&format!("{at}.opens"), "is for what is counted back");
        }
        if self.before && (self.pauses || extension.is_some()) {
            reader.fault(at, "what is counted back neither stands still nor is extended");
        }
        let Self { id, before, pauses, rolls, authority, .. } = self;
        Some(ClockRule { id, period, before, opens, extension, pauses, rolls, authority })
    }
}

impl WrittenScope {
    fn read(self, reader: &mut Reader<'_>, at: &str) -> Option<ScopeRules> {
        let at = format!("{at}.cooling_off");
        let period = reader.parsed(&format!("{at}.period"), &self.cooling_off.period);
        let longest = reader.parsed(&format!("{at}.longest"), &self.cooling_off.longest);
        let (period, longest): (Period, Period) = (period?, longest?);
        if self.gates == Gates::None && !longest.is_zero() {
            reader.fault(&at, "nobody confirms what has no gates, so there is no time to think again");
        }
        match (period.exact(), longest.exact()) {
            (Some(period), Some(longest)) if period <= longest => {}
            (Some(_), Some(_)) => reader.fault(&at, "is longer than it may be made"),
            _ => reader.fault(&at, "is counted in days or hours, not by a calendar"),
        }
        let cooling_off = CoolingOff { period, longest, authority: self.cooling_off.authority };
        let Self { gates, login, factors, offers, authority, .. } = self;
        Some(ScopeRules { gates, login, factors, cooling_off, offers, authority })
    }
}

impl WrittenNotice {
    fn read(self, reader: &mut Reader<'_>, at: &str) -> Option<Notice> {
        let within = reader.parsed(&format!("{at}.within"), &self.within)?;
        let Self { when, durable, contains, authority, .. } = self;
        Some(Notice { when, within, durable, contains, authority })
    }
}
