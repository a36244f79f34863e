//! The page of one failure: what reads without script. The script draws the rest.

use maud::{Markup, PreEscaped, html};

use super::{data, page, theme_button};
use crate::recording::{Contradiction, Ending, Finding, Operation, Placed, Recording, millis};

const STYLE: &str = include_str!("failure.css");

/// One concern a file, in the order in which they build on each other.
const SCRIPT: &str = concat!(
    "'use strict';(() => {\n",
    include_str!("js/columns.js"),
    include_str!("js/words.js"),
    include_str!("js/run.js"),
    include_str!("js/view.js"),
    include_str!("js/rows.js"),
    include_str!("js/paint.js"),
    include_str!("js/lanes.js"),
    include_str!("js/clients.js"),
    include_str!("js/marks.js"),
    include_str!("js/overview.js"),
    include_str!("js/pick.js"),
    include_str!("js/table.js"),
    include_str!("js/list.js"),
    include_str!("js/details.js"),
    include_str!("js/input.js"),
    include_str!("js/main.js"),
    "})();\n",
);

/// The page on what `recording` shows: one HTML file that needs nothing else.
pub fn failure(recording: &Recording) -> String {
    let Recording { implementation, scenario, world, seed, .. } = recording;
    let title = format!("{implementation} × {scenario} × {world}, seed {seed}");
    let body = html! {
        a.skip href="#diagram" { "Go to the diagram" }
        header.top {
            nav aria-label="Where this is" {
                a href="index.html" { "Conformance" }
                span aria-hidden="true" { " / " }
                (implementation) " / " (scenario) " / " (world) " / " strong { "seed " (seed) }
            }
            (theme_button())
        }
        main {
            (verdicts(recording))
            (replay(recording))
            (diagram(recording))
            div.columns {
                (at_cursor())
                (around_cursor())
            }
            @for finding in &recording.findings {
                @if let Some(found) = &finding.contradiction {
                    (linearization(recording, found))
                }
            }
            (schedules(recording))
            (legend())
        }
        script #data type="application/json" { (PreEscaped(data::json(recording))) }
    };
    page(&title, STYLE, &body, SCRIPT)
}

fn verdicts(recording: &Recording) -> Markup {
    html! {
        section.verdicts aria-labelledby="verdict" {
            @if let Some(first) = recording.findings.first() {
                (verdict(first))
            } @else {
                p.kind { "Nothing broke" }
                h1 #verdict { "Every guarantee that is judged here held in this run." }
            }
            @if recording.findings.len() > 1 {
                details.more {
                    summary { "Also broken in this run: " (recording.findings.len() - 1) }
                    ul {
                        @for (index, finding) in recording.findings.iter().enumerate().skip(1) {
                            li {
                                strong { (finding.guarantee) } " (" (standing(finding)) "). "
                                (finding.sentence) " "
                                @if let Some(at) = finding.at {
                                    button.link type="button" data-at=(at.as_nanos())
                                        data-finding=(index) { "Show at " (millis(at)) }
                                }
                            }
                        }
                    }
                }
            }
            p.facts {
                (capital(&recording.summary)) ". Here: "
                (recording.nodes.len()) " nodes, " (recording.messages.len()) " messages, "
                (recording.operations.len()) " operations, " (millis(recording.end)) "."
                @if let Some(healed) = recording.healed {
                    " Faults stopped for good at " (millis(healed)) "."
                }
            }
        }
    }
}

/// `text` with a capital at its begin.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn verdict(finding: &Finding) -> Markup {
    html! {
        p.kind.broken[finding.claimed] {
            span.mark aria-hidden="true" { @if finding.claimed { "✕" } @else { "◇" } }
            " " (finding.guarantee) ", " (standing(finding))
        }
        h1 #verdict { (finding.sentence) }
        @if finding.detail.contains('\n') || finding.detail.len() > finding.sentence.len() + 20 {
            details.more { summary { "In the judge’s words" } pre { (finding.detail) } }
        }
    }
}

fn standing(finding: &Finding) -> &'static str {
    if finding.claimed { "claimed and broken" } else { "not claimed, and here is why" }
}

fn replay(recording: &Recording) -> Markup {
    html! {
        section.replay aria-label="Replay" {
            code #replay { (recording.replay) }
            button.quiet #copy type="button" { "Copy" }
            span.sr #copied role="status" {}
        }
    }
}

