//! By when a person decides on a refund, and by when it is paid: as the pack of the subject's region has
//! it. The domain is given the instants.

use std::time::Duration;

use policy::Packs;
use types::Timestamp;

/// The clock of a review.
const CLOCK: &str = "refund_review";

/// Where no pack says so: seven working days are never longer than this.
const OTHERWISE: Duration = Duration::from_hours(24 * 14);

/// Both, counted from an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// By when a person decides.
    pub review_until: Timestamp,
    /// By when what is approved then is paid.
    pub pay_by: Timestamp,
}

/// Counts them.
#[must_use]
pub fn dates(packs: &Packs, region: &str, from: Timestamp) -> Dates {
    let pack = packs.of_region(region);
    let review = pack.and_then(|pack| pack.reckon(CLOCK, from, &[], false)).map(|counted| counted.due);
    let paid = pack.map(|pack| pack.refund_due(from));
    let otherwise = from.plus(OTHERWISE);
    Dates { review_until: review.unwrap_or(otherwise), pay_by: paid.unwrap_or(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_takes_seven_working_days_of_the_subjects_region() {
        let packs = Packs::built_in();
        let from = Timestamp::parse("2026-09-28T02:00:00Z").unwrap();
        let until = |region: &str| dates(&packs, region, from).review_until.to_string();
        // Over the National Day, for whom it is one.
        assert_eq!(until("CN"), "2026-10-13T16:00:00Z");
        assert_eq!(until("XX"), "2026-10-08T00:00:00Z");
    }

    #[test]
    fn what_is_approved_is_paid_as_soon_as_the_region_asks() {
        let packs = Packs::built_in();
        let from = Timestamp::parse("2026-11-23T02:00:00Z").unwrap();
        assert_eq!(dates(&packs, "CN", from).pay_by.to_string(), "2026-12-14T16:00:00Z");
        assert_eq!(dates(&packs, "XX", from).pay_by.to_string(), "2026-12-08T00:00:00Z");
    }
}
