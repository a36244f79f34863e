//! Files that are not what they should be: each gets one error, with the place, what was expected, and
//! exit code 2; none makes a command panic or hang.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A place for the files of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("it can be made");
    folder
}

fn xtask(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(args).current_dir(dir).output().expect("it can be started")
}

#[track_caller]
fn check(args: &[&str], dir: &Path, parts: &[&str]) {
    let Output { status, stdout, stderr } = xtask(args, dir);
    let (out, told) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(2), "{args:?}: {out}{told}");
    assert!(told.starts_with("error: "), "{args:?}: {told}");
    assert_eq!(told.matches("error: ").count(), 1, "{args:?}: one error: {told}");
    assert!(!told.contains("panicked"), "{args:?}: {told}");
    for part in parts {
        assert!(told.contains(part), "{args:?}: expected to name {part:?}: {told}");
    }
}

/// Bytes that are no history and no scenario, with what an error must name in either case.
const BAD: [(&str, &[u8], &str, &str); 6] = [
    ("empty", b"", "found no event", "line 1, column 1: found nothing, expected a field"),
    ("blank", b"\n \n\t\n", "found no event", "line 1, column 1: found nothing"),
    ("latin-1", b"# caf\xe9\n", "line 1: found bytes that are not UTF-8", "line 1: found bytes"),
    ("utf-16", b"\xff\xfen\0o\0", "line 1: found bytes that are not UTF-8", "line 1: found bytes"),
    ("nul", b"\0\0\0", "line 1: found", "line 1, column"),
    ("truncated", b"{:process 0, :ty", "line 1: found the end, expected", "line 1, column"),
];

#[test]
fn no_file_that_is_no_history_gets_a_verdict() {
    let dir = folder("histories");
    for (name, bytes, told, _) in BAD {
        fs::write(dir.join(name), bytes).expect("it can be written");
        for model in ["cas-register", "register", "kv", "mutex"] {
            check(&["check", name, "--model", model], &dir, &["no verdict", name, told]);
        }
    }
    let absurd = "[{:process 99999999999999999999 :type :invoke :f :read}]";
    fs::write(dir.join("absurd"), absurd).expect("it can be written");
    check(&["check", "absurd", "--model", "register"], &dir, &["line 1", "at most 64 bits"]);
}

#[test]
fn no_file_that_is_no_scenario_is_run() {
    let dir = folder("scenarios");
    for (name, bytes, _, told) in BAD {
        fs::write(dir.join(name), bytes).expect("it can be written");
        check(&["conformance", "--scenario-file", name], &dir, &[name, told]);
    }
    let step = "implementation = \"raft\"\n[[step]]\nat = \"1s\"\n";
    for (name, text, told) in [
        ("huge", "nodes = 99999999999999999999\n".to_owned(), "line 1, column 9: `nodes`"),
        ("negative", format!("{step}do = \"disk\"\nslow = \"-5ms\"\n"), "line 5, column 8: `slow`"),
        ("unknown-node", format!("{step}do = \"crash\"\nnode = 9\n"), "line 5, column 8: there is"),
        ("unknown-field", "nods = 3\n".to_owned(), "line 1, column 1: unknown field `nods`"),
        ("nobody", "implementation = \"zab\"\n".to_owned(), "line 1, column 18: `implementation`"),
        (
            "many",
            step.to_owned() + &"[[step]]\nat = \"1s\"\ndo = \"heal\"\n".repeat(20_000),
            "10000",
        ),
        ("world", "implementation = \"raft\"\nworld = \"ether\"\n".to_owned(), "`ether`"),
        ("nodes", "implementation = \"quorum\"\nnodes = 2\n".to_owned(), "nodes"),
    ] {
        fs::write(dir.join(name), text).expect("it can be written");
        check(&["conformance", "--scenario-file", name], &dir, &[told]);
    }
}

#[test]
fn what_is_no_file_is_named() {
    let dir = folder("places");
    fs::create_dir_all(dir.join("a-folder")).expect("it can be made");
    for name in ["a-folder", "missing"] {
        check(&["check", name, "--model", "kv"], &dir, &[name, "os error"]);
        check(&["conformance", "--scenario-file", name], &dir, &[name, "os error"]);
    }
    // Told before the work begins: all runs of all cells would take minutes.
    for option in ["--json", "--junit"] {
        check(&["conformance", option, "missing/file"], &dir, &[option, "missing/file"]);
    }
    let shrink = ["conformance", "-i", "raft", "-s", "swarm", "--seed", "1", "--shrink"];
    check(&[&shrink[..], &["missing/file"]].concat(), &dir, &["--shrink: missing/file"]);
    for name in ["a-folder", "missing"] {
        let args = ["conformance", "--report", "report", "--mutants", name];
        check(&args, &dir, &["--mutants", name, "os error"]);
    }
    fs::write(dir.join("mutants.json"), "[{\"mutant\": 3").expect("it can be written");
    let args = ["conformance", "--report", "report", "--mutants", "mutants.json"];
    check(&args, &dir, &["mutants.json", "expected what `cargo xtask mutants --json`", "line 1"]);
    fs::write(dir.join("file"), "").expect("it can be written");
    check(&["conformance", "--report", "file/inside"], &dir, &["--report file/inside"]);
}

/// A gigabyte that takes no room on the disk must take none in memory.
#[test]
fn no_more_of_a_file_is_read_than_a_history_can_have() {
    let dir = folder("large");
    let file = File::create(dir.join("sparse")).expect("it can be made");
    file.set_len(1 << 30).expect("it can be as long");
    check(&["check", "sparse", "--model", "kv"], &dir, &["sparse: larger than 128 MiB"]);
    check(&["conformance", "--scenario-file", "sparse"], &dir, &["sparse: larger than 4 MiB"]);
    if Path::new("/dev/zero").exists() {
        check(&["check", "/dev/zero", "--model", "kv"], &dir, &["larger than 128 MiB"]);
    }
}
