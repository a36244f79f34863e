//! Configurations that make no sense are refused before anything starts.

use std::time::Duration;

use bully::{Bully, Config, Mode};
use cluster::sim::{Options, Sim};
use cluster::{Members, Node};

use crate::support::millis;

#[track_caller]
fn check(config: Config, field: &str, value: &str) {
    let members = Members::first(3).unwrap();
    let fault = Bully::validate(&config, &members).unwrap_err();
    assert_eq!((fault.field, fault.value.as_str()), (field, value));
    assert!(!fault.expected.is_empty());
    assert!(Sim::<Bully>::new(config, members, Options::seeded(0)).is_err());
}

#[test]
fn each_field_is_checked_and_named() {
    let config = Config::default;
    check(config().with_heartbeat(Duration::ZERO), "heartbeat", "0ns");
    check(config().with_heartbeat(millis(150)), "heartbeat", "150ms");
    check(config().with_timeout(Duration::ZERO), "timeout", "0ns");
    check(config().with_timeout(Duration::MAX), "timeout", &format!("{:?}", Duration::MAX));
    check(config().with_answer_wait(Duration::ZERO), "answer_wait", "0ns");
    check(config().with_answer_wait(millis(301)), "answer_wait", "301ms");
    check(config().with_settle(millis(30_001)), "settle", "30.001s");
    check(config().with_drift_ppm_max(500_000), "drift_ppm_max", "500000");
    check(config().with_drift_ppm_max(u32::MAX), "drift_ppm_max", "4294967295");
}

#[test]
fn the_defaults_and_the_borders_are_accepted() {
    let members = Members::first(5).unwrap();
    for config in [
        Config::default(),
        Config::textbook(),
        Config::default().with_settle(Duration::ZERO).with_answer_wait(millis(300)),
        Config::default().with_drift_ppm_max(499_999).with_heartbeat(millis(1)),
        Config::default().with_drift_ppm_max(0).with_heartbeat(millis(149)),
    ] {
        assert_eq!(Bully::validate(&config, &members), Ok(()));
    }
    assert_eq!(Config::default().mode(), Mode::Guarded);
    assert_eq!(Config::textbook().mode(), Mode::Textbook);
}

#[test]
fn no_lease_outlives_the_bonds_that_it_rests_on() {
    for drift_ppm in [0, 1, 200, 50_000, 100_000, 499_999] {
        let config = Config::default().with_drift_ppm_max(drift_ppm);
        let drift = f64::from(drift_ppm) / 1e6;
        let lease = config.lease().as_secs_f64() / (1.0 - drift);
        let bond = config.timeout().as_secs_f64() / (1.0 + drift);
        assert!(lease < bond, "{drift_ppm}: {lease} {bond}");
        assert!(bond - lease < 3e-6, "{drift_ppm}: wasteful");
    }
}
