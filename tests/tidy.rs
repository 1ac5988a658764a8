//! The rules of this project that a machine can check. Each test is one rule and says what to do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is tests, helpers included")]

#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use source::{Kind, Source, Token};
use tree::{CRATES, Crate, FILES, SOURCES};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const REASON_CHARS_MAX: usize = 63;

#[track_caller]
fn none(faults: impl IntoIterator<Item = String>, what_to_do: &str) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{what_to_do}:\n  {}\n", faults.join("\n  "));
}

fn at(source: &Source, token: &Token) -> String {
    format!("{}:{}: {}", source.path, token.first_line, token.text)
}

/// Where these words stand next to each other, outside tests.
fn uses(source: &Source, words: &[&str]) -> Vec<String> {
    let production = source.production();
    let here = |window: &&[&Token]| window.iter().zip(words).all(|(token, word)| token.text == *word);
    production.windows(words.len()).filter(here).map(|window| at(source, window[0])).collect()
}

#[test]
fn every_module_file_says_what_it_is() {
    let silent = SOURCES.iter().filter(|source| !source.text.starts_with("//!"));
    none(silent.map(|source| source.path.clone()), "begin the file with a `//!` line that says what it is");
}

#[test]
fn files_are_small_enough_to_hold_in_mind() {
    let large = SOURCES.iter().map(|source| (source.lines_of_code(), source));
    let large = large.filter(|(lines, _)| *lines > FILE_LINES_MAX);
    none(
        large.map(|(lines, source)| format!("{}: {lines} lines of code", source.path)),
        &format!("split the file: at most {FILE_LINES_MAX} lines of code, test modules aside"),
    );
}

#[test]
fn functions_are_small_enough_to_hold_in_mind() {
    let all = SOURCES.iter().flat_map(|source| source.functions().into_iter().map(move |it| (source, it)));
    let large = all.filter(|(_, function)| function.lines > FUNCTION_LINES_MAX);
    none(
        large.map(|(source, it)| format!("{}:{}: {}: {} lines", source.path, it.line, it.name, it.lines)),
        &format!("split the function: at most {FUNCTION_LINES_MAX} lines of code"),
    );
}

#[test]
fn nothing_is_left_unfinished_and_nothing_sleeps() {
    let mut faults = Vec::new();
    for source in SOURCES.iter() {
        for (index, token) in source.tokens.iter().enumerate() {
            let before = |text: &str| index > 0 && source.tokens[index - 1].text == text;
            let after = |text: &str| source.tokens.get(index + 1).is_some_and(|next| next.text == text);
            let fault = token.kind == Kind::Word
                && match token.text.as_str() {
                    "todo" | "unimplemented" => after("!"),
                    "sleep" | "sleep_ms" => before("::") || after("("),
                    "ignore" => before("["),
                    _ => false,
                };
            if fault {
                faults.push(at(source, token));
            }
        }
        // Spelled apart, so that this file does not say it.
        let mark = ["FIX", "ME"].concat();
        let lines = source.text.lines().enumerate().filter(|(_, line)| line.contains(&mark));
        faults.extend(lines.map(|(line, _)| format!("{}:{}: {mark}", source.path, line + 1)));
    }
    none(faults, "finish it, run the test, or wait for a level with a bound instead of sleeping");
}

fn is_domain(path: &str) -> bool {
    path.starts_with("services/") && (path.ends_with("/src/domain.rs") || path.contains("/src/domain/"))
}

#[test]
fn domain_code_is_plain_functions_over_plain_types() {
    let root: toml::Table = toml::from_str(&FILES["Cargo.toml"]).unwrap();
    let known = root["workspace"]["dependencies"].as_table().unwrap().keys();
    let foreign: BTreeSet<String> = known
        .filter(|name| !["types", "policy", "thiserror"].contains(&name.as_str()))
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut faults = Vec::new();
    for source in SOURCES.iter().filter(|source| is_domain(&source.path)) {
        let tokens = source.production();
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Word) {
            let before =
                |back: usize| index.checked_sub(back).map_or("", |index| tokens[index].text.as_str());
            let starts_path =
                tokens.get(index + 1).is_some_and(|next| next.text == "::") && before(1) != "::";
            let whole_use = before(1) == "use";
            let effect = before(1) == "::"
                && before(2) == "std"
                && ["env", "fs", "io", "net", "process", "thread"].contains(&token.text.as_str());
            if (foreign.contains(&token.text) && (starts_path || whole_use))
                || effect
                || token.text == "async"
            {
                faults.push(at(source, token));
            }
        }
    }
    none(
        faults,
        "domain code uses std (without input and output), types, policy, thiserror and its own crate, and is not \
         async; move the rest to app.rs, wire.rs or read_model.rs",
    );
}

