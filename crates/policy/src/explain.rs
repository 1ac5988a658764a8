//! What a pack says of a scope, rule by rule, each with its source.

use crate::{Authority, Category, ClockRule, Gates, Pack, ScopeRules};

/// One thing that applies, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What it is about: `gates`, `clock complete`.
    pub topic: String,
    /// What it says.
    pub says: String,
    /// Whose rule it is.
    pub authority: Authority,
}

impl Pack {
    /// Everything that applies to a scope of that kind. `None`: the pack has no rules for it.
    #[must_use]
    pub fn explain(&self, kind: &str) -> Option<Vec<Explained>> {
        let scope = self.scope(kind)?;
        let mut all = of_scope(scope);
        let mut add = |topic: String, says: String, authority: &Authority| {
            all.push(Explained { topic, says, authority: authority.clone() });
        };
        for (name, clock) in &self.clocks {
            for rule in &clock.rules {
                let says = format!("{}: {}", clock.about, counted(rule, &clock.from));
                add(format!("clock {name}"), says, &rule.authority);
            }
        }
        for (name, notice) in &self.notices {
            let kept = if notice.durable { ", to be kept" } else { "" };
            let says =
                format!("within {} of {}{kept}: {}", notice.within, notice.when, notice.contains.join(", "));
            add(format!("notice {name}"), says, &notice.authority);
        }
        let refunds = &self.refunds;
        let share = if refunds.pro_rata { "for the time not used" } else { "none for time not used" };
        add("refunds".into(), format!("{share}, within {}", refunds.within), &refunds.authority);
        let again = &self.re_registration;
        let mut says =
            if again.allowed { format!("allowed after {}", again.wait) } else { "refused".to_owned() };
        if !again.refused_for.is_empty() {
            says.push_str(&format!("; refused for {}", again.refused_for.join(", ")));
        }
        add("re-registration".into(), says, &again.authority);
        let drift = &self.drift;
        let says = format!(
            "asked again when an amount differs by more than {} minor units, a date by more than {} days, \
             or something is new",
            drift.money_minor_units_max, drift.days_max
        );
        add("changed facts".into(), says, &drift.authority);
        for category in Category::ALL {
            for rule in self.retention.of(category) {
                add(format!("retention {}", category.name()), rule.to_string(), &rule.authority);
            }
        }
        Some(all)
    }
}

fn of_scope(scope: &ScopeRules) -> Vec<Explained> {
    let say = |topic: &str, says: String, authority: &Authority| Explained {
        topic: topic.to_owned(),
        says,
        authority: authority.clone(),
    };
    let gates = match scope.gates {
        Gates::Quote => "assessed, quoted and confirmed before anything ends",
        Gates::None => "accepted as it is declared: no assessment, no quote, no confirmation",
    };
    let login = if scope.login { "the subject has signed in" } else { "no login may be asked for" };
    let factors = format!("{login}; factors verified: {}", scope.factors);
    let cooling = &scope.cooling_off;
    let cooling_off = format!("{}, an operator may make it {} at most", cooling.period, cooling.longest);
    let offers: Vec<String> = scope.offers.iter().map(ToString::to_string).collect();
    let offers = if offers.is_empty() { "none".to_owned() } else { offers.join(", ") };
    vec![
        say("gates", gates.to_owned(), &scope.authority),
        say("verification", factors, &scope.authority),
        say("cooling-off", cooling_off, &cooling.authority),
        say("lighter choices", offers, &scope.authority),
    ]
}

fn counted(rule: &ClockRule, from: &str) -> String {
    let mut text = match (rule.before, rule.opens) {
        (false, _) => format!("{} from {from}", rule.period),
        (true, None) => format!("{} before {from} at the latest", rule.period),
        (true, Some(opens)) => format!("between {opens} and {} before {from}", rule.period),
    };
    if let Some(extension) = rule.extension {
        text.push_str(&format!(", {extension} more once if told in time"));
    }
    if rule.pauses {
        text.push_str(", standing still while the subject is waited for");
    }
    if rule.rolls {
        text.push_str(", on to the next working day");
    }
    text
}
