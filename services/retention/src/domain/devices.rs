//! What stays on the subject's own devices: nobody but they can clear it, and their apps report that
//! they have.

use policy::Category;
use types::Timestamp;

use super::{DataSetId, Event, Rejection, State};

/// How many devices of one data set may be reported.
pub const CLEAN_UPS_MAX: usize = 50;

/// That an app has cleared a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanUp {
    /// What kind of app: `ios`.
    pub client: String,
    /// When it was reported.
    pub at: Timestamp,
}

/// Takes a report. What is kept in a system of ours no app can clear.
pub(super) fn report(state: &State, id: &DataSetId, done: CleanUp) -> Result<Vec<Event>, Rejection> {
    let set = state.find(id).filter(|set| set.category == Category::OnDeviceCache);
    match set {
        None => Err(Rejection::NotOnDevice),
        Some(set) if set.clean_ups.len() >= CLEAN_UPS_MAX => Err(Rejection::TooManyCleanUps),
        Some(_) => Ok(vec![Event::CleanedUp { id: id.clone(), done }]),
    }
}
