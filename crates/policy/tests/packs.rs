//! What packs must be like, whoever wrote them.
#![allow(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

use std::{sync::LazyLock, time::Duration};

use policy::{Files, Gates, Packs, Pause, Period};
use proptest::prelude::*;
use types::Timestamp;

fn built_in() -> &'static Packs {
    static PACKS: LazyLock<Packs> = LazyLock::new(|| Packs::read(&Files::built_in()).unwrap());
    &PACKS
}

#[test]
fn a_region_gets_its_own_pack_its_countrys_or_the_default() {
    let packs = built_in();
    let of = |region: &str| packs.of_region(region).unwrap().id.clone();
    let found = ["CN", "DE", "FR", "EU", "GB", "US-CA", "US-NY", "BR", ""].map(of);
    assert_eq!(found, ["cn", "de", "eu", "eu", "gb", "us-ca", "us-ca", "default", "default"]);
}

#[test]
fn time_to_think_again_is_what_each_jurisdiction_has() {
    let packs = built_in();
    let days =
        |id: &str| packs.get(id).unwrap().scope("whole_account").unwrap().cooling_off.period.to_string();
    assert_eq!(["cn", "eu", "de", "gb"].map(days), ["P0D", "P7D", "P7D", "P7D"]);
}

#[test]
fn an_operator_lengthens_cooling_off_where_a_pack_leaves_room_and_nowhere_else() {
    let with = |asked: &str| built_in().clone().with_cooling_off(&[asked]);
    let days = |packs: &Packs, id: &str, kind: &str| {
        packs.get(id).unwrap().scope(kind).unwrap().cooling_off.period.to_string()
    };
    let longer = with("whole_account=P10D").unwrap();
    assert_eq!(["cn", "eu", "de"].map(|id| days(&longer, id, "whole_account")), ["P10D"; 3]);
    assert_eq!(days(&longer, "de", "termination"), "P0D");
    // Nobody gets less than the pack gives.
    assert_eq!(days(&with("whole_account=P1D").unwrap(), "eu", "whole_account"), "P7D");
    for wrong in ["whole_account=P15D", "whole_account=P1M", "whole_account", "selected=P1D", "nothing=P1D"] {
        let error = with(wrong).unwrap_err().to_string();
        assert!(error.contains("cooling_off"), "{wrong}: {error}");
    }
}

#[test]
fn a_german_termination_is_accepted_without_login_or_quote() {
    let packs = built_in();
    let scope = packs.get("de").unwrap().scope("termination").unwrap();
    assert_eq!((scope.gates, scope.login, scope.factors, scope.offers.len()), (Gates::None, false, 0, 0));
}

#[test]
fn every_fault_of_every_file_is_named_at_once() {
    let mut files = Files::built_in();
    let broken = r#"
version = 1
name = "Broken"
extends = "nowhere"
zone = "Mars/Olympus"
"#;
    files.packs.insert("one".into(), broken.into());
    let wrong = r#"
version = 1
name = "Wrong"
extends = "default"
regions = ["CN"]
zone = "Mars/Olympus"
calendar = "mars"
[clocks.complete]
about = "a"
from = "b"
rules = [
    { id = "x", period = "soon", authority = { source = "s", tier = "law", evidence = "A" } },
    { id = "y", period = "P1M", extension = "15 working days", authority = { source = "s", tier = "law", evidence = "A" } },
]
[scopes.termination]
gates = "none"
login = false
factors = 0
cooling_off = { period = "P7D", longest = "P7D", authority = { source = "s", tier = "law", evidence = "A" } }
authority = { source = "s", tier = "law", evidence = "A" }
"#;
    files.packs.insert("two".into(), wrong.into());
    files
        .calendars
        .insert("odd".into(), "source = \"s\"\n[years.2026]\nholidays = [\"2027-01-01\"]\n".into());
    let error = Packs::read(&files).unwrap_err();
    let places: Vec<&str> = error.faults.iter().map(|fault| fault.at.as_str()).collect();
    assert_eq!(
        places,
        [
            "calendars/odd.toml: years.2026.holidays",
            "packs/one.toml: extends",
            "packs/two.toml: zone",
            "packs/two.toml: calendar",
            "packs/two.toml: clocks.complete.rules[0].period",
            "packs/two.toml: clocks.complete.rules[1].extension",
            "packs/two.toml: scopes.termination.cooling_off",
        ]
    );
}

