//! Clients that speak gRPC to etcd, all on one thread.
//!
//! gRPC is a POST by HTTP/2 whose body is a message of Protocol Buffers behind five bytes; of both so
//! little is needed here that it is written down by hand, which takes the least time from the servers.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};

use crate::failover::EVERY;
use crate::measured::{Measured, Stopwatch};
use crate::process::PATIENCE;
use crate::served::{Ask, Plan, VALUE, Work, name};

/// So many connections at most, which clients share, as `benchmark --conns=100 --clients=1000` of etcd's
/// page "Performance" has it.
const CONNECTIONS_MAX: usize = 100;

/// What all clients of one run share.
struct Run {
    work: Work,
    plan: RefCell<Plan>,
    watch: RefCell<Stopwatch>,
    ends: Cell<bool>,
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Has so many clients of the member at `addr` do that work for that long.
pub(crate) fn drive(
    addr: SocketAddr,
    servers: Vec<u32>,
    work: Work,
    clients: usize,
    span: Duration,
) -> anyhow::Result<Measured> {
    let all = async {
        let mut connections = Vec::new();
        for _ in 0..clients.min(CONNECTIONS_MAX) {
            connections.push(connect(addr).await?);
        }
        let run = Rc::new(Run {
            work,
            plan: RefCell::new(Plan::new(work)),
            watch: RefCell::new(Stopwatch::start(servers, span)),
            ends: Cell::new(false),
        });
        let mut tasks = JoinSet::new();
        for connection in connections.iter().cycle().take(clients) {
            tasks.spawn_local(client(connection.clone(), Rc::clone(&run)));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let run = Rc::into_inner(run).context("all clients have ended")?;
        Ok(run.watch.into_inner().stop())
    };
    LocalSet::new().block_on(&runtime()?, all)
}

async fn client(mut connection: SendRequest<Bytes>, run: Rc<Run>) -> anyhow::Result<()> {
    while !run.ends.get() {
        let Some(next) = run.plan.borrow_mut().next() else { break };
        let asked = Instant::now();
        ask(&mut connection, next).await?;
        let now = Instant::now();
        let mut watch = run.watch.borrow_mut();
        watch.answered(asked, now);
        if run.work != Work::Fill && watch.over(now) {
            run.ends.set(true);
        }
    }
    Ok(())
}

/// A connection, which a task of its own keeps going.
async fn connect(addr: SocketAddr) -> anyhow::Result<SendRequest<Bytes>> {
    /// Enough for all answers that are under way: nobody waits for permission to send.
    const WINDOW: u32 = 16 << 20;
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake(stream).await?;
    // Its end is seen by whoever asks by it.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

/// Asks, and waits until that was done.
async fn ask(connection: &mut SendRequest<Bytes>, ask: Ask) -> anyhow::Result<()> {
    let (path, body) = encoded(ask);
    let request = Request::post(format!("http://etcd{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    *connection = connection.clone().ready().await?;
    let (response, mut sending) = connection.send_request(request, false)?;
    sending.send_data(body, true)?;
    let mut body = response.await?.into_body();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        length += piece.len();
        body.flow_control().release_capacity(piece.len())?;
    }
    let trailers = body.trailers().await?.context("an answer without an end")?;
    if trailers.get("grpc-status").is_none_or(|status| status != "0") {
        bail!("{ask:?} was answered with {trailers:?}");
    }
    if matches!(ask, Ask::Get(_)) && length < VALUE {
        bail!("{ask:?} found no value");
    }
    Ok(())
}

/// Where to ask, and what: `PutRequest { key = 1, value = 2 }`, and `RangeRequest { key = 1 }`, which is
/// linearizable unless it says otherwise.
fn encoded(ask: Ask) -> (&'static str, Bytes) {
    let mut message = Vec::new();
    let path = match ask {
        Ask::Put(key) => {
            field(1, name(key).as_bytes(), &mut message);
            field(2, &[b'v'; VALUE], &mut message);
            "/etcdserverpb.KV/Put"
        }
        Ask::Get(key) => {
            field(1, name(key).as_bytes(), &mut message);
            "/etcdserverpb.KV/Range"
        }
    };
    // Not compressed, and how long it is.
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).expect("it is short").to_be_bytes());
    body.extend(message);
    (path, body.into())
}

/// Adds a field of bytes, fewer than 2^14 of them.
fn field(number: u8, bytes: &[u8], to: &mut Vec<u8>) {
    to.push(number << 3 | 2);
    if bytes.len() < 0x80 {
        to.push(bytes.len() as u8);
    } else {
        to.extend([(bytes.len() & 0x7F) as u8 | 0x80, (bytes.len() >> 7) as u8]);
    }
    to.extend_from_slice(bytes);
}

/// Does `kill`, and then asks each of `members` to write, again and again, until one says that it has: how
/// long that took, from the beginning of `kill`.
pub(crate) fn outage(
    members: &[SocketAddr],
    kill: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let all = async {
        let mut connections = Vec::new();
        for &addr in members {
            connections.push(connect(addr).await?);
        }
        let (begun, mut asked) = (Instant::now(), JoinSet::new());
        kill()?;
        while begun.elapsed() < PATIENCE {
            for connection in &connections {
                let mut connection = connection.clone();
                asked.spawn_local(async move { ask(&mut connection, Ask::Put(0)).await });
            }
            let again = tokio::time::Instant::now() + EVERY;
            // One that refuses says nothing of the others.
            while let Ok(Some(answered)) = tokio::time::timeout_at(again, asked.join_next()).await {
                if matches!(answered, Ok(Ok(()))) {
                    return Ok(begun.elapsed());
                }
            }
            tokio::time::sleep_until(again).await;
        }
        bail!("no write within {PATIENCE:?}")
    };
    LocalSet::new().block_on(&runtime()?, all)
}
