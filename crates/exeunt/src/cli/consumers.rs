//! How what services read from the log is getting on.

use proto::operations::v1 as pb;

use super::{Failure, Output, Servers, columns, parked::service};

pub async fn list(servers: &Servers, output: &Output) -> Result<(), Failure> {
    let mut answer = pb::ListConsumersResponse::default();
    for server in servers.that_may_have("") {
        let told = service(server).await?.list_consumers(pb::ListConsumersRequest {}).await?.into_inner();
        answer.consumers.extend(told.consumers);
    }
    output.answer(&answer, |answer| table(&answer.consumers));
    Ok(())
}

fn table(consumers: &[pb::Consumer]) -> String {
    let row = |one: &pb::Consumer| {
        let is = match one {
            one if !one.joined => "joining".to_owned(),
            one if !one.waits_for.is_empty() => format!("waiting for the {}", one.waits_for),
            one if one.catching_up => "catching up".to_owned(),
            _ => "reading".to_owned(),
        };
        let place = |it: &pb::StoppedPartition| format!("{}/{} {}", it.topic, it.partition, it.cause);
        let stopped: Vec<_> = one.stopped.iter().map(place).collect();
        let (partitions, parked) = (one.partitions.to_string(), one.parked_keys.to_string());
        [one.service.clone(), is, partitions, parked, stopped.join(", ")]
    };
    let head = ["service", "is", "partitions", "parked keys", "stopped"].map(str::to_owned);
    columns(&std::iter::once(head).chain(consumers.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_stopped_stands_beside_what_goes_on() {
        let reads = |service: &str| pb::Consumer {
            service: service.into(),
            joined: true,
            partitions: 8,
            ..pb::Consumer::default()
        };
        let stopped = pb::StoppedPartition { topic: "t".into(), partition: 3, cause: "OFFSET_LOST".into() };
        let consumers = [
            pb::Consumer { parked_keys: 2, stopped: vec![stopped], ..reads("wallet") },
            pb::Consumer { waits_for: "event store".into(), ..reads("payscore") },
            pb::Consumer { catching_up: true, ..reads("identity") },
            pb::Consumer { service: "retention".into(), ..pb::Consumer::default() },
        ];
        let expected = "\
service    is                           partitions  parked keys  stopped
wallet     reading                      8           2            t/3 OFFSET_LOST
payscore   waiting for the event store  8           0
identity   catching up                  8           0
retention  joining                      0           0
";
        assert_eq!(table(&consumers), expected);
    }
}
