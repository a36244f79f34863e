//! Certificates, from the command line on.

use std::path::PathBuf;
use std::sync::Arc;

use crate::authority::Authority;
use crate::processes::{Nodes, answers};
use crate::wait::eventually;

/// The options that name a certificate, and the authority that others are signed by.
fn shown(authority: &Authority, name: &str, ca: PathBuf) -> Vec<String> {
    let file = |kind| authority.path(&format!("{name}.{kind}"));
    let files = [("--tls-cert", file("pem")), ("--tls-key", file("key")), ("--tls-ca", ca)];
    let words = files.map(|(option, path)| [option.into(), path.to_str().expect("text").into()]);
    words.concat()
}

/// Nodes that speak to nobody without a certificate of theirs tell a client why; one that was refused for
/// its certificate is served once there is a better one; and a node shows what was put in place of its own
/// while it runs.
#[test]
fn whoever_shows_no_good_certificate_is_told_so() {
    let (authority, other) = (Arc::new(Authority::new()), Authority::new());
    for (name, host, year) in [
        ("n1", "n1.tests", 4000),
        ("n2", "n2.tests", 4000),
        ("n3", "n3.tests", 4000),
        ("ann", "ann", 4000),
        ("late", "late", 2020),
    ] {
        authority.sign(name, host, year);
    }
    other.sign("eve", "eve", 4000);
    let own = Arc::clone(&authority);
    let nodes = Nodes::start_each(3, move |place| {
        shown(&own, &format!("n{}", place + 1), own.path("ca.pem"))
    });
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    let status = |certificate: Vec<String>| {
        let words = ["--log", "warn", "status", "--timeout", "1s"].map(String::from);
        let words = [&words[2..3], &words[3..], &words[..2], &certificate[..]].concat();
        nodes.ask(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let ca = || authority.path("ca.pem");
    let (served, said) = status(shown(&authority, "ann", ca()));
    assert!(served && said.contains(" leader "), "{said}");
    let refused = |certificate, why: &str| {
        let (served, said) = status(certificate);
        assert!(!served && said.contains("no node leads"), "{said}");
        let told = said.lines().filter(|line| line.contains("cluster::net")).collect::<Vec<_>>();
        // By each of the nodes.
        assert!(told.len() >= 3 && told.iter().all(|line| line.contains(why)), "{why:?}: {said}");
    };
    // What it is answered is TLS, which it does not speak.
    refused(Vec::new(), "reason=foreign detail=\"these bytes are no frame\"");
    // The nodes find fault with an authority that has the name of theirs and is not it; then with a date.
    refused(
        shown(&other, "eve", ca()),
        "reason=certificate detail=\"received fatal alert: DecryptError\"",
    );
    refused(
        shown(&authority, "late", ca()),
        "reason=certificate detail=\"received fatal alert: CertificateExpired\"",
    );
    // And so does the client.
    let trusts_other = shown(&authority, "ann", other.path("ca.pem"));
    refused(trusts_other, "reason=certificate detail=\"invalid peer certificate: BadSignature\"");
    authority.sign("late", "late", 4000);
    eventually("it is not served", || status(shown(&authority, "late", ca())).0.then_some(()));
    let ann_is_told = |what: &str, told: &dyn Fn(&str) -> bool| {
        eventually(what, || told(&status(shown(&authority, "ann", ca())).1).then_some(()));
    };
    authority.sign("n3", "n3.tests", 2020);
    ann_is_told("n3 does not show it", &|said| {
        said.contains("invalid peer certificate: certificate expired")
    });
    authority.sign("n3", "n3.tests", 4000);
    ann_is_told("n3 is not served", &|said| !said.contains("nobody could serve"));
}
