//! The roster file: who must acknowledge what. Read and checked at start, every fault named at once.

mod holders;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use keys::Jwk;
use serde::Deserialize;
use types::{ItemKind, ParticipantName, Scope};

use crate::domain::{Entry, Ladder};
use holders::Holder;

/// The roster that stands where nothing else is configured.
pub const DEFAULT: &str = include_str!("../roster.toml");

/// How long a participant may take to answer of which the file says nothing else.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(900);

pub(crate) const WHOLE_ACCOUNT: &str = "whole_account";
pub(crate) const SELECTED: &str = "selected";

/// A roster that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Not TOML, or not of this shape.
    #[error("roster cannot be read")]
    Syntax(#[from] toml::de::Error),
    /// Everything that is wrong with it.
    #[error("roster is wrong: {}", .0.join("; "))]
    Faults(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    extends: Option<Base>,
    attention: Option<AttentionRule>,
    #[serde(default)]
    scopes: BTreeMap<String, ScopeRule>,
    #[serde(default)]
    participant: Vec<Row>,
    #[serde(default)]
    holder: Vec<Holder>,
}

/// What a roster file may build on.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Base {
    /// The roster that stands where nothing else is configured.
    Default,
}

impl File {
    fn read(text: &str) -> Result<Self, RosterError> {
        let file: Self = toml::from_str(text)?;
        match file.extends {
            None => Ok(file),
            Some(Base::Default) => Ok(file.over(toml::from_str(DEFAULT)?)),
        }
    }

    /// This one's scopes and participants beside that one's, or in their place where they have the
    /// same name.
    fn over(self, base: Self) -> Self {
        let mut scopes = base.scopes;
        scopes.extend(self.scopes);
        let kept = |row: &Row| self.participant.iter().all(|own| own.name != row.name);
        let mut participant: Vec<Row> = base.participant.into_iter().filter(kept).collect();
        participant.extend(self.participant);
        let holder = base.holder.into_iter().chain(self.holder).collect();
        let attention = self.attention.or(base.attention);
        Self { extends: None, attention, scopes, participant, holder }
    }
}

/// How what is late is escalated; what is not said is as in the built-in ladder.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttentionRule {
    attention_after_ms: Option<u64>,
    overdue_after_ms: Option<u64>,
    waiting_ms_max: Option<u64>,
    warn_before_ms: Option<u64>,
    owner: Option<String>,
}

impl AttentionRule {
    fn ladder(self, faults: &mut Vec<String>) -> Ladder {
        let usual = Ladder::default();
        let span = |said: Option<u64>, usual| said.map_or(usual, Duration::from_millis);
        let ladder = Ladder {
            attention_after: span(self.attention_after_ms, usual.attention_after),
            overdue_after: span(self.overdue_after_ms, usual.overdue_after),
            waiting_max: span(self.waiting_ms_max, usual.waiting_max),
            warn_before: span(self.warn_before_ms, usual.warn_before),
            owner: self.owner.map_or(usual.owner, Into::into),
        };
        if ladder.overdue_after < ladder.attention_after {
            faults.push("attention: overdue_after_ms is less than attention_after_ms".to_owned());
        }
        ladder
    }
}

/// What holds for a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeRule {
    tokens_required: Option<u32>,
    gates: Option<Gates>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Gates {
    All,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    scopes: BTreeSet<String>,
    #[serde(default)]
    items: Vec<String>,
    #[serde(default)]
    after: Vec<String>,
    deadline_ms: Option<u64>,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    freeze: bool,
    #[serde(default)]
    keys: Vec<String>,
}

/// Who must acknowledge what.
#[derive(Debug, Clone)]
pub struct Roster {
    scopes: BTreeMap<String, ScopeRule>,
    members: Vec<Member>,
    ladder: Ladder,
}

#[derive(Debug, Clone)]
struct Member {
    entry: Entry,
    scopes: BTreeSet<String>,
    /// The file gives its keys.
    pinned: bool,
}

