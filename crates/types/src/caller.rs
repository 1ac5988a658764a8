//! Who calls.

use std::sync::Arc;

use crate::Tenant;

/// What a caller may do; the table of it stands with the services' edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A person acting for themselves.
    Subject,
    /// An app or service acting for its users.
    App,
    /// Someone who runs the system.
    Operator,
}

/// Who calls, as one layer established it before any handler runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose share of the installation.
    pub tenant: Tenant,
    /// The caller's own name: a token's subject, or `local`.
    pub name: Arc<str>,
    /// What it may do.
    pub roles: Vec<Role>,
}

impl Caller {
    /// The caller on loopback where nothing else is configured: may do everything.
    #[must_use]
    pub fn local() -> Self {
        Self {
            tenant: Tenant::local(),
            name: "local".into(),
            roles: vec![Role::Subject, Role::App, Role::Operator],
        }
    }
}
