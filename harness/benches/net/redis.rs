//! Redis, one process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use harness::hosts::find;
use harness::rivals::Absent;

use crate::Row;
use crate::clients;
use crate::measured::Measured;
use crate::process::{Process, addresses, wait_for};
use crate::served::{Served, Work};

pub(crate) fn rows() -> Result<Vec<Row>, Absent> {
    find("redis-server").ok_or(Absent { program: "redis-server", package: "redis-server" })?;
    Ok(vec![Row {
        name: "redis, one node",
        sync: "appendonly yes, appendfsync always: fdatasync once a round of its loop, one disk",
        works: true,
        fails_over: false,
        start,
    }])
}

struct Redis {
    process: Process,
    door: SocketAddr,
}

fn start(directory: &Path) -> anyhow::Result<Box<dyn Served>> {
    let [door] = addresses::<1>()?;
    let words = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"];
    let mut args: Vec<OsString> = words.map(Into::into).to_vec();
    // Its snapshots are no part of the work.
    args.extend(["--save", "", "--port", &door.port().to_string(), "--dir"].map(Into::into));
    args.push(directory.into());
    let Some(program) = find("redis-server") else { bail!("redis-server is gone") };
    let process = Process::start(&program, &args, &directory.join("log"))?;
    wait_for("redis", || clients::say(door, b"PING\r\n", |said| said.contains("PONG")))?;
    Ok(Box::new(Redis { process, door }))
}

impl Served for Redis {
    fn drive(&mut self, work: Work, clients: usize, span: Duration) -> anyhow::Result<Measured> {
        clients::drive(self.door, vec![self.process.id()], work, clients, span)
    }

    fn fail_over(&mut self) -> anyhow::Result<Duration> {
        bail!("there is no other node")
    }
}
