//! Thin handlers: parse, do, convert.

use proto::identity::v1::{
    AllowReRegistrationRequest, AllowReRegistrationResponse, AppealBanRequest, AppealBanResponse,
    BanSubjectRequest, BanSubjectResponse, CheckSignInRequest, CheckSignInResponse,
    CompleteVerificationRequest, CompleteVerificationResponse, DecideAppealRequest, DecideAppealResponse,
    EndGuardianRequest, EndGuardianResponse, GetAppealRequest, GetAppealResponse, LiftBanRequest,
    LiftBanResponse, ListAppealsRequest, ListAppealsResponse, RecordGuardianConsentRequest,
    RecordGuardianConsentResponse, RecordGuardianRequest, RecordGuardianResponse, RegisterSubjectRequest,
    RegisterSubjectResponse, StartGuardianVerificationRequest, StartGuardianVerificationResponse,
    StartVerificationRequest, StartVerificationResponse, VerificationLevel, WithdrawAppealRequest,
    WithdrawAppealResponse, identity_service_server::IdentityService,
};
use tonic::{Request, Response, Status};
use types::Caller;

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

    /// Who asks, and what makes asking again the same request.
    fn asked<'a, M: prost::Message>(
        &self,
        caller: &'a Caller,
        method: &str,
        request: &M,
        request_id: &'a str,
    ) -> Asked<'a> {
        Asked { caller, request_id, digest: self.app.digest(method, &request.encode_to_vec()) }
    }
}

fn parts<M>(request: Request<M>) -> Result<(Caller, M), Status> {
    Ok((service_kit::caller(&request)?, request.into_inner()))
}

#[tonic::async_trait]
impl IdentityService for Api {
    async fn register_subject(
        &self,
        request: Request<RegisterSubjectRequest>,
    ) -> Result<Response<RegisterSubjectResponse>, Status> {
        let (caller, request) = parts(request)?;
        let registration = wire::registration(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "RegisterSubject", &request, &request.request_id);
        let subject_id = self.app.register(asked, registration).await?;
        Ok(Response::new(RegisterSubjectResponse { subject_id }))
    }

    async fn start_verification(
        &self,
        request: Request<StartVerificationRequest>,
    ) -> Result<Response<StartVerificationResponse>, Status> {
        let (caller, request) = parts(request)?;
        let start = wire::start(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "StartVerification", &request, &request.request_id);
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
        let (caller, request) = parts(request)?;
        let completion = wire::completion(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "CompleteVerification", &request, &request.request_id);
        let given = self.app.complete(asked, &completion).await?;
        Ok(Response::new(CompleteVerificationResponse {
            verification_token: given.token,
            level: VerificationLevel::Single.into(),
            expires_at: Some(given.expires_at.to_proto()),
        }))
    }
    async fn check_sign_in(
        &self,
        request: Request<CheckSignInRequest>,
    ) -> Result<Response<CheckSignInResponse>, Status> {
        let (_, request) = parts(request)?;
        let subject = wire::standing::checked(&request).map_err(Error::from)?;
        let answer = self.app.check_sign_in(&subject).await?;
        Ok(Response::new(wire::standing::sign_in(answer)))
    }

    async fn ban_subject(
        &self,
        request: Request<BanSubjectRequest>,
    ) -> Result<Response<BanSubjectResponse>, Status> {
        let (caller, request) = parts(request)?;
        let read = wire::standing::ban(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "BanSubject", &request, &request.request_id);
        self.app.ban(asked, read).await?;
        Ok(Response::new(BanSubjectResponse {}))
    }

    async fn lift_ban(&self, request: Request<LiftBanRequest>) -> Result<Response<LiftBanResponse>, Status> {
        let (caller, request) = parts(request)?;
        let read = wire::standing::lift(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "LiftBan", &request, &request.request_id);
        self.app.lift(asked, read).await?;
        Ok(Response::new(LiftBanResponse {}))
    }

    async fn appeal_ban(
        &self,
        request: Request<AppealBanRequest>,
    ) -> Result<Response<AppealBanResponse>, Status> {
        let (caller, request) = parts(request)?;
        let appeal = wire::standing::appeal(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "AppealBan", &request, &request.request_id);
        let (id, due) = self.app.appeal(asked, appeal).await?;
        Ok(Response::new(AppealBanResponse { appeal_id: id.to_string(), due_at: Some(due.to_proto()) }))
    }

