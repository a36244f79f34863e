//! Settings that make no sense are refused, by name, with what was expected.

use cluster::{Members, Node};
use dlock::{Config, LockNode};

use crate::support::ms;

#[track_caller]
fn check(config: Config, expected: &str) {
    let members = Members::first(3).expect("three nodes");
    let found = LockNode::validate(&config, &members).map_err(|invalid| invalid.to_string());
    assert_eq!(found, Err(expected.to_owned()));
}

#[test]
fn the_defaults_are_valid() {
    let members = Members::first(1).expect("one node");
    LockNode::validate(&Config::default(), &members).expect("valid");
}

#[test]
fn a_ttl_of_zero_is_refused() {
    check(Config::default().with_ttl_min(ms(0)), "ttl_min is 0ns, expected more than zero");
    let default = Config::default().with_ttl_default(ms(0));
    check(default, "ttl_default is 0ns, expected ttl_min to ttl_max (10ms to 3600s)");
}

#[test]
fn ttls_out_of_order_are_refused() {
    let config = Config::default().with_ttl_min(ms(500)).with_ttl_max(ms(400));
    check(config, "ttl_max is 400ms, expected at least ttl_min (500ms)");
    let config = Config::default().with_ttl_max(ms(20_000));
    check(config, "ttl_default is 30s, expected ttl_min to ttl_max (10ms to 20s)");
}

#[test]
fn a_lock_that_none_may_hold_is_refused() {
    check(Config::default().with_holds_max(0), "holds_max is 0, expected 1 to 4294967295");
}

#[test]
fn the_logs_settings_are_checked_too() {
    let members = Members::first(3).expect("three nodes");
    let refused = LockNode::validate(&Config::default().with_heartbeat(ms(0)), &members);
    assert_eq!(refused.expect_err("no heartbeat").field, "heartbeat");
    let refused =
        LockNode::validate(&Config::default().with_election_timeout(ms(10)..=ms(20)), &members);
    assert_eq!(refused.expect_err("shorter than the heartbeat").field, "election_timeout");
}
