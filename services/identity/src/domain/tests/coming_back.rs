//! Registering again.

use policy::{Authority, Evidence, Period, ReRegistration, Tier};

use super::*;
use crate::domain::coming_back::{KNOWN_FOR, Released, Week, judge, known_until};

fn rule(allowed: bool, refused_for: &[&str]) -> ReRegistration {
    ReRegistration {
        allowed,
        wait: Period::Exact(0),
        refused_for: refused_for.iter().map(|code| (*code).to_owned()).collect(),
        authority: Authority { source: "Art. 31".into(), tier: Tier::Law, evidence: Evidence::A },
    }
}

fn released(ban: Option<&str>) -> Released {
    let region = "CN".to_owned();
    Released { cancellation: can(1), region, at: at(0), until: at(60), ban: ban.map(Into::into) }
}

#[test]
fn b15_nothing_is_kept_of_a_contact_that_no_rule_needs_again() {
    let (open, fraud) = (rule(true, &["FRAUD"]), Some("FRAUD".to_owned()));
    let ends = Week::of(at(0)).ends();
    assert_eq!(known_until(&open, None, at(0), at(0)), None);
    assert_eq!(known_until(&open, Some(&"SPAM".to_owned()), at(0), at(0)), None);
    assert_eq!(known_until(&open, fraud.as_ref(), at(0), at(0)), Some(ends));
    assert_eq!(known_until(&rule(false, &[]), None, at(0), at(0)), Some(ends));
    assert_eq!(known_until(&open, None, at(30), at(0)), Some(at(30)));
    assert_eq!(known_until(&open, None, ends.plus(MINUTE), at(0)), Some(ends));
}

#[test]
fn b15_only_what_the_rule_names_refuses_and_a_wait_has_an_end() {
    let open = rule(true, &["FRAUD"]);
    assert_eq!(judge(&open, &released(None), at(0), at(1)), Ok(()));
    assert_eq!(judge(&open, &released(Some("SPAM")), at(0), at(1)), Ok(()));
    let (code, basis) = ("FRAUD".to_owned(), "Art. 31".to_owned());
    let refused = Rejection::ComingBackRefused { code, basis: basis.clone(), until: at(60) };
    assert_eq!(judge(&open, &released(Some("FRAUD")), at(0), at(1)), Err(refused));
    assert_eq!(judge(&open, &released(Some("FRAUD")), at(0), at(60)), Ok(()));
    let early = Rejection::ComingBackEarly { basis, from: at(30) };
    assert_eq!(judge(&open, &released(None), at(30), at(29)), Err(early));
    assert_eq!(judge(&open, &released(None), at(30), at(30)), Ok(()));
}

#[test]
fn no_weeks_key_outlives_180_days_and_all_that_stand_are_looked_under() {
    let now = at(0);
    let standing: Vec<_> = Week::standing(now).collect();
    let oldest = *standing.last().unwrap();
    assert_eq!((standing[0], standing.len()), (Week::of(now), 25));
    assert!(standing.iter().all(|week| week.ends() > now));
    assert!(Week::of(now).ends() <= now.plus(KNOWN_FOR));
    assert!(Week::standing(oldest.ends()).all(|week| week != oldest));
}
