//! Calls about money that goes back to a subject.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use proto::subscription::v1::{
    self as pb, decide_refund_request::Decision, subscription_service_client::SubscriptionServiceClient,
};
use proto::types::v1::Money;
use tonic::transport::Channel;
use types::{Currency, SystemClock, Timestamp};

use super::{Failure, Output, Servers, client};
use crate::{compose::Role, text};

/// What to do with refunds.
#[derive(Debug, Subcommand)]
pub enum RefundCommand {
    /// Ask for money back: a person decides
    Apply(Apply),
    /// Decide on an application
    Decide(Decide),
    /// Confirm that a refund was paid
    Paid(Paid),
    /// List those that somebody has to decide on or to pay, what is due first before the others, or all of
    /// a subject's
    List(List),
}

/// What is asked back.
#[derive(Debug, Args)]
pub struct Apply {
    /// For which subscription
    #[arg(long)]
    subscription: String,
    /// Why
    #[arg(long, value_enum)]
    reason: Reason,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Why money shall go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// What was paid for was not used
    Unused,
    /// It was bought by mistake
    Accidental,
    /// It is not what was promised
    NotAsDescribed,
    /// It was charged for after it should not have been any more
    LateCharge,
    /// Something else
    Other,
}

/// What is decided.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("decision").required(true).args(["approve", "refuse"]))]
pub struct Decide {
    /// On which refund
    refund_id: String,
    /// Who decides: a number or a name at work
    #[arg(long)]
    actor: String,
    /// How much is paid, as CURRENCY:AMOUNT: CNY:25.00
    #[arg(long, value_name = "CURRENCY:AMOUNT", value_parser = amount)]
    approve: Option<Money>,
    /// Paid out on a way of the subject's, instead of to what was charged
    #[arg(long, requires = "approve")]
    pay_out: bool,
    /// Why it is not paid, as a code: PERIOD_USED
    #[arg(long, value_name = "CODE", requires_all = ["basis", "remedy"])]
    refuse: Option<String>,
    /// The legal or contractual basis of a refusal
    #[arg(long, requires = "refuse")]
    basis: Option<String>,
    /// What the subject can do about a refusal, one sentence
    #[arg(long, requires = "refuse")]
    remedy: Option<String>,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// What was paid.
#[derive(Debug, Args)]
pub struct Paid {
    /// Which refund
    refund_id: String,
    /// The payer's own number of the payment
    #[arg(long)]
    reference: String,
    /// When, in RFC 3339; now when not given
    #[arg(long, value_parser = super::policy::instant)]
    at: Option<Timestamp>,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    request_id: String,
}

/// Which refunds.
#[derive(Debug, Args)]
pub struct List {
    /// All of this subject's, in the order in which they came up
    #[arg(long, default_value = "")]
    subject: String,
    /// How many at most of those that are open, 1 to 1000
    #[arg(long, default_value_t = 100)]
    limit: i32,
    /// Where the list before ended
    #[arg(long, default_value = "")]
    page_token: String,
}

/// Reads `CNY:25.00`.
fn amount(text: &str) -> Result<Money, String> {
    let wrong = || "must be CURRENCY:AMOUNT, such as CNY:25.00 or JPY:600".to_owned();
    let (code, digits) = text.split_once(':').ok_or_else(wrong)?;
    let decimals = Currency::parse(code).map_err(|_| wrong())?.decimals();
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(wrong());
    }
    if ![0, decimals as usize].contains(&rest.len()) || digits.ends_with('.') {
        return Err(format!("must have {decimals} digits after the point, or no point"));
    }
    let digits = format!("{whole}{rest:0<width$}", width = decimals as usize);
    let minor_units = digits.parse::<u32>().map_err(|_| wrong())?.into();
    Ok(Money { currency_code: code.into(), minor_units })
}

/// Does what the arguments say.
pub async fn run(servers: &Servers, command: RefundCommand, output: &Output) -> Result<(), Failure> {
    match command {
        RefundCommand::Apply(flags) => apply(servers, flags, output).await,
        RefundCommand::Decide(flags) => decide(servers, flags, output).await,
        RefundCommand::Paid(flags) => paid(servers, flags, output).await,
        RefundCommand::List(flags) => list(servers, flags, output).await,
    }
}

async fn service(servers: &Servers) -> Result<SubscriptionServiceClient<Channel>, Failure> {
    let channel = client::connect(servers.of(Role::Subscription)?).await?;
    Ok(SubscriptionServiceClient::new(channel).max_decoding_message_size(client::ANSWER_BYTES_MAX))
}

async fn apply(servers: &Servers, flags: Apply, output: &Output) -> Result<(), Failure> {
    let reason = match flags.reason {
        Reason::Unused => pb::RefundReason::Unused,
        Reason::Accidental => pb::RefundReason::Accidental,
        Reason::NotAsDescribed => pb::RefundReason::NotAsDescribed,
        Reason::LateCharge => pb::RefundReason::LateCharge,
        Reason::Other => pb::RefundReason::Other,
    };
    let (request_id, subscription_id) = (flags.request_id, flags.subscription);
    let request = pb::ApplyForRefundRequest { request_id, subscription_id, reason: reason.into() };
    let answer = service(servers).await?.apply_for_refund(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.refund.as_ref()));
    Ok(())
}