fn diagram(recording: &Recording) -> Markup {
    let has_violation = recording.findings.iter().any(|finding| finding.at.is_some());
    html! {
        section.diagram aria-labelledby="space-time" {
            div.bar {
                h2 #space-time { "Space and time" }
                div.tools role="toolbar" aria-label="Move in time" {
                    button type="button" data-go="violation" disabled[!has_violation] {
                        "Violation"
                    }
                    button type="button" data-go="fault-before" { "‹ Fault" }
                    button type="button" data-go="fault-after" { "Fault ›" }
                    span.gap {}
                    button type="button" data-go="out" aria-label="Zoom out" { "−" }
                    button type="button" data-go="in" aria-label="Zoom in" { "+" }
                    button type="button" data-go="all" { "Whole run" }
                    button type="button" data-go="messages" aria-pressed="true" { "Messages" }
                }
                output #clock for="diagram" {}
            }
            div.stage {
                canvas #diagram tabindex="0" role="slider" aria-label="Time cursor of the space-time diagram"
                    aria-orientation="horizontal" aria-describedby="keys" {
                    "This diagram needs a browser with canvas and script."
                }
                p #tip hidden {}
            }
            canvas #overview aria-hidden="true" {}
            p.note #note aria-live="off" {}
            p.keys #keys {
                kbd { "←" } kbd { "→" } " move the cursor, "
                kbd { "Shift" } " by events, "
                kbd { "Page" } " by windows, " kbd { "Home" } kbd { "End" } ", "
                kbd { "+" } kbd { "−" } " zoom, "
                kbd { "↑" } kbd { "↓" } " choose a lane, " kbd { "Enter" } " tell what is there, "
                kbd { "V" } " violation, " kbd { "F" } " next fault. Drag to scrub, wheel to zoom, "
                kbd { "Shift" } " + drag to move."
            }
            div.sr #live role="status" aria-live="polite" {}
        }
    }
}

fn at_cursor() -> Markup {
    html! {
        section.card aria-labelledby="states" {
            h2 #states { "Nodes at " span.at { "the cursor" } }
            div.scroll tabindex="0" role="region" aria-labelledby="states" {
                table #table {}
            }
            p.hint #constant {}
            h2 #chosen-title { "Chosen" }
            div #chosen role="region" aria-labelledby="chosen-title" aria-live="polite" {
                p.hint { "Click a message or an operation, or press Enter on the diagram." }
            }
        }
    }
}

fn around_cursor() -> Markup {
    html! {
        section.card aria-labelledby="around" {
            div.bar {
                h2 #around { "Events around the cursor" }
                label.filter {
                    span.sr { "Which events" }
                    select #sorts {
                        option value="all" { "all" }
                        option value="messages" { "messages" }
                        option value="operations" { "operations" }
                        option value="nodes" { "nodes and faults" }
                    }
                }
            }
            div #list tabindex="0" role="listbox" aria-labelledby="around" {}
        }
    }
}

/// How much of a long order is shown at first.
const ORDER_SHOWN: usize = 8;

fn linearization(recording: &Recording, found: &Contradiction) -> Markup {
    html! {
        section.card.linear #linear aria-labelledby="linear-title" {
            h2 #linear-title {
                "Why there is no order"
                @if let Some(key) = &found.key { span.dim { " of the operations on register " (key) } }
            }
            div.columns {
                (contradiction(recording, found))
                (order(recording, found))
            }
        }
    }
}

fn contradiction(recording: &Recording, found: &Contradiction) -> Markup {
    html! {
        div {
            h3 { "These contradict each other" }
            p.hint {
                "Take away any one of them (a write with the reads that saw it) and the others have \
                 an order, each between its call and its return."
            }
            ol.core {
                @for (number, &index) in (1..).zip(&found.core) {
                    (core_row(number, index, &recording.operations[index], index == found.stuck))
                }
            }
            h3 { "Because" }
            ol.because { @for line in &found.because { li { (line) } } }
        }
    }
}

