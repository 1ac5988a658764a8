//! The retention table, from its file. Every fault in it is named, not only the first.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use toml::Value;

use crate::{
    calendar,
    domain::{Action, Category, Period, Rule, Rules, Start, Table, Term},
};

/// The table that the program carries.
pub const DEFAULT: &str = include_str!("../retention.toml");

/// How many tables may be each other's base in a row.
const BASES_MAX: usize = 4;
const GROUND_CHARS_MAX: usize = 63;
const SOURCE_CHARS_MAX: usize = 200;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `jurisdictions.CN.PROFILE`.
    pub at: String,
    /// What.
    pub message: String,
}

/// A table that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// What is wrong; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("retention table is not valid")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {}: {}", fault.at, fault.message))
    }
}

impl std::error::Error for TableError {}

/// A row as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    action: String,
    source: String,
    ground: Option<String>,
    period: Option<String>,
    start: Option<String>,
    longest: Option<String>,
}

/// What one jurisdiction or controller says itself.
#[derive(Default)]
struct Section {
    zone: Option<String>,
    base: Option<String>,
    rows: BTreeMap<Category, Rule>,
    /// Rows that are there but wrong: they are named once, not also as missing.
    wrong: Vec<Category>,
}

/// Reads a table.
///
/// # Errors
/// [`TableError`] with everything that is wrong.
pub fn read(text: &str) -> Result<Table, TableError> {
    let mut reader = Reader::default();
    let table = reader.table(text);
    match table {
        Some(table) if reader.faults.is_empty() => Ok(table),
        _ => Err(TableError { faults: reader.faults }),
    }
}

