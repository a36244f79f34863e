//! What a directory knows of whose it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::id::{ClusterId, Incarnation};
use crate::NodeId;

const FILE: &str = "passport";
const DRAFT: &str = "passport.new";
/// Nobody writes a longer one.
const LENGTH_MAX: u64 = 1024;

/// Why a directory was not taken for that of a node. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum PassportError {
    /// It is that of another node, or of another cluster's.
    #[error("{} is of {found}, expected {expected}", path.display())]
    Foreign {
        /// The file that says so.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it would have to be.
        expected: String,
    },
    /// It cannot be read.
    #[error("{} is no passport: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system failed.
    #[error("cannot {attempt} {}: {source}", path.display())]
    Failed {
        /// What was tried.
        attempt: &'static str,
        /// With which file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

/// Begins the next life of `node` in `directory`, which is its own from then on: its passport is on the
/// disk when this returns.
///
/// The file holds three lines of text: `cluster orders`, `node n1`, `incarnation 7`.
pub(super) fn renew(
    directory: &Path,
    cluster: &ClusterId,
    node: NodeId,
) -> Result<Incarnation, PassportError> {
    let path = directory.join(FILE);
    let failed = |attempt, path: &Path| {
        let path = path.to_owned();
        move |source| PassportError::Failed { attempt, path, source }
    };
    fs::create_dir_all(directory).map_err(failed("make", directory))?;
    let incarnation = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Incarnation::first(),
        Err(error) => return Err(failed("read", &path)(error)),
        Ok(metadata) if metadata.len() > LENGTH_MAX => {
            let problem = format!("{} bytes, where {LENGTH_MAX} is the limit", metadata.len());
            return Err(PassportError::Unreadable { path, problem });
        }
        Ok(_) => {
            let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
            read(&text, cluster, node, &path)?.next()
        }
    };
    let draft = directory.join(DRAFT);
    let text = format!("{}incarnation {}\n", owner(cluster, node), incarnation.get());
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(failed("write", &draft))?;
    fs::rename(&draft, &path).map_err(failed("rename", &draft))?;
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(failed("sync", directory))?;
    Ok(incarnation)
}

fn owner(cluster: &ClusterId, node: NodeId) -> String {
    format!("cluster {cluster}\nnode {node}\n")
}

fn read(
    text: &str,
    cluster: &ClusterId,
    node: NodeId,
    path: &Path,
) -> Result<Incarnation, PassportError> {
    let unreadable = |problem: &str| PassportError::Unreadable {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let lines: Vec<&str> = text.lines().collect();
    let [found_cluster, found_node, incarnation] = lines[..] else {
        return Err(unreadable("it has not three lines"));
    };
    if format!("{found_cluster}\n{found_node}\n") != owner(cluster, node) {
        return Err(PassportError::Foreign {
            path: path.to_owned(),
            found: format!("{found_cluster}, {found_node}"),
            expected: owner(cluster, node).trim_end().replace('\n', ", "),
        });
    }
    let number = incarnation.strip_prefix("incarnation ").and_then(|it| it.parse().ok());
    number.map(Incarnation::new).ok_or_else(|| unreadable("its third line is no incarnation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> ClusterId {
        ClusterId::new(name).expect("a name")
    }

    #[test]
    fn each_start_in_a_directory_is_a_later_life() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("of/n1");
        let next = || renew(&path, &cluster("orders"), NodeId::new(1)).expect("its own");
        let first = next();
        assert_eq!([next(), next()], [first.next(), first.next().next()]);
        // A crash in the middle leaves a draft, whatever is in it.
        fs::write(path.join(DRAFT), "cluster").expect("it is written");
        let renewed = renew(&path, &cluster("orders"), NodeId::new(1)).expect("its own");
        assert_eq!(renewed, Incarnation::new(first.get() + 3));
    }

    /// Its peers would take one that begins again at an earlier life for a copy of an old directory.
    #[test]
    fn a_directory_that_was_lost_begins_with_a_later_life() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("n1");
        let begin = || renew(&path, &cluster("orders"), NodeId::new(1)).expect("its own");
        let before = begin();
        fs::remove_dir_all(&path).expect("it is lost");
        assert!(begin() >= before);
    }

    #[test]
    fn the_directory_of_another_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = renew(directory.path(), &cluster("orders"), NodeId::new(1)).expect("its own");
        for (name, node) in [("orders", 2), ("others", 1)] {
            let refused = renew(directory.path(), &cluster(name), NodeId::new(node));
            let Err(PassportError::Foreign { found, .. }) = refused else {
                panic!("{refused:?}, expected a refusal")
            };
            assert_eq!(found, "cluster orders, node n1");
        }
        let renewed = renew(directory.path(), &cluster("orders"), NodeId::new(1)).expect("its own");
        assert_eq!(renewed, first.next());
    }

    #[test]
    fn what_is_no_passport_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let long = "x".repeat(5000);
        for text in ["", "cluster orders", "cluster orders\nnode n1\nincarnation -1\n", &long] {
            fs::write(directory.path().join(FILE), text).expect("it is written");
            let refused = renew(directory.path(), &cluster("orders"), NodeId::new(1));
            assert!(matches!(refused, Err(PassportError::Unreadable { .. })), "{text:?}");
        }
    }
}
