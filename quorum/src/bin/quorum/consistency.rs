//! How consistent a connection wants to be.

use quorum::Config;
use resp::Reply;

/// R and W of one connection's commands; those of the store where it has chosen none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Consistency {
    pub(crate) read: Option<usize>,
    pub(crate) write: Option<usize>,
}

impl Consistency {
    /// What `CONSISTENCY` calls itself.
    pub(crate) const COMMAND: &'static str = "CONSISTENCY";

    /// What `args` wish of a store with this configuration: `ONE`, `QUORUM`, `ALL`, or R and W as numbers;
    /// `DEFAULT` for the store's own. Nothing changes if they wish what there is not.
    pub(crate) fn wished(args: &[Vec<u8>], config: &Config) -> Result<Self, Reply> {
        let all = config.replication();
        let alike = |count| Ok(Self { read: Some(count), write: Some(count) });
        match args {
            [word] => match &word.to_ascii_uppercase()[..] {
                b"ONE" => alike(1),
                b"QUORUM" => alike(all / 2 + 1),
                b"ALL" => alike(all),
                b"DEFAULT" => Ok(Self::default()),
                _ => Err(unwished(all)),
            },
            [read, write] => {
                let count = |word: &Vec<u8>| {
                    let number = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
                    number.filter(|count| (1..=all).contains(count)).ok_or_else(|| unwished(all))
                };
                Ok(Self { read: Some(count(read)?), write: Some(count(write)?) })
            }
            _ => Err(unwished(all)),
        }
    }

    /// What it comes to in a store with this configuration, and what reads and writes are promised.
    pub(crate) fn told(self, config: &Config) -> String {
        let all = config.replication();
        let read = self.read.unwrap_or(config.read_quorum());
        let write = self.write.unwrap_or(config.write_quorum());
        let (reads, writes) = (config.read_guarantee(read), config.write_guarantee(write));
        format!("N={all} R={read} {reads:?} W={write} {writes:?}").to_lowercase()
    }
}

fn unwished(all: usize) -> Reply {
    let expected = format!("ONE, QUORUM, ALL, DEFAULT, or R and W from 1 to {all}");
    Reply::err(format_args!("no such consistency, expected {expected}"))
}
