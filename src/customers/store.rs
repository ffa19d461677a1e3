//! Customers in the database, and the index of their filterable values.

pub mod subjects;

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use jiff_diesel::ToDiesel;

use super::file::{Customer, Status, settled, values_of};
use super::model::{Fields, Value};
use super::selection::{Comparison, Condition, Listed, Position, Selection, SortBy, ValueKind, indexed};
use crate::Id;
use crate::db::bulk::{Insert, Literal};
use crate::db::id::SHARDS;
use crate::db::schema::customers;
use crate::db::{self, Conn, Error, Result};

/// Customers whose index is rebuilt in one transaction.
const PAGE: u32 = 500;

const COLUMNS: [&str; 10] =
    ["shard", "id", "code", "name", "search", "status", "profile", "version", "created_at", "updated_at"];
const REPLACE: &str = " ON DUPLICATE KEY UPDATE name=VALUES(name),search=VALUES(search),status=VALUES(status),\
                       profile=VALUES(profile),version=VALUES(version),updated_at=VALUES(updated_at)";

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = customers)]
struct CustomerRow {
    id: Id,
    code: String,
    name: String,
    status: String,
    profile: String,
    version: i64,
    created_at: jiff_diesel::Timestamp,
    updated_at: jiff_diesel::Timestamp,
}

impl CustomerRow {
    fn customer(self) -> Result<Customer> {
        let status = Status::from_key(&self.status);
        Ok(Customer {
            id: self.id,
            status: status.ok_or_else(|| Error::corrupt("status of a customer", self.id))?,
            profile: serde_json::from_str(&self.profile).map_err(|e| Error::corrupt("profile of a customer", e))?,
            code: self.code,
            name: self.name,
            version: self.version,
            created_at: self.created_at.to_jiff(),
            updated_at: self.updated_at.to_jiff(),
        })
    }
}

/// The customer of this id.
pub fn find(conn: &mut Conn, id: Id) -> Result<Option<Customer>> {
    let row: Option<CustomerRow> = customers::table
        .filter(customers::shard.eq(id.shard()))
        .filter(customers::id.eq(id))
        .select(CustomerRow::as_select())
        .first(conn)
        .optional()?;
    row.map(CustomerRow::customer).transpose()
}

/// The code of a customer, also of one whose profile can't be read.
pub fn code(conn: &mut Conn, id: Id) -> Result<Option<String>> {
    let customer = customers::table.filter(customers::shard.eq(id.shard()).and(customers::id.eq(id)));
    Ok(customer.select(customers::code).first(conn).optional()?)
}

/// Customers by code. `codes` must be sorted; `lock` keeps others from changing them until the transaction ends.
pub fn find_by_codes(conn: &mut Conn, codes: &[&str], lock: bool) -> Result<BTreeMap<String, Customer>> {
    let query =
        customers::table.filter(customers::code.eq_any(codes)).order(customers::code).select(CustomerRow::as_select());
    let rows: Vec<CustomerRow> = if lock { query.for_update().load(conn)? } else { query.load(conn)? };
    rows.into_iter().map(|row| row.customer().map(|customer| (customer.code.clone(), customer))).collect()
}

/// The ids of customers by code.
pub fn ids_by_code(conn: &mut Conn, codes: &[&str]) -> Result<BTreeMap<String, Id>> {
    let query = customers::table.filter(customers::code.eq_any(codes)).select((customers::code, customers::id));
    Ok(query.load::<(String, Id)>(conn)?.into_iter().collect())
}

/// Adds customers and their values; `Error::Taken` if one of the codes is. The caller has the transaction.
pub fn insert(conn: &mut Conn, fields: &Fields, added: &[Customer]) -> Result<()> {
    write(conn, added, "")?;
    insert_values(conn, fields, added)
}

/// Replaces customers that the transaction has locked, and their values.
pub fn replace(conn: &mut Conn, fields: &Fields, changed: &[Customer]) -> Result<()> {
    write(conn, changed, REPLACE)?;
    delete_values(conn, changed)?;
    insert_values(conn, fields, changed)
}

