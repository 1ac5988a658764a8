//! A private cluster: its nodes may be killed and started again, and are gone with their owner.

use anyhow::{Context, Result};

use super::node::{Node, Ports, Shape};
use crate::certificates::Certificates;
use crate::guard::Guard;
use crate::packages::Packages;

/// What a private cluster is to be.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// How many brokers, each a controller too. With three, partitions have three replicas, and a record counts when
    /// two have it.
    pub brokers: usize,
    /// Each broker's heap.
    pub heap_mib: u32,
    /// What clients are told to connect to, broker by broker, where proxies stand before them; empty for none.
    pub advertised: Vec<u16>,
    /// Whether there is a listener that demands encryption and a password, too.
    pub secured: bool,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { brokers: 1, heap_mib: 192, advertised: Vec::new(), secured: false }
    }
}

/// A private cluster. Dropped, it is killed and its data deleted.
pub struct Kafka {
    packages: Packages,
    shape: Shape,
    nodes: Vec<Node>,
    guard: Guard,
}

impl Kafka {
    /// Starts an empty cluster, which answers when this returns.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        let packages = Packages::get()?;
        let mut ports = (0..options.brokers).map(|_| Ports::free()).collect::<Result<Vec<_>>>()?;
        for (ports, advertised) in ports.iter_mut().zip(&options.advertised) {
            ports.advertised = *advertised;
        }
        let guard = Guard::new("kafka")?;
        let certificates = options.secured.then(|| guard.dir().to_owned());
        if let Some(dir) = &certificates {
            Certificates::make(dir)?;
        }
        let shape = Shape {
            controllers: ports.iter().map(|ports| ports.controllers).collect(),
            replicas: options.brokers.min(3),
            insync_min: if options.brokers >= 3 { 2 } else { 1 },
            heap_mib: options.heap_mib,
            certificates,
            short_lived: true,
        };
        let mut cluster = Self { packages, shape, nodes: Vec::new(), guard };
        let mut starting = Vec::new();
        for (id, ports) in (1..).zip(ports) {
            let home = cluster.guard.dir().join(id.to_string());
            let node = Node::create(&cluster.packages, home, id, ports, &cluster.shape)?;
            cluster.nodes.push(node.node().clone());
            starting.push(node);
            cluster.tell_guard()?;
        }
        starting.into_iter().try_for_each(|node| node.wait().map(drop))?;
        Ok(cluster)
    }

    /// What clients are given: `host:port`, with commas between; the proxies' where there are any.
    pub fn brokers(&self) -> String {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.ports.advertised));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// What clients of the listener that demands encryption are given.
    pub fn secured_brokers(&self) -> String {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.ports.secured));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// The certificates of the listener that demands encryption.
    pub fn certificates(&self) -> Certificates {
        Certificates::of(self.guard.dir())
    }

    /// Where the brokers themselves listen for clients, in order.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.ports.clients).collect()
    }

    /// Kills a broker, counted from 0, and returns when it is dead; fine when it was.
    pub fn kill(&mut self, broker: usize) -> Result<()> {
        self.node(broker)?.kill()?;
        self.tell_guard()
    }

    /// Ends a broker in order, which hands over what it leads.
    pub fn stop(&mut self, broker: usize) -> Result<()> {
        self.node(broker)?.stop()?;
        self.tell_guard()
    }

    /// Starts a broker again on what it holds; it answers when this returns.
    pub fn start_again(&mut self, broker: usize) -> Result<()> {
        let starting = self.node(broker)?.start_again(&self.packages, &self.shape)?;
        self.nodes[broker] = starting.node().clone();
        self.tell_guard()?;
        starting.wait().map(drop)
    }

    fn node(&self, broker: usize) -> Result<&Node> {
        self.nodes.get(broker).with_context(|| format!("there is no broker {broker}"))
    }

    fn tell_guard(&mut self) -> Result<()> {
        let living: Vec<i32> = self.nodes.iter().filter(|node| node.is_alive()).map(Node::pid).collect();
        self.guard.living(&living)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // One after the other, so that the guard finds none that still writes.
        self.nodes.iter().for_each(|node| drop(node.kill()));
    }
}
