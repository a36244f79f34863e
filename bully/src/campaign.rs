//! What a candidate is up to.

use cluster::{Epoch, Members, NodeId, PersistCount, Timestamp};

use crate::lease::Lease;
use crate::message::{Round, View};

/// One attempt to become leader.
///
/// ```text
///            ┌── nobody higher, or no answer ──────────────┐
///  Asking ───┤                                             ▼        majority      majority
///            └── answer ─▶ Deferring ── no Coordinator ─▶ Canvassing ──────▶ Balloting ──────▶ leads
///                              │                               └▶ Challenging ─▶┘
///                              └── Coordinator ─▶ follows        (a lower leader, who lets go)
/// ```
/// In textbook mode the road is shorter: silence in `Asking` is victory, silence in `Deferring`
/// starts again.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) purpose: Purpose,
    pub(crate) stage: Stage,
    /// When the stage is over, for better or worse.
    pub(crate) until: Timestamp,
    /// Names the current stage in what is sent and in the replies to it.
    pub(crate) round: Round,
    /// When to say it again, to those who have not replied.
    pub(crate) again_at: Timestamp,
}

/// Why a node stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Purpose {
    /// Nobody leads, as far as it knows.
    Succeed,
    /// A lower node leads; it is followed as long as it does.
    Challenge { leader: NodeId, epoch: Epoch },
}

/// How far a campaign has come.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Has asked the higher nodes whether they live.
    Asking,
    /// A higher node lives, and is given time.
    Deferring,
    /// Asks everybody for a view.
    Canvassing(Tally),
    /// Has asked the lower leader to let go.
    Challenging,
    /// Asks everybody for an epoch.
    Balloting(Box<Ballot>),
}

/// The views that came in.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Tally(Vec<Option<View>>);

/// An epoch asked for, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    pub(crate) epoch: Epoch,
    /// Grants are words for rounds, like acknowledgements: they make the first lease.
    pub(crate) lease: Lease,
    /// When this much is durable, so is the candidate's own promise.
    pub(crate) own_promise: PersistCount,
    /// For each member, whether it has promised this epoch to another.
    pub(crate) lost: Vec<bool>,
    /// The epoch that the old leader has let go, for voters who have not heard.
    pub(crate) released: Option<Epoch>,
}

impl Tally {
    pub(crate) fn new(members: &Members) -> Self {
        Self(vec![None; members.count()])
    }

    /// Notes what member number `voter` said last.
    pub(crate) fn note(&mut self, voter: usize, view: View) {
        self.0[voter] = Some(view);
    }

    /// What member number `voter` said last, if it said anything.
    pub(crate) fn view(&self, voter: usize) -> Option<View> {
        self.0[voter]
    }

    /// How many would vote for the asker.
    pub(crate) fn free(&self) -> usize {
        self.count(|view| match view {
            View::Free => true,
            View::Prefers | View::Bound { .. } | View::Booted | View::Leads { .. } => false,
        })
    }

    /// How many would vote for the asker once `leader` lets `epoch` go.
    pub(crate) fn free_after(&self, leader: NodeId, epoch: Epoch) -> usize {
        self.count(|view| match view {
            View::Free => true,
            View::Bound { to, epoch: bound } => to == leader && bound == epoch,
            View::Leads { epoch: led } => led == epoch,
            View::Prefers | View::Booted => false,
        })
    }

    fn count(&self, mut counts: impl FnMut(View) -> bool) -> usize {
        self.0.iter().flatten().filter(|&&view| counts(view)).count()
    }
}
