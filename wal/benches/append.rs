//! What the log adds to a bare write and `fdatasync` on a file that is all there already; both in
//! one run, alternating, on the same disk.
//!
//! `cargo bench -p wal`. Set `WAL_BENCH_DIR` to a directory on the disk that counts: the system's
//! temporary one may be in memory.

use std::fs::File;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use wal::{Files as _, Options, Os, Replay, Wal};

/// How long the bare file is; writing starts over at its end.
const BARE: u64 = 64 << 20;
/// A record that makes 4 KiB with what the log puts around it.
const IN_ALL: usize = 4096 - 68;

fn directory() -> TempDir {
    let base = std::env::var_os("WAL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    TempDir::new_in(base).expect("a directory")
}

/// A file of zeroes, written to from the start again and again.
struct Bare {
    files: Os,
    file: File,
    at: u64,
    _directory: TempDir,
}

impl Bare {
    fn new() -> Self {
        let directory = directory();
        let mut files = Os::open(directory.path()).expect("a directory");
        let file = files.create("bare").expect("a file");
        files.write_at(&file, 0, &vec![0; BARE as usize]).expect("it is written");
        files.sync(&file).expect("it is synced");
        Self { files, file, at: 0, _directory: directory }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.at + bytes.len() as u64 > BARE {
            self.at = 0;
        }
        self.files.write_at(&self.file, self.at, bytes).expect("it is written");
        self.files.sync(&self.file).expect("it is synced");
        self.at += bytes.len() as u64;
    }
}

/// A log that is compacted as it grows, as a log in use is.
struct Log {
    wal: Wal,
    _directory: TempDir,
}

impl Log {
    fn new(options: Options) -> Self {
        let directory = directory();
        let (wal, _) = Wal::open(directory.path(), options, |_| {}).expect("it opens");
        Self { wal, _directory: directory }
    }

    fn append(&mut self, record: &[u8], count: usize) {
        for _ in 0..count {
            self.wal.append(record).expect("it is taken");
        }
        let durable = self.wal.sync().expect("it is durable");
        if self.wal.segments() > 1 {
            self.wal.compact(durable).expect("it is compacted");
        }
    }
}

/// Alternates for `rounds` rounds between the bare file, a log whose batches begin anywhere, and one
/// whose batches begin on pages; prints how long each took at the median and at the 99th percentile.
fn alternate(name: &str, rounds: usize, len: usize, count: usize) {
    let mut bare = Bare::new();
    let mut logs = [8, 4096].map(|align| Log::new(Options::default().align(align)));
    let (record, batch) = (vec![7; len], vec![7; len * count]);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let start = Instant::now();
        bare.append(&batch);
        times[0].push(start.elapsed());
        for (log, times) in logs.iter_mut().zip(&mut times[1..]) {
            let start = Instant::now();
            log.append(&record, count);
            times.push(start.elapsed());
        }
    }
    report(name, "bare", &mut times[0].clone(), &mut times[0]);
    let [bare, anywhere, pages] = &mut times;
    report(name, "log, align 8", bare, anywhere);
    report(name, "log, align 4096", bare, pages);
}

fn report(name: &str, kind: &str, bare: &mut [Duration], times: &mut [Duration]) {
    bare.sort_unstable();
    times.sort_unstable();
    let [median, high] = [times[times.len() / 2], times[times.len() * 99 / 100]];
    let ratio = median.as_secs_f64() / bare[bare.len() / 2].as_secs_f64();
    println!("{name:<20} {kind:<16} p50 {median:>9.1?}  p99 {high:>9.1?}  ratio {ratio:.2}");
}

/// Three at once, each on a thread of its own.
fn three_at_once(rounds: usize) {
    fn one(rounds: usize, barrier: &Barrier, mut act: impl FnMut()) -> Vec<Duration> {
        barrier.wait();
        let timed = |_| {
            let start = Instant::now();
            act();
            start.elapsed()
        };
        (0..rounds).map(timed).collect()
    }
    let (record, batch) = (vec![7; IN_ALL], vec![7; 4096]);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        for (kind, times) in times.iter_mut().enumerate() {
            let barrier = Barrier::new(3);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            if kind == 0 {
                                let mut bare = Bare::new();
                                one(rounds / 4, &barrier, || bare.append(&batch))
                            } else {
                                let mut log = Log::new(Options::default());
                                one(rounds / 4, &barrier, || log.append(&record, 1))
                            }
                        })
                    })
                    .collect();
                for thread in threads {
                    times.extend(thread.join().expect("it ends"));
                }
            });
        }
    }
    let [bare, log] = &mut times;
    report("3 threads, 4 KiB", "bare", &mut bare.clone(), bare);
    report("3 threads, 4 KiB", "log", bare, log);
}

fn compared(_: &mut Criterion) {
    alternate("1 x 256 B", 2000, 256, 1);
    alternate("64 x 256 B", 2000, 256, 64);
    alternate("1 x 4 KiB", 2000, 4096, 1);
    alternate("1 x 4 KiB in all", 2000, IN_ALL, 1);
    three_at_once(3000);
}

fn append_only(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(1024));
    let record = vec![7; 256];
    let mut log = Log::new(Options::default());
    group.bench_function("1024 x 256 B, no sync", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let start = Instant::now();
                for _ in 0..1024 {
                    black_box(log.wal.append(&record).expect("it is taken"));
                }
                spent += start.elapsed();
                log.append(&record, 0);
            }
            spent
        });
    });
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    let mut log = Log::new(Options::default());
    let mut group = criterion.benchmark_group("recovery");
    let (record, batches) = (vec![7; 256], 1000);
    for _ in 0..batches {
        for _ in 0..64 {
            log.wal.append(&record).expect("it is taken");
        }
        log.wal.sync().expect("it is durable");
    }
    let Log { wal, _directory: directory } = log;
    wal.close().expect("it closes");
    group.throughput(Throughput::Bytes(batches * 64 * 256));
    group.sample_size(20);
    group.bench_function("64 x 256 B a batch", |bencher| {
        bencher.iter_batched(
            || (),
            |()| {
                let mut total = 0;
                let visit = |replay: Replay<'_>| match replay {
                    Replay::Record { bytes, .. } => total += bytes.len(),
                    Replay::Head(_) => {}
                };
                Wal::open(directory.path(), Options::default(), visit).expect("it opens");
                black_box(total)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, compared, append_only, recovery);
criterion_main!(benches);
