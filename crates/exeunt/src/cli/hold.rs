//! Calls about holds.

use proto::retention::v1::{self as pb, retention_service_client::RetentionServiceClient};
use tonic::transport::Channel;

use super::{Failure, Output, Servers, args, client};
use crate::{compose::Role, text};

const CATEGORY: &str = "DATA_CATEGORY_";

async fn service(servers: &Servers) -> Result<RetentionServiceClient<Channel>, Failure> {
    Ok(RetentionServiceClient::new(client::connect(servers.of(Role::Retention)?).await?))
}

/// `TRANSACTION_RECORDS`, or as the contract has it, `DATA_CATEGORY_TRANSACTION_RECORDS`.
pub fn category(text: &str) -> Result<pb::DataCategory, String> {
    let name = format!("{CATEGORY}{}", text.strip_prefix(CATEGORY).unwrap_or(text));
    let known = pb::DataCategory::from_str_name(&name).filter(|it| *it != pb::DataCategory::Unspecified);
    known.ok_or_else(|| {
        let all = (1..).map_while(|number| pb::DataCategory::try_from(number).ok());
        let names: Vec<_> = all.map(|it| it.as_str_name().trim_start_matches(CATEGORY)).collect();
        format!("there is no such category of data; there are {}", names.join(", "))
    })
}

/// As text, the hold's id alone, so that it can be kept in a variable.
pub async fn place(servers: &Servers, flags: args::HoldPlace, output: &Output) -> Result<(), Failure> {
    let request = pb::PlaceHoldRequest {
        request_id: flags.request_id,
        subject_id: flags.subject,
        categories: flags.category.into_iter().map(i32::from).collect(),
        data_set_ids: flags.data_set,
        ground: flags.ground,
        authority: flags.authority,
        expires_at: flags.until.map(types::Timestamp::to_proto),
        actor: flags.actor,
    };
    let answer = service(servers).await?.place_hold(request).await?.into_inner();
    let id = answer.hold.as_ref().map(|hold| hold.hold_id.clone()).unwrap_or_default();
    output.answer(&answer, |_| id.clone() + "\n");
    output.aside(&format!("end it with: exeunt hold release {id} --reason <why>"));
    Ok(())
}

pub async fn release(servers: &Servers, flags: args::HoldRelease, output: &Output) -> Result<(), Failure> {
    let request = pb::ReleaseHoldRequest {
        request_id: flags.request_id,
        hold_id: flags.hold_id,
        reason: flags.reason,
        actor: flags.actor,
    };
    let answer = service(servers).await?.release_hold(request).await?.into_inner();
    output.answer(&answer, |answer| table(answer.hold.as_slice()));
    Ok(())
}

pub async fn list(servers: &Servers, flags: args::HoldList, output: &Output) -> Result<(), Failure> {
    let request = pb::ListHoldsRequest { subject_id: flags.subject };
    let answer = service(servers).await?.list_holds(request).await?.into_inner();
    output.answer(&answer, |answer| {
        if answer.holds.is_empty() { "nothing is held\n".into() } else { table(&answer.holds) }
    });
    Ok(())
}

fn table(holds: &[pb::Hold]) -> String {
    let row = |hold: &pb::Hold| {
        let until = match hold.state() {
            pb::HoldState::Standing if hold.expires_at.is_none() => "released".into(),
            pb::HoldState::Standing => text::moment(hold.expires_at.as_ref()),
            _ => text::moment(hold.ended_at.as_ref()),
        };
        let state = text::word(hold.state().as_str_name(), "HOLD_STATE_");
        [hold.hold_id.clone(), state, until, over(hold), hold.ground.clone(), hold.authority.clone()]
    };
    let head = ["hold", "state", "until", "over", "ground", "authority"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(holds.iter().map(row)).collect();
    super::columns(&rows)
}

/// What a hold reaches over.
fn over(hold: &pb::Hold) -> String {
    let categories = hold.categories().map(|it| text::word(it.as_str_name(), CATEGORY));
    let all: Vec<_> = categories.chain(hold.data_set_ids.iter().cloned()).collect();
    if all.is_empty() { "everything".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_stand_in_columns() {
        let at = Some(prost_types::Timestamp { seconds: 1_798_675_200, nanos: 0 });
        let standing = pb::Hold {
            hold_id: "hld_1".into(),
            ground: "LITIGATION".into(),
            authority: "District Court, 2026-4711".into(),
            state: pb::HoldState::Standing.into(),
            ..pb::Hold::default()
        };
        let expired = pb::Hold {
            categories: vec![pb::DataCategory::DeviceLogs.into()],
            data_set_ids: vec!["dat_7".into()],
            expires_at: at,
            ended_at: at,
            state: pb::HoldState::Expired.into(),
            ..standing.clone()
        };
        let expected = "\
hold   state     until                    over                ground      authority
hld_1  standing  released                 everything          LITIGATION  District Court, 2026-4711
hld_1  expired   2026-12-31 00:00:00 UTC  device logs, dat_7  LITIGATION  District Court, 2026-4711
";
        assert_eq!(table(&[standing, expired]), expected);
    }

    #[test]
    fn a_category_is_named_with_or_without_its_prefix() {
        assert_eq!(category("DEVICE_LOGS"), Ok(pb::DataCategory::DeviceLogs));
        assert_eq!(category("DATA_CATEGORY_DEVICE_LOGS"), Ok(pb::DataCategory::DeviceLogs));
        for wrong in ["SHOE_SIZE", "UNSPECIFIED", ""] {
            assert!(category(wrong).unwrap_err().contains("there are TRANSACTION_RECORDS, "), "{wrong}");
        }
    }
}
