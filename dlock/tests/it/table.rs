//! The table by hand: transcripts of commands and of what came of them.
//!
//! A line is `@time command -> outcome; change; change`. Times and spans are milliseconds.

use std::fmt::Write as _;
use std::time::Duration;

use dlock::{
    Action, AttemptId, Change, Command, Config, Error, FencingToken, LockTable, LogTime, Outcome,
    Output, Reply, WaitEnd,
};

/// Plays the commands of `transcript` on an empty table, and compares what comes of them.
#[track_caller]
fn check(transcript: &str) {
    check_with(Config::default(), transcript);
}

#[track_caller]
fn check_with(config: Config, transcript: &str) {
    let mut table = config.table();
    let mut expected = String::new();
    let mut found = String::new();
    for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, outcome) = line.split_once("->").expect("a line has an arrow");
        let (command, outcome) = (command.trim(), outcome.trim());
        writeln!(expected, "{command} -> {outcome}").unwrap();
        let output = table.apply_command(&parse(command));
        writeln!(found, "{command} -> {}", print(&output)).unwrap();
        table.check().unwrap_or_else(|problem| panic!("{problem}\nafter\n{found}"));
    }
    assert_eq!(found, expected, "\nfound:\n{found}\nexpected:\n{expected}");
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("a number of milliseconds"))
}

fn parse(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let at = words.next().and_then(|at| at.strip_prefix('@')).expect("@time");
    let at = LogTime::ZERO.after(millis(at));
    let verb = words.next().expect("a verb");
    let mut names = Vec::new();
    let (mut attempt, mut token, mut ttl, mut wait) = (None, None, Duration::from_millis(10), None);
    for word in words {
        if let Some(number) = word.strip_prefix('#') {
            attempt = Some(AttemptId::new(number.parse().expect("an attempt")));
        } else if let Some(number) = word.strip_prefix("f=") {
            token = Some(FencingToken::new(number.parse().expect("a token")));
        } else if let Some(span) = word.strip_prefix("ttl=") {
            ttl = millis(span);
        } else if let Some(span) = word.strip_prefix("wait=") {
            wait = Some(millis(span));
        } else {
            names.push(word);
        }
    }
    let resource = || names[0].into();
    let owner = || names[1].into();
    let action = match verb {
        "take" => {
            let attempt = attempt.expect("an attempt");
            Action::Acquire { resource: resource(), owner: owner(), attempt, ttl, wait }
        }
        "free" => {
            let token = token.expect("a token");
            Action::Release { resource: resource(), owner: owner(), token, attempt }
        }
        "renew" => {
            let token = token.expect("a token");
            Action::Renew { resource: resource(), owner: owner(), token, ttl }
        }
        "cancel" => {
            let attempt = attempt.expect("an attempt");
            Action::Cancel { resource: resource(), owner: owner(), attempt }
        }
        "tick" => Action::Tick,
        other => panic!("no verb {other}"),
    };
    Command { at, action }
}

fn print(output: &Output) -> String {
    let mut text = match &output.outcome {
        Outcome::Answer(Ok(Reply::Acquired(grant))) => {
            format!("{} x{} for {}", grant.token, grant.holds, grant.valid_for.as_millis())
        }
        Outcome::Answer(Ok(Reply::Released { remaining_holds })) => {
            format!("{remaining_holds} left")
        }
        Outcome::Answer(Ok(Reply::Renewed { renewals, valid_for })) => {
            format!("renewed {renewals} for {}", valid_for.as_millis())
        }
        Outcome::Answer(Ok(Reply::Cancelled)) => "ok".to_owned(),
        Outcome::Answer(Ok(
            other
            @ (Reply::Locked(_) | Reply::Info(_) | Reply::Locks(_) | Reply::HandedOver { .. }),
        )) => {
            panic!("a command answered {other:?}")
        }
        Outcome::Answer(Err(error)) => match error {
            Error::Held { owner, remaining } => {
                format!("held by {owner} {}", remaining.as_millis())
            }
            other => format!("{other:?}"),
        },
        Outcome::Queued(_) => "queued".to_owned(),
        Outcome::Ticked => "-".to_owned(),
    };
    for change in &output.changes {
        match change {
            Change::Granted { resource, owner, attempt, token, holds, expires_at, .. } => {
                let left = expires_at.since(output.at).as_millis();
                let n = attempt.get();
                write!(text, "; {resource} to {owner}#{n} {token} x{holds} for {left}").unwrap();
            }
            Change::WaitEnded { resource, owner, attempt, why } => {
                let why = match why {
                    WaitEnd::TimedOut => "timed out",
                    WaitEnd::Cancelled => "cancelled",
                };
                write!(text, "; {resource} {owner}#{} {why}", attempt.get()).unwrap();
            }
            Change::Expired { resource, owner, token } => {
                write!(text, "; {resource} {owner} {token} expired").unwrap();
            }
        }
    }
    text
}

