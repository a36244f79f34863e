//! A map of strings.

use std::sync::Arc;

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
