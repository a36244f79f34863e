//! A map of strings.

use std::collections::HashMap;
use std::sync::Arc;

use crate::linear::outlook::Origins;
use crate::linear::{Model, Outlook, Text};

/// A string for each key, at first empty.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kv;

/// What was done to one key of a map, and seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KvOp {
    /// Which key.
    pub key: Arc<str>,
    /// What.
    pub action: KvAction,
}

/// What was done to a string, and seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum KvAction {
    /// A get that saw this.
    Get(Text),
    /// It is this from then on.
    Put(Text),
    /// This is added to its end.
    Append(Arc<str>),
}

impl Model for Kv {
    type State = Text;
    type Op = KvOp;
    type Key = Arc<str>;

    fn key(&self, op: &KvOp) -> Arc<str> {
        Arc::clone(&op.key)
    }

    fn init(&self) -> Text {
        Text::default()
    }

    fn step(&self, state: &Text, op: &KvOp) -> Option<Text> {
        match &op.action {
            KvAction::Get(seen) => (seen == state).then(|| state.clone()),
            KvAction::Put(text) => Some(text.clone()),
            KvAction::Append(piece) => Some(state.append(piece)),
        }
    }

    fn observes(&self, op: &KvOp) -> bool {
        match &op.action {
            KvAction::Get(_) => true,
            KvAction::Append(piece) => piece.is_empty(),
            KvAction::Put(_) => false,
        }
    }

    fn outlook(&self) -> Option<&dyn Outlook<Text, KvOp>> {
        Some(self)
    }

    fn describe(&self, op: &KvOp) -> String {
        match &op.action {
            KvAction::Get(seen) => format!("get → {}", shorten(&seen.to_string())),
            KvAction::Put(text) => format!("put {}", shorten(&text.to_string())),
            KvAction::Append(piece) => format!("append {}", shorten(piece)),
        }
    }

    fn describe_state(&self, state: &Text) -> String {
        shorten(&state.to_string())
    }
}

impl Outlook<Text, KvOp> for Kv {
    fn forgets(&self, op: &KvOp) -> bool {
        match op.action {
            KvAction::Put(_) => true,
            KvAction::Get(_) | KvAction::Append(_) => false,
        }
    }

    fn rules_out(&self, state: &Text, op: &KvOp) -> bool {
        match &op.action {
            KvAction::Get(seen) => !seen.starts_with(state),
            KvAction::Put(_) | KvAction::Append(_) => false,
        }
    }

    fn origins(&self, changes: &[(u32, &KvOp)]) -> Box<dyn Origins<KvOp>> {
        let mut pieces = Pieces::default();
        for &(number, op) in changes {
            match &op.action {
                KvAction::Put(text) => {
                    pieces.puts.insert(text.to_string().into_bytes().into(), number);
                }
                KvAction::Append(piece) => pieces.appends.insert(piece.as_bytes().into(), number),
                KvAction::Get(_) => {}
            }
        }
        Box::new(pieces)
    }
}

/// What was written, to tell from a string who made it.
#[derive(Default)]
struct Pieces {
    puts: Dictionary,
    appends: Dictionary,
}

/// Strings, and who wrote each; nobody if several did.
#[derive(Default)]
struct Dictionary {
    writers: HashMap<Box<[u8]>, Option<u32>>,
    lengths: Vec<usize>,
}

impl Dictionary {
    fn insert(&mut self, piece: Box<[u8]>, writer: u32) {
        if let Err(place) = self.lengths.binary_search(&piece.len()) {
            self.lengths.insert(place, piece.len());
        }
        self.writers.entry(piece).and_modify(|writer| *writer = None).or_insert(Some(writer));
    }

    /// Every string that `text` begins with: its writer, and its length.
    fn begins<'s>(&'s self, text: &'s [u8]) -> impl Iterator<Item = (Option<u32>, usize)> + 's {
        let fitting = self.lengths.iter().filter_map(|&len| Some((text.get(..len)?, len)));
        fitting.filter_map(|(start, len)| Some((*self.writers.get(start)?, len)))
    }
}

impl Origins<KvOp> for Pieces {
    fn of(&self, op: &KvOp) -> Option<Vec<u32>> {
        let KvAction::Get(seen) = &op.action else { return None };
        let text = seen.to_string();
        let mut rest = text.as_bytes();
        let mut writers = Vec::new();
        let mut put = self.puts.begins(rest);
        if let Some((writer, len)) = put.next() {
            // Nothing else may be at the begin of it: no other put, and no append to the empty string.
            if put.next().is_some() || rest.is_empty() || self.appends.begins(rest).next().is_some()
            {
                return None;
            }
            writers.push(writer?);
            rest = &rest[len..];
        }
        while !rest.is_empty() {
            let mut piece = self.appends.begins(rest);
            let (writer, len) = piece.next()?;
            if piece.next().is_some() {
                return None;
            }
            writers.push(writer?);
            rest = &rest[len..];
        }
        Some(writers)
    }
}

/// The most characters of a string that are shown; of a longer one, its end.
const SHOWN: usize = 60;

fn shorten(text: &str) -> String {
    match text.char_indices().rev().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((at, last)) => {
            let from = at + last.len_utf8();
            format!("(… {from} bytes …){:?}", &text[from..])
        }
    }
}
