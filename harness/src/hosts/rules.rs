//! What the kernel is told about the links between hosts, as the text that `nft` reads.
//!
//! Everything that passes from one host to another is forwarded by the hub, so one table there rules
//! all links, and one transaction changes it. What comes from or goes to the hub itself is not
//! forwarded: clients are never touched.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use cluster::{Cuts, LinkFault};

/// The names of the hub's ends of the links to hosts begin so.
pub(super) const LINK: &str = "h";
/// The device behind which packets are held back.
pub(super) const RELAY: &str = "relay";
/// Packets with this mark are routed to the relay.
pub(super) const HELD: u32 = 1;
/// The relay's other end: where copies of packets are sent.
pub(super) const RELAY_FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
/// For so many packets that are lost, one more takes its connection with it.
const RESETS: u32 = 20;

/// The whole table, which takes the place of the one before it at once.
pub(super) fn table(hosts: &[Ipv4Addr], cuts: &Cuts, links: &LinkFault) -> String {
    let mut text = String::from("table ip links {}\ndelete table ip links\ntable ip links {\n");
    // A copy that was held back comes from the relay, and passes.
    let mut chain = |head: &str, rules: &[String]| {
        let _ = writeln!(text, "chain {head}; policy accept;");
        let _ = writeln!(text, "iifname != \"{LINK}*\" accept");
        for rule in rules {
            let _ = writeln!(text, "{rule}");
        }
        text.push_str("}\n");
    };
    chain("held { type filter hook prerouting priority mangle", &held(hosts, links));
    let mut rules = cut(hosts, cuts);
    rules.extend(lost(links));
    chain("passed { type filter hook forward priority filter", &rules);
    text.push_str("}\n");
    text
}

/// Whatever one host sends to another over a link that is cut vanishes.
fn cut(hosts: &[Ipv4Addr], cuts: &Cuts) -> Vec<String> {
    let mut rules = Vec::new();
    for (from, source) in hosts.iter().enumerate() {
        for (to, target) in hosts.iter().enumerate() {
            if cuts.is_cut(from, to) {
                rules.push(format!("ip saddr {source} ip daddr {target} drop"));
            }
        }
    }
    rules
}

/// Packets that vanish, connections that break with them, and packets that are sent twice.
fn lost(links: &LinkFault) -> Vec<String> {
    let mut rules = Vec::new();
    let resets = links.loss_ppm.min(1_000_000) / RESETS;
    if resets > 0 {
        rules.push(format!("meta l4proto tcp {} reject with tcp reset", chance(resets)));
    }
    if links.loss_ppm > 0 {
        rules.push(format!("{} drop", chance(links.loss_ppm)));
    }
    if links.duplicate_ppm > 0 {
        let twice = chance(links.duplicate_ppm);
        rules.push(format!("{twice} dup to {RELAY_FAR} device \"{RELAY}\""));
    }
    rules
}

/// Packets that take the way through the relay.
fn held(hosts: &[Ipv4Addr], links: &LinkFault) -> Vec<String> {
    if links.delay_ppm == 0 {
        return Vec::new();
    }
    // Only what goes on to another host: what is for the hub is a client's.
    let hosts = hosts.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ");
    vec![format!("ip daddr {{ {hosts} }} {} meta mark set {HELD}", chance(links.delay_ppm))]
}

/// What of so many packets in a million only is true.
fn chance(ppm: u32) -> String {
    match ppm {
        // A comparison that always holds is refused as a mistake.
        1_000_000.. => String::new(),
        _ => format!("numgen random mod 1000000 < {ppm}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];

    #[test]
    fn sound_links_have_no_rules() {
        let table = table(&HOSTS, &Cuts::none(2), &LinkFault::default());
        assert!(!table.contains("drop") && !table.contains("numgen"), "{table}");
    }

    #[test]
    fn a_cut_is_one_way() {
        let mut cuts = Cuts::none(2);
        cuts.cut(1, 0);
        let table = table(&HOSTS, &cuts, &LinkFault::default());
        assert!(table.contains("ip saddr 10.77.0.2 ip daddr 10.77.0.1 drop"), "{table}");
        assert!(!table.contains("ip saddr 10.77.0.1"), "{table}");
    }

    #[test]
    fn more_than_always_is_always() {
        for (loss_ppm, rule) in [
            (999_999, "\nnumgen random mod 1000000 < 999999 drop\n"),
            (1_000_000, "\n drop\n"),
            (u32::MAX, "\n drop\n"),
        ] {
            let links = LinkFault { loss_ppm, ..LinkFault::default() };
            let table = table(&HOSTS, &Cuts::none(2), &links);
            assert!(table.contains(rule), "{table}");
        }
    }
}