#[test]
fn status_codes_are_chosen_in_one_place_of_each_service() {
    let home = |path: &str| {
        let crates = ["crates/service-kit/", "crates/testkit/"];
        crates.iter().any(|home| path.starts_with(home)) || path.ends_with("/src/error.rs")
    };
    let mut faults = Vec::new();
    for source in SOURCES.iter().filter(|source| !home(&source.path)) {
        faults.extend(uses(source, &["tonic", "::", "Code"]));
        faults.extend(uses(source, &["Status", "::", "new"]));
        faults.extend(uses(source, &["Status", "::", "with_error_details"]));
        for (constructor, code) in STATUS_CODES {
            faults.extend(uses(source, &["Code", "::", code]));
            faults.extend(uses(source, &["Status", "::", constructor]));
        }
    }
    none(faults, "return a typed error, and give it its code in the crate's src/error.rs");
}

/// tonic's constructors of a Status, and the codes they stand for.
const STATUS_CODES: [(&str, &str); 17] = [
    ("ok", "Ok"),
    ("cancelled", "Cancelled"),
    ("unknown", "Unknown"),
    ("invalid_argument", "InvalidArgument"),
    ("deadline_exceeded", "DeadlineExceeded"),
    ("not_found", "NotFound"),
    ("already_exists", "AlreadyExists"),
    ("permission_denied", "PermissionDenied"),
    ("resource_exhausted", "ResourceExhausted"),
    ("failed_precondition", "FailedPrecondition"),
    ("aborted", "Aborted"),
    ("out_of_range", "OutOfRange"),
    ("unimplemented", "Unimplemented"),
    ("internal", "Internal"),
    ("unavailable", "Unavailable"),
    ("data_loss", "DataLoss"),
    ("unauthenticated", "Unauthenticated"),
];

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let inherits = |it: &&Crate| it.manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    let without = CRATES.iter().filter(|it| inherits(it) != Some(true));
    none(without.map(|it| it.path.clone()), "add `[lints] workspace = true`");
}

#[test]
fn versions_stand_in_the_root_only() {
    let all =
        CRATES.iter().flat_map(|it| it.dependencies().into_iter().map(move |dependency| (it, dependency)));
    let own =
        all.filter(|(_, (_, _, said))| said.get("workspace").and_then(toml::Value::as_bool) != Some(true));
    none(
        own.map(|(it, (section, name, _))| format!("{}: {section}: {name}", it.path)),
        "put the version under [workspace.dependencies] and say `name.workspace = true`",
    );
}

/// What each crate of ours may know of the others, in the order in which they build on each other. Who is not listed
/// (the binary, the tests, the chores) may know all of them.
const MAY_KNOW: [(&str, &[&str]); 11] = [
    ("engines", &[]),
    ("types", &[]),
    ("proto", &[]),
    ("policy", &["types"]),
    ("keys", &["types"]),
    ("event-store", &["types"]),
    ("messaging", &["event-store", "types"]),
    ("participant", &["event-store", "keys", "messaging", "proto", "types"]),
    ("conformance", &["keys", "messaging", "participant", "proto", "types"]),
    ("service-kit", &["event-store", "keys", "messaging", "participant", "proto", "types"]),
    (
        "testkit",
        &[
            "conformance",
            "event-store",
            "keys",
            "messaging",
            "participant",
            "policy",
            "proto",
            "service-kit",
            "types",
        ],
    ),
];

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let ours: BTreeSet<&str> = CRATES.iter().map(|it| it.name.as_str()).collect();
    let services: BTreeSet<&str> =
        CRATES.iter().filter(|it| it.is_service()).map(|it| it.name.as_str()).collect();
    let mut faults = Vec::new();
    for it in CRATES.iter() {
        let may_know = MAY_KNOW.iter().find(|(name, _)| *name == it.name).map(|(_, may_know)| *may_know);
        for (section, name, _) in it.dependencies().into_iter().filter(|(_, name, _)| ours.contains(name)) {
            let in_tests = section == "dev-dependencies";
            let upwards = !in_tests && may_know.is_some_and(|may_know| !may_know.contains(&name));
            let to_service = services.contains(name) && (may_know.is_some() || it.is_service());
            // What proves the others is itself a test, and is built into nothing.
            let proof = ["exeunt-tests", "simulation", "torture"].contains(&it.name.as_str());
            let tests_in_production = name == "simulation" || name == "testkit" && !in_tests && !proof;
            let top = it.is_service() && ["exeunt", "xtask", "exeunt-tests"].contains(&name);
            if upwards || to_service || tests_in_production || top {
                faults.push(format!("{}: {section}: {name}", it.path));
            }
        }
    }
    none(
        faults,
        "turn the dependency round: services → participant → messaging → event-store → types; services meet over \
         Kafka only; testkit is for dev-dependencies and for what is itself a test, and nothing builds on simulation",
    );
}

