//! The schema: each migration can be taken back and applied again, and what it makes is what the code reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use baremo::assessments::store::PARTITIONS;
use baremo::db::migrate::{migrate, revert_all};
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::base::Base;

/// A column: its name, its type as Diesel calls it, and whether it may be NULL.
type Column = (String, String, bool);

/// A table: the columns of its primary key, and all columns.
#[derive(Debug, PartialEq)]
struct Table {
    key: Vec<String>,
    columns: Vec<Column>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn migrations() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 15, "{folders:?}");
    folders
}

/// The tables of `schema.rs`, from its text.
fn declared() -> BTreeMap<String, Table> {
    let text = fs::read_to_string(root().join("src/db/schema.rs")).unwrap();
    let mut tables = BTreeMap::new();
    for block in text.split("diesel::table! {").skip(1) {
        let (head, rest) = block.split_once(") {").unwrap();
        let (name, key) = head.split_once('(').unwrap();
        let columns = rest.split_once('}').unwrap().0.split(",\n").filter_map(|line| line.trim().split_once(" -> "));
        let column = |(name, kind): (&str, &str)| {
            let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            (name.to_owned(), inner.unwrap_or(kind).to_owned(), inner.is_some())
        };
        let table = Table {
            key: key.split(',').map(|column| column.trim().to_owned()).collect(),
            columns: columns.map(column).collect(),
        };
        tables.insert(name.trim().to_owned(), table);
    }
    tables
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    a: String,
    #[diesel(sql_type = Text)]
    b: String,
    #[diesel(sql_type = Text)]
    c: String,
    #[diesel(sql_type = Text)]
    d: String,
}

fn ask(base: &Base, sql: &str) -> Vec<Found> {
    base.db.run_here(|conn| diesel::sql_query(sql).load(conn).map_err(baremo::db::Error::from)).unwrap()
}

/// The tables of the database.
fn migrated(base: &Base) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::<String, Table>::new();
    let columns = "SELECT table_name a, column_name b, column_type c, is_nullable d FROM information_schema.columns \
                   WHERE table_schema = DATABASE() AND table_name <> '__diesel_schema_migrations' \
                   ORDER BY table_name, ordinal_position";
    for Found { a: table, b: column, c: kind, d: nullable } in ask(base, columns) {
        let table = tables.entry(table).or_insert(Table { key: Vec::new(), columns: Vec::new() });
        table.columns.push((column, diesel_type(&kind), nullable == "YES"));
    }
    let keys = "SELECT table_name a, column_name b, '' c, '' d FROM information_schema.key_column_usage \
                WHERE table_schema = DATABASE() AND constraint_name = 'PRIMARY' \
                AND table_name <> '__diesel_schema_migrations' ORDER BY table_name, ordinal_position";
    for Found { a: table, b: column, .. } in ask(base, keys) {
        tables.get_mut(&table).unwrap().key.push(column);
    }
    tables
}

/// The type by which Diesel reads a column.
fn diesel_type(column_type: &str) -> String {
    if column_type == "tinyint(1)" {
        return "Bool".to_owned();
    }
    let name = column_type.split(['(', ' ']).next().unwrap();
    let kind = match name {
        "tinyint" => "TinyInt",
        "smallint" => "SmallInt",
        "int" => "Integer",
        "bigint" => "BigInt",
        "varchar" | "longtext" => "Text",
        "binary" | "mediumblob" => "Binary",
        "date" => "Date",
        "datetime" if column_type == "datetime(6)" => "Datetime",
        "decimal" => "Decimal",
        _ => panic!("no table should have a column of the type {column_type}"),
    };
    if column_type.ends_with("unsigned") { format!("Unsigned<{kind}>") } else { kind.to_owned() }
}

#[test]
fn the_code_reads_the_schema_that_the_migrations_make() {
    let declared = declared();
    assert!(declared.len() >= 19, "{}", declared.len());
    assert_eq!(declared["customers"].key, ["shard", "id"]);
    let base = Base::new();
    let migrated = migrated(&base);
    assert_eq!(declared.keys().collect::<Vec<_>>(), migrated.keys().collect::<Vec<_>>());
    for (name, table) in &declared {
        assert_eq!(table, &migrated[name], "{name}");
    }
}

#[test]
fn assessments_have_the_partitions_that_the_code_counts_on() {
    let base = Base::new();
    let partitions = ask(
        &base,
        "SELECT partition_name a, partition_method b, partition_expression c, '' d FROM information_schema.partitions \
         WHERE table_schema = DATABASE() AND table_name = 'assessments' ORDER BY partition_ordinal_position",
    );
    assert_eq!(i16::try_from(partitions.len()), Ok(PARTITIONS));
    for (number, partition) in partitions.iter().enumerate() {
        assert_eq!((&partition.a, partition.b.as_str()), (&format!("p{number}"), "HASH"));
        assert_eq!(partition.c.trim_matches('`'), "month");
    }
}

#[test]
fn every_migration_can_be_taken_back_and_applied_again() {
    let base = Base::new();
    let first = migrated(&base);
    assert_eq!(base.db.run_here(revert_all).unwrap(), migrations().len());
    assert_eq!(migrated(&base), BTreeMap::new());
    assert_eq!(base.db.run_here(migrate).unwrap(), migrations().len());
    assert_eq!(migrated(&base), first);
    assert_eq!(base.db.run_here(migrate).unwrap(), 0);
}

#[test]
fn a_migration_that_was_cut_off_before_it_was_noted_is_applied_again() {
    let base = Base::new();
    // The statement commits by itself: a kill can come between it and the note that it was done.
    base.execute("DELETE FROM __diesel_schema_migrations WHERE version >= '20261121000009'");
    let first = migrated(&base);
    assert_eq!(base.db.run_here(migrate).unwrap(), migrations().len() - 8);
    assert_eq!(migrated(&base), first);
}

#[test]
fn every_table_states_engine_and_collation() {
    let base = Base::new();
    // A database whose own settings are others: tables must not take them over.
    base.db.run_here(revert_all).unwrap();
    base.execute("ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci");
    base.db.run_here(migrate).unwrap();
    let tables = ask(
        &base,
        "SELECT table_name a, engine b, table_collation c, '' d FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name <> '__diesel_schema_migrations'",
    );
    assert_eq!(tables.len(), declared().len());
    for table in tables {
        assert_eq!((table.b.as_str(), table.c.as_str()), ("InnoDB", "utf8mb4_bin"), "{}", table.a);
    }
    let texts = ask(
        &base,
        "SELECT table_name a, column_name b, collation_name c, '' d FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name <> '__diesel_schema_migrations' AND collation_name IS NOT NULL",
    );
    assert!(texts.len() > 20, "{}", texts.len());
    for column in texts {
        assert_eq!(column.c, "utf8mb4_bin", "{}.{}", column.a, column.b);
    }
}

#[test]
fn every_migration_is_one_statement_up_and_one_down() {
    for folder in migrations() {
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["down.sql", "up.sql"], "{}", folder.display());
        for file in ["up.sql", "down.sql"] {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            let statement = text.trim().strip_suffix(';').unwrap_or_default();
            assert!(!statement.is_empty() && !statement.contains(';'), "{}/{file}", folder.display());
        }
    }
}
