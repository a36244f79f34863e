//! A log, and what it must hold.

use anyhow::{Context as _, Result, bail, ensure};
use wal::{Options, Recovered, Replay, Restart, Sequence, SimDirectory, Wal};

/// One step of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Append(usize),
    Head(usize),
    Sync,
    /// Keeps so many of the last records.
    Compact(u64),
    RollOver,
    Close,
    Reopen,
    Crash(Restart),
}

/// What a log may turn out to hold: so many records, and this head.
type Boundary = (u64, Option<Vec<u8>>);

pub(crate) struct World {
    pub(crate) directory: SimDirectory,
    pub(crate) options: Options,
    pub(crate) wal: Option<Wal<SimDirectory>>,
    /// Record `n` is at `n - 1`.
    records: Vec<Vec<u8>>,
    head: Option<Vec<u8>>,
    /// After each batch; the first is the empty log.
    boundaries: Vec<Boundary>,
    /// Which of them, at least, must survive.
    durable: usize,
    /// Records before this one may be gone.
    kept: u64,
    counter: u64,
}

/// An open log, and all records in it.
type Opened = (Wal<SimDirectory>, Recovered, Vec<(Sequence, Vec<u8>)>);

pub(crate) fn read(directory: &SimDirectory, options: &Options) -> Result<Opened, wal::OpenError> {
    let mut records = Vec::new();
    let visit = |replay: Replay<'_>| match replay {
        Replay::Record { sequence, bytes } => records.push((sequence, bytes.to_vec())),
        Replay::Head(_) => {}
    };
    let (wal, recovered) = Wal::open_in(directory.clone(), options.clone(), visit)?;
    Ok((wal, recovered, records))
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> Result<Self> {
        let directory = SimDirectory::new(seed);
        Ok(Self {
            directory,
            options,
            wal: None,
            records: Vec::new(),
            head: None,
            boundaries: vec![(0, None)],
            durable: 0,
            kept: 1,
            counter: seed << 32,
        })
    }

    /// Bytes that no other record has.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.counter += 1;
        let unique = self.counter.to_le_bytes();
        unique.iter().copied().cycle().take(len.max(8)).collect()
    }

    /// Does `step`. An error of the log is an error here.
    pub(crate) fn step(&mut self, step: Step) -> Result<()> {
        if self.wal.is_none() && !matches!(step, Step::Reopen | Step::Crash(_)) {
            self.open()?;
        }
        match step {
            Step::Append(len) => {
                let bytes = self.bytes(len);
                let sequence = self.wal()?.append(&bytes)?;
                self.records.push(bytes);
                let due = self.records.len() as u64;
                ensure!(sequence.get() == due, "{sequence} was given, expected r{due}");
            }
            Step::Head(len) => {
                let bytes = self.bytes(len);
                self.wal()?.set_head(&bytes)?;
                self.head = Some(bytes);
            }
            Step::Sync => self.sync()?,
            Step::Compact(last) => {
                self.batch();
                let before = (self.records.len() as u64 + 1).saturating_sub(last).max(1);
                self.kept = self.kept.max(before);
                let first = self.wal()?.compact(Sequence::new(before))?;
                let kept = self.kept;
                ensure!(first.get() <= kept, "{first} is the first, expected at most {kept}");
                self.durable = self.boundaries.len() - 1;
            }
            Step::RollOver => {
                self.batch();
                self.wal()?.roll_over()?;
                self.durable = self.boundaries.len() - 1;
            }
            Step::Close => {
                self.batch();
                if let Some(wal) = self.wal.take() {
                    wal.close()?;
                }
                self.durable = self.boundaries.len() - 1;
            }
            Step::Reopen => {
                self.wal = None;
                self.open()?;
            }
            Step::Crash(restart) => {
                self.crash(restart);
                self.open()?;
            }
        }
        Ok(())
    }

    fn wal(&mut self) -> Result<&mut Wal<SimDirectory>> {
        self.wal.as_mut().context("the log is open")
    }

    /// What waits is about to be written: from now on it may be there.
    fn batch(&mut self) {
        let boundary = (self.records.len() as u64, self.head.clone());
        if self.boundaries.last() != Some(&boundary) {
            self.boundaries.push(boundary);
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.batch();
        let durable = self.wal()?.sync()?;
        let due = self.records.len() as u64;
        ensure!(durable.get() == due, "durable up to {durable}, expected r{due}");
        self.durable = self.boundaries.len() - 1;
        Ok(())
    }

    pub(crate) fn crash(&mut self, restart: Restart) {
        self.wal = None;
        self.directory.restart(restart);
    }

    /// Opens the log and holds it against what it must be; from then on, that is durable.
    pub(crate) fn open(&mut self) -> Result<Recovered> {
        let recovered = self.open_losing(0)?;
        ensure!(recovered.gaps.is_empty(), "nothing was given up");
        Ok(recovered)
    }

    /// The same, though the last `lost` batches may be gone, durable as they were.
    pub(crate) fn open_losing(&mut self, lost: usize) -> Result<Recovered> {
        let (wal, recovered, records) = read(&self.directory, &self.options).context("opening")?;
        let first = recovered.first.get();
        ensure!(first <= self.kept, "it begins with {first}, expected at most {}", self.kept);
        for (place, (sequence, bytes)) in records.iter().enumerate() {
            let due = first + place as u64;
            ensure!(sequence.get() == due, "{sequence} comes where r{due} should");
            let Some(written) = self.records.get(due as usize - 1) else {
                bail!("{sequence} was never appended");
            };
            ensure!(written == bytes, "{sequence} is not what was appended");
        }
        let next = first + records.len() as u64;
        ensure!(recovered.next.get() == next, "the next is {}, expected {next}", recovered.next);
        let found: Boundary = (next - 1, recovered.head.clone());
        let least = self.durable.saturating_sub(lost);
        let fits = self.boundaries[least..].iter().rposition(|it| *it == found);
        let Some(fits) = fits else {
            bail!(
                "{} records and head {:?} are there, expected one of {:?}",
                found.0,
                found.1.map(|it| it.len()),
                self.boundaries[least..].iter().map(|it| it.0).collect::<Vec<_>>()
            );
        };
        self.boundaries.truncate(least + fits + 1);
        self.durable = least + fits;
        self.records.truncate(found.0 as usize);
        self.head = found.1;
        self.wal = Some(wal);
        Ok(recovered)
    }
}
