//! Other engines with the same logic: each is a program below `benches/peers` that reads the inputs from a file, and writes what it decided and
//! how long it took into another.

use std::path::Path;
use std::process::Command;

use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::Value as Json;

use super::plain::{Composite, Shop};

/// What an engine made of a shop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    outcome: String,
    score: f64,
    size: String,
    pays_late: bool,
    supply: f64,
}

/// What a peer writes.
#[derive(Deserialize)]
struct Answer {
    /// For one shop, the median of its rounds.
    nanoseconds: f64,
    decided: Vec<Decided>,
}

/// A peer: its name with its version, the command that makes it ready, and the one that runs it, in its own folder.
struct Peer {
    name: &'static str,
    folder: &'static str,
    build: &'static [&'static str],
    run: &'static [&'static str],
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "zen-engine 2.1.6",
        folder: "zen",
        build: &["cargo", "build", "--release", "--locked"],
        run: &["cargo", "run", "--quiet", "--release", "--locked", "--"],
    },
    Peer {
        name: "json-rules-engine 7.3.1",
        folder: "node",
        build: &["npm", "ci", "--no-audit", "--no-fund", "--silent"],
        run: &["node", "composite.mjs"],
    },
];

impl Decided {
    /// What plain Rust made of it.
    pub fn of(composite: &Composite) -> Self {
        Self {
            outcome: composite.band.outcome.to_owned(),
            score: composite.score.to_f64().unwrap(),
            size: composite.size.to_owned(),
            pays_late: composite.pays_late,
            supply: composite.supply.to_f64().unwrap(),
        }
    }

    /// Whether it is the same; scores may differ by what binary fractions lose.
    fn is_like(&self, other: &Self) -> bool {
        let others = (&other.outcome, &other.size, other.pays_late, other.supply.to_bits());
        (&self.outcome, &self.size, self.pays_late, self.supply.to_bits()) == others
            && (self.score - other.score).abs() < 2e-6
    }
}

/// Runs every peer that can be run here, checks that it decided like this, and gives its nanoseconds for one shop.
pub fn run(root: &Path, shops: &[Shop], decided: &[Decided]) -> Vec<(&'static str, f64)> {
    let exchange = tempfile::tempdir().unwrap();
    let (inputs, outputs) = (exchange.path().join("inputs.json"), exchange.path().join("outputs.json"));
    let list: Vec<Json> = shops.iter().map(Shop::to_json).collect();
    std::fs::write(&inputs, Json::from(list).to_string()).unwrap();
    let mut times = Vec::new();
    for peer in PEERS {
        let folder = root.join("benches/peers").join(peer.folder);
        let start = |command: &[&str]| {
            let mut started = Command::new(command[0]);
            // Cargo tells its children about this package, which isn't theirs.
            started.args(&command[1..]).current_dir(&folder).env_remove("CARGO_TARGET_DIR");
            started
        };
        println!("Building {} …", peer.name);
        match start(peer.build).status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                println!("SKIPPED {}: `{}` ended with {status}", peer.name, peer.build.join(" "));
                continue;
            }
            Err(error) => {
                println!("SKIPPED {}: `{}` can't be started: {error}", peer.name, peer.build[0]);
                continue;
            }
        }
        let status = start(peer.run).arg(&inputs).arg(&outputs).status().unwrap();
        assert!(status.success(), "{} ended with {status}", peer.name);
        let answer: Answer = serde_json::from_slice(&std::fs::read(&outputs).unwrap()).unwrap();
        assert_eq!(answer.decided.len(), decided.len(), "{}", peer.name);
        for (number, (theirs, ours)) in answer.decided.iter().zip(decided).enumerate() {
            assert!(
                theirs.is_like(ours),
                "{} decided otherwise about shop {number}: {theirs:?}, not {ours:?}",
                peer.name
            );
        }
        times.push((peer.name, answer.nanoseconds));
    }
    times
}
