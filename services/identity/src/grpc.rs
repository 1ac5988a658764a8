//! Thin handlers: parse, do, convert.

use prost::Message as _;
use proto::identity::v1::{
    CompleteVerificationRequest, CompleteVerificationResponse, RegisterSubjectRequest,
    RegisterSubjectResponse, StartVerificationRequest, StartVerificationResponse, VerificationLevel,
    identity_service_server::IdentityService,
};
use tonic::{Request, Response, Status};

use crate::{
    app::{App, Asked},
    error::Error,
    wire,
};

/// The service's gRPC side.
#[derive(Clone)]
pub struct Api {
    app: App,
}

impl Api {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl IdentityService for Api {
    async fn register_subject(
        &self,
        request: Request<RegisterSubjectRequest>,
    ) -> Result<Response<RegisterSubjectResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let registration = wire::registration(&request).map_err(Error::from)?;
        let digest = self.app.digest("RegisterSubject", &request.encode_to_vec());
        let asked = Asked { caller: &caller, request_id: &request.request_id, digest };
        let subject_id = self.app.register(asked, registration).await?;
        Ok(Response::new(RegisterSubjectResponse { subject_id }))
    }

    async fn start_verification(
        &self,
        request: Request<StartVerificationRequest>,
    ) -> Result<Response<StartVerificationResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let start = wire::start(&request).map_err(Error::from)?;
        let digest = self.app.digest("StartVerification", &request.encode_to_vec());
        let asked = Asked { caller: &caller, request_id: &request.request_id, digest };
        let started = self.app.start(asked, start).await?;
        Ok(Response::new(StartVerificationResponse {
            verification_id: started.id.to_string(),
            masked_address: started.masked_address,
            expires_at: Some(started.expires_at.to_proto()),
        }))
    }

    async fn complete_verification(
        &self,
        request: Request<CompleteVerificationRequest>,
    ) -> Result<Response<CompleteVerificationResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let completion = wire::completion(&request).map_err(Error::from)?;
        let digest = self.app.digest("CompleteVerification", &request.encode_to_vec());
        let asked = Asked { caller: &caller, request_id: &request.request_id, digest };
        let given = self.app.complete(asked, &completion).await?;
        Ok(Response::new(CompleteVerificationResponse {
            verification_token: given.token,
            level: VerificationLevel::Single.into(),
            expires_at: Some(given.expires_at.to_proto()),
        }))
    }
}
