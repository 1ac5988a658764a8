//! A PostgreSQL that demands encryption and a password: who has both gets in, who has not is told so, soon.
#![expect(clippy::unwrap_used, reason = "all of it is tests")]

use std::{error::Error, time::Duration};

use engines::{SecuredPostgres, secured};
use event_store::{Store, StoreError, StoreOptions, StreamId};
use types::fresh_uuid;

/// No attempt takes longer, whatever is wrong.
const BOUND: Duration = Duration::from_secs(120);

fn url(postgres: &SecuredPostgres, password: &str, settings: &str) -> String {
    let database = format!("secured_{}", fresh_uuid().simple());
    let password = password.replace(' ', "%20");
    format!("postgres://{}:{password}@{}/{database}?{settings}", secured::USER, postgres.address)
}

/// Why opening fails, all of it; the password is no part of it.
async fn refused(url: &str, password: &str) -> String {
    let opened = tokio::time::timeout(BOUND, Store::open(url, StoreOptions::default())).await.unwrap();
    let error = opened.err().unwrap();
    // Who the server denies is denied for good; a certificate is compared before it is asked.
    let certificate = format!("{error:?}").to_lowercase().contains("certificate");
    let named = match error {
        StoreError::Unavailable(_) => certificate,
        StoreError::Denied(_) => !certificate,
        StoreError::Corrupt(_) => false,
    };
    assert!(named, "{error:?}");
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    assert!(!format!("{error:?}{causes:?}").contains(password), "{causes:?}");
    causes.join(": ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_certificate_and_password_gets_in_and_nobody_else_does() {
    let postgres = tokio::task::spawn_blocking(SecuredPostgres::get).await.unwrap().unwrap();
    let file = |name: &str| postgres.certificates.path(name).display().to_string();
    let verified = format!("sslmode=verify-full&sslrootcert={}", file("ca.pem"));
    let mutual = format!("{verified}&sslcert={}&sslkey={}", file("client.pem"), file("client.key"));
    for settings in [&verified, &mutual] {
        let url = url(&postgres, secured::PASSWORD, settings);
        let store = Store::open(&url, StoreOptions::default()).await.unwrap();
        assert!(store.load(&StreamId::new("nothing")).await.unwrap().is_empty());
        store.close().await;
    }
    let why = refused(&url(&postgres, "not the password", &verified), "not the password").await;
    assert!(why.contains("password authentication failed"), "{why}");
    let stranger = format!("sslmode=verify-full&sslrootcert={}", file("another-ca.pem"));
    let why = refused(&url(&postgres, secured::PASSWORD, &stranger), secured::PASSWORD).await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    let why = refused(&url(&postgres, secured::PASSWORD, "sslmode=disable"), secured::PASSWORD).await;
    assert!(why.contains("encryption"), "{why}");
}
