//! What becomes of personal data, by the packs' rules.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is tests, helpers included")]

use std::sync::LazyLock;

use policy::{Anchor, Category, ControllerClass, DataFacts, Files, Packs, RetentionAction, Ruling, Tier};
use types::Timestamp;

fn built_in() -> &'static Packs {
    static PACKS: LazyLock<Packs> = LazyLock::new(|| Packs::read(&Files::built_in()).unwrap());
    &PACKS
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Data whose last event was on 21 November 2026, of an account that closes on 1 December.
fn facts(jurisdiction: &str, category: Category) -> DataFacts<'_> {
    DataFacts {
        category,
        jurisdiction,
        class: None,
        last_event_at: at("2026-11-21T04:00:00Z"),
        account_closed_at: Some(at("2026-12-01T04:00:00Z")),
    }
}

fn ruled(facts: &DataFacts<'_>) -> Ruling<'static> {
    built_in().of_region(facts.jurisdiction).unwrap().retain(facts).unwrap()
}

/// The first day on which the data may go, and the rule that says so.
fn kept(facts: &DataFacts<'_>) -> (String, &'static str) {
    let ruling = ruled(facts);
    let pack = built_in().of_region(facts.jurisdiction).unwrap();
    (pack.day(facts.jurisdiction, ruling.until.unwrap()), &ruling.rule.id)
}

#[test]
fn the_worked_dates_of_the_law_come_out() {
    let (transactions, identity) = (Category::TransactionRecords, Category::IdentityDocuments);
    for (jurisdiction, category, day, rule) in [
        ("CN", transactions, "2036-11-21", "cn.aml.transaction_records"),
        ("CN", identity, "2036-12-01", "cn.aml.identity_documents"),
        ("GB", transactions, "2031-12-01", "gb.aml.transaction_records"),
        ("GB", identity, "2031-12-01", "gb.aml.identity_documents"),
        ("DE", transactions, "2031-12-01", "eu.aml.transaction_records"),
        ("BE", transactions, "2036-12-01", "be.aml.transaction_records"),
        ("US", transactions, "2031-11-20", "us-ca.bsa.transaction_records"),
        ("JP", transactions, "2031-12-01", "default.aml.transaction_records"),
    ] {
        assert_eq!(kept(&facts(jurisdiction, category)), (day.to_owned(), rule), "{jurisdiction}");
    }
}

#[test]
fn of_several_laws_the_one_that_keeps_longest_wins_and_binds_only_whom_it_binds() {
    let records = facts("CN", Category::TransactionRecords);
    for (class, expected) in [
        (None, ("2036-11-21", "cn.aml.transaction_records")),
        (Some(ControllerClass::Bank), ("2036-11-21", "cn.aml.transaction_records")),
        (Some(ControllerClass::PaymentInstitution), ("2036-11-21", "cn.aml.transaction_records")),
        (Some(ControllerClass::Platform), ("2029-11-21", "cn.ecl.transaction_records")),
    ] {
        let (day, rule) = kept(&DataFacts { class, ..records });
        assert_eq!((day.as_str(), rule), expected, "{class:?}");
    }
    let other = ruled(&DataFacts { class: Some(ControllerClass::Other), ..records });
    assert_eq!(other.rule.action, RetentionAction::Erase);
}

#[test]
fn the_later_date_wins_and_not_the_longer_period() {
    let two = r#"
[retention.profile]
rules = [
    { id = "a", action = "restrict", ground = "A", period = "P10Y", anchor = "last_event", authority = { source = "s", tier = "law", evidence = "A" } },
    { id = "b", action = "restrict", ground = "B", period = "P5Y", anchor = "account_closed", authority = { source = "s", tier = "law", evidence = "A" } },
    { id = "c", action = "anonymise", authority = { source = "s", tier = "law", evidence = "A" } },
]
"#;
    let packs = Packs::read(&with(two)).unwrap();
    let pack = packs.get("ours").unwrap();
    let data = facts("CN", Category::Profile);
    let won = |data: &DataFacts<'_>| pack.retain(data).unwrap().rule.id.clone();
    assert_eq!(won(&data), "a");
    let old = DataFacts { last_event_at: at("2016-11-21T04:00:00Z"), ..data };
    assert_eq!(won(&old), "b");
    // While the account goes on, nobody knows how long the second keeps it: longer, to be safe.
    let open = pack.retain(&DataFacts { account_closed_at: None, ..data }).unwrap();
    assert_eq!((open.rule.id.as_str(), open.until), ("b", None));
    assert_eq!(open.from_closure.unwrap().in_words(), "5 years");
}

#[test]
fn no_longer_than_the_longest_after_the_last_event() {
    let records = facts("GB", Category::TransactionRecords);
    let old = DataFacts { last_event_at: at("2020-05-01T12:00:00Z"), ..records };
    assert_eq!(ruled(&old).until, Some(at("2030-04-30T23:00:00Z")));
}

#[test]
fn data_counts_by_the_midnight_of_where_it_is_kept() {
    let until = |jurisdiction| ruled(&facts(jurisdiction, Category::TransactionRecords)).until;
    assert_eq!(until("DE"), Some(at("2031-11-30T23:00:00Z")));
    assert_eq!(until("FI"), Some(at("2031-11-30T22:00:00Z")));
    assert_eq!(until("PT"), Some(at("2031-12-01T00:00:00Z")));
    assert_eq!(until("NO"), until("DE"));
}

#[test]
fn what_a_statute_nobody_found_demands_nothing_is_kept_for_in_china() {
    let pack = built_in().get("cn").unwrap();
    let all = Category::ALL.into_iter().flat_map(|category| pack.retention.of(category));
    for rule in all.filter(|rule| matches!(rule.action, RetentionAction::Restrict { .. })) {
        assert!(rule.authority.tier <= Tier::AdminRegulation, "{}", rule.id);
    }
}

#[test]
fn every_period_is_told_with_what_it_counts_from() {
    let pack = built_in().get("gb").unwrap();
    let [rule] = pack.retention.of(Category::TransactionRecords) else { panic!() };
    let RetentionAction::Restrict { term: Some(term), .. } = &rule.action else { panic!() };
    assert_eq!(term.anchor, Anchor::AccountClosed);
    assert_eq!(
        rule.to_string(),
        "kept for P5Y from the end of the account, for ANTI_MONEY_LAUNDERING only, and P10Y from the last event at most"
    );
}

/// The packs of the program, and one of ours over China's that says this.
fn with(more: &str) -> Files {
    let mut files = Files::built_in();
    let head = "version = 1\nname = \"Ours\"\nextends = \"cn\"\n";
    files.packs.insert("ours".into(), format!("{head}{more}"));
    files
}

fn faults(more: &str) -> Vec<String> {
    let error = Packs::read(&with(more)).unwrap_err();
    error.faults.into_iter().map(|fault| format!("{}: {}", fault.at, fault.message)).collect()
}

#[test]
fn b22_data_of_which_nobody_says_what_becomes_of_it_stops_the_start_and_all_of_it_is_named() {
    let mut files = Files::built_in();
    for pack in files.packs.values_mut() {
        for category in ["marketing", "biometric"] {
            let begin = format!("[retention.{category}]");
            if let Some((before, rest)) = pack.clone().split_once(&begin) {
                let (_, after) = rest.split_once("\n]\n").unwrap();
                *pack = format!("{before}{after}");
            }
        }
    }
    let error = Packs::read(&files).unwrap_err();
    let names: Vec<_> = error.faults.iter().map(|fault| fault.at.as_str()).collect();
    for pack in ["be", "cn", "de", "default", "eu", "gb", "us-ca"] {
        for category in ["marketing", "biometric"] {
            let expected = format!("packs/{pack}.toml: retention.{category}");
            assert!(names.contains(&expected.as_str()), "{expected} is not in {names:?}");
        }
    }
    assert_eq!(names.len(), 14);
}

#[test]
fn b22_a_controller_of_whom_no_rule_says_anything_is_a_fault() {
    let rule = r#"
[retention.profile]
rules = [
    { id = "x", action = "erase", controllers = ["bank", "other"], authority = { source = "s", tier = "law", evidence = "A" } },
]
"#;
    let says = "packs/ours.toml: retention.profile: says nothing for a controller of class";
    assert_eq!(faults(rule), [format!("{says} payment_institution"), format!("{says} platform")]);
}

#[test]
fn a_rule_says_all_that_its_action_needs_and_no_more() {
    let check = |fields: &str, tier: &str, at: &str, expected: &str| {
        let authority = format!("{{ source = \"s\", tier = \"{tier}\", evidence = \"A\" }}");
        let rule =
            format!("[retention.profile]\nrules = [{{ id = \"x\", {fields}, authority = {authority} }}]\n");
        assert_eq!(
            faults(&rule),
            [format!("packs/ours.toml: retention.profile.rules[0]{at}: {expected}")],
            "{fields}"
        );
    };
    let surplus = "ground, period, anchor and longest are for what is restricted";
    check(r#"action = "erase", ground = "A""#, "law", "", surplus);
    check(r#"action = "anonymise", anchor = "last_event""#, "law", "", surplus);
    let ground = "must be 1 to 63 capital letters, digits and _";
    check(r#"action = "restrict""#, "law", ".ground", ground);
    check(r#"action = "restrict", ground = "a""#, "law", ".ground", ground);
    let both = "period and anchor stand both or neither, and longest only with them";
    check(r#"action = "restrict", ground = "A", period = "P1Y""#, "law", "", both);
    check(r#"action = "restrict", ground = "A", anchor = "last_event""#, "law", "", both);
    check(r#"action = "restrict", ground = "A", longest = "P1Y""#, "law", "", both);
    let civil = "must be years, months and days, and not none";
    for period in ["P0D", "PT24H", "15 working days"] {
        let fields =
            format!(r#"action = "restrict", ground = "A", period = "{period}", anchor = "last_event""#);
        check(&fields, "law", ".period", civil);
    }
    let weak = "data is kept by a ministry_rule, and here no less than admin_regulation may do that";
    check(r#"action = "restrict", ground = "A""#, "ministry_rule", "", weak);
}

#[test]
fn a_category_that_does_not_exist_and_a_zone_that_does_not_are_faults() {
    let more = r#"
[zones]
XX = "Mars/Olympus"
[retention.shoe_size]
rules = []
"#;
    assert_eq!(
        faults(more),
        [
            "packs/ours.toml: zones.XX: there is no zone `Mars/Olympus`",
            "packs/ours.toml: retention.shoe_size: there is no such category of data",
        ]
    );
}
