//! What the database cuts off: a transaction, without a word, so that nothing of what follows stands and it is tried again as a whole; and a
//! statement that takes too long.

use baremo::db::{Error, transaction};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel::{Connection, MysqlConnection, RunQueryDsl};

use crate::base::Base;
use crate::process::number;

#[test]
fn what_follows_a_silent_rollback_never_stands_for_itself() {
    let base = Base::new();
    base.execute("CREATE TABLE kept (number INT PRIMARY KEY)");
    let mut attempts = 0;
    let work = |conn: &mut MysqlConnection| {
        attempts += 1;
        conn.batch_execute("INSERT INTO kept VALUES (1)")?;
        if attempts == 1 {
            conn.batch_execute("ROLLBACK")?;
        }
        conn.batch_execute(&format!("INSERT INTO kept VALUES ({})", 10 * attempts))?;
        Ok::<_, Error>(attempts)
    };
    let mut conn = MysqlConnection::establish(&base.url()).unwrap();
    assert_eq!(transaction(&mut conn, work).unwrap(), 2);
    assert_eq!(number(&base.url(), "SELECT SUM(number) FROM kept"), Some(21), "1 and 20, and not 10");

    let refused = transaction(&mut conn, |conn| {
        conn.batch_execute("INSERT INTO kept VALUES (2)")?;
        Err::<(), _>(Error::Taken)
    });
    assert!(refused.is_err());
    conn.batch_execute("INSERT INTO kept VALUES (100)").unwrap();
    assert_eq!(
        number(&base.url(), "SELECT SUM(number) FROM kept"),
        Some(121),
        "a statement beside transactions stands at once"
    );
}

#[test]
fn a_statement_that_takes_too_long_is_told_as_such() {
    let base = Base::new();
    let mut conn = MysqlConnection::establish(&base.url()).unwrap();
    let (here, there) = ("SET max_statement_time = 0.1", "SET max_execution_time = 100");
    conn.batch_execute(here).or_else(|_| conn.batch_execute(there)).unwrap();
    let tables = ["a", "b", "c", "d", "e"].map(|name| format!("information_schema.COLLATIONS {name}")).join(", ");
    let endless =
        diesel::select(sql::<BigInt>(&format!("(SELECT COUNT(*) FROM {tables})"))).get_result::<i64>(&mut conn);
    let error = Error::from(endless.unwrap_err());
    assert!(matches!(error, Error::TooLong(_)) && !error.is_transient(), "{error:?}");
}
