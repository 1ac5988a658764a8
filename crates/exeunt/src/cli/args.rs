//! What may be said on the command line.

mod log;
mod operating;

use std::path::PathBuf;

use ::policy::Pause;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use proto::{cancellation::v1::State, retention::v1::DataCategory, types::v1::Item};
use types::Timestamp;

pub use log::{
    ParkedCommand, ParkedDiscard, ParkedList, ParkedReplay, Republish, Topics, TopicsApply, TopicsCommand,
};
pub use operating::{
    AttentionAssign, AttentionCommand, AttentionList, Attest, BulkRetryCancel, BulkRetryCommand,
    BulkRetryStart, BulkRetryStatus, Extend, ExtensionTold, Retry, Texts,
};

use super::{Format, Server, conformance::Conformance, hold, item, policy};
use crate::compose::Role;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: the server cannot be reached or is at fault, or this process cannot start
  2  the command line is wrong
  3  refused: the server says what to mend
  4  a receipt does not hold
  5  a participant does not keep to the contract";

/// Account cancellation across services: one request, all leave the stage together, and a receipt
/// proves it.
#[derive(Debug, Parser)]
#[command(name = "exeunt", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// The server to ask; where roles run apart, role=URL for each, with commas or repeated
    /// [env: EXEUNT_SERVER] [default: http://127.0.0.1:7700]
    #[arg(long, global = true, value_name = "[ROLE=]URL", value_delimiter = ',', value_parser = Server::parse)]
    pub server: Vec<Server>,
    /// For people or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run services in this process: all of them, or those of the roles named
    Serve(Serve),
    /// Play a whole cancellation: with everything in this process and in a temporary directory, or,
    /// with --server, against what runs there
    Demo(Demo),
    /// Make a subject known
    Register(Register),
    /// Ask for an account or for services to end
    Request(Request),
    /// Show a cancellation
    Show(Cancellation),
    /// List cancellations, newest first
    List(List),
    /// Follow a cancellation until it has ended
    Watch(Cancellation),
    /// Ask every participant again what blocks and what follows
    Reassess(Reassess),
    /// Prove that it is the subject who confirms: have a code sent, then exchange it for a token
    Identify(Identify),
    /// Accept the quote of a cancellation
    Confirm(Confirm),
    /// Take a cancellation back
    Revoke(Revoke),
    /// Issue a token that reaches one cancellation, for the link in a message to the subject
    CaseToken(CaseToken),
    /// Print the receipt of a cancellation that has completed
    Receipt(Receipt),
    /// Print the public keys that receipts are verified with
    Keys,
    /// Verify a receipt, or several versions of one, without any server
    Verify(Verify),
    /// Check that a participant keeps to the contract, whatever it is written in
    Conformance(Conformance),
    /// Print the contract's descriptors, a google.protobuf.FileDescriptorSet
    Descriptors,
    /// Bans: who is kept from signing in
    Ban {
        /// What to do about them
        #[command(subcommand)]
        command: super::ban::BanCommand,
    },
    /// Appeals against bans: a person decides
    Appeal {
        /// What to do with them
        #[command(subcommand)]
        command: super::appeal::AppealCommand,
    },
    /// Guardians: with whose consent the account of somebody they guard closes
    Guardian {
        /// What to do about them
        #[command(subcommand)]
        command: super::guardian::GuardianCommand,
    },
    /// Holds: by whose order a subject's data may not be erased yet
    Hold {
        /// What to do with them
        #[command(subcommand)]
        command: HoldCommand,
    },
    /// What the law of a jurisdiction asks for, as the policy packs have it
    Policy {
        /// What to do with them
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Money that goes back to subjects: applied for, decided by a person, paid
    Refund {
        /// What to do with it
        #[command(subcommand)]
        command: super::refund::RefundCommand,
    },
    /// The topics of the event log: what they should be, and making them so
    Topics {
        /// What to do with them
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Records of the event log that could not be handled
    Parked {
        /// What to do with them
        #[command(subcommand)]
        command: ParkedCommand,
    },
    /// What of cancellations waits for a person
    Attention {
        /// What to do with it
        #[command(subcommand)]
        command: AttentionCommand,
    },
    /// Tell a participant that has failed or is late to execute once more
    Retry(Retry),
    /// Say that a participant's work was done outside
    Attest(Attest),
    /// Have the clock of a cancellation run as long as its rule allows, once the subject has been told
    Extend(Extend),
    /// Say when the subject was told that the clock runs longer
    ExtensionTold(ExtensionTold),
    /// Read what its subject and operators wrote about a cancellation
    Texts(Texts),
    /// Have many participants execute once more, so slowly that none is flooded
    BulkRetry {
        /// What to do with it
        #[command(subcommand)]
        command: BulkRetryCommand,
    },
    /// Up to where each participant has applied the ledger of closed subjects
    Closures,
    /// How what each service reads from the log is getting on, and which partitions have stopped
    Consumers,
    /// How far each service has published what its store holds
    Relays,
    /// Publish again what stores hold, after topics or records of them were lost
    Republish(Republish),
}

/// How to serve. What is not given here is taken from the environment (EXEUNT_LISTEN, …), the
/// configuration file, or the defaults, in this order.
#[derive(Debug, Args)]
pub struct Serve {
    /// Which services; all when none is named. Several processes meet on Kafka [env: EXEUNT_ROLES]
    #[arg(value_enum)]
    pub roles: Vec<Role>,
    /// The configuration file [env: EXEUNT_CONFIG]
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where everything durable stands; one process each [env: EXEUNT_DATA_DIR] [default: ./exeunt-data]
    #[arg(long)]
    pub data_dir: Option<String>,
    /// Where the replicas of a role find the keys they have in common, when that is not the data
    /// directory [env: EXEUNT_SHARED_DIR]
    #[arg(long)]
    pub shared_dir: Option<String>,
    /// The address of the one port [env: EXEUNT_LISTEN] [default: 127.0.0.1:7700]
    #[arg(long)]
    pub listen: Option<String>,
    /// sqlite:<directory> or postgres://user@host:port/database [env: EXEUNT_EVENT_STORE]
    #[arg(long)]
    pub event_store: Option<String>,
    /// kafka://host:port[,host:port][/prefix][?settings] [env: EXEUNT_EVENT_LOG]
    #[arg(long)]
    pub event_log: Option<String>,
    /// The roster of participants, a TOML file [env: EXEUNT_ROSTER]
    #[arg(long)]
    pub roster: Option<String>,
    /// Who this process is among the replicas of its roles; each its own [env: EXEUNT_MEMBER_ID]
    /// [default: exeunt-0]
    #[arg(long)]
    pub member_id: Option<String>,
}

/// How to play.
#[derive(Debug, Args)]
pub struct Demo {
    /// Which way it goes
    #[arg(long, value_enum, default_value_t)]
    pub scenario: Scenario,
    /// Print nothing but one JSON object at the end
    #[arg(long)]
    pub json: bool,
    /// With --server: the folder in which messages to subjects arrive
    #[arg(long, value_name = "DIR", default_value = "exeunt-data/messages")]
    pub messages: PathBuf,
}

/// Which way a demo goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scenario {
    /// A user in China closes a wallet account, from request to verified receipt
    #[default]
    Leave,
    /// A user in Germany confirms, thinks again, and stays
    Revoke,
    /// A user's chats are held for a court while the account closes, until it lets them go
    Hold,
}