fn order(recording: &Recording, found: &Contradiction) -> Markup {
    let stuck = &recording.operations[found.stuck];
    let hidden = found.order.len().saturating_sub(ORDER_SHOWN);
    let row = |number: usize, placed: &Placed| {
        order_row(number, placed, &recording.operations[placed.operation], found)
    };
    html! {
        div {
            h3 { "As far as an order goes" }
            p.hint { (found.order.len()) " operations in order, and what the register holds after each." }
            @if hidden > 0 {
                details.more {
                    summary { (hidden) " earlier" }
                    ol.order { @for (index, placed) in found.order[..hidden].iter().enumerate() {
                        (row(index + 1, placed))
                    } }
                }
            }
            ol.order start=(hidden + 1) {
                @for (index, placed) in found.order[hidden..].iter().enumerate() {
                    (row(hidden + index + 1, placed))
                }
                li.stuck {
                    button.op type="button" data-operation=(found.stuck) {
                        span.step aria-hidden="true" { "✕" }
                        span.who { "p" (stuck.process) }
                        span.what { (stuck.label) }
                        span.state { "cannot follow: holds " (found.states.join(" or ")) }
                    }
                }
            }
            @if !found.beside.is_empty() {
                p.hint {
                    "Open then, and no help: "
                    @for (number, &index) in found.beside.iter().enumerate() {
                        @if number > 0 { ", " }
                        button.link type="button" data-operation=(index) {
                            "p" (recording.operations[index].process) " "
                            (recording.operations[index].label)
                        }
                    }
                }
            }
        }
    }
}

fn core_row(number: usize, index: usize, operation: &Operation, stuck: bool) -> Markup {
    html! {
        li.stuck[stuck] {
            button.op type="button" data-operation=(index) {
                span.step aria-hidden="true" { @if stuck { "✕" } @else { (number) } }
                span.who { "p" (operation.process) }
                span.what { (operation.label) @if stuck { " — nothing explains it" } }
                span.state { (millis(operation.invoked)) " – " (returned(operation)) }
            }
        }
    }
}

fn order_row(
    number: usize,
    placed: &Placed,
    operation: &Operation,
    found: &Contradiction,
) -> Markup {
    let in_core = found.core.iter().position(|&it| it == placed.operation);
    html! {
        li.core[in_core.is_some()] {
            button.op type="button" data-operation=(placed.operation) {
                span.step { (number) }
                span.who { "p" (operation.process) }
                span.what {
                    (operation.label)
                    @if let Some(place) = in_core {
                        span.badge { "contradicts, no. " (place + 1) }
                    }
                }
                span.state { "holds " (placed.state) }
            }
        }
    }
}

fn returned(operation: &Operation) -> String {
    match operation.end {
        Ending::Done | Ending::Refused => millis(operation.returned),
        Ending::Unknown => "no answer".to_owned(),
    }
}

fn schedules(recording: &Recording) -> Markup {
    let Recording { schedule, shrunk, .. } = recording;
    html! {
        @if schedule.is_some() || shrunk.is_some() {
            section.card aria-labelledby="schedules" {
                h2 #schedules { "The schedule" }
                div.columns {
                    @if let Some(text) = shrunk {
                        div {
                            h3 { "Shrunk, still failing the same way" }
                            @if let Some(page) = &recording.shrunk_page {
                                p { a href=(page) { "See the run that it makes" } }
                            }
                            pre.toml tabindex="0" { (text) }
                        }
                    }
                    @if let Some(text) = schedule {
                        div { h3 { "As it was run" } pre.toml tabindex="0" { (text) } }
                    }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        details.card.legend {
            summary { "What the marks mean" }
            dl {
                dt { "━━ ★" } dd { "a node that acts as leader, with its epoch" }
                dt { "╌╌" } dd { "a candidate" }
                dt { "──" } dd { "a follower, or a replica where there is no leader" }
                dt { "▨" } dd { "down, paused, cut off, or a bad clock, link or disk; the label says which" }
                dt { "╲" } dd { "a message, from where and when it left to where and when it arrived" }
                dt { "╲ ✕" } dd { "a message that was lost or cut, or that reached a dead host" }
                dt { "╌╲" } dd { "a message that was held back, or the second copy of one" }
                dt { "█ ▒" } dd { "an operation of a client: a write is full, a read is light, from call to return" }
                dt { "▯ ∅" } dd { "an operation that was refused" }
                dt { "█┄?" } dd { "an operation whose outcome nobody knows: it may take effect at any time" }
                dt { "① ✕" } dd { "operations that contradict each other, and the one that nothing explains" }
            }
        }
    }
}
