//! The binary `bully`, as its users meet it: real processes.

#[path = "../../../cluster/tests/support/dev.rs"]
mod dev;

use dev::Dev;
use dev::wait::eventually;

const BULLY: &str = env!("CARGO_BIN_EXE_bully");

/// The highest node leads; when it resigns, another one does, in a later epoch.
#[test]
fn who_leads_is_told_and_can_be_told_to_resign() {
    let dev = Dev::start(BULLY, 10_500);
    let epoch = |said: &str| {
        let (_, epoch) = said.trim().split_once(" leads, epoch ")?;
        epoch.parse::<u64>().ok()
    };
    let first = eventually("n3 does not lead", || {
        let (_, said) = dev.said("leader", &[]);
        epoch(&said).filter(|_| said.starts_with("n3 "))
    });
    assert_eq!(dev.said("resign", &["3"]), (Some(0), "n3 leads no more\n".to_owned()));
    eventually("nobody leads in its place", || {
        let (_, said) = dev.said("leader", &[]);
        epoch(&said).filter(|&next| next > first)
    });
    let (code, said) = dev.said("resign", &["4"]);
    assert_eq!(code, Some(1), "{said}");
}