/// Who is to be known.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("contacts").required(true).multiple(true).args(["email", "sms"]))]
pub struct Register {
    /// Where they live, as in ISO 3166-1: two capital letters
    #[arg(long)]
    pub region: String,
    /// Which edition of the product they use
    #[arg(long, value_enum)]
    pub edition: Edition,
    /// A mailbox of theirs; may be repeated
    #[arg(long)]
    pub email: Vec<String>,
    /// A phone number of theirs, a plus sign and 7 to 15 digits; may be repeated
    #[arg(long)]
    pub sms: Vec<String>,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Which edition of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Edition {
    /// For subjects of the domestic market
    Domestic,
    /// For subjects everywhere else
    International,
}

/// What shall end.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["whole_account", "item", "scope"]))]
pub struct Request {
    /// Whose
    #[arg(long)]
    pub subject: String,
    /// Everything: the account closes
    #[arg(long)]
    pub whole_account: bool,
    /// One thing, as KIND:ID:ACTION; may be repeated. SUBSCRIPTION:<id>:STOP_RENEWAL or END_NOW,
    /// PAYSCORE_AUTHORIZATION:<id>:UNBIND, FACE_PAYMENT::DISABLE, DATA_CATEGORY:<name>:ERASE
    #[arg(long, value_parser = item::parse)]
    pub item: Vec<Item>,
    /// A scope that the roster file names
    #[arg(long)]
    pub scope: Option<String>,
    /// Makes repeating it harmless; made up and told when not given
    #[arg(long)]
    pub request_id: Option<String>,
    /// Where the request came in: app, web, support, …
    #[arg(long, default_value = "")]
    pub channel: String,
    /// Why, in the subject's own words
    #[arg(long, default_value = "")]
    pub reason: String,
    /// With --item: what is declared in law
    #[arg(long, value_enum, conflicts_with_all = ["whole_account", "scope"])]
    pub intent: Option<Intent>,
}

/// What is declared in law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Intent {
    /// A contract is terminated
    Termination,
    /// A contract concluded at a distance is withdrawn from
    Withdrawal,
}

