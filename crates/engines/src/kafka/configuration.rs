//! A node's configuration.

use std::path::Path;

use super::node::{Ports, Shape};
use crate::certificates::Certificates;

/// Topics are made on purpose only, and can be deleted. A broker that was killed is missed soon, and taken back soon.
pub(super) fn configuration(home: &Path, id: usize, ports: Ports, shape: &Shape) -> String {
    let logs = home.join("logs");
    let voters: Vec<String> =
        (1..).zip(&shape.controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
    let Ports { clients, secured, advertised, brokers, controllers } = ports;
    let (mut listeners, mut security) = (String::new(), String::new());
    if let Some(certificates) = &shape.certificates {
        listeners = format!(",SECURED://127.0.0.1:{secured}");
        security = secured_listener(&Certificates::of(certificates));
    }
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=CLIENTS://127.0.0.1:{clients},BROKERS://127.0.0.1:{brokers},CONTROLLERS://127.0.0.1:{controllers}{listeners}
advertised.listeners=CLIENTS://127.0.0.1:{advertised},BROKERS://127.0.0.1:{brokers}{listeners}
listener.security.protocol.map=CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT,SECURED:SASL_SSL
controller.listener.names=CONTROLLERS
inter.broker.listener.name=BROKERS
log.dirs={logs}
auto.create.topics.enable=false
delete.topic.enable=true
num.partitions=8
default.replication.factor={replicas}
min.insync.replicas={insync_min}
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=8
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={insync_min}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={insync_min}
log.cleaner.dedupe.buffer.size=16777216
{security}",
        voters = voters.join(","),
        logs = logs.display(),
        replicas = shape.replicas,
        insync_min = shape.insync_min,
    )
}

/// Clients of it know a password that every storage is formatted with; a certificate of their own is welcome.
fn secured_listener(certificates: &Certificates) -> String {
    const MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    format!(
        "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.secured.scram-sha-256.sasl.jaas.config={MODULE}
listener.name.secured.scram-sha-512.sasl.jaas.config={MODULE}
listener.name.secured.ssl.keystore.type=PEM
listener.name.secured.ssl.keystore.location={key}
listener.name.secured.ssl.truststore.type=PEM
listener.name.secured.ssl.truststore.location={authority}
listener.name.secured.ssl.client.auth=requested
",
        key = certificates.path("server-with-key.pem").display(),
        authority = certificates.path("ca.pem").display(),
    )
}
