//! Figures as JSON, as a table, and in the document.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use types::{Clock as _, SystemClock};

use crate::{engine::EngineKind, floor::shape::Shape, layout::Processes, load::Measured, procfs::machine};

/// Milliseconds of CPU per completed cancellation, by process.
pub type Cpu = BTreeMap<String, f64>;

/// What one workload measured; what was not is left out.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_p99_ms: Option<f64>,
    /// With everything in flight that saturation has: what waits, not what is slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    saturated_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Cpu::is_empty")]
    cpu_ms_per_completed: Cpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_rss_mib: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    peak_rss_mib_by_process: BTreeMap<String, f64>,
}

fn ms(latency: &Histogram<u64>, quantile: f64) -> Option<f64> {
    Some(round(latency.value_at_quantile(quantile) as f64 / 1e3, 2))
}

impl Figures {
    pub fn set_idle(&mut self, idle: &Measured) {
        (self.idle_p50_ms, self.idle_p99_ms) = (ms(&idle.latency, 0.5), ms(&idle.latency, 0.99));
    }

    pub fn set_loaded(&mut self, loaded: &Measured) {
        (self.loaded_p50_ms, self.loaded_p99_ms) = (ms(&loaded.latency, 0.5), ms(&loaded.latency, 0.99));
    }

    pub fn set_saturated(&mut self, completed_per_s: f64, saturated: &Measured, cpu: Cpu) {
        self.completed_per_s = Some(round(completed_per_s, 1));
        self.saturated_p50_ms = ms(&saturated.latency, 0.5);
        self.cpu_ms_per_completed = cpu.into_iter().map(|(name, cpu)| (name, round(cpu, 3))).collect();
    }

    /// In bytes.
    pub fn set_memory(&mut self, peak_rss: u64, by_process: &BTreeMap<String, u64>) {
        self.peak_rss_mib = Some(round(mebibytes(peak_rss), 1));
        let by_process = by_process.iter().map(|(name, bytes)| (name.clone(), round(mebibytes(*bytes), 1)));
        self.peak_rss_mib_by_process = by_process.collect();
    }

    fn row(&self, name: &str) -> String {
        let cpu: Vec<String> =
            self.cpu_ms_per_completed.iter().map(|(process, ms)| format!("{process} {ms}")).collect();
        let sum: f64 = self.cpu_ms_per_completed.values().sum();
        let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
        format!(
            "| {name} | {} | {} / {} | {} / {} | {}: {} | {} |\n",
            cell(self.completed_per_s),
            cell(self.idle_p50_ms),
            cell(self.idle_p99_ms),
            cell(self.loaded_p50_ms),
            cell(self.loaded_p99_ms),
            cell((sum > 0.0).then(|| round(sum, 3))),
            cpu.join(", "),
            cell(self.peak_rss_mib)
        )
    }
}

#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    memory_gib: f64,
}

/// How it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    pub seconds: u64,
    pub in_flight: usize,
    pub full_in_flight: usize,
    pub processes: Processes,
    /// What differs from the defaults.
    pub settings: Vec<String>,
    pub history: usize,
}

/// Everything measured.
#[derive(Serialize)]
pub struct Report {
    engine: EngineKind,
    machine: Machine,
    settings: Settings,
    #[serde(flatten)]
    workloads: BTreeMap<&'static str, Figures>,
    /// The bytes that the floor wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Shape>,
    #[serde(flatten)]
    shares: BTreeMap<&'static str, f64>,
}

/// The names of what is measured, as in the JSON.
pub const FAN_OUT: &str = "fan_out";
pub const FULL: &str = "full";
pub const FLOOR: &str = "floor";
pub const FLOOR_300: &str = "floor_300";
pub const WITH_HISTORY: &str = "fan_out_with_history";
pub const TWO_REPLICAS: &str = "fan_out_two_replicas";
pub const ONE_PROCESS: &str = "fan_out_one_process";
pub const POISONED: &str = "fan_out_poisoned";

