//! Calls about what services publish, and publishing it again.

use std::collections::BTreeMap;

use proto::operations::v1::{self as pb, republish_request::From};
use types::Timestamp;

use super::{
    Failure, Output, Servers, args, columns,
    parked::{one, service},
};

/// Reads `--from`: a position or an instant.
pub fn from(text: &str) -> Result<From, String> {
    if let Ok(position) = text.parse() {
        return Ok(From::Position(position));
    }
    let instant =
        Timestamp::parse(text).ok_or("neither a position nor an instant like 2026-11-21T08:00:00Z")?;
    Ok(From::Time(instant.to_proto()))
}

pub async fn list(servers: &Servers, output: &Output) -> Result<(), Failure> {
    let mut answer = pb::ListRelaysResponse::default();
    for server in servers.that_may_have("") {
        let told = service(server).await?.list_relays(pb::ListRelaysRequest {}).await?.into_inner();
        answer.relays.extend(told.relays);
    }
    output.answer(&answer, |answer| table(&answer.relays));
    Ok(())
}

fn table(relays: &[pb::Relay]) -> String {
    let row = |relay: &pb::Relay| {
        let again =
            relay.republication.as_ref().map(|it| format!("{} of {}..{}", it.done, it.from, it.until));
        [
            relay.service.clone(),
            relay.recorded.to_string(),
            relay.published.to_string(),
            relay.recorded.saturating_sub(relay.published).to_string(),
            again.unwrap_or_default(),
        ]
    };
    let head = ["service", "recorded", "published", "waiting", "published again"].map(str::to_owned);
    columns(&std::iter::once(head).chain(relays.iter().map(row)).collect::<Vec<_>>())
}

pub async fn republish(servers: &Servers, flags: args::Republish, output: &Output) -> Result<(), Failure> {
    // Each server is asked once, for those of its services that are meant; for all when none is named.
    let mut asked: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for service in &flags.service {
        asked.entry(one(servers, service)?).or_default().push(service.clone());
    }
    if asked.is_empty() {
        asked = servers.that_may_have("").into_iter().map(|server| (server, Vec::new())).collect();
    }
    let mut answer = pb::RepublishResponse::default();
    for (server, services) in asked {
        let request = pb::RepublishRequest {
            services,
            reason: flags.reason.clone(),
            // Repeating it by hand does no harm.
            request_id: String::new(),
            from: Some(flags.from),
        };
        let told = service(server).await?.republish(request).await?.into_inner();
        answer.republications.extend(told.republications);
    }
    output.answer(&answer, |answer| {
        let line = |it: &pb::Republication| {
            format!("{}: events {} to {} are published again\n", it.service, it.from, it.until)
        };
        let told: String = answer.republications.iter().map(line).collect();
        if told.is_empty() { "nothing was published yet\n".into() } else { told }
    });
    output.aside("`exeunt relays` tells how far they are");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn republishing_begins_at_a_position_or_an_instant() {
        assert_eq!(from("0"), Ok(From::Position(0)));
        let instant = Timestamp::parse("2026-11-21T08:00:00Z").unwrap();
        assert_eq!(from("2026-11-21T08:00:00Z"), Ok(From::Time(instant.to_proto())));
        for wrong in ["", "-1", "yesterday", "2026-11-21"] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn relays_stand_in_columns() {
        let republication = pb::Republication { service: "till".into(), from: 3, until: 9, done: 4 };
        let relay = pb::Relay {
            service: "till".into(),
            recorded: 12,
            published: 9,
            republication: Some(republication),
        };
        let expected = "\
service  recorded  published  waiting  published again
till     12        9          3        4 of 3..9
";
        assert_eq!(table(&[relay]), expected);
    }
}
