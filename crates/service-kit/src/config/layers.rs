//! The layers that settings come from, laid over each other, and the reader that checks them.

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{ConfigError, DEFAULTS, Fault, Source, Sources};

pub(super) const ENVIRONMENT_PREFIX: &str = "EXEUNT_";
/// Variables of the tests, which are none of ours.
const TEST_PREFIX: &str = "EXEUNT_TEST_";
const FILE_VARIABLE: &str = "EXEUNT_CONFIG";

/// A value and who said it.
struct Setting {
    value: Value,
    source: Source,
}

enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    /// Of a type that no setting has.
    Other,
}

/// Reads settings and remembers what is wrong with them.
pub(super) struct Reader {
    settings: BTreeMap<String, Setting>,
    /// Variables that are no settings, such as secrets, until they are asked for.
    variables: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        let defaults: toml::Table = DEFAULTS.parse().expect("the embedded defaults are TOML");
        let mut settings = BTreeMap::new();
        flatten("", defaults, &mut |key, value| {
            settings.insert(key, Setting { value, source: Source::Defaults });
        });
        let mut variables = sources.environment;
        // An empty variable is how composed environments say that nothing is set.
        variables.retain(|name, value| name.starts_with(ENVIRONMENT_PREFIX) && !value.is_empty());
        let named = variables.remove(FILE_VARIABLE).map(PathBuf::from);
        let mut reader = Self { settings, variables, faults: Vec::new() };
        if let Some(path) = sources.file.or(named) {
            reader.lay_file(path);
        }
        reader.lay_environment();
        for (key, text) in sources.flags {
            let source = Source::Flag(format!("--{}", key.replace(['.', '_'], "-")));
            reader.lay(key, Value::Text(text), source);
        }
        reader
    }

    /// Text, as it stands.
    pub(super) fn text(&mut self, key: &str) -> String {
        let setting = &self.settings[key];
        if let Value::Text(text) = &setting.value {
            return text.clone();
        }
        self.fault(key, "must be text");
        String::new()
    }

    /// A path; none when it is empty.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// The words of a text, with commas or white space between.
    pub(super) fn words(&mut self, key: &str) -> Vec<String> {
        let text = self.text(key);
        let words = text.split(|char: char| char == ',' || char.is_whitespace());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// A whole number within the range; its least when it is wrong.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let setting = &self.settings[key];
        let number = match (&setting.value, &setting.source) {
            (Value::Number(number), _) => u64::try_from(*number).ok(),
            // A file can say a number; the environment and flags only text.
            (Value::Text(text), Source::Environment(_) | Source::Flag(_)) => text.parse().ok(),
            (Value::Text(_) | Value::Truth(_) | Value::Other, _) => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let (least, most) = range.into_inner();
                self.fault(key, &format!("must be a whole number from {least} to {most}"));
                least
            }
        }
    }

    /// A number of milliseconds within the range.
    /// Yes or no; no when it is wrong.
    pub(super) fn truth(&mut self, key: &str) -> bool {
        let setting = &self.settings[key];
        let truth = match (&setting.value, &setting.source) {
            (Value::Truth(truth), _) => Some(*truth),
            (Value::Text(text), Source::Environment(_) | Source::Flag(_)) => text.parse().ok(),
            (Value::Text(_) | Value::Number(_) | Value::Other, _) => None,
        };
        if truth.is_none() {
            self.fault(key, "must be true or false");
        }
        truth.unwrap_or_default()
    }

    pub(super) fn milliseconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(key, range))
    }

    /// Whether an argument said it, which everybody on the machine can read.
    pub(super) fn is_flag(&self, key: &str) -> bool {
        self.settings.get(key).is_some_and(|setting| matches!(setting.source, Source::Flag(_)))
    }

    /// A variable that is no setting.
    pub(super) fn variable(&mut self, name: &str) -> Option<String> {
        self.variables.remove(name)
    }

    /// Remembers that the setting is wrong.
    pub(super) fn fault(&mut self, key: &str, message: &str) {
        let source = self.settings.get(key).map_or(Source::Defaults, |setting| setting.source.clone());
        self.fault_of(key, source, message);
    }

    pub(super) fn fault_of(&mut self, key: &str, source: Source, message: &str) {
        self.faults.push(Fault { key: key.into(), source, message: message.into() });
    }

    /// Whether the setting was found wrong already.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        self.faults.iter().any(|fault| fault.key == key)
    }

    /// What nobody asked for: to be called when everything was read.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        let unknown = std::mem::take(&mut self.variables).into_keys();
        unknown
            .filter(|name| !name.starts_with(TEST_PREFIX))
            .map(|name| format!("{name} is not known and was passed over"))
            .collect()
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.faults.is_empty() { Ok(value) } else { Err(ConfigError { faults: self.faults }) }
    }

    fn lay_file(&mut self, path: PathBuf) {
        let table = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot be read: {error}"))
            // Its `Display` shows the line, which may hold a password.
            .and_then(|text| text.parse::<toml::Table>().map_err(|error| not_toml(&text, &error)));
        match table {
            Ok(table) => flatten("", table, &mut |key, value| {
                self.lay(key, value, Source::File(path.clone()));
            }),
            Err(message) => self.fault_of("config", Source::File(path), &message),
        }
    }

    fn lay_environment(&mut self) {
        let keys: Vec<_> = self.settings.keys().cloned().collect();
        for key in keys {
            let variable = format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "_").to_uppercase());
            if let Some(text) = self.variables.remove(&variable) {
                self.lay(key, Value::Text(text), Source::Environment(variable));
            }
        }
    }

    fn lay(&mut self, key: String, value: Value, source: Source) {
        match self.settings.get_mut(&key) {
            Some(setting) => *setting = Setting { value, source },
            None => self.fault_of(&key, source, "is not a setting"),
        }
    }
}

/// Gives each value under its dotted key.
fn flatten(prefix: &str, table: toml::Table, take: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, take),
            toml::Value::String(text) => take(key, Value::Text(text)),
            toml::Value::Integer(number) => take(key, Value::Number(number)),
            toml::Value::Boolean(truth) => take(key, Value::Truth(truth)),
            _ => take(key, Value::Other),
        }
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("is not TOML: line {line}: {}", error.message())
}
