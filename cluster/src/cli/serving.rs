//! One node as a process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use signal_hook::consts::SIGTERM;
use tracing::{error, info};

use super::{Failure, Peers, node};
use crate::net::process::{Lookout, Stop};
use crate::net::{Limits, Server, Spoken};
use crate::{InvalidConfig, NodeId, NodeState};

/// How often to look how the node is.
const GLANCE: Duration = Duration::from_millis(100);
/// How often to put the metrics in order: what was measured takes room until then.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long a node that stops waits for what it has under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node that serves its cluster until it is told to stop.
#[derive(Clone, Debug, clap::Args)]
pub struct Serving {
    /// Which of the nodes this is
    #[arg(long, value_parser = node)]
    id: NodeId,
    #[command(flatten)]
    peers: Peers,
    /// Where it keeps what it has promised: a directory of its own
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where it listens, if that is not the address that the others know
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where it answers HTTP: /live, /ready and /metrics (Prometheus)
    #[arg(long, value_name = "ADDRESS")]
    watch: Option<SocketAddr>,
    /// Listen where other machines may connect, without TLS: who connects can do all
    #[arg(long)]
    insecurely: bool,
    /// How many MiB may wait in the buffers of its connections
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    memory_max: u32,
    /// How many clients may be connected
    #[arg(long, value_name = "COUNT", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    clients_max: u32,
    /// Stop also when standard input ends, as it does with the process that started this one
    #[arg(long, hide = true)]
    until_input_ends: bool,
}

/// A node that serves, and what is around it.
pub struct Running<N: Spoken> {
    server: Server<N>,
    told: Receiver<()>,
    _lookout: Option<Lookout>,
    _upkeep: Upkeep,
}

impl Serving {
    /// Which node it is.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// That a front for clients, which has no TLS, may listen at `address`.
    ///
    /// # Errors
    /// [`Failure::Invalid`], naming `field`, if other machines may connect there and nobody has said
    /// that they may.
    pub(super) fn check_front(
        &self,
        field: &'static str,
        address: SocketAddr,
    ) -> Result<(), Failure> {
        if self.insecurely || address.ip().is_loopback() {
            return Ok(());
        }
        Err(InvalidConfig::new(field, address, "a loopback address, or --insecurely").into())
    }

    /// Starts the node, and listens for the signals that end it.
    ///
    /// # Errors
    /// Says which setting makes no sense, or what did not work. Nothing is left running.
    pub fn start<N>(&self, config: N::Config) -> Result<Running<N>, Failure>
    where
        N: Spoken<Record: Serialize + DeserializeOwned>,
    {
        let told = self.listen_for_the_end()?;
        // Before the node, which begins to measure at once.
        let (metrics, upkeep) = collect_metrics()?;
        let limits = Limits {
            memory_max: (self.memory_max as usize) << 20,
            clients_max: self.clients_max as usize,
            ..Limits::default()
        };
        let mut builder = Server::builder(self.peers.cluster.clone(), self.id, config)
            .nodes(self.peers.nodes())
            .directory(&self.data)
            .limits(limits);
        if let Some(address) = self.listen {
            builder = builder.listen(address);
        }
        if let Some(tls) = self.peers.tls()? {
            builder = builder.tls(tls);
        }
        if self.insecurely {
            builder = builder.insecurely();
        }
        let server = builder.start()?;
        let watched = |address| {
            let lookout = Lookout::start(address, &server, move || metrics.render());
            lookout.map_err(Failure::system(format!("answer HTTP at {address} (--watch)")))
        };
        let lookout = self.watch.map(watched).transpose()?;
        let (node, at, life) = (self.id, server.addr(), server.incarnation());
        info!(cluster = %self.peers.cluster, %node, %at, %life, "started");
        Ok(Running { server, told, _lookout: lookout, _upkeep: upkeep })
    }

    /// Where it is told that the process is to end.
    fn listen_for_the_end(&self) -> Result<Receiver<()>, Failure> {
        let stop = Stop::listen().map_err(Failure::system("listen for signals"))?;
        let (sender, told) = crossbeam_channel::bounded(1);
        spawn("stop", move || {
            stop.wait();
            let _ = sender.send(());
        })?;
        if self.until_input_ends {
            spawn("input", || {
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                let _ = signal_hook::low_level::raise(SIGTERM);
            })?;
        }
        Ok(told)
    }
}

impl<N: Spoken> Running<N> {
    /// The node.
    pub fn server(&self) -> &Server<N> {
        &self.server
    }

    /// Serves until the process is told to end, and then [retires](Server::retire) the node.
    ///
    /// # Errors
    /// [`Failure::Down`] and [`Failure::Panicked`], as soon as either is so.
    pub fn until_told(self, hand_over: impl FnOnce(&Server<N>)) -> Result<(), Failure> {
        let node = self.server.id();
        let mut was_up = false;
        while self.told.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
            if let Some(refusal) = self.server.refusal() {
                error!(%node, %refusal, "down");
                return Err(Failure::Down { node, refusal });
            }
            if self.server.is_over() {
                return Err(Failure::Panicked { node });
            }
            if !was_up && self.server.state() != NodeState::Down {
                info!(%node, "up");
                was_up = true;
            }
        }
        info!(%node, "told to stop: handing over");
        self.server.retire(PATIENCE, hand_over);
        info!(%node, "stopped");
        Ok(())
    }
}

/// Keeps the metrics in order. Dropping it ends that.
struct Upkeep {
    _end: Sender<()>,
}

fn collect_metrics() -> Result<(PrometheusHandle, Upkeep), Failure> {
    let installed = PrometheusBuilder::new().install_recorder().map_err(io::Error::other);
    let handle = installed.map_err(Failure::system("collect metrics"))?;
    let (end, ended) = crossbeam_channel::bounded::<()>(0);
    let kept = handle.clone();
    spawn("metrics", move || {
        while ended.recv_timeout(UPKEEP) == Err(RecvTimeoutError::Timeout) {
            kept.run_upkeep();
        }
    })?;
    Ok((handle, Upkeep { _end: end }))
}

pub(super) fn spawn(
    name: &str,
    task: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(task).map_err(Failure::system("start a thread"))
}
