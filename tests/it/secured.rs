//! The binary on engines that demand encryption and passwords.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use engines::{SecuredKafka, SecuredPostgres, secured};
use proto::{identity::v1 as idn, types::v1 as words};

use crate::{client::Client, process};

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `exeunt serve` with these variables; what it printed first, or its last words.
fn serve(variables: &[(&str, String)]) -> Result<(Served, String), String> {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(process::binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path().join("data"));
    let log = std::fs::File::create(data.path().join("stderr.log")).unwrap();
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let served = Served(child);
    let told = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("exeunt: listening on ").map(str::to_owned));
    let said = std::fs::read_to_string(data.path().join("stderr.log")).unwrap();
    std::thread::spawn(move || {
        lines.for_each(drop);
        drop(data);
    });
    told.map(|url| (served, url)).ok_or(said)
}

/// Both engines as the configuration names them, without passwords.
fn places(kafka: &SecuredKafka, postgres: &SecuredPostgres, name: &str) -> [(&'static str, String); 2] {
    let authority = |path: std::path::PathBuf| path.display().to_string();
    let user = secured::USER;
    let log = format!(
        "kafka://{}/{name}?security.protocol=SASL_SSL&ssl.ca.location={}&sasl.mechanism=SCRAM-SHA-512&sasl.username={user}",
        kafka.brokers,
        authority(kafka.certificates.path("ca.pem")),
    );
    let store = format!(
        "postgres://{user}@{}/{name}?sslmode=verify-full&sslrootcert={}",
        postgres.address,
        authority(postgres.certificates.path("ca.pem")),
    );
    [("EXEUNT_EVENT_LOG", log), ("EXEUNT_EVENT_STORE", store)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_runs_on_engines_that_demand_encryption_and_passwords() {
    let engines = tokio::task::spawn_blocking(|| (SecuredKafka::get(), SecuredPostgres::get()));
    let (kafka, postgres) = engines.await.unwrap();
    let (kafka, postgres) = (kafka.unwrap(), postgres.unwrap());
    let name = format!("it_{}", types::fresh_uuid().simple());
    let mut variables = places(&kafka, &postgres, &name).to_vec();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", secured::PASSWORD)).unwrap();
    variables.push(("EXEUNT_POSTGRES_PASSWORD_FILE", file.path().display().to_string()));

    // A wrong password is told, and does not stand in what is told.
    let wrong = [variables.as_slice(), &[("EXEUNT_KAFKA_PASSWORD", "quite another one".into())]].concat();
    let said = tokio::task::spawn_blocking(move || serve(&wrong).err().unwrap()).await.unwrap();
    assert!(said.contains("denies the connection") && !said.contains("quite another one"), "{said}");

    variables.push(("EXEUNT_KAFKA_PASSWORD_FILE", file.path().display().to_string()));
    let (_served, url) = tokio::task::spawn_blocking(move || serve(&variables).unwrap()).await.unwrap();
    let client = Client::new(&url);
    let request = idn::RegisterSubjectRequest {
        region: "CN".into(),
        edition: words::Edition::Domestic.into(),
        contacts: vec![idn::Contact { address: Some(idn::contact::Address::Email("a@example.com".into())) }],
        ..Default::default()
    };
    let registered = client.identity.clone().register_subject(request).await.unwrap().into_inner();
    let scope = words::scope::Kind::WholeAccount(words::WholeAccount {});
    let id = client.request("secured", &registered.subject_id, scope).await.cancellation_id;
    // Assessed by all over the log: each way was encrypted.
    client.until(&id, proto::cancellation::v1::State::AwaitingConfirmation).await;
}
