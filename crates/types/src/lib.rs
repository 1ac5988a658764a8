//! The words every crate shares: ids, instants, money, callers and participants' names.
//!
//! Nothing here is async and nothing here does IO. The two impure things every shell needs, the
//! clock and fresh ids, have their only homes here, so that everything else takes them as values.

mod caller;
mod id;
mod money;
mod scope;
mod time;

pub use caller::{Caller, Role};
pub use id::{
    CancellationId, IdError, IdsGuard, ParticipantName, SubjectId, TENANT_LOCAL, Tenant, check_opaque_id,
    fresh_uuid, ids_from, is_opaque_id,
};
pub use money::{Currency, Money, MoneyError};
pub use scope::{Action, Edition, Item, ItemKind, Scope};
pub use time::{Clock, SystemClock, Timestamp};
/// The UUIDs that ids are minted from.
pub use uuid::Uuid;
