//! Scripts through the whole engine: what the contract for pack authors promises, what the checks find, and what hostile
//! scripts can't do.

mod checks;
mod contract;
mod hostile;
mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::civil::date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::diagnostic::Diagnostic;
use super::engine::{CompiledPolicies, compile};
use super::model::{
    Circumstances, Cohort, CohortCuts, Cuts, Decision, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, PolicyResult,
    Subject, Verdict,
};
use super::pack::{
    Cadence, CohortDeclaration, CutRule, EntitlementDeclaration, EntitlementType, Pack, PolicyDeclaration, SubjectKind,
};
use super::texts::Texts;
use crate::customers::model::{Field, Fields, Value};
use crate::transactions::model::{Definitions, Metric};

/// The one policy of most tests.
const POLICY: &str = "grade";

/// A pack with a field of each type, a metric, a cohort, and one policy with the outcomes 1 to 4.
fn pack() -> Pack {
    let field = |text: &str| toml::from_str::<Field>(&format!("section = \"basic\"\n{text}")).unwrap();
    let fields = IndexMap::from([
        ("floor_area".to_owned(), field("type = \"decimal\"")),
        ("shops".to_owned(), field("type = \"integer\"")),
        ("format".to_owned(), field("type = \"choice\"\nchoices = [\"grocery\", \"hotel\"]")),
        ("lines".to_owned(), field("type = \"choices\"\nchoices = [\"food\", \"drink\"]")),
        ("licensed".to_owned(), field("type = \"boolean\"")),
        ("note".to_owned(), field("type = \"text\"")),
        ("opened_on".to_owned(), field("type = \"date\"")),
    ]);
    let volume: Metric = toml::from_str(
        "function = \"mean_per_month\"\nkind = \"order\"\nmeasure = \"quantity\"\nwindow = { full_months = 3 }",
    )
    .unwrap();
    let metrics = IndexMap::from([("monthly_volume".to_owned(), volume)]);
    let cohort = CohortDeclaration {
        value: "monthly_volume".to_owned(),
        group: vec!["format".to_owned()],
        minimum: 2,
        cuts: CutRule::Quantiles(vec![Decimal::new(5, 1), Decimal::new(9, 1)]),
        population: BTreeMap::new(),
    };
    let ranks = CohortDeclaration { cuts: CutRule::Ranks(true), ..cohort.clone() };
    Pack {
        id: "trial".to_owned(),
        title: BTreeMap::new(),
        time_zone: TimeZone::UTC,
        currency: "CNY".to_owned(),
        unit: "case".to_owned(),
        languages: vec!["en".to_owned()],
        closes_after: 0,
        fields: Arc::new(Fields::new(fields, vec!["monthly_volume".to_owned()])),
        customer_definitions: Arc::default(),
        definitions: Arc::new(Definitions { metrics, ..Definitions::default() }),
        cohorts: IndexMap::from([("volumes".to_owned(), cohort), ("ranks".to_owned(), ranks)]),
        policies: IndexMap::from([(POLICY.to_owned(), declaration(&["1", "2", "3", "4"]))]),
        influences: IndexMap::new(),
        publishing: None,
        drift: super::pack::Drifting::default(),
        lists: IndexMap::new(),
        publication: None,
        staff: None,
        overrides: Default::default(),
        appeals: Default::default(),
        texts: Texts::default(),
    }
}

fn declaration(outcomes: &[&str]) -> PolicyDeclaration {
    let entitlement = |entitlement_type| EntitlementDeclaration { entitlement_type, unit: None };
    PolicyDeclaration {
        common: false,
        subject: SubjectKind::Customer,
        outcomes: outcomes.iter().map(|outcome| (*outcome).to_owned()).collect(),
        cells: Vec::new(),
        cadence: Cadence::Continuous,
        indicators: vec!["support".to_owned(), "contribution".to_owned()],
        entitlements: IndexMap::from([
            ("supply".to_owned(), entitlement(EntitlementType::Decimal)),
            ("visits".to_owned(), entitlement(EntitlementType::Integer)),
            ("credit".to_owned(), entitlement(EntitlementType::Boolean)),
            ("gifts".to_owned(), entitlement(EntitlementType::Texts)),
        ]),
        stability: None,
        overridable: true,
        appealable: true,
    }
}

fn number(text: &str) -> Value {
    Value::Number(text.parse().unwrap())
}

/// A customer with every value but the floor area.
fn customer() -> Subject {
    let values = [
        ("shops", number("3")),
        ("format", Value::Text("grocery".to_owned())),
        ("lines", Value::Choices(vec!["food".to_owned()])),
        ("licensed", Value::Boolean(true)),
        ("note", Value::Text("près du marché".to_owned())),
        ("opened_on", Value::Date(date(2016, 2, 29))),
        ("monthly_volume", number("12.50")),
    ];
    Subject {
        code: "C-7".to_owned(),
        values: values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        windows: Arc::default(),
    }
}

fn cuts(cuts: &[&str]) -> Arc<Cuts> {
    Arc::new(Cuts::new(10, cuts.iter().map(|cut| cut.parse().unwrap()).collect()))
}

fn cohort() -> Cohort {
    let groups = BTreeMap::from([("grocery".to_owned(), cuts(&["10", "20"]))]);
    let volumes = CohortCuts { all: cuts(&["100", "200"]), groups };
    Cohort { cohorts: BTreeMap::from([("volumes".to_owned(), volumes.clone()), ("ranks".to_owned(), volumes)]) }
}

fn compiled(pack: &Pack, text: &str) -> Result<CompiledPolicies, Vec<Diagnostic>> {
    compile(pack, &BTreeMap::from([(POLICY.to_owned(), text.to_owned())]), &BTreeMap::new())
}

/// Compiles a script and applies it to a customer, on a stack like the service's.
fn run_on(subject: Subject, text: &str) -> PolicyResult {
    let text = text.to_owned();
    let work = move || {
        let policies = compiled(&pack(), &text).unwrap_or_else(|faults| panic!("{}", shown(&faults)));
        let cohort = cohort();
        let circumstances = Circumstances {
            as_of: date(2018, 1, 1),
            cohort: &cohort,
            standing: &NONE_STANDING,
            previous: &NONE_PREVIOUS,
            overrides: &NONE_OVERRIDES,
        };
        policies.assess_one(POLICY, &Arc::new(subject), circumstances, &BTreeMap::new())
    };
    std::thread::Builder::new().stack_size(16 << 20).spawn(work).unwrap().join().unwrap()
}

fn run(text: &str) -> PolicyResult {
    run_on(customer(), text)
}

fn decided(text: &str) -> Decision {
    match run(text).result {
        Verdict::Decided(decision) => decision,
        other => panic!("{other:?}"),
    }
}

fn failed(text: &str) -> String {
    match run(text).result {
        Verdict::Failed(message) => message,
        other => panic!("{other:?}"),
    }
}

/// What a body of `decide` with a condition comes to.
fn holds(condition: &str) -> bool {
    let text =
        format!("fn decide(customer, context) {{ if {condition} {{ decision(\"1\") }} else {{ decision(\"2\") }} }}");
    decided(&text).outcome == "1"
}

fn faults(text: &str) -> Vec<Diagnostic> {
    compiled(&pack(), text).err().unwrap_or_default()
}

fn shown(faults: &[Diagnostic]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("\n")
}
