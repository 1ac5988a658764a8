//! What the process says while it runs: events of `tracing`, to stderr.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::LogFormat;

/// Telemetry that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("log filter is not valid")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It was started before; one process has one.
    #[error("logging was started before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging, once per process. `filter` is what `RUST_LOG` would hold: `info`,
/// `warn,cancellation=debug`.
///
/// # Errors
/// [`TelemetryError`] when the filter is not one, or logging was started before.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(filter)?);
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
    fn logging_starts_once_and_refuses_a_wrong_filter() {
        assert!(matches!(init("a=b=c", LogFormat::Human), Err(TelemetryError::Filter(_))));
        init("off", LogFormat::Json).unwrap();
        assert!(matches!(init("info", LogFormat::Human), Err(TelemetryError::Twice(_))));
    }
}
