//! What people wrote about a cancellation, as operators read it.

use proto::operations::v1 as pb;

use super::{Failure, Output, Servers, args, attention::service, columns};
use crate::text;

pub async fn list(servers: &Servers, flags: args::Texts, output: &Output) -> Result<(), Failure> {
    let request = pb::ListTextsRequest { cancellation_id: flags.cancellation_id };
    let answer = service(servers).await?.list_texts(request).await?.into_inner();
    output.answer(&answer, |answer| {
        if answer.texts.is_empty() { "nobody wrote anything\n".into() } else { table(&answer.texts) }
    });
    Ok(())
}

fn table(texts: &[pb::Text]) -> String {
    let row = |one: &pb::Text| {
        let of = match one.kind() {
            pb::TextKind::Operation => text::word(one.action().as_str_name(), "OPERATOR_ACTION_"),
            kind => text::word(kind.as_str_name(), "TEXT_KIND_"),
        };
        let written = if one.erased { "(erased with the account)" } else { &one.text };
        [
            text::moment(one.written_at.as_ref()),
            one.written_by.clone(),
            of,
            one.participant.clone(),
            written.to_owned(),
        ]
    };
    let head = ["when", "who", "what", "participant", "why"].map(str::to_owned);
    columns(&std::iter::once(head).chain(texts.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proto::cancellation::v1::OperatorAction;
    use types::Timestamp;

    use super::*;

    #[test]
    fn what_was_written_stands_in_columns_and_what_is_erased_says_so() {
        let at = Timestamp::from_micros(1_795_852_800_000_000).to_proto();
        let request = pb::Text {
            kind: pb::TextKind::Request.into(),
            erased: true,
            written_by: "app".into(),
            written_at: Some(at),
            ..pb::Text::default()
        };
        let retry = pb::Text {
            kind: pb::TextKind::Operation.into(),
            text: "the provider is back".into(),
            written_by: "ann".into(),
            written_at: Some(at),
            action: OperatorAction::Retry.into(),
            participant: "subscription".into(),
            ..pb::Text::default()
        };
        let expected = "\
when                     who  what     participant   why
2026-11-28 08:00:00 UTC  app  request                (erased with the account)
2026-11-28 08:00:00 UTC  ann  retry    subscription  the provider is back
";
        assert_eq!(table(&[request, retry]), expected);
    }
}