/// Replaces a customer and his values if his version in the database is still the one before. Whether it was.
pub fn update(conn: &mut Conn, fields: &Fields, customer: &Customer) -> Result<bool> {
    let updated = diesel::update(
        customers::table
            .filter(customers::shard.eq(customer.id.shard()))
            .filter(customers::id.eq(customer.id))
            .filter(customers::version.eq(customer.version - 1)),
    )
    .set((
        customers::name.eq(&customer.name),
        customers::search.eq(customer.search()),
        customers::status.eq(customer.status.key()),
        customers::profile.eq(customer.profile_text()),
        customers::version.eq(customer.version),
        customers::updated_at.eq(customer.updated_at.to_diesel()),
    ))
    .execute(conn)?;
    if updated == 1 {
        delete_values(conn, std::slice::from_ref(customer))?;
        insert_values(conn, fields, std::slice::from_ref(customer))?;
    }
    Ok(updated == 1)
}

fn write(conn: &mut Conn, written: &[Customer], tail: &str) -> Result<()> {
    let mut insert = Insert::into("customers", &COLUMNS, tail);
    for customer in written {
        insert.value(customer.id.shard()).value(customer.id).value(customer.code.as_str());
        insert.value(customer.name.as_str()).value(customer.search()).value(customer.status.key());
        insert.value(customer.profile_text()).value(customer.version);
        insert.value(customer.created_at).value(customer.updated_at);
        insert.end_row();
    }
    insert.execute(conn)
}

fn delete_values(conn: &mut Conn, of: &[Customer]) -> Result<()> {
    let mut by_shard: BTreeMap<u8, BTreeSet<Id>> = BTreeMap::new();
    for customer in of {
        by_shard.entry(customer.id.shard()).or_default().insert(customer.id);
    }
    let mut statements = String::new();
    for (shard, ids) in by_shard {
        statements.push_str(&format!("DELETE FROM customer_values WHERE shard={shard} AND customer_id IN ("));
        for (index, id) in ids.iter().enumerate() {
            if index > 0 {
                statements.push(',');
            }
            id.write(&mut statements);
        }
        statements.push_str(");");
    }
    if !statements.is_empty() {
        conn.batch_execute(&statements)?;
    }
    Ok(())
}

fn insert_values(conn: &mut Conn, fields: &Fields, of: &[Customer]) -> Result<()> {
    let columns = ["shard", "customer_id", "field", "item", "text_value", "number_value", "date_value"];
    let mut insert = Insert::into("customer_values", &columns, "");
    for customer in of {
        let values = values_of(fields, &customer.profile);
        for (key, value) in values.iter().filter(|(key, _)| fields.get(key).is_some_and(|field| field.filterable)) {
            let mut item: u16 = 0;
            let mut row = |text: Option<String>, value: &Value| {
                insert.value(customer.id.shard()).value(customer.id).value(key.as_str()).value(item).value(text);
                insert.value(if let Value::Number(number) = value { Some(*number) } else { None });
                insert.value(if let Value::Date(date) = value { Some(*date) } else { None });
                insert.end_row();
                item = item.saturating_add(1);
            };
            match value {
                Value::Choices(chosen) => chosen.iter().for_each(|choice| row(Some(indexed(choice)), value)),
                Value::Number(_) | Value::Date(_) => row(None, value),
                Value::Text(_) | Value::Boolean(_) => row(Some(indexed(&value.to_string())), value),
            }
        }
    }
    insert.execute(conn)
}

/// Customers of a shard after an id, in the order of ids.
pub fn page_of_shard(conn: &mut Conn, shard: u8, after: Id, limit: u32, lock: bool) -> Result<Vec<Customer>> {
    let query = customers::table
        .filter(customers::shard.eq(shard))
        .filter(customers::id.gt(after))
        .order(customers::id)
        .limit(limit.into())
        .select(CustomerRow::as_select());
    let rows: Vec<CustomerRow> = if lock { query.for_update().load(conn)? } else { query.load(conn)? };
    rows.into_iter().map(CustomerRow::customer).collect()
}