#[test]
fn two_packs_may_not_have_one_region() {
    let mut files = Files::built_in();
    let more = "version = 1\nname = \"More\"\nextends = \"cn\"\nregions = [\"CN\"]\n";
    files.packs.insert("more".into(), more.into());
    let error = Packs::read(&files).unwrap_err();
    assert_eq!(error.faults.len(), 1, "{error}");
    assert_eq!(error.faults[0].message, "CN belongs to cn already");
}

/// Some instant of 2025 to 2028.
fn instants() -> impl Strategy<Value = Timestamp> {
    (1_735_689_600i64..1_861_920_000).prop_map(|seconds| Timestamp::from_micros(seconds * 1_000_000))
}

proptest! {
    #[test]
    fn an_extension_never_shortens(from in instants()) {
        for pack in built_in().iter() {
            for name in pack.clocks.keys() {
                let base = pack.reckon(name, from, &[], false).unwrap();
                let extended = pack.reckon(name, from, &[], true).unwrap();
                prop_assert!(extended.due >= base.due, "{}: {name}", pack.id);
            }
        }
    }

    #[test]
    fn pausing_and_resuming_adds_exactly_the_pause(
        from in instants(), begins in 0u64..20 * 86_400, lasts in 1u64..90 * 86_400,
    ) {
        for (id, clock) in [("eu", "complete"), ("gb", "complete")] {
            let packs = built_in();
            let pack = packs.get(id).unwrap();
            let begun = from.plus(Duration::from_secs(begins));
            let pause = Pause { from: begun, to: begun.plus(Duration::from_secs(lasts)) };
            let base = pack.reckon(clock, from, &[], false).unwrap();
            let paused = pack.reckon(clock, from, &[pause], false).unwrap();
            prop_assert_eq!(paused.due.since(base.due), Duration::from_secs(lasts));
            // Told in two halves that overlap, it is the same pause.
            let half = Pause { from: pause.from, to: begun.plus(Duration::from_secs(lasts / 2 + 1)) };
            let rest = Pause { from: begun.plus(Duration::from_secs(lasts / 2)), to: pause.to };
            prop_assert_eq!(pack.reckon(clock, from, &[rest, half], false).unwrap().due, paused.due);
        }
    }

    #[test]
    fn of_several_rules_the_strictest_wins(from in instants()) {
        for pack in built_in().iter() {
            for (name, clock) in &pack.clocks {
                let all = pack.reckon(name, from, &[], false).unwrap();
                let mut alone = pack.clone();
                for rule in &clock.rules {
                    alone.clocks.get_mut(name).unwrap().rules = vec![rule.clone()];
                    let one = alone.reckon(name, from, &[], false).unwrap();
                    prop_assert!(all.due <= one.due && all.opens >= one.opens, "{}: {name}", pack.id);
                }
            }
        }
    }

    #[test]
    fn a_later_beginning_never_ends_earlier(from in instants(), later in 0u64..40 * 86_400) {
        for pack in built_in().iter() {
            for name in pack.clocks.keys() {
                let first = pack.reckon(name, from, &[], false).unwrap();
                let second = pack.reckon(name, from.plus(Duration::from_secs(later)), &[], false).unwrap();
                prop_assert!(second.due >= first.due, "{}: {name}", pack.id);
            }
        }
    }

    #[test]
    fn any_text_is_a_period_or_refused(text in "[P0-9YMDTHS workingdays]{0,12}") {
        if let Ok(period) = text.parse::<Period>() {
            prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
        }
    }
}
