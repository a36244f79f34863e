//! Leaders that outlive the higher term of a node that has no vote (§4.2.3 of the thesis says what such
//! nodes may not do). They take a configuration, so that they are also run with planted bugs.

use raft::{
    Appended, Change, Config, Error, Identity, Message, Reply, Request, Response, Round, Term,
};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::membership::{change, check, led, voters};
use crate::paper::{at, request_vote};
use crate::table::{Table, n};

const EVERYONE: [u32; 5] = [1, 2, 3, 4, 5];

/// `n1` leads `n2` and `n3` in term 1; `n4`, who has no vote, is in term 9.
fn with_a_guest_ahead(config: Config<Journal>) -> Table {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    table.inject(n(5), n(4), request_vote(9, at(0, 0)));
    table.wires.clear();
    assert_eq!(table.node(n(4)).term(), Term::new(9));
    table
}

fn is_written(response: Option<&Response<Journal>>) -> bool {
    matches!(response, Some(Ok(Reply::Written { .. })))
}

/// A node that is put in with a higher term refuses the leader's appends. The leader leads on, and takes
/// nothing new; what is under way is committed and answered; then it leads in a term above that, and the
/// node follows.
pub(crate) fn nothing_under_way_is_lost(config: Config<Journal>) {
    let learner = Change::AddLearner(n(4));
    for wish in [Change::AddVoter(n(4)), learner, voters(&[1, 4, 5])] {
        let mut table = with_a_guest_ahead(config.clone());
        let write = table.write(n(1), 10);
        change(&mut table, 1, wish.clone());
        // The guest's refusal is there first; what went to the voters is lost.
        table.settle(&[1, 4]);
        assert!(table.node(n(1)).is_leader(), "{wish:?}: it was deposed");
        assert_eq!(table.node(n(1)).term(), Term::new(1));
        let refused = table.write(n(1), 11);
        let itself = Error::Transferring { to: n(1) };
        assert!(matches!(table.answer(refused), Some(Err(error)) if *error == itself));
        table.tick(n(1));
        table.settle(&EVERYONE);
        assert!(is_written(table.answer(write)), "{wish:?}: {:?}", table.answer(write));
        assert!(table.node(n(1)).is_leader(), "{wish:?}: it was not elected again");
        assert_eq!(table.node(n(1)).term(), Term::new(10));
        let again = change(&mut table, 1, wish);
        for _ in 0..3 {
            table.settle(&EVERYONE);
            table.tick(n(1));
        }
        assert!(matches!(table.answer(again), Some(Ok(Reply::Changed { .. }))));
        assert_eq!(table.node(n(4)).leader(), Some(n(1)));
        assert_eq!(table.log(4), table.log(1));
        table.assert_safe();
    }
}

#[test]
fn thesis_4_2_3_a_node_without_a_vote_deposes_nobody() {
    nothing_under_way_is_lost(plain());
    nothing_under_way_is_lost(config());
}

/// A leader that hands over does that first, and one that goes from one configuration to another; the
/// node is put in after that.
#[test]
fn what_is_under_way_comes_before_a_guests_term() {
    let mut table = with_a_guest_ahead(plain());
    change(&mut table, 1, Change::AddLearner(n(4)));
    let transfer = table.ask(n(1), Request::Transfer { to: Some(n(2)) });
    table.settle(&[1, 4]);
    assert!(table.node(n(1)).is_leader() && table.node(n(1)).term() == Term::new(1));
    table.tick(n(1));
    table.settle(&EVERYONE);
    assert!(matches!(table.answer(transfer), Some(Ok(Reply::Transferred { to })) if *to == n(2)));
    for _ in 0..2 {
        table.tick(n(2));
        table.settle(&EVERYONE);
    }
    assert!(table.node(n(2)).is_leader() && table.node(n(2)).term() == Term::new(10));
    check(&table, &[1, 2, 3, 4], "voters=(1 2 3) learners=(4)");
}

/// A leader that hears of a guest's term while its own departure is being committed goes, as if it had
/// not heard; its successor does not know of that term.
#[test]
fn a_leader_that_goes_does_not_stand_again() {
    let mut table = with_a_guest_ahead(plain());
    change(&mut table, 1, voters(&[2, 3]));
    let (term, by) = (Term::new(9), Identity::default());
    let refusal = Message::Appended { term, round: Round::ZERO, outcome: Appended::Stale, by };
    let wires = std::mem::take(&mut table.wires);
    table.inject(n(4), n(1), refusal);
    table.wires.splice(0..0, wires);
    assert_eq!(table.node(n(1)).transferring(), Some(n(1)), "it is to stand again");
    for _ in 0..2 {
        table.settle(&EVERYONE);
        table.tick(n(1));
    }
    table.settle(&EVERYONE);
    assert!(!table.node(n(1)).is_leader(), "it is out");
    let successor = [2, 3].into_iter().find(|&id| table.node(n(id)).is_leader());
    assert_eq!(successor.map(|id| table.node(n(id)).term()), Some(Term::new(2)));
    check(&table, &[1, 2, 3], "voters=(2 3)");
}
