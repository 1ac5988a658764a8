//! From what somebody does to the call that it is, through the public API.

mod about_cases;
mod about_people;
mod about_things;
mod by_operators;

use std::path::Path;

use futures::future::BoxFuture;
use proto::{
    cancellation::v1 as cancellation, identity::v1 as identity, operations::v1 as operations,
    payscore::v1 as payscore, retention::v1 as retention, subscription::v1 as subscription,
};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;
use types::{Caller, Timestamp};

use super::{Call, Journey, Users, Verb};
use crate::services::Doors;

/// What an answer says that its caller remembers.
#[derive(Debug)]
pub enum Answer {
    /// They are known under this id.
    Subject(String),
    /// So it stands.
    Case(Box<cancellation::Cancellation>),
    /// A code is on its way.
    Verification(String),
    /// The token that a code gave.
    Token(String),
    /// A token that reaches one case.
    CaseToken(String),
    /// These are theirs.
    Things(Vec<String>),
    /// It is done.
    Nothing,
}

/// A call under way.
pub type Asking = BoxFuture<'static, Result<Answer, Status>>;

/// A call, ready to be made, and the service that gets it; `None` when it cannot be made now.
pub type Made = Option<(&'static str, Asking)>;

/// Whether the same call may be answered otherwise by and by.
pub fn is_worth_repeating(refused: &Status) -> bool {
    matches!(refused.code() as i32, UNAVAILABLE | ABORTED | RESOURCE_EXHAUSTED)
}

/// Why, in the word that stands for it.
pub fn reason(refused: &Status) -> String {
    refused.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Whether what it is about is not known.
pub fn is_unknown(refused: &Status) -> bool {
    refused.code() as i32 == NOT_FOUND
}

// Status codes by their numbers in gRPC's specification.
const NOT_FOUND: i32 = 5;
const RESOURCE_EXHAUSTED: i32 = 8;
const ABORTED: i32 = 10;
const UNAVAILABLE: i32 = 14;

fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

/// A call of a method at a service's door: `None` when that is closed. Of what says nothing that its
/// caller remembers, the answer is left out.
macro_rules! ask {
    ($doors:expr, $door:ident.$method:ident($message:expr)) => {{
        let message = $message;
        let mut client = $doors.$door.get()?;
        let asking: crate::users::calls::Asking = Box::pin(async move {
            client.$method(crate::users::calls::called(message)).await?;
            Ok(crate::users::calls::Answer::Nothing)
        });
        Some((stringify!($door), asking))
    }};
    ($doors:expr, $door:ident.$method:ident($message:expr), answer) => {{
        let message = $message;
        let mut client = $doors.$door.get()?;
        let asking: crate::users::calls::Asking = Box::pin(async move {
            let answered = client.$method(crate::users::calls::called(message)).await?;
            Ok(answered.into_inner().into())
        });
        Some((stringify!($door), asking))
    }};
}
use ask;

/// What the answers of methods say.
macro_rules! answers {
    ($($response:path: |$it:ident| $answer:expr;)+) => {
        $(impl From<$response> for Answer {
            fn from($it: $response) -> Self {
                $answer
            }
        })+
    };
}

answers! {
    cancellation::RequestCancellationResponse: |it| case(it.cancellation);
    cancellation::GetCancellationResponse: |it| case(it.cancellation);
    cancellation::ReassessResponse: |it| case(it.cancellation);
    cancellation::RevokeCancellationResponse: |it| case(it.cancellation);
    cancellation::ConfirmCancellationResponse: |it| case(it.cancellation);
    cancellation::IssueCaseTokenResponse: |it| Answer::CaseToken(it.case_token);
    operations::AssignAttentionResponse: |it| case(it.cancellation);
    operations::ReassessResponse: |it| case(it.cancellation);
    operations::RetryParticipantResponse: |it| case(it.cancellation);
    operations::AttestResponse: |it| case(it.cancellation);
    operations::ExtendClockResponse: |it| case(it.cancellation);
    identity::AppealBanResponse: |it| thing(Some(it.appeal_id));
    identity::RegisterSubjectResponse: |it| Answer::Subject(it.subject_id);
    identity::StartVerificationResponse: |it| Answer::Verification(it.verification_id);
    identity::CompleteVerificationResponse: |it| Answer::Token(it.verification_token);
    retention::RecordDataSetResponse: |it| thing(it.data_set.map(|it| it.data_set_id));
    subscription::RecordChargeResponse: |it| thing(it.refund.map(|it| it.refund_id));
    subscription::ApplyForRefundResponse: |it| thing(it.refund.map(|it| it.refund_id));
    subscription::ListRefundsResponse: |it| {
        Answer::Things(it.refunds.into_iter().map(|it| it.refund_id).collect())
    };
    retention::ListHoldsResponse: |it| Answer::Things(it.holds.into_iter().map(|it| it.hold_id).collect());
    retention::PlaceHoldResponse: |it| thing(it.hold.map(|it| it.hold_id));
    subscription::RecordSubscriptionResponse: |it| thing(it.subscription.map(|it| it.subscription_id));
    payscore::RecordAuthorizationResponse: |it| thing(it.authorization.map(|it| it.authorization_id));
    payscore::CreateServiceOrderResponse: |it| thing(it.order.map(|it| it.order_id));
    payscore::RecordCreditPurchaseResponse: |it| thing(it.purchase.map(|it| it.purchase_id));
}

fn case(cancellation: Option<cancellation::Cancellation>) -> Answer {
    cancellation.map_or(Answer::Nothing, |it| Answer::Case(Box::new(it)))
}

fn thing(id: Option<String>) -> Answer {
    Answer::Things(id.into_iter().collect())
}

impl Users {
    /// The call, ready to be made.
    pub fn ask(&mut self, call: &Call, doors: &Doors, messages: &Path, now: Timestamp) -> Made {
        match call.verb {
            Verb::Confirm => {
                let journey = self.journey_mut(call)?;
                let digest = journey.view.as_ref()?.quote.as_ref()?.digest.clone();
                if !journey.accepted.contains(&digest) {
                    journey.accepted.push(digest);
                }
            }
            Verb::Request => {
                // Whoever repeats a request asks for the same.
                let scope = self.people[call.person].scope(call.content);
                self.journey_mut(call)?.scope.get_or_insert(scope);
            }
            Verb::Complete => {
                let journey = self.journey_mut(call)?;
                let has_come = about_cases::code(messages, journey.verification.as_ref()?).is_some();
                if !has_come && call.content.is_multiple_of(2) {
                    // Whoever waits for a code that does not come asks for another.
                    journey.verification = None;
                }
            }
            _ => {}
        }
        let person = &self.people[call.person];
        match call.journey {
            Some(index) => person.ask_about(call, &person.journeys[index], doors, messages, now),
            None => person.ask(call, doors, now),
        }
    }

    fn journey_mut(&mut self, call: &Call) -> Option<&mut Journey> {
        self.people[call.person].journeys.get_mut(call.journey?)
    }
}