impl std::convert::From<Intent> for proto::cancellation::v1::Intent {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Termination => Self::Termination,
            Intent::Withdrawal => Self::Withdrawal,
        }
    }
}

/// Which cancellation.
#[derive(Debug, Args)]
pub struct Cancellation {
    /// Its id, or a case token
    pub cancellation_id: String,
}

/// For whom a case token is.
#[derive(Debug, Args)]
pub struct CaseToken {
    /// Which cancellation it reaches: its id, or a case token that still holds
    pub cancellation_id: String,
    /// How long it is good, in seconds: 60 to 2592000; 0 for a day
    #[arg(long, default_value_t = 0)]
    pub lifetime_seconds: i32,
}

/// Which receipt.
#[derive(Debug, Args)]
pub struct Receipt {
    /// The cancellation's id, or a case token
    pub cancellation_id: String,
    /// Which version, from 1; 0 for the newest
    #[arg(long, default_value_t = 0)]
    pub version: u32,
}

/// Which cancellation is looked at again.
#[derive(Debug, Args)]
pub struct Reassess {
    /// Its id, or a case token
    pub cancellation_id: String,
    /// Why an operator wants it; it is kept. A subject needs none
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Which cancellations.
#[derive(Debug, Args)]
pub struct List {
    /// Only this subject's
    #[arg(long, default_value = "")]
    pub subject: String,
    /// Only in this state, like BLOCKED; may be repeated
    #[arg(long, value_parser = item::state)]
    pub state: Vec<State>,
    /// How many at most, 1 to 1000
    #[arg(long, default_value_t = 50)]
    pub limit: i32,
    /// Where the list before ended
    #[arg(long, default_value = "")]
    pub page_token: String,
}

/// First the cancellation and a factor, which has a code sent; then the verification and the code,
/// which gives a token.
#[derive(Debug, Args)]
pub struct Identify {
    /// Which cancellation is to be confirmed
    #[arg(required_unless_present = "verification", requires = "factor")]
    pub cancellation_id: Option<String>,
    /// Which way the code is sent
    #[arg(long, value_enum, requires = "cancellation_id")]
    pub factor: Option<Factor>,
    /// Who confirms; the cancellation's subject when not given
    #[arg(long, requires = "cancellation_id")]
    pub subject: Option<String>,
    /// The verification that the code belongs to
    #[arg(long, requires = "code", conflicts_with = "cancellation_id")]
    pub verification: Option<String>,
    /// The code that was sent, six digits
    #[arg(long, requires = "verification")]
    pub code: Option<String>,
}

/// Which way a code is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Factor {
    /// To a mailbox
    Email,
    /// To a phone
    Sms,
}

impl Factor {
    /// As the contract has it.
    pub(super) fn to_proto(self) -> proto::identity::v1::Factor {
        match self {
            Self::Email => proto::identity::v1::Factor::EmailCode,
            Self::Sms => proto::identity::v1::Factor::SmsCode,
        }
    }
}

/// What is accepted, and the proof of who accepts.
#[derive(Debug, Args)]
pub struct Confirm {
    /// Which cancellation: its id, or a case token
    pub cancellation_id: String,
    /// The digest of the quote, as `show` tells it
    #[arg(long)]
    pub digest: String,
    /// A verification token, as `identify` gives it; may be repeated
    #[arg(long, required = true)]
    pub token: Vec<String>,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// What is taken back.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Which cancellation: its id, or a case token
    pub cancellation_id: String,
    /// Why, in the subject's own words
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// What to verify, and with what.
#[derive(Debug, Args)]
pub struct Verify {
    /// The receipt's file; - for standard input. Of one that was amended all versions, in any order
    #[arg(required = true, value_name = "RECEIPT")]
    pub receipts: Vec<PathBuf>,
    /// The public keys, as `exeunt keys` or /.well-known/jwks.json gave them; - for standard input
    #[arg(long)]
    pub keys: PathBuf,
}

/// What to do with holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Keep a subject's data from being erased; what waits for it then waits
    Place(HoldPlace),
    /// End a hold: what it alone kept is erased
    Release(HoldRelease),
    /// List a subject's holds, those that have ended too
    List(HoldList),
}