#[test]
fn sql_and_kafka_stay_in_their_homes() {
    let sql = |path: &str| {
        path.starts_with("crates/event-store/")
            || path.starts_with("crates/messaging/")
            || path == "crates/bench/src/engine.rs"
            || path.starts_with("crates/bench/src/floor/")
            || path.starts_with("services/") && path.contains("/src/read_model")
    };
    let kafka =
        |path: &str| path.starts_with("crates/messaging/") || path == "crates/bench/src/floor/kafka.rs";
    let mut faults = Vec::new();
    for source in SOURCES.iter() {
        let words = source.production().into_iter().filter(|token| token.kind == Kind::Word);
        let astray = words.filter(|token| match &*token.text {
            "sqlx" | "rusqlite" => !sql(&source.path),
            "rdkafka" => !kafka(&source.path),
            _ => false,
        });
        faults.extend(astray.map(|token| at(source, token)));
    }
    none(
        faults,
        "SQL lives in event-store, messaging's embedded log, the services' read models and where the bench drops its \
         databases, rdkafka in messaging, and both in the floor that the bench measures; \
         ask them for what is missing",
    );
}

/// The names in the roster file: `[[participant]] name = "…"`, or the keys of a table of participants.
fn participants(roster: &toml::Table) -> BTreeSet<String> {
    let sections = roster.iter().filter(|(key, _)| key.starts_with("participant")).map(|(_, value)| value);
    let names = |section: &toml::Value| -> Vec<String> {
        match section {
            toml::Value::Array(entries) => {
                entries.iter().filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned)).collect()
            }
            toml::Value::Table(entries) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    };
    sections.flat_map(names).collect()
}

#[test]
fn the_coordinator_knows_participants_by_the_roster_only() {
    let Some(roster) = FILES.get("services/cancellation/roster.toml") else { return };
    let names = participants(&toml::from_str(roster).unwrap());
    assert!(
        !names.is_empty(),
        "services/cancellation/roster.toml names no participants where this test looks"
    );
    let identifiers: BTreeSet<String> = names.iter().map(|name| name.replace('-', "_")).collect();
    let mut faults = Vec::new();
    for source in SOURCES.iter().filter(|source| source.path.starts_with("services/cancellation/src/")) {
        for (index, token) in source.tokens.iter().enumerate() {
            // A package of the contract (`identity::v1`, `exeunt.identity.v1`) is not the participant.
            let package = || source.tokens[index..].get(2).is_some_and(|next| next.text == "v1");
            let named = match token.kind {
                Kind::Word => identifiers.contains(&token.text) && !package(),
                Kind::Literal => words(&token.text).any(|word| names.contains(word)),
                Kind::Sign | Kind::Open | Kind::Close => false,
            };
            if named {
                faults.push(at(source, token));
            }
        }
    }
    none(
        faults,
        "the coordinator may not name a participant: let the roster file say what is special about it",
    );
}

/// The words of a string literal; a dotted or hyphenated name is one word.
fn words(literal: &str) -> impl Iterator<Item = &str> {
    literal.split(|char: char| !(char.is_alphanumeric() || "._-".contains(char)))
}

