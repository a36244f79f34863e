//! `cargo xtask check`: the verdict on a history that someone else recorded.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use harness::linear::{Limits, Verdict};
use harness::recorded::{self, Format, ModelName};

use crate::input;

/// Judge a history that someone else recorded.
///
/// Exits with 0 if it is linearizable, with 1 if it is not, and with 2 if there is no verdict: the
/// time or the memory ran out, or the file is no such history.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The history
    file: PathBuf,
    /// What object it is of
    #[arg(long, short, value_parser = PossibleValuesParser::new(ModelName::ALL.map(ModelName::name)))]
    model: String,
    /// How it is written down (by default, what it begins like)
    #[arg(long, short, value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name)))]
    format: Option<String>,
    /// After how many seconds to give up
    #[arg(long, short, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

/// The largest history: two million events, or about a gigabyte once it is read.
const MEBIBYTES_MAX: u64 = 128;
/// The most configurations kept in memory: about a gigabyte.
const STATES_MAX: usize = 20_000_000;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let model = ModelName::named(&args.model).expect("clap let it through");
    let format = args.format.as_deref().map(|it| Format::named(it).expect("clap let it through"));
    let time = Duration::from_secs(args.timeout);
    let limits = Limits { time: Some(time), states: STATES_MAX, steps: u64::MAX };
    let bytes = input::read(&args.file, MEBIBYTES_MAX).context("no verdict")?;
    let judgement = recorded::judge(&bytes, format, model, limits)
        .with_context(|| format!("no verdict: {}", args.file.display()))?;
    println!("{}: {judgement}", args.file.display());
    Ok(match judgement.verdict {
        Verdict::Holds => ExitCode::SUCCESS,
        Verdict::Broken(_) => ExitCode::FAILURE,
        Verdict::Unknown(_) => ExitCode::from(NO_VERDICT),
    })
}

/// What no verdict exits with, as every command that could not be carried out.
const NO_VERDICT: u8 = 2;