/// Rebuilds the index of values for all customers, page by page: for a pack whose fields are about to change. Values that the
/// pack `in_force` takes under another key than they are stored under move to the key that it declares, which nobody who reads
/// by it sees, so that the next pack may forget the old one. It can be broken off and begun again.
pub fn reindex(conn: &mut Conn, in_force: Option<&Fields>, fields: &Fields) -> Result<()> {
    for shard in 0..SHARDS {
        let mut after = Id::NIL;
        loop {
            let page = db::transaction(conn, |conn| {
                let mut page = page_of_shard(conn, shard, after, PAGE, true)?;
                let mut moved = Vec::new();
                for customer in &mut page {
                    if let Some(profile) = in_force.and_then(|known| settled(known, fields, &customer.profile)) {
                        customer.profile = profile;
                        moved.push(customer.clone());
                    }
                }
                write(conn, &moved, REPLACE)?;
                delete_values(conn, &page)?;
                insert_values(conn, fields, &page)?;
                Ok::<_, Error>(page)
            })?;
            let Some(last) = page.last() else { break };
            after = last.id;
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct ListedRow {
    #[diesel(embed)]
    customer: CustomerRow,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    sort_value: Option<String>,
}

/// A statement of a list as it is put together, with the values of its parameters.
#[derive(Default)]
struct Statement {
    sql: String,
    binds: Vec<Bind>,
}

enum Bind {
    Text(String),
    Id(Id),
}

impl Statement {
    fn add(&mut self, sql: &str, binds: impl IntoIterator<Item = Bind>) -> &mut Self {
        self.sql.push_str(sql);
        self.binds.extend(binds);
        self
    }

    fn load(self, conn: &mut Conn) -> Result<Vec<Listed>> {
        use diesel::sql_types::{Binary, Text};
        let mut query = diesel::sql_query(self.sql).into_boxed::<diesel::mysql::Mysql>();
        for bind in self.binds {
            query = match bind {
                Bind::Text(text) => query.bind::<Text, _>(text),
                Bind::Id(id) => query.bind::<Binary, _>(id),
            };
        }
        let rows: Vec<ListedRow> = query.load(conn)?;
        rows.into_iter()
            .map(|row| Ok(Listed { customer: row.customer.customer()?, sort_value: row.sort_value }))
            .collect()
    }
}

fn texts<const N: usize>(texts: [&str; N]) -> [Bind; N] {
    texts.map(|text| Bind::Text(text.to_owned()))
}

impl ValueKind {
    fn column(self) -> &'static str {
        match self {
            Self::Text => "text_value",
            Self::Number => "number_value",
            Self::Date => "date_value",
        }
    }

    /// A parameter of this kind. Numbers and dates travel as text, whose cast is a constant to the server.
    fn parameter(self) -> &'static str {
        match self {
            Self::Text => "?",
            Self::Number => "CAST(? AS DECIMAL(21,6))",
            Self::Date => "CAST(? AS DATE)",
        }
    }
}

/// A page of customers and, if there are more, one more. Nothing is skipped by counting: each page begins behind its position.
pub fn list(conn: &mut Conn, selection: &Selection) -> Result<Vec<Listed>> {
    let limit = usize::try_from(selection.limit).unwrap_or(usize::MAX).saturating_add(1);
    let after = selection.after.as_ref();
    let SortBy::Field(key, kind) = &selection.sort.by else {
        return plain_list(selection, after, limit).load(conn);
    };
    // Customers without a value come last, in a statement of their own: each of the two then reads its index in order.
    let mut found = if after.is_some_and(|after| after.value.is_none()) {
        Vec::new()
    } else {
        list_with(selection, key, *kind, after, limit).load(conn)?
    };
    if found.len() < limit {
        let after = after.filter(|after| after.value.is_none());
        found.extend(list_without(selection, key, after, limit - found.len()).load(conn)?);
    }
    Ok(found)
}

const SELECT: &str = "SELECT c.id, c.code, c.name, c.status, c.profile, c.version, c.created_at, c.updated_at, ";

fn directions(selection: &Selection) -> (&'static str, &'static str) {
    if selection.sort.descending { ("<", "DESC") } else { (">", "ASC") }
}

fn plain_list(selection: &Selection, after: Option<&Position>, limit: usize) -> Statement {
    let (beyond, direction) = directions(selection);
    // Ids rise with time and a code is one customer's, so only names need a tie broken: where it isn't needed, it would
    // keep the server from reading the index in order.
    let (value, order) = match selection.sort.by {
        SortBy::Code => ("c.code", format!("c.code {direction}")),
        SortBy::Name => ("c.name", format!("c.name {direction}, c.id {direction}")),
        SortBy::Creation | SortBy::Field(..) => ("NULL", format!("c.id {direction}")),
    };
    let mut statement = Statement::default();
    statement.add(SELECT, []).add(value, []).add(" AS sort_value FROM customers c WHERE 1=1", []);
    conditions(&mut statement, &selection.conditions);
    if let Some(Position { value, id, .. }) = after {
        let text = value.as_deref().unwrap_or_default();
        match selection.sort.by {
            SortBy::Code => statement.add(&format!(" AND c.code {beyond} ?"), texts([text])),
            SortBy::Name => statement
                .add(
                    &format!(" AND c.name {beyond}= ? AND (c.name {beyond} ? OR c.id {beyond} ?)"),
                    texts([text, text]),
                )
                .add("", [Bind::Id(*id)]),
            SortBy::Creation | SortBy::Field(..) => statement.add(&format!(" AND c.id {beyond} ?"), [Bind::Id(*id)]),
        };
    }
    statement.add(&format!(" ORDER BY {order} LIMIT {limit}"), []);
    statement
}

fn list_with(selection: &Selection, key: &str, kind: ValueKind, after: Option<&Position>, limit: usize) -> Statement {
    let (beyond, direction) = directions(selection);
    let (column, parameter) = (kind.column(), kind.parameter());
    let mut statement = Statement::default();
    let from = format!(
        "CAST(s.{column} AS CHAR) AS sort_value FROM customer_values s JOIN customers c ON c.shard = s.shard \
         AND c.id = s.customer_id WHERE s.field = ? AND s.item = 0 AND s.{column} IS NOT NULL"
    );
    statement.add(SELECT, []).add(&from, texts([key]));
    conditions(&mut statement, &selection.conditions);
    if let Some((id, value)) = after.and_then(|after| Some((after.id, after.value.as_deref()?))) {
        let sql = format!(
            " AND s.{column} {beyond}= {parameter} AND (s.{column} {beyond} {parameter} OR s.customer_id {beyond} ?)"
        );
        statement.add(&sql, texts([value, value])).add("", [Bind::Id(id)]);
    }
    statement.add(&format!(" ORDER BY s.{column} {direction}, s.customer_id {direction} LIMIT {limit}"), []);
    statement
}

fn list_without(selection: &Selection, key: &str, after: Option<&Position>, limit: usize) -> Statement {
    let (beyond, direction) = directions(selection);
    let mut statement = Statement::default();
    statement.add(SELECT, []).add(
        "NULL AS sort_value FROM customers c WHERE NOT EXISTS (SELECT 1 FROM customer_values s WHERE s.shard = c.shard \
         AND s.customer_id = c.id AND s.field = ? AND s.item = 0)",
        texts([key]),
    );
    conditions(&mut statement, &selection.conditions);
    if let Some(after) = after {
        statement.add(&format!(" AND c.id {beyond} ?"), [Bind::Id(after.id)]);
    }
    statement.add(&format!(" ORDER BY c.id {direction} LIMIT {limit}"), []);
    statement
}

fn conditions(statement: &mut Statement, conditions: &[Condition]) {
    for condition in conditions {
        match condition {
            Condition::Code(code) => drop(statement.add(" AND c.code = ?", texts([code]))),
            Condition::Status(status) => drop(statement.add(" AND c.status = ?", texts([status.key()]))),
            Condition::Contains(text) => {
                let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
                statement.add(" AND c.search LIKE ? ESCAPE '!'", texts([&format!("%{escaped}%")]));
            }
            Condition::Field(key, comparison, value) => field_condition(statement, key, *comparison, value),
            Condition::Outcome(policy, outcome) => {
                let sql = " AND EXISTS (SELECT 1 FROM outcomes o WHERE o.shard = c.shard AND o.customer_id = c.id \
                           AND o.policy = ? AND o.outcome = ?)";
                statement.add(sql, texts([policy, outcome]));
            }
        }
    }
}

fn field_condition(statement: &mut Statement, key: &str, comparison: Comparison, value: &Value) {
    let kind = match value {
        Value::Number(_) => ValueKind::Number,
        Value::Date(_) => ValueKind::Date,
        Value::Text(_) | Value::Boolean(_) | Value::Choices(_) => ValueKind::Text,
    };
    let compares = match comparison {
        Comparison::Equal => "=",
        Comparison::Greater => ">",
        Comparison::AtLeast => ">=",
        Comparison::Less => "<",
        Comparison::AtMost => "<=",
    };
    let sql = format!(
        " AND EXISTS (SELECT 1 FROM customer_values v WHERE v.shard = c.shard AND v.customer_id = c.id AND v.field = ? \
         AND v.{} {compares} {})",
        kind.column(),
        kind.parameter()
    );
    statement.add(&sql, texts([key, &indexed(&value.to_string())]));
}
