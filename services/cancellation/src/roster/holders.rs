//! Who has personal data, and whether somebody on the roster sees to it when a whole account ends.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Member, WHOLE_ACCOUNT};

/// A system that has personal data, as the file registers it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holder {
    name: String,
    /// The participant that sees to what it has.
    participant: String,
}

/// Every registered holder needs a participant that takes part when a whole account ends.
pub(super) fn check(holders: &[Holder], members: &[Member], faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for Holder { name, participant } in holders {
        if !seen.insert(name) {
            faults.push(format!("holder {name} stands there twice"));
        }
        if !members.iter().any(|member| member.entry.name.as_str() == participant) {
            faults.push(format!("holder {name} has data and no participant: {participant} is not there"));
        } else if !takes_part(members, participant) {
            faults.push(format!(
                "holder {name} has data that nobody erases: {participant} takes no part in {WHOLE_ACCOUNT}"
            ));
        }
    }
}

/// Whether a participant of that name takes part when a whole account ends.
pub(super) fn takes_part(members: &[Member], name: &str) -> bool {
    let found = members.iter().find(|member| member.entry.name.as_str() == name);
    found.is_some_and(|member| member.scopes.contains(WHOLE_ACCOUNT))
}

#[cfg(test)]
mod tests {
    use crate::roster::{Roster, RosterError};

    const TWO: &str = r#"
        [scopes.whole_account]
        [scopes.fast]
        [[participant]]
        name = "books"
        scopes = ["whole_account"]
        [[participant]]
        name = "quick"
        scopes = ["fast"]
    "#;

    fn holder(name: &str, participant: &str) -> String {
        format!("[[holder]]\nname = {name:?}\nparticipant = {participant:?}\n")
    }

    #[test]
    fn b22_a_registered_holder_without_a_participant_stops_the_start_and_each_is_named() {
        let all = [("crm", "books"), ("mailer", "nobody"), ("cache", "quick"), ("crm", "books")];
        let text = TWO.to_owned() + &all.map(|(name, participant)| holder(name, participant)).concat();
        let Err(RosterError::Faults(faults)) = Roster::parse(&text) else { panic!("is wrong") };
        assert_eq!(
            faults,
            [
                "holder mailer has data and no participant: nobody is not there",
                "holder cache has data that nobody erases: quick takes no part in whole_account",
                "holder crm stands there twice",
            ]
        );
        assert!(Roster::parse(&(TWO.to_owned() + &holder("crm", "books"))).is_ok());
    }

    #[test]
    fn b22_holders_that_the_roster_leaves_out_are_told_where_whole_accounts_end() {
        let roster = Roster::parse(TWO).unwrap();
        assert_eq!(roster.left_out(["books", "quick", "none"]), ["quick", "none"]);
        let without = TWO.replace("whole_account", "burst");
        assert_eq!(Roster::parse(&without).unwrap().left_out(["none"]), [""; 0]);
    }
}
