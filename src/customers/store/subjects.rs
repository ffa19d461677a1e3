//! What is known of each customer as a subject of assessments, as far as changes of his inputs go: every change raises his
//! sequence, and makes him due where a policy reads what has changed.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::civil::Date;

use crate::Id;
use crate::db::bulk::Insert;
use crate::db::schema::bases;
use crate::db::{Conn, Result};

/// Of a customer who is due at once: the first day that the database knows.
pub const DUE_NOW: Date = jiff::civil::date(1000, 1, 1);

/// What happened to a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// His inputs changed where no policy reads them.
    Unread,
    /// Something changed that a policy reads.
    Read,
    /// He is new or active again: closings before him are not his.
    Joined,
    /// He is inactive now.
    Left,
}

impl Change {
    fn tail(self) -> &'static str {
        match self {
            Self::Unread | Self::Read => {
                " ON DUPLICATE KEY UPDATE input_seq = input_seq + 1, next_due_on = COALESCE(VALUES(next_due_on), next_due_on)"
            }
            Self::Joined => {
                " ON DUPLICATE KEY UPDATE input_seq = input_seq + 1, closed_to = VALUES(closed_to), \
                 next_due_on = VALUES(next_due_on)"
            }
            Self::Left => " ON DUPLICATE KEY UPDATE input_seq = input_seq + 1, next_due_on = NULL",
        }
    }
}

/// Raises the sequences of customers whose inputs the transaction changes. `basis` is the one under which the caller knows
/// what is read: where another one is in force by now, everything counts as read.
pub fn raise(conn: &mut Conn, basis: i64, changes: &BTreeMap<Id, Change>) -> Result<()> {
    let current: i64 = bases::table.select(diesel::dsl::max(bases::number)).first::<Option<i64>>(conn)?.unwrap_or(0);
    let mut by_change: BTreeMap<Change, Vec<Id>> = BTreeMap::new();
    for (id, change) in changes {
        let change = if *change == Change::Unread && basis != current { Change::Read } else { *change };
        by_change.entry(change).or_default().push(*id);
    }
    let columns = ["shard", "customer_id", "input_seq", "closed_to", "next_due_on", "basis_number"];
    for (change, mut ids) in by_change {
        // The one order in which rows are locked.
        ids.sort_by_key(|id| (id.shard(), *id));
        let mut insert = Insert::into("subjects", &columns, change.tail());
        for id in ids {
            let due = matches!(change, Change::Read | Change::Joined).then_some(DUE_NOW);
            insert.value(id.shard()).value(id).value(1_i64).value(current).value(due).value(0_i64);
            insert.end_row();
        }
        insert.execute(conn)?;
    }
    Ok(())
}