#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { at: at.into(), message: message.into() });
    }

    fn table(&mut self, text: &str) -> Option<Table> {
        let file: toml::Table = match text.parse() {
            Ok(file) => file,
            Err(error) => {
                self.fault("file", toml_message(&error));
                return None;
            }
        };
        let mut default = None;
        let (mut jurisdictions, mut controllers) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in file {
            match key.as_str() {
                "default" => default = Some(self.section("default", value)),
                "jurisdictions" => jurisdictions = self.sections("jurisdictions", value),
                "controllers" => controllers = self.sections("controllers", value),
                _ => self.fault(key, "must be default, jurisdictions or controllers"),
            }
        }
        for code in jurisdictions.keys().filter(|code| !is_country(code)) {
            self.fault(format!("jurisdictions.{code}"), "must be two capital letters (ISO 3166-1)");
        }
        let Some(default) = default else {
            self.fault("default", "must be given");
            return None;
        };
        let rules = self.rules("default", &default, &jurisdictions);
        let mut all = |place: &str, sections: &BTreeMap<String, Section>| {
            let each = sections.iter().filter_map(|(name, section)| {
                let rules = self.rules(&format!("{place}.{name}"), section, &jurisdictions)?;
                Some((name.clone(), rules))
            });
            each.collect()
        };
        let controllers = all("controllers", &controllers);
        let jurisdictions = all("jurisdictions", &jurisdictions);
        Some(Table { default: rules?, jurisdictions, controllers })
    }

    fn sections(&mut self, place: &str, value: Value) -> BTreeMap<String, Section> {
        let Value::Table(table) = value else {
            self.fault(place, "must be a table");
            return BTreeMap::new();
        };
        table
            .into_iter()
            .map(|(name, value)| (name.clone(), self.section(&format!("{place}.{name}"), value)))
            .collect()
    }

    fn section(&mut self, place: &str, value: Value) -> Section {
        let mut section = Section::default();
        let Value::Table(table) = value else {
            self.fault(place, "must be a table");
            return section;
        };
        for (key, value) in table {
            let at = format!("{place}.{key}");
            match (key.as_str(), value) {
                ("zone", Value::String(zone)) if calendar::is_zone(&zone) => section.zone = Some(zone),
                ("zone", _) => {
                    self.fault(at, "must be an IANA time zone, like Asia/Shanghai");
                    // Not missing, but wrong.
                    section.zone = Some("UTC".into());
                }
                ("base", Value::String(base)) => section.base = Some(base),
                ("base", _) => self.fault(at, "must be the name of a jurisdiction"),
                (name, value) => match Category::parse(name) {
                    Some(category) => match self.row(&at, value) {
                        Some(rule) => drop(section.rows.insert(category, rule)),
                        None => section.wrong.push(category),
                    },
                    None => self.fault(at, "must be zone, base or a category of data"),
                },
            }
        }
        section
    }

    fn row(&mut self, at: &str, value: Value) -> Option<Rule> {
        let row: Row = match value.try_into() {
            Ok(row) => row,
            Err(error) => {
                self.fault(at, toml_message(&error));
                return None;
            }
        };
        let before = self.faults.len();
        if row.source.trim().is_empty() || row.source.chars().count() > SOURCE_CHARS_MAX {
            self.fault(at, format!("source must have 1 to {SOURCE_CHARS_MAX} characters"));
        }
        let action = match row.action.as_str() {
            "erase" | "anonymise" => {
                let surplus = [&row.ground, &row.period, &row.start, &row.longest];
                if surplus.iter().any(|field| field.is_some()) {
                    self.fault(at, "ground, period, start and longest belong to restrict only");
                }
                if row.action == "erase" { Action::Erase } else { Action::Anonymise }
            }
            "restrict" => Action::Restrict { ground: self.ground(at, &row), term: self.term(at, &row) },
            _ => {
                self.fault(at, "action must be erase, anonymise or restrict");
                return None;
            }
        };
        (self.faults.len() == before).then_some(Rule { action, source: row.source })
    }

    fn ground(&mut self, at: &str, row: &Row) -> String {
        let ground = row.ground.clone().unwrap_or_default();
        if !is_ground(&ground) {
            self.fault(at, format!("ground must be 1 to {GROUND_CHARS_MAX} capital letters, digits and _"));
        }
        ground
    }

    fn term(&mut self, at: &str, row: &Row) -> Option<Term> {
        let start = match row.start.as_deref() {
            None => None,
            Some("LAST_EVENT") => Some(Start::LastEvent),
            Some("ACCOUNT_CLOSED") => Some(Start::AccountClosed),
            Some(_) => {
                self.fault(at, "start must be LAST_EVENT or ACCOUNT_CLOSED");
                return None;
            }
        };
        let period = self.period(at, "period", row.period.as_deref());
        let longest = self.period(at, "longest", row.longest.as_deref());
        match (row.period.is_some(), start) {
            (true, Some(start)) => Some(Term { period: period?, start, longest }),
            (false, None) if row.longest.is_none() => None,
            _ => {
                self.fault(at, "period and start must be given both or neither, and longest only with them");
                None
            }
        }
    }

    fn period(&mut self, at: &str, field: &str, text: Option<&str>) -> Option<Period> {
        let text = text?;
        let period = parse_period(text);
        if period.is_none() {
            self.fault(
                at,
                format!("{field} must be years, months and days of ISO 8601, like P10Y, P6M or P90D"),
            );
        }
        period
    }

    fn rules(&mut self, place: &str, section: &Section, bases: &BTreeMap<String, Section>) -> Option<Rules> {
        let mut chain = vec![section];
        let mut base = section.base.as_deref();
        while let Some(name) = base {
            let Some(next) = bases.get(name) else {
                self.fault(format!("{place}.base"), format!("{name} is not a jurisdiction of this table"));
                return None;
            };
            if chain.len() > BASES_MAX {
                self.fault(
                    format!("{place}.base"),
                    format!("leads through more than {BASES_MAX} bases, or in a circle"),
                );
                return None;
            }
            chain.push(next);
            base = next.base.as_deref();
        }
        let zone = chain.iter().find_map(|section| section.zone.clone());
        if zone.is_none() {
            self.fault(format!("{place}.zone"), "must be given, here or in the base");
        }
        let rule_of = |category| chain.iter().find_map(|section| section.rows.get(&category).cloned());
        match Rules::new(zone.clone().unwrap_or_default(), rule_of) {
            Ok(rules) => zone.map(|_| rules),
            Err(missing) => {
                let told = |category: &Category| chain.iter().any(|section| section.wrong.contains(category));
                for category in missing.iter().filter(|category| !told(category)) {
                    self.fault(format!("{place}.{}", category.name()), "must be given, here or in the base");
                }
                None
            }
        }
    }
}

