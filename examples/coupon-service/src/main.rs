//! Coupons of a shop: a participant in a process of its own, and its command line.

mod book;
mod participant;
mod service;
mod wire;

use std::{path::PathBuf, sync::Arc};

use ::participant::Runtime;
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use messaging::open_log;
use service_kit::shutdown::Signals;
use types::{Currency, Money, SubjectId, SystemClock};

use self::{participant::Coupons, service::Service};

/// Coupons of a shop, which end when an account does.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the service keeps what it has.
#[derive(Debug, Clone, Args)]
struct Place {
    /// Where the signing key and, unless told otherwise, the events stand
    #[arg(long, global = true, env = "COUPONS_DATA_DIR", default_value = "./coupons-data")]
    data_dir: PathBuf,
    /// sqlite:<file> or postgres://user@host:port/database; SQLite in the data directory when not given
    #[arg(long, global = true, env = "COUPONS_EVENT_STORE")]
    event_store: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take part, until told to stop
    Serve {
        /// kafka://host:port[,host:port][/prefix]
        #[arg(long, env = "EXEUNT_EVENT_LOG")]
        event_log: String,
        /// This process among those that serve together; stable over restarts
        #[arg(long, env = "COUPONS_MEMBER_ID", default_value = "coupons-0")]
        member_id: String,
    },
    /// Print the public key that the roster must name
    PrintJwk,
    /// Give a subject a coupon, and print its id
    Issue {
        /// Whose
        #[arg(long)]
        subject: String,
        /// What for
        #[arg(long)]
        title: String,
        /// What it is worth, in the smallest unit of the currency
        #[arg(long, default_value_t = 0)]
        minor_units: i64,
        /// The currency
        #[arg(long, default_value = "CNY")]
        currency: String,
        /// Makes repeating it harmless
        #[arg(long, default_value = "")]
        request_id: String,
    },
    /// Redeem a coupon
    Redeem {
        /// Whose
        #[arg(long)]
        subject: String,
        /// Which
        #[arg(long)]
        coupon: String,
    },
    /// List a subject's coupons
    List {
        /// Whose
        #[arg(long)]
        subject: String,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let Cli { place, command } = Cli::parse();
    let service = Service::open(&place.data_dir, place.event_store.as_deref()).await?;
    match command {
        Command::Serve { event_log, member_id } => serve(service, &event_log, member_id).await,
        Command::PrintJwk => {
            say(&service.key().jwk().to_json());
            Ok(())
        }
        Command::Issue { subject, title, minor_units, currency, request_id } => {
            let currency = Currency::parse(&currency).context("--currency")?;
            let value = Money { currency, minor_units };
            say(&service.issue(&id(&subject)?, &title, value, &request_id).await?);
            Ok(())
        }
        Command::Redeem { subject, coupon } => Ok(service.redeem(&id(&subject)?, &coupon).await?),
        Command::List { subject } => {
            for (id, coupon) in service.list(&id(&subject)?).await? {
                say(&format!("{id}  {:<8}  {}  {}", coupon.state.word(), coupon.value, coupon.title));
            }
            Ok(())
        }
    }
}

async fn serve(service: Service, event_log: &str, member_id: String) -> Result<()> {
    let signals = Signals::listen()?;
    let log = open_log(event_log).await.context("the event log cannot be opened")?;
    let options = ::participant::Options {
        store: service.store().clone(),
        log: log.clone(),
        key: service.key().clone(),
        clock: Arc::new(SystemClock),
        member: member_id.into(),
        batched_signatures: false,
    };
    let runtime = Runtime::new(Arc::new(Coupons::default()), options, true).await?;
    say("coupon-service: serving");
    let ended = runtime.run(signals.token()).await;
    log.close().await;
    Ok(ended?)
}

fn id(text: &str) -> Result<SubjectId> {
    SubjectId::parse(text).context("--subject")
}

#[expect(clippy::print_stdout, reason = "the answers of a command line")]
fn say(line: &str) {
    println!("{line}");
}
