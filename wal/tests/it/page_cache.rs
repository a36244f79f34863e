//! Failed syncs, and what the page cache makes of them.

use anyhow::{Result, ensure};
use wal::{AppendError, Options, Restart, SyncError, Trouble};

use crate::check;
use crate::world::{Step, World};

#[test]
fn a_failed_sync_poisons_test() {
    check(a_failed_sync_poisons);
}

/// Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
pub(crate) fn a_failed_sync_poisons(options: Options) -> Result<()> {
    for operation in 1..=2 {
        let mut world = World::new(operation, options.clone())?;
        world.step(Step::Append(100))?;
        world.step(Step::Sync)?;
        world.step(Step::Append(100))?;
        world.directory.trouble_at(world.directory.operations() + operation, Trouble::Error);
        let wal = world.wal.as_mut().expect("it is open");
        ensure!(matches!(wal.sync(), Err(SyncError::Io { .. })), "the sync fails");
        ensure!(matches!(wal.sync(), Err(SyncError::Poisoned(_))), "it is not tried again");
        ensure!(matches!(wal.append(b"x"), Err(AppendError::Poisoned(_))), "nothing is taken");
        ensure!(matches!(wal.set_head(b"x"), Err(AppendError::Poisoned(_))), "no head is taken");
        ensure!(matches!(wal.roll_over(), Err(SyncError::Poisoned(_))), "no segment is begun");
        ensure!(wal.durable().get() == 1, "only the first is durable");
    }
    Ok(())
}

#[test]
fn what_only_the_page_cache_holds_is_written_again_test() {
    check(what_only_the_page_cache_holds_is_written_again);
}

/// After a failed sync the cache shows what the disk does not have, and takes it for clean. Who opens
/// the log then and reads it must not call it durable before it was written again.
pub(crate) fn what_only_the_page_cache_holds_is_written_again(options: Options) -> Result<()> {
    for seed in 0..20 {
        let mut world = World::new(seed, options.clone())?;
        for step in [Step::Append(100), Step::Sync, Step::Append(600), Step::Append(700)] {
            world.step(step)?;
        }
        // The write, its zeroes ahead, the sync.
        world.directory.trouble_at(world.directory.operations() + 3, Trouble::Error);
        let failed = world.step(Step::Sync).is_err();
        ensure!(failed, "the sync fails");
        world.crash(Restart::Process);
        world.open()?;
        world.crash(Restart::Power);
        world.open()?;
    }
    Ok(())
}
