//! The way in for the shop: issue, redeem, list. Any process that has the store may call it while
//! another serves; what changes for open cancellations is answered in the same transaction.

use std::{path::Path, sync::Arc};

use event_store::{Store, StoreError, StoreOptions};
use keys::{KeyError, Secret, SigningKey};
use participant::{AccountError, Accounts, Write, WriteError};
use types::{Caller, Money, SubjectId, SystemClock, fresh_uuid};

use crate::{
    book::{Coupon, Event, Rejection},
    participant::{Coupons, NAME},
};

/// Something that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be had.
    #[error("the data directory cannot be made")]
    Directory(#[from] std::io::Error),
    /// A key cannot be read or made.
    #[error("keys cannot be read or made")]
    Key(#[from] KeyError),
    /// The store cannot be opened.
    #[error("the event store cannot be opened")]
    Store(#[from] StoreError),
    /// The account cannot be read or written.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The book says no.
    #[error(transparent)]
    Rejected(Rejection),
}

impl From<WriteError<Rejection>> for Error {
    fn from(error: WriteError<Rejection>) -> Self {
        match error {
            WriteError::Rejected(rejection) => Self::Rejected(rejection),
            WriteError::Account(error) => Self::Account(error),
        }
    }
}

/// The service on its store.
pub struct Service {
    accounts: Accounts<Coupons>,
    key: Arc<SigningKey>,
    secret: Secret,
}

impl Service {
    /// Opens the store, and the keys in the data directory; what is not there is made.
    pub async fn open(data_dir: &Path, event_store: Option<&str>) -> Result<Self, Error> {
        std::fs::create_dir_all(data_dir)?;
        let key = Arc::new(SigningKey::load_or_create(&data_dir.join(format!("{NAME}.key")))?);
        let secret = Secret::load_or_create(&data_dir.join(format!("{NAME}.secret")))?;
        let own = || format!("sqlite:{}", data_dir.join(format!("{NAME}.db")).display());
        let url = event_store.map_or_else(own, str::to_owned);
        let store = Store::open(&url, StoreOptions::default()).await?;
        let accounts = Accounts::new(store, Arc::new(Coupons::default()), key.clone(), Arc::new(SystemClock));
        Ok(Self { accounts, key, secret })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.accounts.store()
    }

    /// What answers are signed with.
    pub fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }

    /// Gives the subject a coupon; gives its id.
    pub async fn issue(
        &self,
        subject: &SubjectId,
        title: &str,
        value: Money,
        request_id: &str,
    ) -> Result<String, Error> {
        let id = format!("cpn_{}", fresh_uuid().simple());
        let worth = value.to_string();
        let said = [subject.as_str(), title, &worth].map(str::as_bytes);
        let caller = Caller::local();
        let write = Write { caller: &caller, request_id, digest: self.secret.hmac("issue", &said), subject };
        let issue = |_: &_, _| {
            let issued = Event::Issued { id: id.clone(), title: title.to_owned(), value };
            Ok::<_, Rejection>((vec![issued], id.clone()))
        };
        Ok(self.accounts.write(write, issue).await?.reference)
    }

    /// Redeems a coupon of the subject's.
    pub async fn redeem(&self, subject: &SubjectId, coupon: &str) -> Result<(), Error> {
        let caller = Caller::local();
        let write = Write { caller: &caller, request_id: "", digest: [0; 32], subject };
        let redeem = |book: &crate::book::Book, _| Ok((book.redeem(coupon)?, coupon.to_owned()));
        self.accounts.write(write, redeem).await?;
        Ok(())
    }

    /// All coupons of the subject's, by id.
    pub async fn list(&self, subject: &SubjectId) -> Result<Vec<(String, Coupon)>, Error> {
        Ok(self.accounts.get(subject).await?.state.coupons.into_iter().collect())
    }
}
