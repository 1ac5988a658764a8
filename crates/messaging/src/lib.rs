//! The way between services: an event log (embedded or Kafka), the relay that fills it from an event
//! store, and the batch consumer that empties it into one.
//!
//! It knows no service. The store is the truth and the log a projection of it: losing every topic
//! loses nothing. A consumer's offset counts where it commits with its effects, in the database.

mod log;

pub use log::{Assignment, ConsumedLog, Delivery, EventLog, LogError, Message, Record, Subscription, TopicSpec};
