//! What `EVIDENCE.md` and the README say of the tests is so.

use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All tests in the files of this folder, by name.
fn tests(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).expect("the suite is there") {
        let text = std::fs::read_to_string(file.expect("it can be read").path()).expect("text");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != "#[test]" {
                continue;
            }
            let name = lines.by_ref().find_map(|line| line.trim().strip_prefix("fn "));
            let name = name.and_then(|rest| rest.split('(').next()).expect("a test has a name");
            names.push(name.to_owned());
        }
    }
    names
}

/// The rows of the tables of `text`, without their first cells.
fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.filter(|(_, shown)| !shown.starts_with("shown by"))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_evidence_is_there() {
    let (own, mutants) = (tests("tests/it"), read("src/mutants.rs"));
    let world = tests("../cluster/tests/it");
    let evidence = read("EVIDENCE.md");
    let mut count = 0;
    for (row, shown) in rows(&evidence) {
        assert!(shown.contains('`') || shown.contains("not yet"), "nothing shows: {row}");
        let tests = if shown.starts_with("cluster/tests/it: ") { &world } else { &own };
        for name in quoted(shown) {
            count += 1;
            match name.strip_prefix("Mutant::") {
                Some(mutant) => assert!(
                    mutants.contains(&format!("\n    {mutant},\n")),
                    "{row}: no bug {mutant} is planted"
                ),
                None => assert!(tests.iter().any(|test| test == name), "{row}: no test {name}"),
            }
        }
    }
    assert!(count > 90, "only {count} names were found");
}

/// "Too much to write before anything runs" (openraft's example of such a map has some 1,640 lines).
#[test]
fn the_example_is_short() {
    let readme = read("README.md");
    let example = readme.split("```").nth(1).expect("the README has an example");
    let lines = example.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
    assert!(example.contains("fn main()") && lines <= 40, "{lines} lines");
}
