//! Every pack's worked examples, from its sources.
#![allow(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

use std::path::Path;

use policy::{Files, Packs, Pause};
use serde::Deserialize;
use types::Timestamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    vector: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    clock: String,
    from: String,
    #[serde(default)]
    paused: Vec<[String; 2]>,
    #[serde(default)]
    extended: bool,
    due: String,
    last_day: Option<String>,
    opens: Option<String>,
    notice: Option<String>,
    #[serde(default)]
    provisional: bool,
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn every_pack_counts_its_worked_examples_as_its_sources_do() {
    let packs = Packs::read(&Files::built_in()).unwrap();
    for pack in packs.iter() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/{}.toml", pack.id));
        let vectors: Vectors = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for vector in vectors.vector {
            let pauses: Vec<Pause> =
                vector.paused.iter().map(|[from, to]| Pause { from: at(from), to: at(to) }).collect();
            let said = pack.reckon(&vector.clock, at(&vector.from), &pauses, vector.extended).unwrap();
            let told = (said.due, said.last_day.clone(), said.opens, said.provisional);
            let wanted =
                (at(&vector.due), vector.last_day, vector.opens.as_deref().map(at), vector.provisional);
            assert_eq!(told, wanted, "{}: {}: {:#?}", pack.id, vector.about, said.steps);
            if let Some(notice) = vector.notice {
                assert_eq!(said.extension_notice, Some(at(&notice)), "{}: {}", pack.id, vector.about);
            }
        }
    }
}
