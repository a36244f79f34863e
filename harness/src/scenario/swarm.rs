//! Mixtures of faults: each seed draws its own subset, rates and sizes.

use std::time::Duration;

use cluster::{DiskFault, LinkFault};

use crate::implementation::World;
use crate::moves::{Move, Split, Whom};

use super::Plan;

/// Several faults at once, within what a minority's loss allows for most of the time.
pub(super) fn draw(plan: &mut Plan<'_>) {
    if plan.rng.chance(500_000) {
        let bad = LinkFault {
            loss_ppm: plan.rng.below(200_000) as u32,
            duplicate_ppm: plan.rng.below(100_000) as u32,
            delay_ppm: plan.rng.below(200_000) as u32,
            delay_max: plan.millis(1..=150),
        };
        plan.links(bad);
    }
    // A process reads the clock of the system.
    if plan.rng.chance(300_000) && plan.world != World::Net {
        let jump_max = Duration::from_secs(1);
        plan.at(15, Move::SkewClocks { drift_ppm_max: 40_000, jump_max });
    }
    if plan.world == World::Sim && plan.rng.chance(400_000) {
        let slow = plan.millis(0..=50);
        let torn = plan.rng.chance(500_000);
        let disk = DiskFault { slow, torn, ..DiskFault::default() };
        plan.at(12, Move::Disk { whom: Whom::All, disk });
    }
    mixture(plan, &[15, 30, 45, 60, 75, 90]);
    // Whatever else was drawn, two leaders fall.
    plan.at(20, Move::Crash(Whom::Leader));
    plan.at(50, Move::Restart(Whom::All));
    plan.at(65, Move::Pause(Whom::Leader));
    plan.at(80, Move::Resume(Whom::All));
}

/// Any fault at each of `percents`, out of the kinds that this seed draws first.
pub(super) fn mixture(plan: &mut Plan<'_>, percents: &[u32]) {
    let mut kinds = kinds(plan);
    plan.rng.shuffle(&mut kinds);
    let count = 3 + plan.rng.index(kinds.len() - 2);
    kinds.truncate(count);
    for &percent in percents {
        let what = match plan.rng.below(10) {
            0 => Move::Restart(Whom::All),
            1 => Move::Resume(Whom::All),
            2 => Move::Heal,
            _ => kinds[plan.rng.index(kinds.len())].clone(),
        };
        plan.at(percent, what);
    }
}

fn kinds(plan: &mut Plan<'_>) -> Vec<Move> {
    let mut kinds = vec![
        Move::Crash(Whom::Leader),
        Move::Crash(Whom::Any(1)),
        Move::Pause(Whom::Leader),
        Move::Pause(Whom::Any(1)),
        Move::PowerLoss,
        Move::Split(Split::LeaderAnd(plan.minority() / 2)),
        Move::Split(Split::Followers(plan.minority())),
        Move::Split(Split::Halves),
        Move::Split(Split::Ring),
        Move::Split(Split::Bridge),
        Move::Split(Split::Chain),
        Move::Split(Split::Pair),
        Move::Split(Split::LeaderDeaf),
        Move::Split(Split::LeaderMute),
        Move::CrashClient { holding: false },
        Move::PauseClient { holding: false, pause: plan.millis(50..=1_000) },
    ];
    if plan.world == World::Sim {
        let disk = DiskFault::default();
        kinds.extend([
            Move::CrashAfter { whom: Whom::Leader, effects: plan.rng.below(24) as u32 },
            Move::CrashAfter { whom: Whom::Any(1), effects: plan.rng.below(24) as u32 },
            Move::Disk { whom: Whom::Leader, disk: DiskFault { stalled: true, ..disk } },
            Move::Disk { whom: Whom::Any(1), disk: DiskFault { full: true, ..disk } },
            Move::Disk {
                whom: Whom::Leader,
                disk: DiskFault { slow: plan.millis(10..=200), ..disk },
            },
            Move::Disk { whom: Whom::All, disk },
        ]);
    }
    kinds
}