/// Two capital letters.
pub(crate) fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// UPPER_SNAKE_CASE.
pub(crate) fn is_ground(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=GROUND_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn toml_message(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

/// `P10Y`, `P1Y6M`, `P90D`; nothing of less than a day, and not nothing.
fn parse_period(text: &str) -> Option<Period> {
    let span: jiff::Span = text.parse().ok()?;
    let period = Period {
        years: u8::try_from(span.get_years()).ok()?,
        months: u8::try_from(span.get_months()).ok()?,
        days: u16::try_from(span.get_days()).ok()?,
    };
    let whole = jiff::Span::new()
        .years(i64::from(period.years))
        .months(i64::from(period.months))
        .days(i64::from(period.days));
    (whole.fieldwise() == span.fieldwise() && !span.is_zero()).then_some(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Controller;

    fn faults(text: &str) -> Vec<String> {
        let error = read(text).unwrap_err();
        error.faults.into_iter().map(|fault| format!("{}: {}", fault.at, fault.message)).collect()
    }

    /// A table whose default erases everything, and what `more` says.
    fn table(more: &str) -> String {
        let rows = Category::ALL
            .map(|category| format!("{} = {{ action = \"erase\", source = \"policy\" }}\n", category.name()));
        format!("[default]\nzone = \"UTC\"\n{}\n{more}", rows.concat())
    }

    fn rules(table: &Table, jurisdiction: &str) -> Rules {
        let controller = Controller { name: "Example".into(), jurisdiction: jurisdiction.into() };
        table.of(&controller).clone()
    }

    #[test]
    fn the_table_that_is_carried_covers_every_category_of_every_jurisdiction() {
        let table = read(DEFAULT).unwrap();
        let (cn, de, be) = (rules(&table, "CN"), rules(&table, "DE"), rules(&table, "BE"));
        assert_eq!(cn.of(Category::TransactionRecords).source, "AML Law 2024 Art. 34");
        assert_eq!((cn.zone.as_str(), de.zone.as_str()), ("Asia/Shanghai", "Europe/Berlin"));
        assert_eq!(de.of(Category::Profile), rules(&table, "EU").of(Category::Profile));
        assert_eq!(be.zone, "Europe/Brussels");
        assert_ne!(be.of(Category::TransactionRecords), de.of(Category::TransactionRecords));
        assert_eq!(rules(&table, "JP"), table.default);
        let eu_and_eea = table
            .jurisdictions
            .values()
            .filter(|rules| rules.of(Category::Profile).source.starts_with("GDPR"));
        assert_eq!(eu_and_eea.count(), 1 + 27 + 3);
    }

    #[test]
    fn a_controller_of_its_own_licence_has_its_own_rows() {
        let own = "[controllers.Example]\nbase = \"CN\"\nTRANSACTION_RECORDS = { action = \"restrict\", \
                   ground = \"TRADE_RECORDS\", source = \"E-commerce Law Art. 31\", period = \"P3Y\", start = \"LAST_EVENT\" }";
        let table = read(&format!("{DEFAULT}\n{own}")).unwrap();
        let own = rules(&table, "CN");
        assert_eq!(own.of(Category::TransactionRecords).source, "E-commerce Law Art. 31");
        assert_eq!(own.of(Category::Profile), table.jurisdictions["CN"].of(Category::Profile));
        assert_eq!(own.zone, "Asia/Shanghai");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let more = r#"
            [jurisdictions.CN]
            zone = "Shanghai"
            base = "EU"
            [jurisdictions.china]
            zone = "UTC"
            base = "FR"
            [jurisdictions.FR]
            PROFILE = { action = "shred", source = "x" }
            SHOE_SIZE = { action = "erase", source = "x" }
            MARKETING = { action = "erase" }
            [notes]
        "#;
        let found = faults(&table(more));
        for expected in [
            "jurisdictions.CN.zone: must be an IANA time zone, like Asia/Shanghai",
            "jurisdictions.CN.base: EU is not a jurisdiction of this table",
            "jurisdictions.china: must be two capital letters (ISO 3166-1)",
            "jurisdictions.FR.PROFILE: action must be erase, anonymise or restrict",
            "jurisdictions.FR.SHOE_SIZE: must be zone, base or a category of data",
            "jurisdictions.FR.MARKETING: missing field `source`",
            "jurisdictions.FR.zone: must be given, here or in the base",
            "jurisdictions.FR.CREDENTIALS: must be given, here or in the base",
            "notes: must be default, jurisdictions or controllers",
        ] {
            assert!(found.iter().any(|fault| fault == expected), "{expected} is not in {found:#?}");
        }
        assert!(!found.iter().any(|fault| fault.starts_with("jurisdictions.FR.PROFILE: must be given")));
    }

    #[test]
    fn a_row_says_all_that_its_action_needs_and_no_more() {
        let row = |row: &str| {
            faults(&table(&format!("[jurisdictions.XX]\nbase = \"XX\"\nPROFILE = {{ {row} }}")))[0].clone()
        };
        let both = "period and start must be given both or neither, and longest only with them";
        let period = "must be years, months and days of ISO 8601, like P10Y, P6M or P90D";
        for (fields, expected) in [
            (r#"action = "erase", source = """#, "source must have 1 to 200 characters"),
            (
                r#"action = "erase", source = "x", ground = "A""#,
                "ground, period, start and longest belong to restrict only",
            ),
            (r#"action = "restrict", source = "x""#, "ground must be 1 to 63 capital letters, digits and _"),
            (
                r#"action = "restrict", source = "x", ground = "a""#,
                "ground must be 1 to 63 capital letters, digits and _",
            ),
            (r#"action = "restrict", source = "x", ground = "A", period = "P1Y""#, both),
            (r#"action = "restrict", source = "x", ground = "A", start = "LAST_EVENT""#, both),
            (r#"action = "restrict", source = "x", ground = "A", longest = "P1Y""#, both),
            (
                r#"action = "restrict", source = "x", ground = "A", period = "P1Y", start = "NOW""#,
                "start must be LAST_EVENT or ACCOUNT_CLOSED",
            ),
            (
                r#"action = "restrict", source = "x", ground = "A", period = "10 summers", start = "LAST_EVENT""#,
                &format!("period {period}"),
            ),
            (
                r#"action = "restrict", source = "x", ground = "A", period = "P1Y", start = "LAST_EVENT", longest = "-P1Y""#,
                &format!("longest {period}"),
            ),
            (
                r#"action = "erase", source = "x", colour = "red""#,
                "unknown field `colour`, expected one of `action`, `source`, `ground`, `period`, `start`, `longest`",
            ),
        ] {
            assert_eq!(row(fields), format!("jurisdictions.XX.PROFILE: {expected}"), "{fields}");
        }
    }

    #[test]
    fn bases_do_not_go_in_a_circle() {
        let found = faults(&table("[jurisdictions.AA]\nbase = \"BB\"\n[jurisdictions.BB]\nbase = \"AA\""));
        assert!(found[0].contains("in a circle"), "{found:?}");
    }

    #[test]
    fn a_file_that_is_no_table_is_refused_and_not_fatal() {
        assert_eq!(faults("").len(), 1);
        assert!(faults("[default")[0].starts_with("file: "));
        assert!(faults("default = 1").contains(&"default: must be a table".to_owned()));
    }

    #[test]
    fn periods_are_whole_days() {
        let period = |years, months, days| Some(Period { years, months, days });
        assert_eq!(parse_period("P10Y"), period(10, 0, 0));
        assert_eq!(parse_period("P12M"), period(0, 12, 0));
        assert_eq!(parse_period("P1Y6M3D"), period(1, 6, 3));
        for wrong in ["", "P0D", "PT1H", "P1DT1H", "-P1Y", "P300Y", "P2W", "10 years x"] {
            assert_eq!(parse_period(wrong), None, "{wrong}");
        }
    }
}
