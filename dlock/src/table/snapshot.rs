//! The table as a snapshot of it holds it.

use std::collections::BTreeMap;

use raft::{Image, Part, Snapshot, Unreadable};
use serde::{Deserialize, Serialize};

use crate::{Arrival, FencingToken, LockTable, LogTime, Resource};

use super::ended::Ended;
use super::lock::Lock;

/// What replicas agree on: not the settings, and not what follows from the rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Agreed {
    time: LogTime,
    last_token: FencingToken,
    last_arrival: Arrival,
    locks: BTreeMap<Resource, Lock>,
    ended: Ended,
}

/// A [`LockTable`] at one moment.
#[derive(Clone, Debug)]
pub struct TableSnapshot(Image<Agreed>);

impl Snapshot<LockTable> for TableSnapshot {
    fn take(table: &LockTable) -> Self {
        let LockTable { time, last_token, last_arrival, ref locks, ref ended, .. } = *table;
        let (locks, ended) = (locks.clone(), ended.clone());
        Self(Image::take(&Agreed { time, last_token, last_arrival, locks, ended }))
    }

    fn read(&mut self, max: usize) -> Part {
        self.0.read(max)
    }

    fn restore(table: &mut LockTable, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut agreed = Agreed {
            time: LogTime::ZERO,
            last_token: FencingToken::ZERO,
            last_arrival: Arrival::default(),
            locks: BTreeMap::new(),
            ended: Ended::default(),
        };
        Image::restore(&mut agreed, bytes)?;
        let Agreed { time, last_token, last_arrival, locks, ended } = agreed;
        let lease = |(resource, lock): (&Resource, &Lock)| (lock.expires_at, resource.clone());
        table.lease_ends = locks.iter().map(lease).collect();
        let waits = |(resource, lock): (&Resource, &Lock)| {
            lock.waiters.iter().map(|waiter| waiter.end(resource)).collect::<Vec<_>>()
        };
        table.wait_ends = locks.iter().flat_map(waits).collect();
        (table.time, table.last_token, table.last_arrival) = (time, last_token, last_arrival);
        (table.locks, table.ended) = (locks, ended);
        table.check().map_err(Unreadable)
    }
}