/// What the roster says of one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Who must acknowledge, in the file's order.
    pub entries: Vec<Entry>,
    /// Neither assessment nor confirmation, where the file says whether.
    pub gates_none: Option<bool>,
    /// How many tokens a confirmation needs, where the file says so.
    pub tokens_required: Option<u32>,
}

impl Roster {
    /// Reads a roster file.
    ///
    /// # Errors
    /// [`RosterError`] with every fault.
    pub fn parse(text: &str) -> Result<Self, RosterError> {
        let file = File::read(text)?;
        let mut faults = Vec::new();
        let mut members: Vec<Member> = Vec::new();
        for row in file.participant {
            let scopes = row.scopes.clone();
            for unknown in scopes.iter().filter(|scope| !file.scopes.contains_key(*scope)) {
                faults.push(format!("{}: scope {unknown} is not declared", row.name));
            }
            let Some(entry) = entry(row, &mut faults) else { continue };
            if members.iter().any(|member| member.entry.name == entry.name) {
                faults.push(format!("{} stands there twice", entry.name));
            }
            let pinned = !entry.keys.is_empty();
            members.push(Member { entry, scopes, pinned });
        }
        check_order(&members, &mut faults);
        let ladder = file.attention.unwrap_or_default().ladder(&mut faults);
        holders::check(&file.holder, &members, &mut faults);
        if !faults.is_empty() {
            return Err(RosterError::Faults(faults));
        }
        Ok(Self { scopes: file.scopes, members, ladder })
    }

    /// Adds public keys to those of a participant that the file names; others are left be.
    pub fn add_keys<'a>(&mut self, name: &ParticipantName, keys: impl IntoIterator<Item = &'a Jwk>) {
        let Some(member) = self.members.iter_mut().find(|member| member.entry.name == *name) else { return };
        for jwk in keys.into_iter().map(Jwk::to_json) {
            if !member.entry.keys.contains(&jwk) {
                member.entry.keys.push(jwk);
            }
        }
    }

    /// Whether the file itself gives keys of that participant: then what is announced does not count.
    #[must_use]
    pub fn pins(&self, name: &ParticipantName) -> bool {
        self.members.iter().any(|member| member.pinned && member.entry.name == *name)
    }

    /// Those of which neither the file nor [`Self::add_keys`] gave a key: they must announce theirs.
    #[must_use]
    pub fn without_keys(&self) -> Vec<ParticipantName> {
        let without = self.members.iter().filter(|member| member.entry.keys.is_empty());
        without.map(|member| member.entry.name.clone()).collect()
    }

    /// How what is late is escalated.
    #[must_use]
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Of these holders of personal data, those that take no part when a whole account ends: nobody
    /// would erase what they have. None where the file has no such scope, for then none ends.
    #[must_use]
    pub fn left_out<'a>(&self, holders: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        if !self.scopes.contains_key(WHOLE_ACCOUNT) {
            return Vec::new();
        }
        holders.into_iter().filter(|name| !holders::takes_part(&self.members, name)).collect()
    }

    /// Everybody.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.members.iter().map(|member| &member.entry)
    }

    /// Who must acknowledge that scope; `None` for a named one that the file does not have, and for
    /// items of which one is nobody's.
    #[must_use]
    pub fn select(&self, scope: &Scope) -> Option<Selection> {
        let (name, items) = match scope {
            Scope::WholeAccount => (WHOLE_ACCOUNT, None),
            Scope::Selected(items) => (SELECTED, Some(items)),
            Scope::Named(name) if [WHOLE_ACCOUNT, SELECTED].contains(&name.as_str()) => return None,
            Scope::Named(name) => (name.as_str(), None),
        };
        let rule = self.scopes.get(name)?;
        // An item that is nobody's would be told as ended by those who take part in every scope.
        let owned = |kind: ItemKind| {
            let members = self.members.iter().filter(|member| member.scopes.contains(name));
            members.flat_map(|member| &member.entry.item_kinds).any(|own| *own == kind)
        };
        if items.is_some_and(|items| items.iter().any(|item| !owned(item.kind))) {
            return None;
        }
        let concerned = |entry: &Entry| match items {
            None => true,
            Some(items) => {
                entry.item_kinds.is_empty() || items.iter().any(|item| entry.item_kinds.contains(&item.kind))
            }
        };
        let members = self.members.iter().filter(|member| member.scopes.contains(name));
        Some(Selection {
            entries: members.map(|member| member.entry.clone()).filter(concerned).collect(),
            gates_none: rule.gates.map(|gates| gates == Gates::None),
            tokens_required: rule.tokens_required,
        })
    }
}

