//! The way between services: an event log (embedded or Kafka), the relay that fills it from an event
//! store, and the batch consumer that empties it into one.
//!
//! It knows no service. The store is the truth and the log a projection of it: losing every topic
//! loses nothing. A consumer's offset counts where it commits with its effects, in the database.

mod back_off;
mod backlog;
mod cloud_event;
mod consumer;
mod cursor;
mod embedded;
mod follower;
mod kafka;
mod log;
mod murmur2;
mod namespace;
mod open;
mod relay;
mod timers;
mod together;
mod topics;

pub use back_off::BackOff;
pub use backlog::{Backlog, Behind};
pub use cloud_event::{
    CE_ID, CE_SEQUENCE, CE_SOURCE, CE_SPECVERSION, CE_SUBJECT, CE_TIME, CE_TYPE, CONTENT_TYPE, CloudEvent,
    TRACEPARENT, cloud_event,
};
pub use consumer::{
    BatchConsumer, ConsumerError, ConsumerHandle, ConsumerHealth, ConsumerOptions, Decision, EVENT_LOG,
    EVENT_STORE, Handler, Missing, Poison, StreamEvents, Streams, Undecided, Unreadable,
};
pub use cursor::{Cursor, Rewind};
pub use embedded::{EmbeddedLog, RECORD_BYTES_MAX, RETENTION};
pub use follower::{Follow, FollowError, Follower};
pub use kafka::KafkaLog;
pub use log::{Assignment, ConsumedLog, Delivery, EventLog, Extent, LogError, Message, Record, Subscription};
pub use murmur2::partition_of;
pub use open::{LogOptions, open_log, open_log_with};
pub use relay::{Publish, RELAY, Relay};
pub use timers::{Fire, fire_due, run_timers};
pub use together::{RunError, run_together};
pub use topics::{Remedy, TopicDifference, TopicSetting, TopicSettings, TopicSpec};