/// What is told as a share of what.
const SHARES: [(&str, &str, &str); 6] = [
    ("share_of_floor", FAN_OUT, FLOOR),
    ("share_of_floor_300", FAN_OUT, FLOOR_300),
    ("share_with_history", WITH_HISTORY, FAN_OUT),
    ("share_with_two_replicas", TWO_REPLICAS, FAN_OUT),
    ("share_poisoned", POISONED, FAN_OUT),
    ("full_over_fan_out", FULL, FAN_OUT),
];

impl Report {
    pub fn new(engine: EngineKind, settings: Settings) -> Result<Self> {
        let (cores, memory) = machine()?;
        let memory_gib = round(mebibytes(memory) / 1024.0, 1);
        let machine = Machine { cores, memory_gib };
        let (workloads, shares) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { engine, machine, settings, workloads, shape: None, shares })
    }

    pub fn add(&mut self, name: &'static str, figures: Figures) {
        self.workloads.insert(name, figures);
        for (share, part, whole) in SHARES {
            if let (Some(part), Some(whole)) = (self.completed_per_s(part), self.completed_per_s(whole)) {
                self.shares.insert(share, round(part / whole, 3));
            }
        }
    }

    pub fn set_shape(&mut self, shape: Shape) {
        self.shape = Some(shape);
    }

    pub fn completed_per_s(&self, name: &str) -> Option<f64> {
        self.workloads.get(name)?.completed_per_s
    }

    /// For people, in Markdown.
    pub fn table(&self) -> String {
        let mut table = "| workload | completed/s | idle p50 / p99 ms | loaded p50 / p99 ms | CPU ms per completed | peak MiB |\n\
             | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
        table.extend(self.workloads.iter().map(|(name, figures)| figures.row(&format!("`{name}`"))));
        if !self.shares.is_empty() {
            table.push('\n');
        }
        table.extend(self.shares.iter().map(|(name, share)| format!("- `{name}` {share}\n")));
        if let Some(shape) = &self.shape {
            let (rows, messages) = shape.bytes();
            table += &format!(
                "\nOne `fan_out` writes {} rows of {rows} bytes and moves {} messages of {messages} bytes in all.\n",
                shape.rows(),
                shape.messages()
            );
        }
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
            "Measured on {} at {commit}, on a machine with {} cores and {} GiB of memory: {} s of saturation with \
             {} in flight (`full`: {}), {}.\n\n{}",
            SystemClock.now().to_jiff().strftime("%Y-%m-%d"),
            self.machine.cores,
            self.machine.memory_gib,
            self.settings.seconds,
            self.settings.in_flight,
            self.settings.full_in_flight,
            match self.settings.processes {
                Processes::One => "all services in one process",
                Processes::Roles => "a process for each role",
            },
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

    fn settings() -> Settings {
        let (processes, settings) = (Processes::One, Vec::new());
        Settings { seconds: 20, in_flight: 8, full_in_flight: 4, processes, settings, history: 0 }
    }

    #[test]
    fn shares_are_told_as_soon_as_both_are_measured() {
        let mut report = Report::new(EngineKind::Embedded, settings()).unwrap();
        let measured = |per_s| Figures { completed_per_s: Some(per_s), ..Figures::default() };
        report.add(FAN_OUT, measured(300.0));
        assert!(report.shares.is_empty());
        report.add(FLOOR, measured(1200.0));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["share_of_floor"], 0.25);
        assert_eq!(json["fan_out"], serde_json::json!({ "completed_per_s": 300.0 }));
    }

    #[test]
    fn figures_replace_those_of_the_same_engine_only() {
        let report = Report::new(EngineKind::Embedded, settings()).unwrap();
        let text = "# Title\n<!-- embedded -->\nold\n<!-- /embedded -->\n<!-- production -->\nkept\n<!-- /production -->\n";
        let document = report.written_into(text, "abc123").unwrap();
        assert!(document.contains("at abc123") && document.contains("kept") && !document.contains("old"));
        assert!(document.starts_with("# Title\n") && document.ends_with("<!-- /production -->\n"));
        assert!(report.written_into("no place for it", "abc123").is_err());
    }
}
