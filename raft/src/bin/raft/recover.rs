//! What is done by hand when a majority is lost for good: see `raft::recovery`.

use std::path::PathBuf;

use anyhow::Context;
use cluster::cli::node;
use cluster::{Members, NodeId};
use raft::Config;
use raft::recovery::Survivor;

use crate::map::Map;

#[derive(clap::Args)]
pub(crate) struct Recover {
    /// The directory of a node that is left
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which node that is
    #[arg(long, value_parser = node)]
    id: NodeId,
    /// All nodes that the cluster was started with
    #[arg(long, required = true, value_delimiter = ',', value_name = "ID,…", value_parser = node)]
    nodes: Vec<NodeId>,
    /// Who goes on, on what this node's log holds; if it is not given, only what that is is shown
    #[arg(long, value_delimiter = ',', value_name = "ID,…", value_parser = node)]
    go_on_with: Vec<NodeId>,
}

impl Recover {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let members = Members::new(self.nodes.iter().copied())?;
        let config = Config::new(Map::default());
        // Where a server keeps it: see `cluster::net::Builder::directory`.
        let journal = self.data.join("journal");
        let survivor = Survivor::open(&journal, self.id, members, &config)
            .with_context(|| journal.display().to_string())?;
        let survey = survivor.survey();
        println!("{} knows term {}", survey.node, survey.term);
        println!("its log ends at {:?}", survey.last);
        println!("committed for certain: {}", survey.committed);
        println!("it is to go on with {} ({})", survey.configuration, survey.configured_at);
        if !self.go_on_with.is_empty() {
            println!("from now on with {}", survivor.go_on_with(&self.go_on_with)?);
        }
        Ok(())
    }
}