/// What is held, and by whose order.
#[derive(Debug, Args)]
pub struct HoldPlace {
    /// Whose data
    #[arg(long)]
    pub subject: String,
    /// Only what is of this category, like TRANSACTION_RECORDS; may be repeated
    #[arg(long, value_parser = hold::category)]
    pub category: Vec<DataCategory>,
    /// Only this data set; may be repeated
    #[arg(long)]
    pub data_set: Vec<String>,
    /// Why, like LITIGATION
    #[arg(long)]
    pub ground: String,
    /// Who ordered it, like a court and its file number; nothing personal
    #[arg(long)]
    pub authority: String,
    /// When it ends by itself, in RFC 3339
    #[arg(long, value_name = "INSTANT", value_parser = policy::instant)]
    pub until: Option<Timestamp>,
    /// Who places it, by an id of your own; the caller when not given
    #[arg(long, default_value = "")]
    pub actor: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Which hold ends, and why.
#[derive(Debug, Args)]
pub struct HoldRelease {
    /// Its id
    pub hold_id: String,
    /// Why; it is kept. Nothing personal
    #[arg(long)]
    pub reason: String,
    /// Who releases it, by an id of your own; the caller when not given
    #[arg(long, default_value = "")]
    pub actor: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Whose holds.
#[derive(Debug, Args)]
pub struct HoldList {
    /// Whose
    #[arg(long)]
    pub subject: String,
}

/// What to do with policy packs.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// List the packs, and for whose subjects they are
    List(PolicyFiles),
    /// Tell what applies to a scope, and why
    Explain(PolicyExplain),
    /// Count by when something must have happened, and show how
    Clock(PolicyClock),
}

/// Which packs there are.
#[derive(Debug, Args)]
pub struct PolicyFiles {
    /// A folder with packs/*.toml and calendars/*.toml, which go before those of the program
    #[arg(long, value_name = "DIR")]
    pub packs: Option<PathBuf>,
}

/// What is to be explained.
#[derive(Debug, Args)]
pub struct PolicyExplain {
    /// The pack, like cn
    pub pack: String,
    /// The kind of scope, like whole_account
    pub scope: String,
    /// Which packs there are
    #[command(flatten)]
    pub files: PolicyFiles,
}

/// What is to be counted.
#[derive(Debug, Args)]
pub struct PolicyClock {
    /// The pack, like cn
    #[arg(long)]
    pub pack: String,
    /// The clock, like complete
    #[arg(long)]
    pub clock: String,
    /// What it is counted from, in RFC 3339
    #[arg(long, value_parser = policy::instant)]
    pub from: Timestamp,
    /// Time in which the subject was waited for, as FROM/TO; may be repeated
    #[arg(long, value_name = "FROM/TO", value_parser = policy::pause)]
    pub paused: Vec<Pause>,
    /// Made longer, once
    #[arg(long)]
    pub extended: bool,
    /// Which packs there are
    #[command(flatten)]
    pub files: PolicyFiles,
}

/// By whom something was decided, and why.
#[derive(Debug, Args)]
pub struct Decided {
    /// Who decides it: a number or a name at work
    #[arg(long)]
    pub actor: String,
    /// Why; it is kept. Nothing personal
    #[arg(long)]
    pub reason: String,
}

#[cfg(test)]
pub(super) mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Whether the command line takes these words.
    pub(crate) fn parses(words: &str) -> bool {
        Cli::try_parse_from(words.split_whitespace()).is_ok()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_subject_has_a_contact_and_a_code_is_sent_or_taken_but_not_both() {
        assert!(parses("exeunt register --region CN --edition domestic --email a@b.c --sms +8613812345678"));
        assert!(!parses("exeunt register --region CN --edition domestic"));
        assert!(!parses("exeunt register --region CN --edition lunar --email a@b.c"));
        assert!(parses("exeunt identify can_1 --factor sms --subject sbj_1"));
        assert!(parses("exeunt identify --verification ver_1 --code 123456"));
        for wrong in [
            "exeunt identify",
            "exeunt identify can_1",
            "exeunt identify --factor sms",
            "exeunt identify --verification ver_1",
            "exeunt identify --code 123456",
            "exeunt identify can_1 --factor sms --verification ver_1 --code 123456",
            "exeunt identify --verification ver_1 --code 123456 --subject sbj_1",
            "exeunt identify can_1 --factor face",
        ] {
            assert!(!parses(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_request_says_one_scope_and_no_more() {
        let parse = |scope: &[&str]| {
            let words = ["exeunt", "request", "--subject", "sbj_1"].iter().chain(scope);
            Cli::try_parse_from(words).is_ok()
        };
        assert!(parse(&["--whole-account"]));
        assert!(parse(&["--scope", "burst"]));
        assert!(parse(&["--item", "SUBSCRIPTION:sub_1:END_NOW", "--item", "FACE_PAYMENT::DISABLE"]));
        assert!(!parse(&[]));
        assert!(!parse(&["--whole-account", "--scope", "burst"]));
        assert!(!parse(&["--item", "SUBSCRIPTION:sub_1"]));
    }
}