async fn decide(servers: &Servers, flags: Decide, output: &Output) -> Result<(), Failure> {
    let destination =
        if flags.pay_out { pb::RefundDestination::PayOut } else { pb::RefundDestination::OriginalMeans };
    let decision = match (flags.approve, flags.refuse) {
        (Some(amount), _) => {
            let (amount, destination) = (Some(amount), destination.into());
            Decision::Approved(pb::RefundApproval { amount, destination })
        }
        (None, code) => Decision::Refused(pb::RefundRefusal {
            code: code.unwrap_or_default(),
            basis: flags.basis.unwrap_or_default(),
            remedy: flags.remedy.unwrap_or_default(),
        }),
    };
    let request = pb::DecideRefundRequest {
        request_id: flags.request_id,
        refund_id: flags.refund_id,
        actor: flags.actor,
        decision: Some(decision),
    };
    let answer = service(servers).await?.decide_refund(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.refund.as_ref()));
    if let Some(refund) = answer.refund.filter(|refund| refund.state() == pb::RefundState::Approved) {
        let id = refund.refund_id;
        output.aside(&format!("once it is paid: exeunt refund paid {id} --reference <the payment's number>"));
    }
    Ok(())
}

async fn paid(servers: &Servers, flags: Paid, output: &Output) -> Result<(), Failure> {
    let at = flags.at.unwrap_or_else(|| types::Clock::now(&SystemClock));
    let request = pb::RecordRefundPaidRequest {
        request_id: flags.request_id,
        refund_id: flags.refund_id,
        payment_reference: flags.reference,
        paid_at: Some(at.to_proto()),
    };
    let answer = service(servers).await?.record_refund_paid(request).await?.into_inner();
    output.answer(&answer, |answer| shown(answer.refund.as_ref()));
    Ok(())
}

async fn list(servers: &Servers, flags: List, output: &Output) -> Result<(), Failure> {
    let told =
        |refunds: &[pb::Refund]| if refunds.is_empty() { "no refunds\n".into() } else { table(refunds) };
    let mut service = service(servers).await?;
    if !flags.subject.is_empty() {
        let request = pb::ListRefundsRequest { subject_id: flags.subject };
        let answer = service.list_refunds(request).await?.into_inner();
        output.answer(&answer, |answer| told(&answer.refunds));
        return Ok(());
    }
    let request = pb::ListOpenRefundsRequest {
        states: Vec::new(),
        page_size: flags.limit,
        page_token: flags.page_token,
    };
    let answer = service.list_open_refunds(request).await?.into_inner();
    output.answer(&answer, |answer| told(&answer.refunds));
    if !answer.next_page_token.is_empty() {
        output.aside(&format!("there are more: --page-token {}", answer.next_page_token));
    }
    Ok(())
}

fn shown(refund: Option<&pb::Refund>) -> String {
    refund.map(text::refund).unwrap_or_default()
}

fn table(refunds: &[pb::Refund]) -> String {
    let row = |one: &pb::Refund| {
        let amount = text::money(one.approval.as_ref().and_then(|it| it.amount.as_ref()));
        let by = match one.state() {
            pb::RefundState::UnderReview => one.review_until.as_ref(),
            pb::RefundState::Approved => one.pay_by.as_ref(),
            _ => None,
        };
        let state = text::word(one.state().as_str_name(), "REFUND_STATE_");
        [one.refund_id.clone(), one.subscription_id.clone(), state, amount, text::moment(by)]
    };
    let head = ["refund", "subscription", "state", "amount", "by"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(refunds.iter().map(row)).collect();
    super::columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::tests::parses;

    #[test]
    fn an_amount_is_written_as_people_write_it() {
        let read = |text| amount(text).map(|it| (it.currency_code, it.minor_units));
        assert_eq!(read("CNY:25.00"), Ok(("CNY".into(), 2_500)));
        assert_eq!(read("CNY:25"), Ok(("CNY".into(), 2_500)));
        assert_eq!(read("CNY:0.05"), Ok(("CNY".into(), 5)));
        assert_eq!(read("JPY:600"), Ok(("JPY".into(), 600)));
        for wrong in
            ["", "CNY", "25.00", "yuan:1", "CNY:1.5", "CNY:1.", "CNY:-1", "JPY:1.00", "CNY:a", "CNY:+1"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_decision_approves_or_refuses_and_a_refusal_says_why_and_what_then() {
        let parse = |words: &str| parses(&format!("exeunt refund decide ref_1 --actor clerk-7 {words}"));
        assert!(parse("--approve CNY:25.00") && parse("--approve CNY:25.00 --pay-out"));
        assert!(parse("--refuse PERIOD_USED --basis Terms-4 --remedy Complain."));
        assert!(!parse(""));
        assert!(!parse("--refuse PERIOD_USED") && !parse("--approve CNY:25.00 --refuse PERIOD_USED"));
        assert!(!parse("--pay-out") && !parse("--approve CNY:25.00 --basis Terms-4"));
    }

    #[test]
    fn refunds_stand_in_columns() {
        let amount = Some(Money { currency_code: "CNY".into(), minor_units: 2_500 });
        let at = Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let reviewed = pb::Refund {
            refund_id: "ref_1".into(),
            subscription_id: "sub_1".into(),
            state: pb::RefundState::UnderReview.into(),
            review_until: at,
            ..pb::Refund::default()
        };
        let paid = pb::Refund {
            state: pb::RefundState::Paid.into(),
            approval: Some(pb::RefundApproval { amount, ..pb::RefundApproval::default() }),
            ..reviewed.clone()
        };
        let expected = "\
refund  subscription  state         amount     by
ref_1   sub_1         under review             2025-11-21 08:00:00 UTC
ref_1   sub_1         paid          CNY 25.00
";
        assert_eq!(table(&[reviewed, paid]), expected);
    }
}
