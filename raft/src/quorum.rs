//! The arithmetic of majorities, as pure functions.
//!
//! What a majority has is what the middle one has, once the values are put in order. With five
//! nodes, of which three hold everything up to `i7`:
//!
//! ```text
//!     n1 ━━━━━━━━━━━━━━ i9
//!     n2 ━━━━━━━━━━━ i8
//!     n3 ━━━━━━━━━ i7   ◀── three of five have this much
//!     n4 ━━━━━━━ i5
//!     n5 i0
//! ```

/// The greatest value that a majority of the nodes reach. `reached` has one value a node (the least
/// one if nothing is known of it), in any order, and is put in order here. None if it is empty.
///
/// ```
/// assert_eq!(raft::quorum::reached_by_majority(&mut [9, 5, 8, 0, 7]), Some(7));
/// assert_eq!(raft::quorum::reached_by_majority(&mut [12, 0]), Some(0));
/// ```
pub fn reached_by_majority<T: Ord + Copy>(reached: &mut [T]) -> Option<T> {
    reached.sort_unstable_by(|a, b| b.cmp(a));
    reached.get(reached.len() / 2).copied()
}

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tally {
    /// A majority is for.
    Won,
    /// No majority can be for any more.
    Lost,
    /// It depends on those who have not answered.
    Pending,
}

/// How an election among `votes.len()` nodes stands: for, against, or not heard of. Among none it is
/// won: nobody is asked.
///
/// ```
/// use raft::quorum::{Tally, tally};
/// assert_eq!(tally(&[Some(true), Some(true), None]), Tally::Won);
/// assert_eq!(tally(&[Some(true), Some(false), None]), Tally::Pending);
/// ```
pub fn tally(votes: &[Option<bool>]) -> Tally {
    let majority = if votes.is_empty() { 0 } else { votes.len() / 2 + 1 };
    let count = |what: Option<bool>| votes.iter().filter(|&&vote| vote == what).count();
    let (yes, no) = (count(Some(true)), count(Some(false)));
    if yes >= majority {
        Tally::Won
    } else if votes.len() - no < majority {
        Tally::Lost
    } else {
        Tally::Pending
    }
}

/// The greatest value that a majority of each of two configurations reach, which is what counts
/// while one gives way to the other (§6; §4.3 of the thesis). One that is empty asks for nothing.
/// None if both are.
///
/// ```
/// assert_eq!(raft::quorum::reached_by_joint(&mut [9, 5, 8], &mut [3, 4, 5]), Some(4));
/// assert_eq!(raft::quorum::reached_by_joint(&mut [9, 5, 8], &mut []), Some(8));
/// ```
pub fn reached_by_joint<T: Ord + Copy>(old: &mut [T], new: &mut [T]) -> Option<T> {
    match (reached_by_majority(old), reached_by_majority(new)) {
        (Some(old), Some(new)) => Some(old.min(new)),
        (reached, None) | (None, reached) => reached,
    }
}

/// How an election stands that needs a majority of each of two configurations. A node that is in
/// both has its vote in both. One that is empty asks for nothing.
///
/// ```
/// use raft::quorum::{Tally, joint_tally};
/// let (old, new) = ([Some(true), Some(true), None], [Some(true), Some(false), None]);
/// assert_eq!(joint_tally(&old, &new), Tally::Pending);
/// ```
pub fn joint_tally(old: &[Option<bool>], new: &[Option<bool>]) -> Tally {
    match (tally(old), tally(new)) {
        (Tally::Won, Tally::Won) => Tally::Won,
        (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
        (Tally::Pending | Tally::Won, Tally::Pending | Tally::Won) => Tally::Pending,
    }
}
