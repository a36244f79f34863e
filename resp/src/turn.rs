//! What clients have asked at the same time.

use std::iter::Peekable;

use crate::{Command, Reply};

/// What one client has asked, and not been answered.
#[derive(Debug, Default)]
pub struct Turn<S> {
    /// What is kept for its connection.
    pub session: S,
    /// What it asks, in this order; one command at least when a store is handed it.
    pub commands: Vec<Command>,
    /// What it is answered: for each command one. Empty when a store is handed it.
    pub replies: Vec<Reply>,
}

/// Carries out `turns` by runs of writes, and runs of reads, of all clients together: for a store to which
/// one client is as another. No run but of one command is of [more bytes](Command::bytes) than
/// `bytes_max`. Each client's commands stay in their order.
///
/// A run goes to `carry_out`, which adds a reply for each of its commands, in their order.
///
/// ```
/// use resp::{Command, Reply, Turn, together};
///
/// let turn = |key: &[u8]| Turn { commands: vec![Command::Get(key.to_vec())], ..Turn::<()>::default() };
/// let (mut one, mut two) = (turn(b"a"), turn(b"b"));
/// together(&mut [&mut one, &mut two], 1024, |run, replies| {
///     assert_eq!(run.len(), 2);
///     replies.extend([Reply::Integer(1), Reply::Integer(2)]);
/// });
/// assert_eq!(two.replies, [Reply::Integer(2)]);
/// ```
pub fn together<S>(
    turns: &mut [&mut Turn<S>],
    bytes_max: usize,
    mut carry_out: impl FnMut(Vec<Command>, &mut Vec<Reply>),
) {
    let mut left: Vec<Peekable<_>> = turns
        .iter_mut()
        .map(|turn| std::mem::take(&mut turn.commands).into_iter().peekable())
        .collect();
    let mut reads = false;
    while left.iter_mut().any(|commands| commands.peek().is_some()) {
        let mut run = Run::new(bytes_max);
        for (place, commands) in left.iter_mut().enumerate() {
            let fits = |run: &Run, next: &Command| next.reads() == reads && run.takes(next);
            while let Some(command) = commands.next_if(|it| fits(&run, it)) {
                run.add(place, command);
            }
        }
        // Once there is no more of the one kind at hand, it is the other's turn.
        if run.commands.is_empty() {
            reads = !reads;
            continue;
        }
        let mut replies = Vec::with_capacity(run.commands.len());
        carry_out(run.commands, &mut replies);
        replies.resize_with(run.askers.len(), missing);
        for (place, reply) in run.askers.into_iter().zip(replies) {
            turns[place].replies.push(reply);
        }
    }
}

/// What is told in place of a reply that a store owes.
pub(crate) fn missing() -> Reply {
    Reply::err("no reply; it may have had an effect")
}

/// Commands of one kind, and the places of those who ask.
struct Run {
    commands: Vec<Command>,
    askers: Vec<usize>,
    bytes: usize,
    bytes_max: usize,
}

impl Run {
    fn new(bytes_max: usize) -> Self {
        Self { commands: Vec::new(), askers: Vec::new(), bytes: 0, bytes_max }
    }

    fn takes(&self, command: &Command) -> bool {
        self.commands.is_empty() || self.bytes.saturating_add(command.bytes()) <= self.bytes_max
    }

    fn add(&mut self, place: usize, command: Command) {
        self.bytes = self.bytes.saturating_add(command.bytes());
        self.commands.push(command);
        self.askers.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Condition;

    fn get(key: u8) -> Command {
        Command::Get(vec![key])
    }

    fn set(key: u8, length: usize) -> Command {
        Command::Set {
            key: vec![key],
            value: vec![0; length],
            condition: Condition::Always,
            expires_in: None,
            returns_old: false,
        }
    }

    /// The runs that these turns are carried out by, a command by its first key; each is answered with
    /// the number of its run and its key.
    fn runs(bytes_max: usize, asked: Vec<Vec<Command>>) -> (Vec<String>, Vec<Vec<Reply>>) {
        let turn = |commands| Turn { session: (), commands, replies: Vec::new() };
        let mut turns: Vec<Turn<()>> = asked.into_iter().map(turn).collect();
        let mut runs = Vec::new();
        let mut all: Vec<_> = turns.iter_mut().collect();
        together(&mut all, bytes_max, |commands, replies| {
            let keys = commands.iter().map(|command| match command {
                Command::Get(key) | Command::Set { key, .. } => char::from(key[0]),
                _ => '?',
            });
            runs.push(keys.collect::<String>());
            let reply = |key| Reply::Bytes(format!("{}{key}", runs.len()).into_bytes());
            replies.extend(runs[runs.len() - 1].chars().map(reply));
        });
        (runs, turns.into_iter().map(|turn| turn.replies).collect())
    }

    #[track_caller]
    fn check(bytes_max: usize, asked: Vec<Vec<Command>>, expected: &[&str], answers: &[&str]) {
        let (runs, replies) = runs(bytes_max, asked);
        assert_eq!(runs, expected);
        let told = |replies: Vec<Reply>| {
            let texts = replies.into_iter().map(|reply| match reply {
                Reply::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                other => panic!("{other:?}"),
            });
            texts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(replies.into_iter().map(told).collect::<Vec<_>>(), answers);
    }

    #[test]
    fn what_all_clients_ask_is_carried_out_by_few_runs() {
        let asked = vec![
            vec![set(b'a', 1), get(b'b'), set(b'c', 1)],
            vec![get(b'd')],
            vec![set(b'e', 1), set(b'f', 1)],
        ];
        check(99, asked, &["aef", "bd", "c"], &["1a 2b 3c", "2d", "1e 1f"]);
    }

    #[test]
    fn a_run_is_no_longer_than_it_may_be_unless_one_command_is() {
        let asked = vec![vec![set(b'a', 5), set(b'b', 50)], vec![set(b'c', 3), set(b'd', 5)]];
        check(10, asked, &["ac", "b", "d"], &["1a 2b", "1c 3d"]);
    }

    #[test]
    fn a_store_that_owes_a_reply_keeps_nobody_elses() {
        let (mut one, mut two) = (Turn::<()>::default(), Turn::default());
        (one.commands, two.commands) = (vec![get(b'a')], vec![get(b'b')]);
        together(&mut [&mut one, &mut two], 9, |_, replies| replies.push(Reply::Nil));
        assert_eq!((one.replies, two.replies), (vec![Reply::Nil], vec![missing()]));
    }
}
