//! Every planted bug is caught by the judge that is there for it.

use dlock::{Config, Mutant};

use crate::support::Verdict;
use crate::{model, scenarios, swarm};

/// Who must catch a bug.
enum Judge {
    /// The table against the model.
    Model,
    /// The scenario of this name.
    Scenario(&'static str),
    /// What clients are told under faults, and the monitor.
    Swarm,
}

/// Every judge that must catch `mutant`. Bugs of the table must be seen in the table and from
/// outside.
fn judges(mutant: Mutant) -> Vec<Judge> {
    use Judge::{Model, Scenario, Swarm};
    match mutant {
        Mutant::TokenForgottenWhenFree => {
            vec![Model, Swarm, Scenario("tokens grow across everything")]
        }
        Mutant::TokenKeptOnRegrant => vec![Model, Swarm, Scenario("first come, first served")],
        Mutant::ReleaseByAnyone | Mutant::ReleaseByAnyToken | Mutant::RenewalAfterExpiry => {
            vec![Model, Swarm, Scenario("release and renewal are verified")]
        }
        Mutant::OwnClockExpiry => vec![Swarm, Scenario("a failover keeps leases")],
        Mutant::AnswersBeforeCommit => vec![Swarm],
        Mutant::LastComeFirstServed => vec![Model, Scenario("first come, first served")],
        Mutant::RetryCountedTwice => {
            vec![Model, Swarm, Scenario("a retry gets what the first sending got")]
        }
        Mutant::LeasesLostOnFailover => vec![Swarm, Scenario("a failover keeps leases")],
        Mutant::GhostWaiters => vec![Model, Swarm, Scenario("a wait that ended never holds")],
        Mutant::LocalReads => vec![Scenario("a deposed leader answers no reads")],
        // No bug.
        Mutant::TicksTwice => Vec::new(),
        Mutant::NeverTicks => {
            vec![Swarm, Scenario("leases end without anyone asking"), Scenario(DEAD_HOLDER)]
        }
    }
}

const DEAD_HOLDER: &str = "a dead holder's lock goes to who waits";
const SEEDS: u64 = 60;

impl Judge {
    /// What it says against a service of `config`, at the first seed at which it does.
    fn says(&self, config: &Config) -> Option<String> {
        let over_seeds = |judge: &dyn Fn(u64) -> Verdict| {
            (0..SEEDS).find_map(|seed| judge(seed).err().map(|why| format!("seed {seed}: {why}")))
        };
        match self {
            Self::Model => model::difference(config).map(|why| format!("model: {why}")),
            Self::Scenario(name) => {
                let (_, scenario) =
                    scenarios::ALL.iter().find(|(known, _)| known == name).expect("a scenario");
                over_seeds(&|seed| scenario(config, seed)).map(|why| format!("{name}: {why}"))
            }
            Self::Swarm => {
                over_seeds(&|seed| swarm::swarm(config, seed)).map(|why| format!("swarm: {why}"))
            }
        }
    }
}

#[test]
fn every_planted_bug_is_caught() {
    for mutant in Mutant::ALL {
        let config = Config::default().plant(mutant);
        for judge in judges(mutant) {
            let Some(verdict) = judge.says(&config) else {
                let (judge, all) = match judge {
                    Judge::Model => ("the model", ""),
                    Judge::Scenario(name) => ("scenario ", name),
                    Judge::Swarm => ("the swarm", ""),
                };
                panic!("{mutant:?} is not caught by {judge}{all}");
            };
            println!("{mutant:?}: {verdict:.160}");
        }
    }
}

/// The same judges find nothing where nothing is planted.
#[test]
fn nothing_is_caught_where_nothing_is_planted() {
    let config = Config::default();
    assert_eq!(Judge::Model.says(&config), None);
    assert_eq!(Judge::Swarm.says(&config), None);
    for (name, _) in scenarios::ALL {
        assert_eq!(Judge::Scenario(name).says(&config), None);
    }
}
