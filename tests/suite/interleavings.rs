//! Whatever happens at the same time, in whatever order, outcomes end as if it had happened one after the other: random
//! interleavings of orders, corrections, changed fields, runs, closings and activations, by threads of two nodes on one base.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use baremo::Id;
use baremo::app::{customer_rules, recording_rules};
use baremo::assessments::activation::Closes;
use baremo::assessments::basis::{self, Change};
use baremo::assessments::evaluate::{Evaluated, prepare};
use baremo::assessments::model::{DEFAULT_LEASE, Outcome};
use baremo::assessments::retention::DEFAULT_MONTHS;
use baremo::assessments::run::{self, Purpose};
use baremo::assessments::store;
use baremo::assessments::worker::{STACK, Workers};
use baremo::customers::record::{Changes, change};
use baremo::customers::store as customers;
use baremo::db::{self, Db, Subjects};
use baremo::policy::model::Verdict;
use baremo::policy::source::Source;
use baremo::releases::active::InForce;
use baremo::releases::author;
use baremo::releases::model::By;
use baremo::transactions::record::{NewLine, NewTransaction, Options, record};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::app::{TestApp, files};

const MANIFEST: &str = r#"
[pack]
id = "mill"
title = { en = "Mill" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "sack"
languages = ["en"]
[fields]
area = { section = "network", type = "integer" }
note = { section = "network", type = "text" }
[kinds.order]
measures = ["quantity"]
[metrics.volume]
function = "sum"
kind = "order"
measure = "quantity"
window = { full_months = 3 }
[cohorts.volumes]
value = "volume"
cuts = { quantiles = ["0.5"] }
[policies]
size = { subject = "customer", outcomes = ["big", "middle", "small"], cadence = "continuous" }
grade = { subject = "customer", outcomes = ["1", "2", "3"], cadence = "month" }
class = { subject = "customer", outcomes = ["A", "B", "C"], cadence = "quarter" }
"#;

const TEXTS: &str = r#"
fields = { area = "a", note = "n" }
kinds.order = "o"
measures.quantity = "q"
metrics.volume = "v"
policies = { size = "s", grade = "g", class = "c" }
outcomes.size = { big = "b", middle = "m", small = "s" }
outcomes.grade = { 1 = "1", 2 = "2", 3 = "3" }
outcomes.class = { A = "A", B = "B", C = "C" }
"#;

/// Files of the pack, with a cut of its own in a policy that closes monthly.
pub fn mill_files(cut: u32) -> [(&'static str, String); 5] {
    let size = "//! Size.\nconst SIZES = bands([[20, \"big\"], [10, \"middle\"]], \"small\");\n\
                fn decide(customer, context) { SIZES.of(customer.volume) }";
    let grade = format!(
        "//! Grade.\nconst GRADES = bands([[{cut}, \"1\"], [10, \"2\"]], \"3\");\n\
         fn decide(customer, context) {{ GRADES.of(customer.volume + (customer.maybe.area ?? 0)) }}"
    );
    let class = "//! Class.\nconst CLASSES = lookup(#{ \"1\": \"A\", \"2\": \"B\", \"3\": \"C\" });\n\
                 fn decide(customer, context) {\n    let band = context.cohorts.volumes.band_of(customer.volume);\n    \
                 if band == 2 { decision(\"A\") } else { decision(CLASSES.of(context.outcomes.grade)) }\n}";
    [
        ("pack.toml", MANIFEST.to_owned()),
        ("texts/en.toml", TEXTS.to_owned()),
        ("policies/size.rhai", size.to_owned()),
        ("policies/grade.rhai", grade),
        ("policies/class.rhai", class.to_owned()),
    ]
}

fn mill(cut: u32) -> Source {
    files(&mill_files(cut).each_ref().map(|(path, text)| (*path, text.as_str())))
}

/// Customers of the mill.
const CUSTOMERS: usize = 4;
/// How often a state that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// One process, as far as a thread can be one: connections, a view of what is in force, and workers of its own.
struct Node {
    db: Db,
    in_force: InForce,
    workers: Workers,
}

impl Node {
    fn refresh(&self) -> Arc<baremo::releases::active::Active> {
        self.db.run_here(|conn| self.in_force.refresh(conn)).unwrap();
        self.in_force.get().unwrap()
    }
}

/// Customers of which each second one shares a shard: a run over many shards is no other than one over two, but slower.
fn customers_of_two_shards(app: &TestApp) -> Vec<(String, Id)> {
    let mut customers: Vec<(String, Id)> = Vec::new();
    while customers.len() < CUSTOMERS {
        let code = format!("C{}", customers.len());
        let id: Id = app.customer(&code, json!({"network": {"area": customers.len()}})).parse().unwrap();
        let wanted = customers.len().checked_sub(2).map(|before| customers[before].1.shard());
        if wanted.is_none_or(|shard| shard == id.shard()) {
            customers.push((code, id));
        } else {
            app.base.execute(&format!("DELETE FROM customers WHERE code = '{code}'"));
        }
    }
    app.base.execute("DELETE FROM subjects WHERE customer_id NOT IN (SELECT id FROM customers)");
    customers
}

/// What one of the threads does.
#[derive(Clone, Debug)]
enum Step {
    /// Orders: number, customer, quantity. A number that is known is corrected.
    Orders(Vec<(u32, usize, u32)>),
    Area(usize, u32),
    Note(usize, u32),
    Run(Purpose),
    Activate(usize, Closes),
}

struct Mill {
    app: TestApp,
    nodes: Vec<Node>,
    customers: Vec<(String, Id)>,
    releases: Vec<baremo::digest::Digest>,
}

impl Mill {
    fn new() -> Self {
        let sources = [mill(20), mill(18)];
        let app = TestApp::new(&sources[0], "2018-01-01");
        let customers = customers_of_two_shards(&app);
        let state = &app.state;
        let first = state.in_force.get().unwrap().basis.release;
        // The second release is known to the base from the beginning.
        let other = sources[1].digest();
        state
            .db
            .run_here(|conn| {
                let by = By { user_id: None, name: "miller".to_owned() };
                author::keep(conn, &sources[1], "mill", &by, None, Some(first))?;
                author::note_checked(conn, other, by, Some(first))
            })
            .unwrap();
        let node = |db: Db| {
            let node = Node { db, in_force: InForce::default(), workers: Workers::default() };
            node.workers.start(&node.db, &node.in_force, None, DEFAULT_MONTHS, DEFAULT_LEASE).unwrap();
            node
        };
        let nodes = vec![
            Node { db: state.db.clone(), in_force: state.in_force.clone(), workers: state.workers.clone() },
            node(state.db.clone()),
        ];
        Self { app, nodes, customers, releases: vec![first, other] }
    }

    fn take(&self, node: &Node, step: &Step) {
        let active = node.refresh();
        match step {
            Step::Orders(orders) => {
                let item = |(number, customer, quantity): &(u32, usize, u32)| NewTransaction {
                    source: "test".to_owned(),
                    external_id: number.to_string(),
                    kind: "order".to_owned(),
                    customer_code: self.customers[*customer].0.clone(),
                    occurred_at: format!("2017-{:02}-15", 9 + number % 4),
                    lines: vec![NewLine {
                        product: None,
                        measures: BTreeMap::from([("quantity".to_owned(), quantity.to_string())]),
                    }],
                    ..NewTransaction::default()
                };
                let items: Vec<NewTransaction> = orders.iter().map(item).collect();
                let rules = recording_rules(&active);
                let recorded = node.db.run_here(|conn| record(conn, &rules, items, &Options::default())).unwrap();
                assert_eq!(recorded.len(), orders.len());
            }
            Step::Area(customer, area) => self.patch(node, *customer, json!({"network": {"area": area}})),
            Step::Note(customer, note) => self.patch(node, *customer, json!({"network": {"note": note.to_string()}})),
            Step::Run(purpose) => match node.db.run_here(|conn| run::create(conn, &active, *purpose)) {
                Ok(_) | Err(run::Error::Open(_)) => {}
                Err(error) => panic!("{error}"),
            },
            Step::Activate(release, closes) => {
                let wanted =
                    Change { release: Some(self.releases[*release]), order: (*closes).into(), business_date: None };
                let number = active.basis.number;
                match node.db.run_here(|conn| basis::change(conn, &node.in_force, None, &number.into(), &wanted)) {
                    Ok(_) | Err(basis::Error::Stale) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        node.workers.wake();
    }

    /// Changes a customer as a client does: reads his version, and reads again when another came first.
    fn patch(&self, node: &Node, customer: usize, profile: serde_json::Value) {
        let id = self.customers[customer].1;
        loop {
            let rules = customer_rules(&node.refresh());
            let changed = node.db.run_here(|conn| {
                let version = customers::find(conn, id)?.unwrap().version;
                let changes = Changes { profile: Some(profile.clone()), ..Changes::default() };
                change(conn, &rules, id, &version.into(), &changes)
            });
            match changed {
                Ok(_) => return,
                Err(baremo::customers::error::Error::Stale) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until nobody is due, no run is open and every closing is passed: a bounded number of looks.
    fn settle(&self) {
        let open = "SELECT (SELECT COUNT(*) FROM subjects WHERE next_due_on <= '2018-01-01') \
                    + (SELECT COUNT(*) FROM runs WHERE status IN ('preparing', 'running')) \
                    + (SELECT COUNT(*) FROM closings WHERE finished_at IS NULL) \
                    + (SELECT COUNT(*) FROM bases b WHERE b.number = (SELECT MAX(number) FROM bases) AND b.rules_number > 1 \
                       AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.basis_number >= b.rules_number AND r.status <> 'cancelled')) \
                    AS open";
        #[derive(QueryableByName)]
        struct Open {
            #[diesel(sql_type = BigInt)]
            open: i64,
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        self.nodes.iter().for_each(|node| node.workers.wake());
        loop {
            let left: Open = self.nodes[0]
                .db
                .run_here(|conn| diesel::sql_query(open).get_result(conn).map_err(db::Error::from))
                .unwrap();
            if left.open == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{} things are still open", left.open);
            thread::sleep(LOOK);
        }
    }

    /// Outcomes in force of every customer, by policy.
    fn outcomes(&self) -> BTreeMap<(Id, String), Outcome> {
        let of = |(_, id): &(String, Id)| {
            self.nodes[0].db.run_here(|conn| store::outcomes_of(conn, Subjects::Listed(&[*id]))).unwrap()
        };
        self.customers.iter().flat_map(of).collect()
    }

    /// What an assessment from nothing but the data and the outcomes that stand gives now.
    fn fresh(&self) -> BTreeMap<(Id, String), String> {
        let node = &self.nodes[0];
        let active = node.refresh();
        let mut fresh = BTreeMap::new();
        for (_, id) in &self.customers {
            let evaluated = node
                .db
                .run_here(|conn| prepare(conn, &node.in_force, active.clone(), Evaluated::Customer(*id), None, None))
                .unwrap()
                .evaluate();
            for policy in evaluated.assessment.assessed.policies {
                let Verdict::Decided(decision) = policy.result else { panic!("{policy:?}") };
                fresh.insert((*id, policy.policy), decision.outcome);
            }
        }
        fresh
    }

    /// One interleaving, and what must be true after it whatever came first.
    fn interleave(&self, seed: u64, with_closings: bool) {
        let mut chance = StdRng::seed_from_u64(seed);
        let threads: Vec<Vec<Step>> = (0..3)
            .map(|_| (0..chance.random_range(1..=3)).map(|_| step(&mut chance, with_closings)).collect())
            .collect();
        thread::scope(|scope| {
            for (number, steps) in threads.iter().enumerate() {
                let node = &self.nodes[number % self.nodes.len()];
                thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, move || steps.iter().for_each(|step| self.take(node, step)))
                    .unwrap();
            }
        });
        self.settle();
        let (outcomes, fresh) = (self.outcomes(), self.fresh());
        for (key, now) in &fresh {
            let kept = &outcomes[key];
            let provisional = kept.provisional.as_ref().unwrap_or(&kept.outcome);
            assert_eq!(provisional, now, "{key:?} after {threads:?} (seed {seed})");
            assert!(key.1 != "size" || kept.provisional.is_none(), "{key:?} is continuous (seed {seed})");
        }
        assert_eq!(fresh.len(), outcomes.len());
    }
}

fn step(chance: &mut StdRng, with_closings: bool) -> Step {
    let customer = chance.random_range(0..CUSTOMERS);
    match chance.random_range(0..20) {
        0..=11 => {
            let order = |chance: &mut StdRng| {
                (chance.random_range(0..40), chance.random_range(0..CUSTOMERS), chance.random_range(0..14))
            };
            let count = chance.random_range(1..4);
            Step::Orders((0..count).map(|_| order(chance)).collect())
        }
        12..=13 => Step::Area(customer, chance.random_range(0..12)),
        14 => Step::Note(customer, chance.random_range(0..100)),
        15 => Step::Run(Purpose::Assess),
        16 if with_closings => Step::Run(Purpose::RenewCohort),
        17 if with_closings => Step::Run(Purpose::Close),
        18 if with_closings => Step::Activate(chance.random_range(0..2), Closes::Now),
        19 => Step::Activate(chance.random_range(0..2), Closes::ByCadence),
        _ => Step::Orders(vec![(chance.random_range(0..40), customer, chance.random_range(0..14))]),
    }
}

impl Drop for Mill {
    fn drop(&mut self) {
        self.nodes.iter().for_each(|node| node.workers.stop());
    }
}

/// How many interleavings: 1,000, or as many as the environment says.
fn count() -> u64 {
    env::var("BAREMO_TEST_INTERLEAVINGS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}

/// Standing outcomes of policies that close.
fn closed(outcomes: &BTreeMap<(Id, String), Outcome>) -> BTreeMap<(Id, String), String> {
    let closes = |((_, policy), _): &(&(Id, String), &Outcome)| policy.as_str() != "size";
    outcomes.iter().filter(closes).map(|(key, outcome)| (key.clone(), outcome.outcome.clone())).collect()
}

/// Interleavings on one base before the next begins, so that none has a past much longer than another.
const ON_ONE_BASE: u64 = 250;

/// The seeds of each base, as many as [`count`] says for one of the two tests.
fn seeds() -> impl Iterator<Item = std::ops::Range<u64>> {
    let all = count() / 2;
    (0..all.div_ceil(ON_ONE_BASE)).map(move |base| base * ON_ONE_BASE..((base + 1) * ON_ONE_BASE).min(all))
}

#[test]
fn whatever_happens_at_once_ends_as_a_fresh_run_would() {
    for seeds in seeds() {
        let mill = Mill::new();
        assert_eq!(mill.app.run()["assessed"], CUSTOMERS);
        seeds.for_each(|seed| mill.interleave(seed, true));
    }
}

#[test]
fn whatever_happens_between_two_closings_standing_outcomes_are_those_of_the_last() {
    for seeds in seeds() {
        let mill = Mill::new();
        let mut at_closing = BTreeMap::new();
        for seed in seeds {
            if seed % 10 == 0 {
                let run = mill.app.post("/v1/closings", &json!(null)).with(202).json;
                mill.app.run_ended(run["id"].as_str().unwrap());
                mill.settle();
                at_closing = mill.outcomes();
                assert!(at_closing.values().all(|outcome| outcome.provisional.is_none()), "{at_closing:?}");
            }
            mill.interleave(1_000_000 + seed, false);
            assert_eq!(closed(&mill.outcomes()), closed(&at_closing), "seed {seed}");
        }
    }
}