    async fn get_appeal(
        &self,
        request: Request<GetAppealRequest>,
    ) -> Result<Response<GetAppealResponse>, Status> {
        let (_, request) = parts(request)?;
        let id = wire::standing::of_appeal("", &request.appeal_id).map_err(Error::from)?;
        Ok(Response::new(wire::standing::opened(self.app.opened(&id).await?)))
    }

    async fn list_appeals(
        &self,
        request: Request<ListAppealsRequest>,
    ) -> Result<Response<ListAppealsResponse>, Status> {
        let (_, request) = parts(request)?;
        let wanted = wire::standing::appeals(&request).map_err(Error::from)?;
        let (appeals, last) = self.app.appeals(wanted).await?;
        let next_page_token = last.as_ref().map(wire::standing::page_token).unwrap_or_default();
        Ok(Response::new(ListAppealsResponse { appeals, next_page_token }))
    }

    async fn withdraw_appeal(
        &self,
        request: Request<WithdrawAppealRequest>,
    ) -> Result<Response<WithdrawAppealResponse>, Status> {
        let (caller, request) = parts(request)?;
        let id = wire::standing::of_appeal(&request.request_id, &request.appeal_id).map_err(Error::from)?;
        let asked = self.asked(&caller, "WithdrawAppeal", &request, &request.request_id);
        self.app.withdraw(asked, id).await?;
        Ok(Response::new(WithdrawAppealResponse {}))
    }

    async fn decide_appeal(
        &self,
        request: Request<DecideAppealRequest>,
    ) -> Result<Response<DecideAppealResponse>, Status> {
        let (caller, request) = parts(request)?;
        let read = wire::standing::decide(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "DecideAppeal", &request, &request.request_id);
        self.app.decide_appeal(asked, read).await?;
        Ok(Response::new(DecideAppealResponse {}))
    }

    async fn allow_re_registration(
        &self,
        request: Request<AllowReRegistrationRequest>,
    ) -> Result<Response<AllowReRegistrationResponse>, Status> {
        let (_, request) = parts(request)?;
        let (contact, cause) = wire::standing::allow(&request).map_err(Error::from)?;
        self.app.allow(contact, cause).await?;
        Ok(Response::new(AllowReRegistrationResponse {}))
    }

    async fn record_guardian(
        &self,
        request: Request<RecordGuardianRequest>,
    ) -> Result<Response<RecordGuardianResponse>, Status> {
        let (caller, request) = parts(request)?;
        let read = wire::guardian::record(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "RecordGuardian", &request, &request.request_id);
        self.app.record_guardian(asked, read).await?;
        Ok(Response::new(RecordGuardianResponse {}))
    }

    async fn end_guardian(
        &self,
        request: Request<EndGuardianRequest>,
    ) -> Result<Response<EndGuardianResponse>, Status> {
        let (caller, request) = parts(request)?;
        let read = wire::guardian::end(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "EndGuardian", &request, &request.request_id);
        self.app.end_guardian(asked, read).await?;
        Ok(Response::new(EndGuardianResponse {}))
    }

    async fn start_guardian_verification(
        &self,
        request: Request<StartGuardianVerificationRequest>,
    ) -> Result<Response<StartGuardianVerificationResponse>, Status> {
        let (caller, request) = parts(request)?;
        let start = wire::guardian::start(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "StartGuardianVerification", &request, &request.request_id);
        let started = self.app.start(asked, start).await?;
        Ok(Response::new(StartGuardianVerificationResponse {
            verification_id: started.id.to_string(),
            masked_address: started.masked_address,
            expires_at: Some(started.expires_at.to_proto()),
        }))
    }

    async fn record_guardian_consent(
        &self,
        request: Request<RecordGuardianConsentRequest>,
    ) -> Result<Response<RecordGuardianConsentResponse>, Status> {
        let (caller, request) = parts(request)?;
        let read = wire::guardian::consent(&request).map_err(Error::from)?;
        let asked = self.asked(&caller, "RecordGuardianConsent", &request, &request.request_id);
        self.app.consent(asked, read).await?;
        Ok(Response::new(RecordGuardianConsentResponse {}))
    }
}
