//! Traces for ShiViz (<https://bestchai.bitbucket.io/shiviz/>): who could have known what when, by
//! vector clocks (Fidge 1988, Mattern 1989).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cluster::NodeId;
use cluster::sim::{Handled, MessageNumber, TraceEvent, Traced};

/// The regular expression that ShiViz parses [`shiviz`]'s output with: its own default. An event on
/// one line, its host and clock on the next.
pub const SHIVIZ_PARSER: &str = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})";

/// `trace` as a log for ShiViz: its first lines say how to read it, and are passed over by the
/// regular expression; then each event takes two lines.
///
/// A host is a node. Its clock counts its own events, one by one; a message carries its sender's
/// clock, and what hears it takes the greater of both for every node. A clock outlives its process:
/// who boots again goes on counting.
pub fn shiviz(trace: &[TraceEvent]) -> String {
    let mut text = format!("# ShiViz log. Parser (the default): {SHIVIZ_PARSER}\n\n");
    let mut clocks: BTreeMap<NodeId, Clock> = BTreeMap::new();
    let mut sent: BTreeMap<MessageNumber, Clock> = BTreeMap::new();
    for TraceEvent { at, what } in trace {
        let (node, words) = match what {
            Traced::Booted { node } | Traced::Refused { node, .. } | Traced::Died { node } => {
                (*node, what.to_string())
            }
            Traced::Handled { node, input, text: _ } => {
                if let Handled::Message { message, from: _ } = input
                    && let Some(carried) = sent.get(message)
                {
                    let own = clocks.entry(*node).or_default();
                    for (&other, &count) in carried {
                        let known = own.entry(other).or_insert(0);
                        *known = count.max(*known);
                    }
                }
                (*node, what.to_string())
            }
            Traced::Sent { from, .. } => (*from, what.to_string()),
            Traced::State { .. }
            | Traced::Persisted { .. }
            | Traced::Synced { .. }
            | Traced::Fault { .. }
            | Traced::Answered { .. } => continue,
        };
        let clock = clocks.entry(node).or_default();
        *clock.entry(node).or_insert(0) += 1;
        if let Traced::Sent { message, .. } = what {
            sent.insert(*message, clock.clone());
        }
        let counts: Vec<String> =
            clock.iter().map(|(node, count)| format!("\"{node}\":{count}")).collect();
        let words = words.replace(['\n', '\r'], " ");
        let _ = writeln!(text, "{at:?} {words}\n{node} {{{}}}", counts.join(","));
    }
    text
}

/// How many events of each node are known of.
type Clock = BTreeMap<NodeId, u64>;
