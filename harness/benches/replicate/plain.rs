//! A log file as simple as can be: no checksums, no recovery. What is written over has zeroes or older
//! records in it, so that a sync changes no metadata.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::drive::{Client, Measured, REPLICAS};

/// How long the file is; it begins anew at its end.
const LEN: u64 = 64 << 20;

pub(crate) struct PlainLog {
    file: File,
    at: u64,
    waiting: Vec<u8>,
}

impl PlainLog {
    pub(crate) fn new() -> Self {
        let file = tempfile::tempfile().expect("there is room for a file");
        let zeroes = vec![0; 1 << 20];
        for at in (0..LEN).step_by(zeroes.len()) {
            file.write_all_at(&zeroes, at).expect("there is room for a log");
        }
        file.sync_all().expect("a sound disk");
        Self { file, at: 0, waiting: Vec::new() }
    }

    /// Adds a record, in memory.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
        self.waiting.extend_from_slice(&len.to_le_bytes());
        for part in parts {
            self.waiting.extend_from_slice(part);
        }
    }

    /// Makes what waits durable.
    pub(crate) fn sync(&mut self) {
        if self.at + self.waiting.len() as u64 > LEN {
            self.at = 0;
        }
        self.file.write_all_at(&self.waiting, self.at).expect("it has its length");
        self.file.sync_data().expect("a sound disk");
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
    }
}

/// What the disk itself takes: each of three threads appends 4 KiB and syncs, again and again. The
/// number outstanding means nothing here.
pub(crate) fn appends(_: usize, span: Duration) -> Measured {
    let barrier = Barrier::new(REPLICAS);
    let append = || {
        let mut log = PlainLog::new();
        barrier.wait();
        let mut client = Client::new(1, span);
        loop {
            let now = Instant::now();
            if let Some(measured) = client.over(now) {
                return measured;
            }
            client.top_up(now);
            log.push(&[&[7; 4096 - size_of::<u32>()]]);
            log.sync();
            client.answered(Instant::now(), 1);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..REPLICAS).map(|_| scope.spawn(append)).collect();
        let mut all: Vec<Measured> =
            threads.into_iter().map(|it| it.join().expect("no disk fails")).collect();
        all.sort_by_key(|it| it.p50);
        all[REPLICAS / 2]
    })
}