fn entry(row: Row, faults: &mut Vec<String>) -> Option<Entry> {
    let name = row.name;
    let mut named = |text: &str| {
        ParticipantName::parse(text)
            .map_err(|error| faults.push(format!("participant {text:?} {error}")))
            .ok()
    };
    let (parsed, after) =
        (named(&name), row.after.iter().map(|text| named(text)).collect::<Option<Vec<_>>>());
    let mut item_kinds = Vec::new();
    for text in &row.items {
        match item_kind(text) {
            Some(kind) => item_kinds.push(kind),
            None => faults.push(format!("{name}: {text} is not a kind of item")),
        }
    }
    for text in &row.keys {
        if let Err(error) = Jwk::parse(text) {
            faults.push(format!("{name}: a key is wrong: {error}"));
        }
    }
    Some(Entry {
        name: parsed?,
        after: after?,
        keys: row.keys,
        deadline: match row.deadline_ms {
            None => Some(DEADLINE_DEFAULT),
            Some(0) => None,
            Some(given) => Some(Duration::from_millis(given)),
        },
        owner: (!row.owner.is_empty()).then(|| row.owner.into()),
        item_kinds,
        freezes: row.freeze,
    })
}

fn item_kind(text: &str) -> Option<ItemKind> {
    let kind = proto::types::v1::ItemKind::from_str_name(&format!("ITEM_KIND_{text}"))?;
    participant::wire::item_kind_from(kind.into())
}

/// Who comes after somebody unknown, or after themselves by whatever way, would never execute.
fn check_order(members: &[Member], faults: &mut Vec<String>) {
    let find = |name: &ParticipantName| members.iter().find(|member| member.entry.name == *name);
    for member in members {
        for unknown in member.entry.after.iter().filter(|name| find(name).is_none()) {
            faults.push(format!("{} comes after {unknown}, which is not there", member.entry.name));
        }
    }
    let mut settled: BTreeSet<&ParticipantName> = BTreeSet::new();
    loop {
        let free = |member: &&Member| {
            !settled.contains(&member.entry.name)
                && member.entry.after.iter().all(|name| settled.contains(name) || find(name).is_none())
        };
        let next: Vec<&ParticipantName> =
            members.iter().filter(free).map(|member| &member.entry.name).collect();
        if next.is_empty() {
            break;
        }
        settled.extend(next);
    }
    for stuck in members.iter().filter(|member| !settled.contains(&member.entry.name)) {
        faults.push(format!("{} waits for itself", stuck.entry.name));
    }
}

#[cfg(test)]
mod tests {
    use types::{Action, Item};

    use super::*;

