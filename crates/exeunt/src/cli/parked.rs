//! Calls about records of the log that could not be handled.

use proto::operations::v1::{self as pb, operations_service_client::OperationsServiceClient};
use tonic::transport::Channel;

use super::{Failure, Output, Servers, args, client};
use crate::text;

pub(super) async fn service(server: &str) -> Result<OperationsServiceClient<Channel>, Failure> {
    let channel = client::connect(server).await?;
    Ok(OperationsServiceClient::new(channel).max_decoding_message_size(client::ANSWER_BYTES_MAX))
}

/// The one server to ask for a change.
pub(super) fn one<'a>(servers: &'a Servers, service: &str) -> Result<&'a str, Failure> {
    match servers.that_may_have(service)[..] {
        [server] => Ok(server),
        _ => Err(Failure::plain(format!("name the one server of {service} with --server"))),
    }
}

pub async fn list(servers: &Servers, flags: args::ParkedList, output: &Output) -> Result<(), Failure> {
    let request = pb::ListParkedRequest {
        service: flags.service,
        page_size: flags.limit,
        page_token: flags.page_token,
    };
    let asked = servers.that_may_have(&request.service);
    if asked.len() > 1 && !request.page_token.is_empty() {
        return Err(Failure::plain("say with --service whose list goes on: each server has one of its own"));
    }
    let mut answer = pb::ListParkedResponse::default();
    for server in asked {
        let told = service(server).await?.list_parked(request.clone()).await?.into_inner();
        answer.records.extend(told.records);
        answer.next_page_token = told.next_page_token;
    }
    output.answer(&answer, |answer| {
        if answer.records.is_empty() { "nothing is parked\n".into() } else { table(&answer.records) }
    });
    if !answer.next_page_token.is_empty() {
        output.aside(&format!("there are more: --page-token {}", answer.next_page_token));
    }
    Ok(())
}

fn table(records: &[pb::ParkedRecord]) -> String {
    let row = |one: &pb::ParkedRecord| {
        let place = format!("{}/{}@{}", one.topic, one.partition, one.offset);
        let cause = if one.replaying { format!("{} (replaying)", one.cause) } else { one.cause.clone() };
        [one.service.clone(), place, one.key.clone(), cause, text::moment(one.parked_at.as_ref())]
    };
    let head = ["service", "topic/partition@offset", "key", "cause", "parked"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(records.iter().map(row)).collect();
    super::columns(&rows)
}

pub async fn replay(servers: &Servers, flags: args::ParkedReplay, output: &Output) -> Result<(), Failure> {
    let server = one(servers, &flags.service)?;
    let request = pb::ReplayParkedRequest {
        service: flags.service,
        topic: flags.topic,
        partition: flags.partition,
        key: flags.key,
        reason: flags.reason,
        // Repeating it by hand does no harm.
        request_id: String::new(),
    };
    let answer = service(server).await?.replay_parked(request).await?.into_inner();
    output.answer(&answer, |answer| format!("{} records will be tried again, in order\n", answer.records));
    Ok(())
}

pub async fn discard(servers: &Servers, flags: args::ParkedDiscard, output: &Output) -> Result<(), Failure> {
    let server = one(servers, &flags.service)?;
    let request = pb::DiscardParkedRequest {
        service: flags.service,
        topic: flags.topic,
        partition: flags.partition,
        offset: flags.offset,
        reason: flags.reason,
        incarnation: flags.incarnation,
        request_id: String::new(),
    };
    let answer = service(server).await?.discard_parked(request).await?.into_inner();
    output.answer(&answer, |_| "discarded\n".into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_records_stand_in_columns() {
        let record = |key: &str, cause: &str| pb::ParkedRecord {
            service: "till".into(),
            topic: "exeunt.instructions.till".into(),
            partition: 3,
            offset: 41,
            key: key.into(),
            cause: cause.into(),
            ..pb::ParkedRecord::default()
        };
        let expected = "\
service  topic/partition@offset         key    cause        parked
till     exeunt.instructions.till/3@41  can_1  UNDECODABLE
till     exeunt.instructions.till/3@41  can_1  BEHIND
";
        assert_eq!(table(&[record("can_1", "UNDECODABLE"), record("can_1", "BEHIND")]), expected);
    }
}
