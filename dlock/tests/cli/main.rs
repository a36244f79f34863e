//! The binary `dlock`, as its users meet it: real processes.

#[path = "../../../cluster/tests/support/dev.rs"]
mod dev;

use std::process::Stdio;
use std::time::{Duration, Instant};

use dev::Dev;
use dev::wait::eventually;

const DLOCK: &str = env!("CARGO_BIN_EXE_dlock");

/// The command is shown its token, which grows, and `dlock` ends as it does.
#[test]
fn a_command_runs_under_a_lock_with_a_token() {
    let dev = Dev::start(DLOCK, 10_000);
    let show = ["sky", "--", "sh", "-c", "echo $DLOCK_RESOURCE $DLOCK_TOKEN; exit 3"];
    let token = || {
        let (code, said) = dev.said("lock", &show);
        assert_eq!(code, Some(3), "{said}");
        let token = said.trim().strip_prefix("sky ").and_then(|it| it.parse::<u64>().ok());
        token.unwrap_or_else(|| panic!("a token in {said:?}"))
    };
    let first = token();
    assert!(token() > first);
    let (_, held) = dev.said("locks", &[]);
    assert_eq!(held.lines().count(), 1, "none is left: {held}");
}

/// Two commands under one lock do not run at once; whoever does not wait is told who holds it.
#[test]
fn one_at_a_time_holds_a_lock() {
    let dev = Dev::start(DLOCK, 10_100);
    let mut holder = dev.command("lock", &["--owner", "first", "sky", "--", "cat"]);
    let mut holder = holder.stdin(Stdio::piped()).spawn().expect("it starts");
    eventually("it is not locked", || dev.said("locks", &[]).1.contains("first").then_some(()));
    let (code, said) = dev.said("lock", &["--wait", "50ms", "sky", "--", "true"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("cannot lock sky"), "{said}");
    // Its input ends, and so does the command, and the lock.
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    assert_eq!(dev.said("lock", &["--wait", "50ms", "sky", "--", "true"]).0, Some(0));
}

/// It is renewed as long as the command runs, for much longer than it lasts by itself; and when its
/// cluster is gone, the command is ended if that was wished.
#[test]
fn a_lock_is_kept_while_the_command_runs_and_ends_it_when_lost() {
    let mut dev = Dev::start(DLOCK, 10_200);
    let words = ["--ttl", "1s", "--timeout", "1s", "--end-when-lost", "sky", "--", "cat"];
    let mut command = dev.command("lock", &words);
    let mut holder = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let renewed = || {
        let since = Instant::now();
        eventually("it is not locked", || dev.said("locks", &[]).1.contains("sky").then_some(()));
        eventually("it does not last", || {
            let (_, held) = dev.said("locks", &[]);
            assert!(held.contains("sky"), "it was lost after {:?}", since.elapsed());
            (since.elapsed() > Duration::from_secs(3)).then_some(())
        });
    };
    renewed();
    dev.child.kill().expect("it runs");
    let ended = eventually("it does not end", || holder.try_wait().expect("a child"));
    assert_eq!(ended.code(), Some(76));
}
