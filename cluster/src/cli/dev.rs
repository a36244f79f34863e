//! A whole cluster in one terminal, for trying out.

mod keeper;

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};

use self::keeper::{Keeper, News, Task, Voice};
use super::logging::colours;
use super::serving::spawn;
use super::{Failure, table};
use crate::net::process::Stop;
use crate::{InvalidConfig, NodeId};

/// How far the ports of peers are from those of clients, and those of watchers from those of peers.
const STRIDE: u16 = 10_000;
/// The first port, at most: so that all ports there are suffice.
const PORT_MAX: i64 = 45_000;
/// How long the nodes may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// What such a cluster is called.
const NAME: &str = "dev";

/// A cluster of processes in this terminal, each of them `run`, on disks.
///
/// They end with this one, however that ends: each stops when its standard input does.
#[derive(Clone, Debug, clap::Args)]
pub struct Dev {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Where they keep what they have promised, a directory each; if it is not given, where it goes away
    /// at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The first node's port for clients; those of the others follow. Peers meet 10000 above, HTTP is
    /// answered 20000 above
    #[arg(long, default_value_t = 6380, value_parser = clap::value_parser!(u16).range(1024..=PORT_MAX))]
    port: u16,
    /// Start a node again when it ends by itself, or is killed
    #[arg(long)]
    restart: bool,
    /// What to tell each node besides
    #[arg(last = true, value_name = "ARGUMENTS OF RUN")]
    run: Vec<OsString>,
}

/// How to try such a cluster out.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The program that runs it, as it was called.
    pub program: String,
    /// The options that say which cluster is meant, and where it is.
    pub whom: String,
    /// Where clients of the front of each node reach it, if they have such; the first node's first.
    pub fronts: Vec<u16>,
}

/// A node of such a cluster, and where it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: NodeId,
    /// Where clients of its front reach it, if it has one.
    front: SocketAddr,
    /// Where its peers, and clients of the pattern itself, do.
    node: SocketAddr,
    /// Where it answers HTTP.
    watch: SocketAddr,
}

impl Dev {
    /// Runs it until the process is told to end, or all nodes have ended. Each is told where its front
    /// listens by the option `front`, if they have such; the commands that `hints` returns are printed once
    /// they run, for another terminal.
    ///
    /// # Errors
    /// When a port is in use, which is named, or a process cannot be started.
    pub fn run(
        self,
        front: Option<&'static str>,
        hints: impl FnOnce(&Trial) -> Vec<String>,
    ) -> Result<(), Failure> {
        let stop = Stop::listen().map_err(Failure::system("listen for signals"))?;
        let places: Vec<_> = (0..self.nodes).map(|place| self.place(place)).collect();
        check_free(&places)?;
        let (data, _goes_away) = self.directory()?;
        let program = std::env::current_exe().map_err(Failure::system("find this program"))?;
        let voice = Voice { in_colours: colours(&io::stdout()) };
        let (sender, news) = unbounded();
        let told = sender.clone();
        spawn("stop", move || {
            stop.wait();
            let _ = told.send(News::Stop);
        })?;
        let mut nodes = Vec::new();
        voice.say(&overview(&places, &data));
        for place in &places {
            let words = self.words(&places, place, front, &data);
            let task =
                Task { id: place.id, program: program.clone(), words, restart: self.restart };
            nodes.push(Keeper::start(task, voice, sender.clone())?);
        }
        voice.say(&invitation(&hints(&Trial::of(&places))));
        let left = attend(nodes.len(), &news);
        if left > 0 {
            voice.say("ending: the nodes hand over first\n");
        }
        end(&nodes, left, &news);
        Ok(())
    }

    fn place(&self, place: u16) -> Place {
        let at =
            |stride| SocketAddr::from((Ipv4Addr::LOCALHOST, self.port + stride * STRIDE + place));
        Place { id: NodeId::new(u32::from(place) + 1), front: at(0), node: at(1), watch: at(2) }
    }

    fn directory(&self) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
        if let Some(data) = &self.data {
            return Ok((data.clone(), None));
        }
        let directory = tempfile::Builder::new().prefix("dev-").tempdir();
        let directory = directory.map_err(Failure::system("make a directory"))?;
        Ok((directory.path().to_owned(), Some(directory)))
    }

    /// How the node at `place` is started.
    fn words(
        &self,
        places: &[Place],
        place: &Place,
        front: Option<&'static str>,
        data: &Path,
    ) -> Vec<OsString> {
        let (id, watch) = (place.id.get().to_string(), place.watch.to_string());
        let nodes = named(places);
        let words = ["run", "--id", &id, "--cluster", NAME, "--nodes", &nodes, "--watch", &watch];
        let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
        words.extend(["--data".into(), data.join(place.id.to_string()).into()]);
        if let Some(option) = front {
            words.extend([option.into(), place.front.to_string().into()]);
        }
        words.extend(self.run.iter().cloned());
        words
    }
}

impl Trial {
    fn of(places: &[Place]) -> Self {
        Self {
            program: std::env::args().next().unwrap_or_default(),
            whom: format!("--cluster {NAME} --nodes {}", named(places)),
            fronts: places.iter().map(|place| place.front.port()).collect(),
        }
    }
}

/// The nodes as they are told of each other.
fn named(places: &[Place]) -> String {
    let named = |place: &Place| format!("{}={}", place.id.get(), place.node);
    places.iter().map(named).collect::<Vec<_>>().join(",")
}

fn invitation(hints: &[String]) -> String {
    let hints: String = hints.iter().map(|hint| format!("  {hint}\n")).collect();
    format!("\nTry, in another terminal:\n{hints}End it with Ctrl-C.\n\n")
}

fn overview(places: &[Place], data: &Path) -> String {
    let metrics = |place: &Place| format!("http://{}/metrics", place.watch);
    let row = |place: &Place| [place.id.to_string(), place.node.to_string(), metrics(place)];
    let rows: Vec<_> = places.iter().map(row).collect();
    format!("{}data in {}\n", table(["node", "peers", "metrics"], &rows), data.display())
}

/// That all ports are free; they may be taken before the nodes come to it, and then those say so.
fn check_free(places: &[Place]) -> Result<(), Failure> {
    let addresses = places.iter().flat_map(|place| [place.front, place.node, place.watch]);
    for address in addresses {
        let free = TcpListener::bind(address).map_err(|error| {
            let expected = format!("free ports ({error}); choose others by --port");
            InvalidConfig::new("port", address.port(), expected)
        });
        drop(free?);
    }
    Ok(())
}

/// Waits until the process is told to end, or all nodes have ended; how many have not.
fn attend(nodes: usize, news: &Receiver<News>) -> usize {
    let mut left = nodes;
    while left > 0 {
        match news.recv() {
            Ok(News::Ended) => left -= 1,
            Ok(News::Stop) | Err(_) => break,
        }
    }
    left
}

/// Ends the nodes, of which `left` have not ended yet: by force those that take too long.
fn end(nodes: &[Arc<Keeper>], mut left: usize, news: &Receiver<News>) {
    nodes.iter().for_each(|node| node.let_go());
    let deadline = Instant::now() + PATIENCE;
    while left > 0 {
        match news.recv_deadline(deadline) {
            Ok(News::Ended) => left -= 1,
            Ok(News::Stop) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return nodes.iter().for_each(|node| node.kill());
            }
        }
    }
}
