//! The sample of the tobacco pack, graded without a database: the numbers were worked out from the two files with exact
//! fractions by a program that shares nothing with this one. They guard what golden cases can't: metrics over real orders,
//! and the cuts of the population.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A policy's outcomes with their numbers of customers, sorted by outcome.
type Counts = Vec<(String, usize)>;

fn counts(of: &[(&str, usize)]) -> Counts {
    of.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// The customers, graded as of a day: each row by the name of its column.
pub fn grades(as_of: &str) -> Vec<BTreeMap<String, String>> {
    let folder = tempfile::tempdir().unwrap();
    let grades = folder.path().join("grades.csv");
    let columns = [
        "customer=customer_code",
        "on=ordered_at",
        "order=order_id",
        "product=product_code",
        "product_category=category",
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_baremo"))
        .args(["rules", "run"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/tobacco"))
        .arg("--customers")
        .arg(sample("tobacco_customers.csv"))
        .arg("--transactions")
        .arg(sample("tobacco_orders.csv"))
        .args(["--kind", "order"])
        .args(columns.iter().flat_map(|column| ["--map-transactions", column]))
        .args(["--as-of", as_of, "--output"])
        .arg(&grades)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut reader = csv::Reader::from_path(grades).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_sample_has_the_grades_worked_out_by_hand() {
    let grades = grades("2018-01-01");
    assert_eq!(grades.len(), 136);
    let of = |policy: &str, class: fn(&str) -> &str| {
        let mut found = BTreeMap::<String, usize>::new();
        for row in &grades {
            *found.entry(class(&row[policy]).to_owned()).or_default() += 1;
        }
        Counts::from_iter(found)
    };
    let whole = |policy| of(policy, |outcome| outcome);
    let volume_grades = [("1", 6), ("2", 9), ("3", 11), ("4", 12), ("5", 25), ("6", 14), ("7", 28), ("8", 31)];
    assert_eq!(whole("volume_grade"), counts(&volume_grades));
    let levels =
        [("1", 5), ("10", 25), ("2", 9), ("3", 18), ("4", 18), ("5", 20), ("6", 10), ("7", 10), ("8", 8), ("9", 13)];
    assert_eq!(whole("level"), counts(&levels));
    let tiers = [("low_value", 40), ("potential_value", 29), ("sub_value", 47), ("value", 20)];
    assert_eq!(whole("value"), counts(&tiers));
    assert_eq!(whole("value_group"), counts(&[("core", 20), ("general", 76), ("problem", 40)]));
    assert_eq!(whole("abc"), counts(&[("A", 51), ("B", 32), ("C", 53)]));
    let scales = of("category", |outcome| outcome.rsplit('_').next().unwrap_or_default());
    assert_eq!(scales, counts(&[("large", 25), ("medium", 42), ("small", 69)]));
}

#[test]
fn scale_is_relative_to_the_format_where_it_has_enough_shops() {
    let grades = grades("2018-01-01");
    let scales = |format: &str| {
        ["large", "medium", "small"].map(|scale| {
            let is = |row: &&BTreeMap<String, String>| {
                row["category"].starts_with(format) && row["category"].ends_with(scale)
            };
            grades.iter().filter(is).count()
        })
    };
    assert_eq!(scales("grocery"), [9, 14, 25]);
    assert_eq!(scales("supermarket"), [3, 4, 8]);
    assert_eq!(scales("entertainment"), [2, 3, 6]);
    // Four shops, compared with all customers: their own top 20 % would be nobody.
    assert_eq!(scales("department_store"), [1, 2, 1]);
}
