//! Which server is asked for what: one for everything, or one for each role.

use std::collections::BTreeMap;

use super::Failure;
use crate::compose::Role;

/// Where a server is looked for when nobody names one.
const DEFAULT: &str = "http://127.0.0.1:7700";
/// Names servers where the command line does not. The settings of a server know nothing of it.
pub(super) const VARIABLE: &str = "EXEUNT_SERVER";

/// One server, as it is named: `http://host:port`, or `role=http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Whom it serves; every role that has no server of its own when there is none.
    role: Option<Role>,
    url: String,
}

impl Server {
    /// One for every role.
    #[must_use]
    pub fn of_all(url: String) -> Self {
        Self { role: None, url }
    }

    /// Reads one. Whether its address is one, connecting will tell.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        match text.split_once('=').filter(|(word, _)| is_word(word)) {
            None => Ok(Self { role: None, url: text.into() }),
            Some((word, url)) => match Role::ALL.into_iter().find(|role| role.name() == word) {
                Some(role) => Ok(Self { role: Some(role), url: url.into() }),
                None => Err(format!("{word} is no role: {}", Role::ALL.map(Role::name).join(", "))),
            },
        }
    }
}

/// Every server that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    of_all: Option<String>,
    of_one: BTreeMap<Role, String>,
}

impl Servers {
    /// Those of the command line; without any, those of the environment; without any there, the
    /// address at which `exeunt serve` listens without configuration.
    ///
    /// # Errors
    /// [`Failure`] when the variable names what is no server.
    pub fn named(flags: Vec<Server>) -> Result<Self, Failure> {
        if !flags.is_empty() {
            return Ok(flags.into());
        }
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let named = words.map(Server::parse).collect::<Result<Vec<_>, _>>();
        let named = named.map_err(|wrong| Failure::plain(format!("{VARIABLE}: {wrong}")))?;
        Ok(if named.is_empty() { vec![Server::of_all(DEFAULT.into())] } else { named }.into())
    }

    /// The server of a role.
    ///
    /// # Errors
    /// [`Failure`] when servers of other roles are named only.
    pub fn of(&self, role: Role) -> Result<&str, Failure> {
        self.find(Some(role)).ok_or_else(|| {
            Failure::plain(format!("no server of {role} is named: add --server {role}=http://host:port"))
        })
    }

    /// The servers to ask for something of a service: that of its role, or every one when no role has
    /// its name or none is meant.
    #[must_use]
    pub fn that_may_have(&self, service: &str) -> Vec<&str> {
        let role = Role::ALL.into_iter().find(|role| role.name() == service);
        if let Some(url) = role.and_then(|role| self.find(Some(role))) {
            return vec![url];
        }
        let mut all: Vec<&str> = self.of_all.iter().chain(self.of_one.values()).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn find(&self, role: Option<Role>) -> Option<&str> {
        role.and_then(|role| self.of_one.get(&role)).or(self.of_all.as_ref()).map(String::as_str)
    }
}

/// The later of two for the same wins.
impl From<Vec<Server>> for Servers {
    fn from(servers: Vec<Server>) -> Self {
        let mut all = Self { of_all: None, of_one: BTreeMap::new() };
        for Server { role, url } in servers {
            match role {
                None => all.of_all = Some(url),
                Some(role) => drop(all.of_one.insert(role, url)),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(texts: &[&str]) -> Servers {
        texts.iter().map(|text| Server::parse(text).unwrap()).collect::<Vec<_>>().into()
    }

    #[test]
    fn one_server_is_asked_for_everything() {
        let one = servers(&["http://a:1"]);
        assert!(Role::ALL.into_iter().all(|role| one.of(role).unwrap() == "http://a:1"));
        assert_eq!(one.that_may_have(""), ["http://a:1"]);
    }

    #[test]
    fn a_role_may_have_a_server_of_its_own_beside_the_one_for_the_rest() {
        let some = servers(&["wallet=http://w:1", "http://a:1"]);
        assert_eq!(
            (some.of(Role::Wallet).unwrap(), some.of(Role::Identity).unwrap()),
            ("http://w:1", "http://a:1")
        );
        assert_eq!(some.that_may_have("wallet"), ["http://w:1"]);
        assert_eq!(some.that_may_have("guest"), ["http://a:1", "http://w:1"]);
    }

    #[test]
    fn a_role_without_a_server_is_named_and_so_is_a_word_that_is_no_role() {
        let missing = servers(&["wallet=http://w:1"]).of(Role::Identity).unwrap_err().to_string();
        assert!(missing.contains("--server identity=http://host:port"), "{missing}");
        assert!(Server::parse("purse=http://w:1").unwrap_err().contains("purse is no role"));
        assert_eq!(Server::parse("http://a:1/?x=y").unwrap().role, None);
    }
}
