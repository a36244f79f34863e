//! What makes the state of a node, for the search of every schedule.
//!
//! Left out, and why that loses no state:
//! - the configuration and the members: they never change;
//! - `counters` and `incarnation`: people and monitors look at them, the node does not;
//! - the generator: it is set back before every input;
//! - how long ago a moment passed that is only ever asked whether it has: once `at <= now`, the
//!   answer stays the same, and the greater of it and a later moment is the later one. The moments
//!   of a lease are kept whole, since its span is added to them;
//! - on a disk, all promises but the last: a boot takes over only that one. But that there are any
//!   is kept: who has none was never bound.
//!
//! Nodes are not interchangeable: the highest leads.

use std::hash::{Hash, Hasher};

use cluster::Rng;
use cluster::explore::{Explorable, Fingerprint, Frame};

use crate::campaign::{Ballot, Campaign, Stage};
use crate::lease::Lease;
use crate::message::Record;
use crate::promise::Voter;

use super::Bully;

impl Explorable for Bully {
    /// It decides where a life's rounds begin.
    const BOOT_SEED_MATTERS: bool = true;

    fn reseed(&mut self, seed: u64) {
        self.rng = Rng::from_seed(seed);
    }

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.voter.fingerprint(frame, into);
        self.seen.hash(into);
        self.last_round.hash(into);
        self.released.hash(into);
        into.write_u32(self.challenges_failed);
        into.write_u64(frame.behind(self.durable));
        into.write_u64(frame.until(self.stand_at));
        into.write_u64(frame.until(self.rest_until));
        into.write_u8(u8::from(self.leader.is_some()));
        if let Some(leader) = &self.leader {
            (leader.id, leader.epoch, leader.round).hash(into);
            into.write_u64(frame.until(leader.until));
            leader.challenge_at.map(|at| frame.until(at)).hash(into);
        }
        into.write_u8(u8::from(self.favour.is_some()));
        if let Some(favour) = &self.favour {
            favour.candidate.hash(into);
            into.write_u64(frame.until(favour.until));
        }
        into.write_u8(u8::from(self.campaign.is_some()));
        if let Some(campaign) = &self.campaign {
            campaign.fingerprint(frame, into);
        }
        into.write_u8(u8::from(self.reign.is_some()));
        if let Some(reign) = &self.reign {
            reign.epoch.hash(into);
            into.write_u64(frame.until(reign.heartbeat_at));
            into.write_u8(u8::from(reign.lease.is_some()));
            if let Some(lease) = &reign.lease {
                lease.fingerprint(frame, into);
            }
        }
    }

    fn fingerprint_disk(records: &[Record], _frame: &Frame<'_>, into: &mut Fingerprint) {
        records.last().hash(into);
    }
}

impl Voter {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        (self.promised(), self.promised_to()).hash(into);
        // One that has ended is still one that can be released.
        self.bond().map(|bond| (bond.to, frame.until(bond.until))).hash(into);
    }
}

impl Campaign {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.purpose.hash(into);
        self.round.hash(into);
        into.write_u64(frame.until(self.until));
        into.write_u64(frame.until(self.again_at));
        match &self.stage {
            Stage::Asking => into.write_u8(0),
            Stage::Deferring => into.write_u8(1),
            Stage::Canvassing(tally) => {
                into.write_u8(2);
                tally.hash(into);
            }
            Stage::Challenging => into.write_u8(3),
            Stage::Balloting(ballot) => {
                into.write_u8(4);
                ballot.fingerprint(frame, into);
            }
        }
    }
}

impl Ballot {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        (self.epoch, &self.lost, self.released).hash(into);
        into.write_u64(frame.behind(self.own_promise));
        self.lease.fingerprint(frame, into);
    }
}

impl Lease {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        into.write_usize(self.rounds().len());
        for &(round, at) in self.rounds() {
            round.hash(into);
            frame.span(at).hash(into);
        }
        for at in self.supports() {
            at.map(|at| frame.span(at)).hash(into);
        }
    }
}
