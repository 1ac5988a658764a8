//! What apps report of devices.

use proto::retention::v1::ReportDeviceCleanUpRequest;
use tonic::Status;

use super::*;

impl World {
    async fn report(&self, request_id: &str, data_set_id: &str, client: &str) -> Result<DataSet, Status> {
        let message = ReportDeviceCleanUpRequest {
            request_id: request_id.into(),
            data_set_id: data_set_id.into(),
            client: client.into(),
        };
        Ok(self.api.report_device_clean_up(request(message)).await?.into_inner().data_set.unwrap())
    }
}

#[track_caller]
fn reason(refused: Result<DataSet, Status>) -> String {
    refused.unwrap_err().get_error_details().error_info().unwrap().reason.clone()
}

#[tokio::test]
async fn what_an_app_has_cleared_is_taken_once_for_each_report_also_after_the_account_was_closed() {
    let world = World::new().await;
    let cache = world.record("", DataCategory::OnDeviceCache).await.data_set_id;
    let first = world.report("phone", &cache, "ios").await.unwrap();
    assert_eq!(first.clean_ups.len(), 1);
    world.close().await;
    assert_eq!(world.report("phone", &cache, "ios").await.unwrap().clean_ups, first.clean_ups);
    let both = world.report("laptop", &cache, "pc").await.unwrap();
    let clients: Vec<_> = both.clean_ups.iter().map(|done| done.client.as_str()).collect();
    assert_eq!(clients, ["ios", "pc"]);
    assert_eq!(world.list("").await[0].clean_ups, both.clean_ups);
}

#[tokio::test]
async fn what_is_on_no_device_cannot_be_cleared_there() {
    let world = World::new().await;
    let profile = world.record("", DataCategory::Profile).await.data_set_id;
    assert_eq!(reason(world.report("r", &profile, "ios").await), "NOT_ON_DEVICE");
    let wrong = world.report("r", "no id!", "My Phone").await.unwrap_err();
    assert_eq!(wrong.get_error_details().bad_request().unwrap().field_violations.len(), 2);
    let cache = world.record("", DataCategory::OnDeviceCache).await.data_set_id;
    for number in 0..domain::CLEAN_UPS_MAX {
        world.report(&format!("r-{number}"), &cache, "ios").await.unwrap();
    }
    assert_eq!(reason(world.report("more", &cache, "ios").await), "CLEAN_UPS_TOO_MANY");
}
