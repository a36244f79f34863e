//! Histories that others recorded and judged: the checker must judge them alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::linear::{Limits, Verdict};
use harness::recorded::{Format, Judgement, ModelName, judge};

/// Where the histories are, or none (which is said) if this machine does not have them. On a CI
/// server that is an error.
fn histories() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/histories");
    if path.join("MANIFEST.tsv").exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no recorded histories at {}", path.display());
    println!("skipped: no recorded histories at {}", path.display());
    None
}

#[track_caller]
fn check(root: &Path, line: &str) -> Judgement {
    let fields: Vec<&str> = line.split('\t').collect();
    let [file, model, format, expected] = fields[..] else { panic!("{line}") };
    let model = ModelName::named(model.split(' ').next().expect("never empty")).expect(line);
    let format = Format::named(format).expect(line);
    let bytes = fs::read(root.join(file)).expect(file);
    let judgement = judge(&bytes, None, model, Limits::default()).expect(file);
    assert_eq!(judgement.format, format, "{file}");
    match (&judgement.verdict, expected) {
        (Verdict::Holds, "linearizable") | (Verdict::Broken(_), "NOT-linearizable") => {}
        _ => panic!("{file}: expected {expected}, found {judgement}"),
    }
    println!("{file}: {:?}", judgement.elapsed);
    judgement
}

#[test]
fn every_recorded_history_is_judged_as_its_manifest_says() {
    let Some(root) = histories() else { return };
    let manifest = fs::read_to_string(root.join("MANIFEST.tsv")).expect("it exists");
    let lines: Vec<&str> = manifest.lines().skip(1).collect();
    assert!(lines.len() >= 100, "the manifest lists {} histories", lines.len());
    let total: Duration = lines.iter().map(|line| check(&root, line).elapsed).sum();
    println!("all {}: {total:?}", lines.len());
}
