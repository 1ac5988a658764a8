//! What the law asks for, as the packs have it: no server is needed.

use ::policy::{Explained, Pack, Packs, Pause, Reckoning};
use serde_json::{Value, json};
use types::Timestamp;

use super::{Failure, Output, args, columns};
use crate::compose::{self, PacksError};

pub fn run(command: &args::PolicyCommand, output: &Output) -> Result<(), Failure> {
    match command {
        args::PolicyCommand::List(flags) => list(flags, output),
        args::PolicyCommand::Explain(flags) => explain(flags, output),
        args::PolicyCommand::Clock(flags) => clock(flags, output),
    }
}

fn list(flags: &args::PolicyFiles, output: &Output) -> Result<(), Failure> {
    let packs = packs(flags)?;
    if output.is_json() {
        for pack in packs.iter() {
            let Pack { id, version, name, regions, zone, .. } = pack;
            let line =
                json!({ "pack": id, "version": version, "name": name, "regions": regions, "zone": zone });
            output.line(&line.to_string());
        }
        return Ok(());
    }
    let row =
        |pack: &Pack| [pack.id.clone(), pack.version.to_string(), pack.name.clone(), pack.regions.join(" ")];
    let head = ["pack", "version", "name", "regions"].map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(packs.iter().map(row)).collect();
    output.text(&columns(&rows));
    Ok(())
}

fn explain(flags: &args::PolicyExplain, output: &Output) -> Result<(), Failure> {
    let packs = packs(&flags.files)?;
    let pack = named(&packs, &flags.pack)?;
    let all = pack.explain(&flags.scope).unwrap_or_default();
    if output.is_json() {
        let rule = |one: &Explained| {
            let Explained { topic, says, authority } = one;
            json!({
                "topic": topic,
                "says": says,
                "source": authority.source,
                "tier": authority.tier.to_string(),
                "evidence": authority.evidence.to_string(),
            })
        };
        let rules: Vec<Value> = all.iter().map(rule).collect();
        let told = json!({ "pack": pack.id, "version": pack.version, "zone": pack.zone, "scope": flags.scope, "rules": rules });
        output.line(&told.to_string());
        return Ok(());
    }
    let row = |one: &Explained| {
        let authority = &one.authority;
        let source = format!("{} [{}, {}]", authority.source, authority.tier, authority.evidence);
        [one.topic.clone(), one.says.clone(), source]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output
        .line(&format!("{} (pack {}, version {}), scope {}", pack.name, pack.id, pack.version, flags.scope));
    output.text(&columns(&rows));
    Ok(())
}

fn clock(flags: &args::PolicyClock, output: &Output) -> Result<(), Failure> {
    let packs = packs(&flags.files)?;
    let pack = named(&packs, &flags.pack)?;
    let said = pack.reckon(&flags.clock, flags.from, &flags.paused, flags.extended);
    let said = said.ok_or_else(|| {
        let clocks: Vec<&str> = pack.clocks.keys().map(String::as_str).collect();
        Failure::plain(format!(
            "pack {} has no clock `{}`; it has {}",
            pack.id,
            flags.clock,
            clocks.join(", ")
        ))
    })?;
    if output.is_json() {
        output.line(&counted(pack, flags, &said).to_string());
        return Ok(());
    }
    let rows: Vec<_> =
        said.steps.iter().map(|step| [step.rule.clone(), step.at.clone(), step.what.clone()]).collect();
    output.text(&columns(&rows));
    let day = said.last_day.as_deref().map(|day| format!(", the end of {day} in {}", pack.zone));
    output.line(&format!("due {}{}, by {}", said.due, day.unwrap_or_default(), said.rule));
    Ok(())
}

fn counted(pack: &Pack, flags: &args::PolicyClock, said: &Reckoning) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let paused: Vec<_> =
        flags.paused.iter().map(|pause| [pause.from.to_string(), pause.to.to_string()]).collect();
    let steps: Vec<_> = said
        .steps
        .iter()
        .map(|step| json!({ "rule": step.rule, "at": step.at, "what": step.what }))
        .collect();
    json!({
        "pack": pack.id,
        "version": pack.version,
        "zone": pack.zone,
        "clock": flags.clock,
        "from": flags.from.to_string(),
        "paused": paused,
        "extended": flags.extended,
        "due": said.due.to_string(),
        "lastDay": said.last_day,
        "opens": at(said.opens),
        "extensionNotice": at(said.extension_notice),
        "rule": said.rule,
        "provisional": said.provisional,
        "steps": steps,
    })
}

/// `<from>/<to>`, both RFC 3339.
pub fn pause(text: &str) -> Result<Pause, String> {
    let (from, to) = text.split_once('/').ok_or("a pause is <from>/<to>")?;
    let (from, to) = (instant(from)?, instant(to)?);
    if from < to { Ok(Pause { from, to }) } else { Err("it ends before it begins".into()) }
}

/// RFC 3339.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("`{text}` is no instant of RFC 3339, like 2026-11-23T10:00:00Z"))
}

fn named<'a>(packs: &'a Packs, id: &str) -> Result<&'a Pack, Failure> {
    packs.get(id).ok_or_else(|| {
        let ids: Vec<&str> = packs.iter().map(|pack| pack.id.as_str()).collect();
        Failure::plain(format!("there is no pack `{id}`; there are {}", ids.join(", ")))
    })
}

/// The packs of the program, with those of a folder in their place or beside them.
fn packs(flags: &args::PolicyFiles) -> Result<Packs, Failure> {
    compose::packs(flags.packs.as_deref(), &[]).map_err(|error| match error {
        PacksError::Folder { source, .. } => Failure::local("the packs cannot be read".to_owned(), source),
        PacksError::Wrong(wrong) => Failure::plain(wrong.to_string()),
    })
}