    fn names(selection: &Selection) -> Vec<&str> {
        selection.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    const SMALL: &str = r#"
        [scopes.whole_account]
        tokens_required = 2
        [scopes.selected]
        [scopes.fast]
        gates = "none"
        [[participant]]
        name = "first"
        scopes = ["whole_account", "selected", "fast"]
        items = ["SUBSCRIPTION"]
        [[participant]]
        name = "second"
        scopes = ["whole_account", "selected"]
        after = ["first"]
        [[participant]]
        name = "third"
        scopes = ["selected"]
        items = ["DATA_CATEGORY"]
    "#;

    #[test]
    fn the_embedded_roster_is_sound_and_stops_money_first() {
        let roster = Roster::parse(DEFAULT).unwrap();
        let whole = roster.select(&Scope::WholeAccount).unwrap();
        assert!(whole.entries.len() >= 4);
        assert!(whole.entries[0].after.is_empty());
        assert!(whole.entries[1..].iter().all(|entry| entry.after.contains(&whole.entries[0].name)));
    }

    #[test]
    fn a_roster_may_extend_the_embedded_one_and_say_anew_what_changes() {
        let text = r#"
            extends = "default"
            [scopes.vouchers]
            gates = "none"
            [[participant]]
            name = "vouchers"
            scopes = ["whole_account", "vouchers"]
        "#;
        let before = names(&Roster::parse(DEFAULT).unwrap().select(&Scope::WholeAccount).unwrap())
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        let roster = Roster::parse(text).unwrap();
        let whole = roster.select(&Scope::WholeAccount).unwrap();
        assert_eq!(names(&whole)[..before.len()], before);
        assert_eq!(names(&whole)[before.len()..], ["vouchers"]);
        let own = roster.select(&Scope::Named("vouchers".into())).unwrap();
        assert_eq!((names(&own), own.gates_none), (vec!["vouchers"], Some(true)));
        // One that is there already is replaced, whole.
        let last = &before[before.len() - 1];
        let anew = format!(
            "{text}\n[[participant]]\nname = {last:?}\nscopes = [\"whole_account\"]\nafter = [\"vouchers\"]"
        );
        let whole = Roster::parse(&anew).unwrap().select(&Scope::WholeAccount).unwrap();
        let replaced = whole.entries.iter().find(|entry| entry.name.as_str() == last).unwrap();
        assert_eq!(replaced.after.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["vouchers"]);
        assert!(Roster::parse("extends = \"other\"").is_err());
    }

    #[test]
    fn a_scope_selects_who_must_acknowledge() {
        let roster = Roster::parse(SMALL).unwrap();
        let whole = roster.select(&Scope::WholeAccount).unwrap();
        assert_eq!(
            (names(&whole), whole.tokens_required, whole.gates_none),
            (vec!["first", "second"], Some(2), None)
        );
        let item_of = |id: &str| Item { kind: ItemKind::Subscription, id: id.into(), action: Action::EndNow };
        let selected = roster.select(&Scope::Selected(vec![item_of("sub_1")])).unwrap();
        assert_eq!(names(&selected), ["first", "second"]);
        let nobodys = Item { kind: ItemKind::FacePayment, id: String::new(), action: Action::Disable };
        assert_eq!(roster.select(&Scope::Selected(vec![item_of("sub_1"), nobodys])), None);
        let fast = roster.select(&Scope::Named("fast".into())).unwrap();
        assert_eq!((names(&fast), fast.gates_none), (vec!["first"], Some(true)));
        assert_eq!(roster.select(&Scope::Named("slow".into())), None);
        assert_eq!(roster.select(&Scope::Named("whole_account".into())), None);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let text = r#"
            [scopes.whole_account]
            [[participant]]
            name = "a"
            scopes = ["whole_account", "other"]
            items = ["SOCKS"]
            after = ["b", "ghost"]
            keys = ["{}"]
            [[participant]]
            name = "b"
            scopes = []
            after = ["a"]
            [[participant]]
            name = "Bad Name"
            scopes = []
            [[participant]]
            name = "c"
            scopes = []
            [[participant]]
            name = "c"
            scopes = []
        "#;
        let Err(RosterError::Faults(faults)) = Roster::parse(text) else { panic!("it is wrong") };
        for expected in ["other", "SOCKS", "ghost", "a key is wrong", "Bad Name", "twice", "waits for itself"]
        {
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected} in {faults:?}");
        }
    }
}
