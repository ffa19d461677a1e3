//! Writes of many rows as text: whatever the values are, the database keeps them as they were.

use baremo::Id;
use baremo::db::Error;
use baremo::db::bulk::Insert;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Datetime, Nullable, Text};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::base::Base;
use crate::process::number;

#[derive(QueryableByName, Debug, PartialEq)]
struct Row {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    text: String,
    #[diesel(sql_type = Nullable<Text>)]
    other: Option<String>,
    #[diesel(sql_type = Binary)]
    bytes: Vec<u8>,
    #[diesel(sql_type = Datetime, deserialize_as = jiff_diesel::Timestamp)]
    moment: Timestamp,
}

/// Texts in which what means something to SQL is frequent.
fn texts() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec!['\0', '\n', '\r', '\\', '\'', '"', '\x1a', '%', '_', '`', '\u{8}', '烟', '😀']);
    vec(prop_oneof![3 => odd, 1 => any::<char>()], 0..40).prop_map(|letters| letters.into_iter().collect())
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let moments = -30_000_000_000_000_000_i64..250_000_000_000_000_000;
    let row = (texts(), prop::option::of(texts()), vec(any::<u8>(), 0..40), moments);
    vec(row, 1..1200).prop_map(|rows| {
        let numbered = (0..).zip(rows);
        numbered
            .map(|(number, (text, other, bytes, moment))| Row {
                number,
                text,
                other,
                bytes,
                moment: Timestamp::from_microsecond(moment).unwrap(),
            })
            .collect()
    })
}

#[test]
fn rows_come_back_as_they_were_written() {
    let base = Base::new();
    base.execute(
        "CREATE TABLE things (number BIGINT PRIMARY KEY, text LONGTEXT NOT NULL, other LONGTEXT, bytes LONGBLOB NOT NULL,
         moment DATETIME(6) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
    );
    let mut runner = TestRunner::new(Config { cases: 20, ..Config::default() });
    runner
        .run(&rows(), |rows| {
            let back: Vec<Row> = base
                .db
                .run_here(|conn| {
                    conn.batch_execute("DELETE FROM things")?;
                    let mut insert = Insert::into("things", &["number", "text", "other", "bytes", "moment"], "");
                    for row in &rows {
                        let other = row.other.as_deref();
                        insert
                            .value(row.number)
                            .value(&row.text)
                            .value(other)
                            .value(&row.bytes)
                            .value(row.moment)
                            .end_row();
                    }
                    insert.execute(conn)?;
                    Ok::<_, Error>(diesel::sql_query("SELECT * FROM things ORDER BY number").load(conn)?)
                })
                .unwrap();
            prop_assert_eq!(back, rows);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_id_is_written_as_its_bytes_and_nothing_as_null() {
    let base = Base::new();
    base.execute("CREATE TABLE ids (id BINARY(16), none BINARY(16))");
    let id = Id::new();
    let mut insert = Insert::into("ids", &["id", "none"], "");
    insert.value(id).value(None::<Id>).end_row();
    base.db.run_here(|conn| insert.execute(conn)).unwrap();
    let found = format!("SELECT COUNT(*) FROM ids WHERE HEX(id) = '{:X}' AND none IS NULL", id.uuid().simple());
    assert_eq!(number(&base.url(), &found), Some(1));
}
