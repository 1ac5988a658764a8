//! Items and states as they are written on the command line.

use proto::{
    cancellation::v1::{AttentionCause, State},
    types::v1::{Action, Item, ItemKind},
};

/// Reads `KIND:ID:ACTION`; the words with or without the prefix they have in the contract.
pub fn parse(text: &str) -> Result<Item, String> {
    let [kind, id, action] = text.split(':').collect::<Vec<_>>()[..] else {
        return Err("must be KIND:ID:ACTION, such as SUBSCRIPTION:sub_1:STOP_RENEWAL".into());
    };
    let kind = named("ITEM_KIND_", kind, ItemKind::from_str_name)
        .ok_or("the kind must be SUBSCRIPTION, PAYSCORE_AUTHORIZATION, FACE_PAYMENT or DATA_CATEGORY")?;
    let action = named("ACTION_", action, Action::from_str_name)
        .ok_or("the action must be STOP_RENEWAL, END_NOW, UNBIND, DISABLE or ERASE")?;
    Ok(Item { kind: kind.into(), id: id.into(), action: action.into() })
}

/// Reads the name of a state.
pub fn state(text: &str) -> Result<State, String> {
    named("STATE_", text, State::from_str_name)
        .ok_or_else(|| "must be a state such as BLOCKED, EXECUTING or COMPLETED".into())
}

/// Reads the name of a cause for which something waits for a person.
pub fn cause(text: &str) -> Result<AttentionCause, String> {
    named("ATTENTION_CAUSE_", text, AttentionCause::from_str_name)
        .ok_or_else(|| "must be ANSWER_OVERDUE, WAITING_TOO_LONG, FAILED, CONTRADICTED or DUE_SOON".into())
}

fn named<E>(prefix: &str, word: &str, find: impl Fn(&str) -> Option<E>) -> Option<E> {
    let word = word.to_uppercase().replace('-', "_");
    let bare = word.strip_prefix(prefix).unwrap_or(&word);
    if bare == "UNSPECIFIED" { None } else { find(&format!("{prefix}{bare}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_kind_an_id_and_an_action() {
        let item = parse("SUBSCRIPTION:sub_1:STOP_RENEWAL").unwrap();
        assert_eq!((item.kind(), item.id.as_str()), (ItemKind::Subscription, "sub_1"));
        assert_eq!(item.action(), Action::StopRenewal);
        assert_eq!(parse("item_kind_face-payment::action_disable").unwrap().kind(), ItemKind::FacePayment);
        for wrong in ["", "SUBSCRIPTION:sub_1", "CAR:x:ERASE", "SUBSCRIPTION:sub_1:UNSPECIFIED", "A:b:c:d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_state_is_said_with_or_without_its_prefix() {
        assert_eq!(state("blocked"), Ok(State::Blocked));
        assert_eq!(state("STATE_COMPLETED"), Ok(State::Completed));
        assert!(state("UNSPECIFIED").is_err() && state("done").is_err());
    }
}
