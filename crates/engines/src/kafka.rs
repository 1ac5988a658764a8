//! Apache Kafka on loopback, without ZooKeeper: one node for everybody, or a private cluster that may be killed.

mod cluster;
mod configuration;
mod node;
mod prepare;

pub use cluster::{Kafka, KafkaOptions};
pub use node::{Node, Ports, Shape};
pub(crate) use prepare::prepare;
