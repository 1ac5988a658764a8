//! Up to where participants have applied the ledger of closed subjects.

use proto::operations::v1 as pb;

use super::{Failure, Output, Servers, columns, parked::service};

pub async fn list(servers: &Servers, output: &Output) -> Result<(), Failure> {
    let mut answer = pb::ListClosuresResponse::default();
    for server in servers.that_may_have("") {
        let told = service(server).await?.list_closures(pb::ListClosuresRequest {}).await?.into_inner();
        answer.applied.extend(told.applied);
    }
    output.answer(&answer, |answer| {
        if answer.applied.is_empty() { "nothing was read yet\n".into() } else { table(&answer.applied) }
    });
    Ok(())
}

fn table(applied: &[pb::AppliedClosures]) -> String {
    let row = |one: &pb::AppliedClosures| {
        [one.service.clone(), one.partition.to_string(), one.next.to_string(), one.incarnation.clone()]
    };
    let head = ["service", "partition", "next offset", "life of the topic"].map(str::to_owned);
    columns(&std::iter::once(head).chain(applied.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_stands_in_columns() {
        let applied = pb::AppliedClosures {
            service: "wallet".into(),
            partition: 3,
            next: 17,
            incarnation: "b7a9".into(),
        };
        let expected = "\
service  partition  next offset  life of the topic
wallet   3          17           b7a9
";
        assert_eq!(table(&[applied]), expected);
    }
}
