//! Figures as JSON, as a table, and in the document.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use types::{Clock as _, SystemClock};

use crate::{engine::EngineKind, load::Measured, procfs::machine, workload::Workload};

/// Milliseconds of CPU per completed cancellation, by process.
pub type Cpu = BTreeMap<String, f64>;

/// What one workload measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    completed_per_s: f64,
    idle_p50_ms: f64,
    idle_p99_ms: f64,
    loaded_p50_ms: f64,
    loaded_p99_ms: f64,
    /// With everything in flight that saturation has: what waits, not what is slow.
    saturated_p50_ms: f64,
    cpu_ms_per_completed: Cpu,
    peak_rss_mib: f64,
}

impl Figures {
    pub fn new(
        completed_per_s: f64,
        idle: &Measured,
        saturated: &Measured,
        loaded: &Measured,
        cpu: Cpu,
        peak_rss_bytes: u64,
    ) -> Self {
        let ms =
            |latency: &Histogram<u64>, quantile| round(latency.value_at_quantile(quantile) as f64 / 1e3, 2);
        Self {
            completed_per_s: round(completed_per_s, 1),
            idle_p50_ms: ms(&idle.latency, 0.5),
            idle_p99_ms: ms(&idle.latency, 0.99),
            loaded_p50_ms: ms(&loaded.latency, 0.5),
            loaded_p99_ms: ms(&loaded.latency, 0.99),
            saturated_p50_ms: ms(&saturated.latency, 0.5),
            cpu_ms_per_completed: cpu.into_iter().map(|(name, cpu)| (name, round(cpu, 3))).collect(),
            peak_rss_mib: round(mebibytes(peak_rss_bytes), 1),
        }
    }

    fn row(&self, name: &str) -> String {
        let cpu: Vec<String> =
            self.cpu_ms_per_completed.iter().map(|(process, ms)| format!("{process} {ms}")).collect();
        format!(
            "| `{name}` | {} | {} / {} | {} / {} | {} | {} |\n",
            self.completed_per_s,
            self.idle_p50_ms,
            self.idle_p99_ms,
            self.loaded_p50_ms,
            self.loaded_p99_ms,
            cpu.join(", "),
            self.peak_rss_mib
        )
    }
}

#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    memory_gib: f64,
}

/// Everything measured.
#[derive(Serialize)]
pub struct Report {
    engine: EngineKind,
    machine: Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    fan_out: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<Figures>,
}

impl Report {
    pub fn new(engine: EngineKind) -> Result<Self> {
        let (cores, memory) = machine()?;
        let memory_gib = round(mebibytes(memory) / 1024.0, 1);
        Ok(Self { engine, machine: Machine { cores, memory_gib }, fan_out: None, full: None })
    }

    pub fn add(&mut self, workload: Workload, figures: Figures) {
        match workload {
            Workload::FanOut => self.fan_out = Some(figures),
            Workload::Full => self.full = Some(figures),
        }
    }

    /// For people, in Markdown.
    pub fn table(&self) -> String {
        let mut table = "| workload | completed/s | idle p50 / p99 ms | loaded p50 / p99 ms | CPU ms per completed | peak MiB |\n\
             | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
        let rows = [("fan_out", &self.fan_out), ("full", &self.full)];
        table.extend(rows.iter().filter_map(|(name, figures)| Some(figures.as_ref()?.row(name))));
        table
    }

    /// The document with these figures in the place of the engine's older ones.
    pub fn written_into(&self, text: &str, commit: &str) -> Result<String> {
        let engine = self.engine.name();
        let (begin, end) = (format!("<!-- {engine} -->\n"), format!("<!-- /{engine} -->"));
        let (before, rest) = text.split_once(&begin).with_context(|| format!("it has no line {begin}"))?;
        let (_, after) = rest.split_once(&end).with_context(|| format!("it has no line {end}"))?;
        let mut document = format!("{before}{begin}");
        write!(
            document,
            "Measured on {} at {commit}, on a machine with {} cores and {} GiB of memory.\n\n{}",
            SystemClock.now().to_jiff().strftime("%Y-%m-%d"),
            self.machine.cores,
            self.machine.memory_gib,
            self.table()
        )?;
        document.extend([&end, after]);
        Ok(document)
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_those_of_the_same_engine_only() {
        let report = Report::new(EngineKind::Embedded).unwrap();
        let text = "# Title\n<!-- embedded -->\nold\n<!-- /embedded -->\n<!-- production -->\nkept\n<!-- /production -->\n";
        let document = report.written_into(text, "abc123").unwrap();
        assert!(document.contains("at abc123") && document.contains("kept") && !document.contains("old"));
        assert!(document.starts_with("# Title\n") && document.ends_with("<!-- /production -->\n"));
        assert!(report.written_into("no place for it", "abc123").is_err());
    }
}
