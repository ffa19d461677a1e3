//! The standing outcomes of an area's customers as a list for publication: the policies and fields that the pack allows, and nothing else.

use std::collections::BTreeMap;

use super::model::Outcome;
use super::store;
use crate::Id;
use crate::customers::file::{Customer, values_of};
use crate::customers::selection::Outcomes;
use crate::customers::{self, list};
use crate::db::Conn;
use crate::releases::active::Active;

/// Customers that are read at a time.
const LARGEST_PAGE: &str = "500";

/// A customer as he may be published.
#[derive(Clone, Debug)]
pub struct Published {
    /// His code.
    pub code: String,
    /// His name.
    pub name: String,
    /// Values of the fields that are shown, in the order of the pack; absent ones have no entry.
    pub fields: Vec<(String, String)>,
    /// Standing outcomes, in the order of the pack; policies without one have no entry.
    pub outcomes: Vec<(String, Outcome)>,
}

/// Customers, and the cursor of the next page if there is one.
type Page = (Vec<Published>, Option<String>);

/// Active customers of an area, by code, and the cursor of the next page if there is one; nothing where the pack publishes nothing.
///
/// # Errors
/// The area is none of the field's values, or the cursor is none of this list.
pub fn page(
    conn: &mut Conn,
    active: &Active,
    area: &str,
    paging: &[(String, String)],
) -> Result<Option<Page>, customers::error::Error> {
    let pack = &active.release.pack;
    let Some(publication) = &pack.publication else { return Ok(None) };
    let mut parameters: Vec<(String, String)> =
        [(format!("field[{}]", publication.by), area), ("status".to_owned(), "active"), ("sort".to_owned(), "code")]
            .map(|(name, value)| (name, value.to_owned()))
            .into();
    parameters.extend_from_slice(paging);
    let (customers, next) = list::list(conn, (&pack.fields, &Outcomes::default()), &parameters)?;
    let ids: Vec<Id> = customers.iter().map(|customer| customer.id).collect();
    let mut found: BTreeMap<(Id, String), Outcome> = store::outcomes_of_policies(conn, &publication.policies, &ids)?;
    let published = |customer: Customer| {
        let values = values_of(&pack.fields, &customer.profile);
        let field = |key: &String| Some((key.clone(), values.get(key)?.to_string()));
        let fields = publication.show.iter().filter_map(field).collect();
        let outcome = |policy: &String| Some((policy.clone(), found.remove(&(customer.id, policy.clone()))?));
        let outcomes = publication.policies.iter().filter_map(outcome).collect();
        Published { code: customer.code, name: customer.name, fields, outcomes }
    };
    Ok(Some((customers.into_iter().map(published).collect(), next)))
}

/// All of an area, page by page; nothing where the pack publishes nothing.
///
/// # Errors
/// As [`page`].
pub fn all(conn: &mut Conn, active: &Active, area: &str) -> Result<Option<Vec<Published>>, customers::error::Error> {
    let mut published = Vec::new();
    let mut paging = vec![("limit".to_owned(), LARGEST_PAGE.to_owned())];
    loop {
        let Some((page, next)) = page(conn, active, area, &paging)? else { return Ok(None) };
        published.extend(page);
        let Some(next) = next else { return Ok(Some(published)) };
        paging.truncate(1);
        paging.push(("cursor".to_owned(), next));
    }
}
