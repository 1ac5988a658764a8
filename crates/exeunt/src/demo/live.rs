//! A line per participant that moves on as acknowledgements come in; plain lines where standard
//! output is no terminal.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::cancellation::v1::{Cancellation, Participant, ParticipantState};

use super::story::Story;
use crate::text;

const TICK: Duration = Duration::from_millis(100);

/// The lines.
pub(super) struct Live<'a> {
    story: &'a Story,
    /// None where lines cannot move.
    terminal: Option<MultiProgress>,
    lines: BTreeMap<String, Line>,
}

struct Line {
    shown: String,
    bar: Option<ProgressBar>,
}

impl<'a> Live<'a> {
    pub(super) fn new(story: &'a Story) -> Self {
        let moving = !story.is_silent() && std::io::stdout().is_terminal();
        let terminal = moving.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        Self { story, terminal, lines: BTreeMap::new() }
    }

    /// Brings every line up to date.
    pub(super) fn show(&mut self, cancellation: &Cancellation) {
        let widest = cancellation.participants.iter().map(|one| one.name.len()).max().unwrap_or_default();
        for one in &cancellation.participants {
            // What it said while it was assessed is told elsewhere.
            if !matches!(one.state(), ParticipantState::Assessing | ParticipantState::Assessed) {
                self.update(one, widest);
            }
        }
    }

    fn update(&mut self, one: &Participant, widest: usize) {
        let shown = format!("{:<widest$}  {}", one.name, text::participant(one));
        if self.lines.get(&one.name).is_some_and(|line| line.shown == shown) {
            return;
        }
        let line = self
            .lines
            .entry(one.name.clone())
            .or_insert_with(|| Line { shown: String::new(), bar: self.terminal.as_ref().map(spinner) });
        match &line.bar {
            None => self.story.tell(&shown),
            Some(bar) if one.state() == ParticipantState::Finished => bar.finish_with_message(shown.clone()),
            Some(bar) => bar.set_message(shown.clone()),
        }
        line.shown = shown;
    }

    /// Says something between the lines.
    pub(super) fn aside(&self, line: &str) {
        match &self.terminal {
            // A terminal that is gone is nothing that the story could mend.
            Some(terminal) => drop(terminal.println(format!("   {line}"))),
            None => self.story.tell(line),
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        // What has not finished keeps its last line instead of spinning on.
        for bar in self.lines.values().filter_map(|line| line.bar.as_ref()) {
            if !bar.is_finished() {
                bar.abandon();
            }
        }
    }
}

fn spinner(terminal: &MultiProgress) -> ProgressBar {
    let bar = terminal.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("   {spinner} {msg}") {
        bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏✓"));
    }
    bar.enable_steady_tick(TICK);
    bar
}
