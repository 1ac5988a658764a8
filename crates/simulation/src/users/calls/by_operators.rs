//! What operators do to a cancellation.

use std::time::Duration;

use proto::{cancellation::v1 as cancellation, operations::v1 as operations};
use testkit::Dice;
use types::{Caller, Timestamp};

use super::{Answer, Asking, Made};
use crate::{
    services::Doors,
    users::{Call, Journey, Verb},
};

/// A call of a method at the operators' door of the coordinator.
macro_rules! ask {
    ($doors:expr, $method:ident($message:expr)) => {{
        let message = $message;
        let operations = $doors.operations.get()?;
        let asking: Asking = Box::pin(async move {
            let mut request = tonic::Request::new(message);
            request.extensions_mut().insert(Caller::local());
            Ok(Answer::from(operations.$method(request).await?.into_inner()))
        });
        Some(("cancellation", asking))
    }};
}

pub(super) fn ask_operator(call: &Call, journey: &Journey, doors: &Doors, now: Timestamp) -> Made {
    let (request_id, cancellation_id) = (call.request_id.clone(), journey.id.clone()?);
    let (reason, mut dice) = ("It takes too long.".to_owned(), Dice::new(call.content));
    let view = journey.view.as_ref()?;
    let someone = |dice: &mut Dice| {
        let open: Vec<&String> = view
            .participants
            .iter()
            .filter(|it| it.state() != cancellation::ParticipantState::Finished)
            .map(|it| &it.name)
            .collect();
        open.get(dice.place(open.len())).map(ToString::to_string)
    };
    match call.verb {
        Verb::Recheck => {
            let message = operations::ReassessRequest { request_id, cancellation_id, reason };
            ask!(doors, reassess(message))
        }
        Verb::Retry => {
            let participant = someone(&mut dice)?;
            let message =
                operations::RetryParticipantRequest { request_id, cancellation_id, participant, reason };
            ask!(doors, retry_participant(message))
        }
        Verb::Attest => {
            let (participant, evidence) = (someone(&mut dice)?, format!("ticket-{}", call.content));
            let message =
                operations::AttestRequest { request_id, cancellation_id, participant, evidence, reason };
            ask!(doors, attest(message))
        }
        Verb::Extend => {
            let message = operations::ExtendClockRequest { request_id, cancellation_id, reason };
            ask!(doors, extend_clock(message))
        }
        _ => {
            let waiting = view.attention.get(dice.place(view.attention.len()))?;
            let due = now.plus(Duration::from_secs(3_600 * dice.between(1, 100)));
            let message = operations::AssignAttentionRequest {
                request_id,
                cancellation_id,
                cause: waiting.cause,
                participant: waiting.participant.clone(),
                owner: "somebody".into(),
                due_at: Some(due.to_proto()),
                reason,
            };
            ask!(doors, assign_attention(message))
        }
    }
}