#[test]
fn a_free_lock_is_taken_and_a_held_one_is_not() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @4 take r bob #1 ttl=10 -> held by ann 6
         @4 take q bob #2 ttl=10 -> f2 x1 for 10
         @5 free r ann f=1 #1 -> 0 left
         @5 take r bob #3 ttl=10 -> f3 x1 for 10",
    );
}

#[test]
fn release_asks_for_owner_and_token() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @1 free r bob f=1 -> NotHolder
         @1 free r ann f=9 -> StaleToken { current: f1 }
         @1 free q ann f=1 -> NotHolder
         @1 free r ann f=1 #7 -> NotHolder
         @2 take r bob #1 -> held by ann 8
         @2 free r ann f=1 -> 0 left
         @2 free r ann f=1 -> NotHolder",
    );
}

#[test]
fn a_stale_release_does_not_free_a_newer_lease_of_the_same_owner() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @10 take r ann #2 ttl=10 -> f2 x1 for 10; r ann f1 expired
         @11 free r ann f=1 #1 -> StaleToken { current: f2 }
         @11 free r ann f=2 #2 -> 0 left",
    );
}

#[test]
fn a_lease_ends_by_the_stamp_of_any_command() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @9 tick -> -
         @10 take q bob #1 -> f2 x1 for 10; r ann f1 expired
         @10 take r bob #2 -> f3 x1 for 10",
    );
}

#[test]
fn time_does_not_go_back() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @10 tick -> -; r ann f1 expired
         @3 take r ann #2 ttl=10 -> f2 x1 for 17
         @19 take r bob #1 -> held by ann 1",
    );
}

#[test]
fn renewal_extends_and_counts_and_never_shortens() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @8 renew r ann f=1 ttl=10 -> renewed 1 for 10
         @9 renew r ann f=1 ttl=2 -> renewed 2 for 9
         @10 renew r ann f=2 -> StaleToken { current: f1 }
         @10 renew r bob f=1 -> NotHolder
         @17 tick -> -
         @18 tick -> -; r ann f1 expired",
    );
}

#[test]
fn renewal_after_expiry_is_refused() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @10 renew r ann f=1 ttl=10 -> NotHolder; r ann f1 expired
         @11 take r bob #1 -> f2 x1 for 10
         @12 renew r ann f=1 -> NotHolder",
    );
}

#[test]
fn waiters_are_served_in_order_on_release_and_expiry() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @1 take r bob #1 ttl=10 wait=100 -> queued
         @2 take r cat #1 ttl=10 wait=100 -> queued
         @3 take r dan #1 ttl=10 wait=100 -> queued
         @4 free r ann f=1 -> 0 left; r to bob#1 f2 x1 for 10
         @5 take r ann #2 -> held by bob 9
         @14 tick -> -; r bob f2 expired; r to cat#1 f3 x1 for 10
         @15 cancel r cat #1 -> ok; r to dan#1 f4 x1 for 10",
    );
}

#[test]
fn a_wait_ends_at_its_deadline_and_its_attempt_never_holds() {
    check(
        "@0 take r ann #1 ttl=100 -> f1 x1 for 100
         @1 take r bob #1 wait=10 -> queued
         @2 take r cat #1 wait=100 -> queued
         @11 tick -> -; r bob#1 timed out
         @12 free r ann f=1 -> 0 left; r to cat#1 f2 x1 for 10
         @13 free r cat f=2 -> 0 left
         @14 take r bob #1 wait=10 -> WaitTimedOut
         @14 take r bob #2 wait=10 -> f3 x1 for 10",
    );
}

#[test]
fn who_has_gone_is_not_served_even_if_the_lease_ended_first() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @1 take r bob #1 wait=19 -> queued
         @2 take r cat #1 ttl=10 wait=100 -> queued
         @25 tick -> -; r bob#1 timed out; r ann f1 expired; r to cat#1 f2 x1 for 10",
    );
}

#[test]
fn a_zero_wait_does_not_queue() {
    check(
        "@0 take r ann #1 -> f1 x1 for 10
         @1 take r bob #1 wait=0 -> WaitTimedOut
         @2 free r ann f=1 -> 0 left
         @2 take r bob #2 wait=0 -> f2 x1 for 10",
    );
}

