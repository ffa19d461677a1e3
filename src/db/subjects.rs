//! Which subjects a statement is about: several of one shard at once.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::sql_types::Bool;

use super::bulk::Literal;
use super::id::Id;

/// Subjects of one shard that are worked on together.
#[derive(Clone, Copy, Debug)]
pub enum Subjects<'a> {
    /// Those with these ids.
    Listed(&'a [Id]),
    /// All from one id to another, both included: one stretch of each table, which is read much faster.
    Between(Id, Id),
}

impl Subjects<'_> {
    /// The subject, where there is only this one: a statement about it alone needs no text and stays prepared.
    pub fn only(self) -> Option<Id> {
        match self {
            Self::Listed([id]) => Some(*id),
            Self::Listed(_) | Self::Between(..) => None,
        }
    }

    /// The condition on the columns `shard` and `column` of a table, as text: a statement with a hundred parameters would be
    /// prepared anew each time. Nothing where there is nobody.
    pub fn condition(self, column: &str) -> Option<SqlLiteral<Bool>> {
        let mut condition = String::new();
        let first = match self {
            Self::Listed(ids) => *ids.first()?,
            Self::Between(first, _) => first,
        };
        condition += &format!("(shard = {} AND {column} ", first.shard());
        match self {
            Self::Listed(ids) => {
                condition += "IN ";
                for (index, id) in ids.iter().enumerate() {
                    condition.push(if index == 0 { '(' } else { ',' });
                    id.write(&mut condition);
                }
                condition.push(')');
            }
            Self::Between(first, last) => {
                condition += "BETWEEN ";
                first.write(&mut condition);
                condition += " AND ";
                last.write(&mut condition);
            }
        }
        condition.push(')');
        Some(sql(&condition))
    }
}
