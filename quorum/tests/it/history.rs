//! What clients saw, judged by the versions that the store shows with every reply.
//!
//! With versions in sight linearizability is easy to judge: the versions say the order, and it
//! remains to see that the order agrees with time and with the values.

use std::collections::BTreeMap;

use cluster::Timestamp;
use quorum::{Guarantee, Key, Value, Version};

/// One request to one key.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) key: Key,
    /// What was to be written (none deletes), or nothing for a read.
    pub(crate) write: Option<Option<Value>>,
    pub(crate) start: Timestamp,
    pub(crate) end: End,
}

#[derive(Clone, Debug)]
pub(crate) enum End {
    /// It succeeded, then, with this version and, for a read, this value.
    Done { at: Timestamp, version: Version, value: Option<Value> },
    /// It had no effect.
    Without,
    /// It may have had an effect.
    Unknown,
}

/// Checks, one key at a time, what `claim` promises.
///
/// Linearizable: a read's version is at least, and a write's is greater than, that of every
/// operation complete before it began. Regular: than that of every such write. Either: a version
/// has one value, which somebody had begun to write.
pub(crate) fn check(ops: &[Op], claim: Guarantee) -> Result<(), String> {
    let mut by_key: BTreeMap<&Key, Vec<&Op>> = BTreeMap::new();
    for op in ops {
        by_key.entry(&op.key).or_default().push(op);
    }
    by_key.values().try_for_each(|ops| check_key(ops, claim))
}

fn check_key(ops: &[&Op], claim: Guarantee) -> Result<(), String> {
    check_values(ops)?;
    let reads_bind = match claim {
        Guarantee::Linearizable => true,
        Guarantee::Regular => false,
        Guarantee::Convergent => return Ok(()),
    };
    for op in ops {
        let End::Done { version, .. } = &op.end else { continue };
        for before in ops {
            let End::Done { at, version: seen, .. } = &before.end else { continue };
            if *at >= op.start || (before.write.is_none() && !reads_bind) {
                continue;
            }
            // A read may see again what was seen; a write comes after all that was complete.
            let goes_back = if op.write.is_some() { seen >= version } else { seen > version };
            if goes_back {
                return Err(format!("{before:?}\n  was complete, and then came\n{op:?}"));
            }
        }
    }
    Ok(())
}

/// A version has one value, which somebody had begun to write before anybody read it.
fn check_values(ops: &[&Op]) -> Result<(), String> {
    let mut values: BTreeMap<Version, &Option<Value>> = BTreeMap::from([(Version::ZERO, &None)]);
    for op in ops {
        let End::Done { at, version, value } = &op.end else { continue };
        let value = op.write.as_ref().unwrap_or(value);
        let first = values.entry(*version).or_insert(value);
        if *first != value {
            return Err(format!("{version:?} is {first:?} and {value:?}: {op:?}"));
        }
        let wrote = |other: &&&Op| {
            let may_have = !matches!(other.end, End::Without);
            other.write.as_ref() == Some(value) && other.start <= *at && may_have
        };
        if !version.is_zero() && !ops.iter().any(|other| wrote(&other)) {
            return Err(format!("nobody can have written what was read: {op:?}"));
        }
    }
    Ok(())
}