#[test]
fn reentry_counts_keeps_the_token_and_extends() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @5 take r ann #2 ttl=10 -> f1 x2 for 10
         @6 take r ann #3 ttl=2 -> f1 x3 for 9
         @7 free r ann f=1 #2 -> 2 left
         @7 free r ann f=1 #2 -> NotHolder
         @8 take r bob #1 -> held by ann 7
         @8 free r ann f=1 -> 1 left
         @8 free r ann f=1 #1 -> 0 left
         @9 take r bob #2 -> f2 x1 for 10",
    );
}

#[test]
fn a_retry_gets_what_the_first_sending_got() {
    check(
        "@0 take r ann #1 ttl=10 -> f1 x1 for 10
         @3 take r ann #1 ttl=10 -> f1 x1 for 7
         @4 take r ann #2 ttl=10 -> f1 x2 for 10
         @5 take r ann #1 ttl=50 -> f1 x1 for 9
         @6 take r bob #1 wait=50 -> queued
         @6 take r cat #1 wait=50 -> queued
         @7 take r bob #1 wait=90 -> queued
         @8 free r ann f=1 #1 -> 1 left
         @8 free r ann f=1 #2 -> 0 left; r to bob#1 f2 x1 for 10
         @9 take r bob #1 wait=50 -> f2 x1 for 9
         @10 free r bob f=2 #1 -> 0 left; r to cat#1 f3 x1 for 10",
    );
}

#[test]
fn an_owners_other_waiters_come_in_with_the_first() {
    check(
        "@0 take r ann #1 -> f1 x1 for 10
         @1 take r bob #1 ttl=10 wait=50 -> queued
         @1 take r cat #1 ttl=10 wait=50 -> queued
         @1 take r bob #2 ttl=20 wait=50 -> queued
         @2 free r ann f=1 -> 0 left; r to bob#1 f2 x1 for 10; r to bob#2 f2 x2 for 20
         @3 free r bob f=2 #1 -> 1 left
         @3 free r bob f=2 #2 -> 0 left; r to cat#1 f3 x1 for 10",
    );
}

#[test]
fn a_cancelled_attempt_holds_nothing_before_or_after() {
    check(
        "@0 take r ann #1 -> f1 x1 for 10
         @1 take r bob #1 wait=50 -> queued
         @2 cancel r bob #1 -> ok; r bob#1 cancelled
         @2 cancel r bob #1 -> ok
         @3 free r ann f=1 -> 0 left
         @4 take r bob #1 wait=50 -> Cancelled
         @4 cancel r cat #1 -> ok
         @5 take r cat #1 -> Cancelled
         @6 take r cat #2 -> f2 x1 for 10
         @7 cancel r bob #2 -> ok
         @7 cancel r cat #2 -> ok
         @7 take r ann #2 -> f3 x1 for 10",
    );
}

#[test]
fn queues_and_holds_are_bounded() {
    check_with(
        Config::default().with_waiters_max(1).with_holds_max(2),
        "@0 take r ann #1 -> f1 x1 for 10
         @0 take r bob #1 wait=50 -> queued
         @0 take r cat #1 wait=50 -> QueueFull { waiters_max: 1 }
         @0 take r bob #1 wait=50 -> queued
         @1 take r ann #2 -> f1 x2 for 10
         @1 take r ann #3 -> TooManyHolds { holds_max: 2 }",
    );
}

#[test]
fn absurd_commands_do_no_harm() {
    check(
        "@0 take r ann #1 ttl=0 -> f1 x1 for 0
         @0 take r ann #2 ttl=18446744073709551615 wait=18446744073709551615 -> f1 x2 for 18446744073709
         @1 free r ann f=18446744073709551615 -> StaleToken { current: f1 }
         @1 renew q ann f=0 -> NotHolder
         @18446744073709 tick -> -
         @18446744073710 tick -> -; r ann f1 expired",
    );
}

#[test]
fn the_memory_of_ended_attempts_is_bounded() {
    let mut table = Config::default().table();
    let take = |number, wait| Action::Acquire {
        resource: "r".into(),
        owner: "bob".into(),
        attempt: AttemptId::new(number),
        ttl: Duration::from_millis(10),
        wait,
    };
    let mut apply = |action| table.apply_command(&Command { at: LogTime::ZERO, action }).outcome;
    let cancel = |number| Action::Cancel {
        resource: "r".into(),
        owner: "bob".into(),
        attempt: AttemptId::new(number),
    };
    let count = LockTable::ENDED_MAX as u64;
    for number in 0..=count {
        apply(cancel(number));
    }
    assert_eq!(apply(take(1, None)), Outcome::Answer(Err(Error::Cancelled)));
    assert_eq!(apply(take(count, None)), Outcome::Answer(Err(Error::Cancelled)));
    let forgotten = apply(take(0, None));
    assert!(matches!(forgotten, Outcome::Answer(Ok(Reply::Acquired(_)))), "{forgotten:?}");
}
