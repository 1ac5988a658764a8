//! What the process says while it runs: events of `tracing`, to stderr.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

use crate::config::LogFormat;

/// Telemetry that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("log filter must be a level, or levels by target")]
    Filter,
    /// It was started before; one process has one.
    #[error("logging was started before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Reads a filter: directives with commas between, each a level, `target=level`, or one with spans,
/// `[span{field=value}]=level`. None when it is not one.
///
/// `EnvFilter` alone takes a word that is no level, such as `loud`, as a target of which everything
/// is logged, and passes over what is empty: a slip would silence all the rest.
pub(crate) fn filter(text: &str) -> Option<EnvFilter> {
    let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
    let in_target = |char: char| char.is_alphanumeric() || "_:-".contains(char);
    let is_target = |text: &str| !text.is_empty() && text.chars().all(in_target);
    let holds = |directive: &str| match directive.split_once('=') {
        _ if directive.contains('[') => true,
        Some((target, level)) => is_target(target) && is_level(level),
        None => is_level(directive),
    };
    let text = Some(text).filter(|text| text.split(',').all(holds))?;
    EnvFilter::try_new(text).ok()
}

/// Starts logging, once per process. `filter` is what `RUST_LOG` would hold: `info`,
/// `warn,cancellation=debug`.
///
/// # Errors
/// [`TelemetryError`] when the filter is not one, or logging was started before.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = self::filter(filter).ok_or(TelemetryError::Filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    // Colours are for terminals; in a file they are noise.
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Human => registry.with(layer.with_target(false)).try_init()?,
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_every_part_of_it_counts() {
        for right in ["info", "OFF", "warn,cancellation=debug", "info,a::b=trace", "warn,[request]=debug"] {
            assert!(filter(right).is_some(), "{right}");
        }
        let wrong = ["", "loud", "loud,,", "info,", "info,,a=warn", "info, a=warn", "a=", "=info", "a=loud"];
        for wrong in wrong.into_iter().chain(["a=b=c", "[request=info", "info;a=warn"]) {
            assert!(filter(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn logging_starts_once_and_refuses_a_wrong_filter() {
        assert!(matches!(init("a=b=c", LogFormat::Human), Err(TelemetryError::Filter)));
        init("off", LogFormat::Json).unwrap();
        assert!(matches!(init("info", LogFormat::Human), Err(TelemetryError::Twice(_))));
    }
}
