//! Everything goes wrong at once, and the promises hold.

use std::time::Duration;

use bully::Config;
use cluster::sim::Options;
use cluster::{Cluster, Rng};

use crate::support::{Run, TIMEOUT, any_fault, calm, millis};

/// Random faults for about `faults × timeout / 2`, then peace. Returns the run when peace begins.
pub(crate) fn storm(config: Config, nodes: usize, seed: u64, faults: usize) -> Run {
    let mut rng = Rng::from_seed(seed ^ 0xC4A0_5000);
    let mut options = Options::seeded(seed);
    // Disks from instant to slower than a heartbeat, networks from near to far.
    options.sync = Duration::ZERO..=millis(*rng.pick(&[0, 1, 20, 80]).unwrap());
    options.latency = Duration::from_micros(50)..=millis(*rng.pick(&[1, 5, 20]).unwrap());
    let drift_ppm_max = i32::try_from(config.drift_ppm_max()).unwrap();
    let mut run = Run::with(config, nodes, options);
    let members = run.sim.members().to_vec();
    for _ in 0..faults {
        run.pass(rng.span(Duration::ZERO..=TIMEOUT));
        run.inject(any_fault(&mut rng, &members, drift_ppm_max));
    }
    run
}

#[track_caller]
fn check(nodes: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut run = storm(Config::default(), nodes, seed, 60);
        run.expect_safe();
        calm(&mut run);
        let (highest, peace) = (u32::try_from(nodes).unwrap(), run.sim.now());
        run.expect_agreement(highest, 1..=highest);
        // Nobody flaps in peace. The storm's last delayed messages arrive two timeouts into it.
        run.pass((TIMEOUT * 10).saturating_sub(run.sim.now().since(peace)));
        assert!(run.agree_on(highest, 1..=highest), "seed {seed}");
        let elections = run.elections();
        run.pass(TIMEOUT * 10);
        assert!(run.agree_on(highest, 1..=highest), "seed {seed}");
        assert_eq!(run.elections(), elections, "seed {seed}");
        run.expect_safe();
    }
}

#[test]
fn three_nodes_are_safe_in_any_storm_and_agree_after_it() {
    check(3, 0..600);
}

#[test]
fn five_nodes_are_safe_in_any_storm_and_agree_after_it() {
    check(5, 10_000..10_400);
}

#[test]
fn clusters_of_one_two_four_and_seven_are_safe_in_any_storm_and_agree_after_it() {
    check(1, 2_000..2_020);
    check(2, 3_000..3_080);
    check(4, 4_000..4_080);
    check(7, 5_000..5_050);
}

#[test]
fn the_same_seed_plays_the_same_storm() {
    let digest = |seed| storm(Config::default(), 5, seed, 40).sim.digest();
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}