#[test]
fn every_proto_file_is_in_a_versioned_package_named_like_its_folder() {
    let protos = FILES.iter().filter(|(path, _)| path.ends_with(".proto"));
    let fault = |(path, text): (&String, &String)| {
        let folder =
            path.strip_prefix("proto/").and_then(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
        let package = folder.unwrap_or_default().replace('/', ".");
        let version = package.rsplit_once(".v").map_or("", |(_, version)| version);
        let versioned = !version.is_empty() && version.chars().all(|char| char.is_ascii_digit());
        let named = text.lines().any(|line| line.trim() == format!("package {package};"));
        (!versioned || !named).then(|| path.clone())
    };
    none(protos.filter_map(fault), "put it into proto/<…>/vN/ with the package of the same name");
}

/// Reasons of errors, each with where it is named first.
fn reasons() -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    let home = |path: &str| {
        path.starts_with("services/") && path.ends_with("/src/error.rs")
            || path.starts_with("crates/service-kit/src/")
    };
    for source in SOURCES.iter().filter(|source| home(&source.path)) {
        for token in source.production().into_iter().filter(|token| token.kind == Kind::Literal) {
            let Some(text) = token.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
                continue;
            };
            // Names of environment variables are spelled alike.
            if is_reason(text) && !text.starts_with("EXEUNT_") {
                reasons.entry(text.to_owned()).or_insert_with(|| at(source, token));
            }
        }
    }
    reasons
}

/// UPPER_SNAKE_CASE.
fn is_reason(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
    text.starts_with(|char: char| char.is_ascii_uppercase()) && text.len() > 1 && text.chars().all(allowed)
}

#[test]
fn every_reason_is_documented_and_every_documented_reason_exists() {
    let Some(document) = FILES.get("docs/errors.md") else { return };
    let reasons = reasons();
    let headings = document.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    let headings: BTreeSet<&str> = headings
        .map(|heading| heading.trim().trim_matches('`'))
        .filter(|heading| is_reason(heading))
        .collect();
    let undocumented = reasons.iter().filter(|(reason, _)| !headings.contains(reason.as_str()));
    none(undocumented.map(|(_, at)| at.clone()), "give each reason a heading in docs/errors.md");
    let gone = headings.iter().filter(|heading| !reasons.contains_key(**heading));
    none(gone.map(|heading| (*heading).to_owned()), "docs/errors.md documents reasons that no error has");
    let long = reasons.iter().filter(|(reason, _)| reason.len() > REASON_CHARS_MAX);
    none(long.map(|(_, at)| at.clone()), &format!("a reason has at most {REASON_CHARS_MAX} characters"));
}

#[test]
fn the_readme_names_the_two_commands_and_continuous_integration_runs_the_one_that_checks() {
    let readme = FILES.get("README.md").map_or("", String::as_str);
    let run = FILES.get(".ci/run").map_or("", String::as_str);
    let missing = [("README.md", readme, "cargo run -- demo"), ("README.md", readme, "cargo xtask test")]
        .into_iter()
        .chain([(".ci/run", run, "cargo xtask test")])
        .filter(|(_, text, command)| !text.contains(command));
    none(missing.map(|(file, _, command)| format!("{file}: {command}")), "name the command there");
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    let here = tree::root().to_string_lossy().into_owned();
    let folders: Vec<String> =
        ["home", "root", "work", "Users"].iter().map(|name| format!("/{name}/")).collect();
    let mut faults = Vec::new();
    for (path, text) in FILES.iter() {
        for (number, line) in text.lines().enumerate() {
            let absolute = |folder: &String| {
                line.match_indices(folder.as_str()).any(|(index, _)| {
                    let before = line[..index].chars().next_back();
                    before.is_none_or(|char| !char.is_alphanumeric() && !"._-~*/{}$".contains(char))
                })
            };
            if line.contains(&here) || folders.iter().any(absolute) {
                faults.push(format!("{path}:{}", number + 1));
            }
        }
    }
    none(faults, "say it relative to the root of the checkout or to a variable");
}

#[test]
fn code_is_told_from_comments_strings_and_tests() {
    let source = Source::read(
        "src/lib.rs",
        r##"//! Says something.

/* sleep(1) */
/// fn of_a_comment() {}
fn one() -> &'static str {
    // A comment.

    "fn of_a_string() {"
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_a_test() { let text = r#"}"#; }
}

trait Two { fn without_body(&self); }
fn three() { if true { four() } }
"##,
    );
    let functions: Vec<(String, usize)> =
        source.functions().into_iter().map(|it| (it.name, it.lines)).collect();
    assert_eq!(functions, [("one".to_owned(), 3), ("three".to_owned(), 1)]);
    assert_eq!(source.lines_of_code(), 5);
    assert!(source.tokens.iter().all(|token| token.text != "sleep"));
    assert!(source.tokens.iter().any(|token| token.in_test && token.text == "of_a_test"));
}
