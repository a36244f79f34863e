//! Why a history is not linearizable.

use std::fmt;

use super::part::Part;
use super::search::{Progress, Search};
use super::{Budget, Model, Operation};

/// Why a history is not linearizable: how far an order gets, and what cannot come next.
///
/// All that was answered before the answer of [`stuck`](Explanation::stuck) can be put in order; no
/// order, of those that explain it, goes on to that answer. Operations are named by their index in
/// the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The key whose object is at fault, if the model has more than one.
    pub key: Option<String>,
    /// A longest order found.
    pub order: Vec<usize>,
    /// The operation whose answer nothing explains.
    pub stuck: usize,
    /// States that can hold where it would have to be explained; in none of them it can have had the
    /// outcome it had. All of them, if the model has no [`Outlook`](super::Outlook).
    pub states: Vec<String>,
    /// The operations that were open at that answer and are not in the order.
    pub beside: Vec<usize>,
    text: String,
}

/// How many operations or states are written out of a longer list.
const SHOWN: usize = 8;

/// Says why the operations at `indexes`, those of `key`, have no order, as `search` found.
///
/// A search that sees early that a place leads nowhere does not see which answer is the first that
/// nothing explains. Then shorter and shorter histories are searched, within the same budget; if it
/// runs out, the answer named may be a later one.
pub(super) fn explain<'a, M: Model>(
    model: &'a M,
    operations: &'a [Operation<M::Op>],
    key: &M::Key,
    indexes: &[usize],
    mut search: Search<'a, M>,
    budget: &mut Budget,
) -> Explanation {
    let (mut low, mut high) = search.suspects();
    // This order has every answered operation whose rank is below `low`.
    let mut order = search.order(&Progress::Broken);
    let sources: Vec<usize> = (0..=high).map(|rank| search.source(rank)).collect();
    while low < high {
        let middle = low.midpoint(high);
        let last = Some(sources[middle as usize]);
        let Some(part) = Part::new(model, operations, indexes, last, budget.open_max()) else {
            break;
        };
        let mut shorter = Search::new(model, operations, part);
        let progress = shorter.run(u64::MAX, 0, budget);
        match progress {
            Progress::Holds => {
                low = middle + 1;
                order = shorter.order(&progress);
            }
            Progress::Broken => {
                let (least, greatest) = shorter.suspects();
                high = greatest;
                if least > low {
                    low = least;
                    order = shorter.order(&progress);
                }
                search = shorter;
            }
            Progress::Paused | Progress::Exhausted(_) => break,
        }
    }
    let told = |state: &M::State| model.describe_state(state);
    let mut states: Vec<String> = search.states_at(high).into_iter().map(told).collect();
    let last =
        order.iter().try_fold(model.init(), |state, &it| model.step(&state, &operations[it].op));
    states.extend(last.as_ref().map(told).filter(|last| !states.contains(last)));
    let mut beside = search.beside(high);
    beside.retain(|index| !order.contains(index));
    Explanation::new(model, operations, key, order, sources[high as usize], states, beside)
}

impl Explanation {
    fn new<M: Model>(
        model: &M,
        operations: &[Operation<M::Op>],
        key: &M::Key,
        order: Vec<usize>,
        stuck: usize,
        states: Vec<String>,
        beside: Vec<usize>,
    ) -> Self {
        let key = (size_of::<M::Key>() > 0).then(|| format!("{key:?}"));
        let tell = |&index: &usize| {
            let Operation { process, op, call, ret } = &operations[index];
            let ret = ret.map_or_else(|| "no answer".to_owned(), |ret| ret.to_string());
            format!("p{process} {} [{call}–{ret}]", model.describe(op))
        };
        let place = key.as_ref().map_or_else(String::new, |key| format!(" at key {key}"));
        let mut text = format!("nothing explains {}{place}", tell(&stuck));
        let left_out = order.len().saturating_sub(SHOWN);
        let told: Vec<String> = order[left_out..].iter().map(tell).collect();
        text += &match (told.is_empty(), left_out) {
            (true, _) => "\n  nothing could be ordered before it".to_owned(),
            (false, 0) => format!("\n  the longest order: {}", told.join(" · ")),
            (false, _) => {
                format!("\n  the longest order: … {left_out} more · {}", told.join(" · "))
            }
        };
        text += &format!("\n  the state then: {}", some_of(&states, " or "));
        if !beside.is_empty() {
            let told: Vec<String> = beside.iter().map(tell).collect();
            text += &format!("\n  open then, and no help: {}", some_of(&told, " · "));
        }
        Self { key, order, stuck, states, beside, text }
    }
}

fn some_of(all: &[String], between: &str) -> String {
    let shown = all[..all.len().min(SHOWN)].join(between);
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        left_out => format!("{shown}{between}{left_out} more"),
    }
}

/// Several lines: the operation that nothing explains, the end of the longest order, the states
/// that could hold then, what else was open. Times in brackets are those of the history.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
