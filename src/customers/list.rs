//! Finding customers: what the parameters of a list ask for, checked against the pack in force, and the page that answers.

use super::error::Error;
use super::file::{Customer, MAX_CODE, Status};
use super::model::{Field, FieldType, Fields, Value};
use super::selection::{Comparison, Condition, Outcomes, Position, Selection, Sort, SortBy, ValueKind};
use super::store;
use super::texts::{date, decimal};
use crate::db::Conn;
use crate::faults::{Fault, did_you_mean, enough, excerpt};
use crate::http::paging;

/// The order of a list whose reader doesn't say.
const DEFAULT_SORT: &str = "created_at";
/// Longest text that is searched for, in characters.
const MAX_SEARCH_TEXT: usize = 200;

const PARAMETERS: [&str; 8] = ["code", "status", "q", "field[…]", "outcome[…]", "sort", "cursor", "limit"];
const COMPARISONS: [(&str, Comparison); 4] =
    [("gt", Comparison::Greater), ("gte", Comparison::AtLeast), ("lt", Comparison::Less), ("lte", Comparison::AtMost)];

type Refusal = (&'static str, String);

/// The page that the parameters of a request ask for, and the cursor of the next one if there is one.
pub fn list(
    conn: &mut Conn,
    known: (&Fields, &Outcomes),
    parameters: &[(String, String)],
) -> Result<(Vec<Customer>, Option<String>), Error> {
    let (selection, sort) = selection(known, parameters).map_err(Error::Invalid)?;
    let found = store::list(conn, &selection)?;
    let (page, next) = paging::page(found, selection.limit, |last| {
        paging::cursor(&Position { sort: sort.clone(), value: last.sort_value.clone(), id: last.customer.id })
    });
    Ok((page.into_iter().map(|listed| listed.customer).collect(), next))
}

/// Reads the parameters of a list; also gives the order as it was written. Every fault is found at once; its pointer is the
/// parameter's name.
pub fn selection(
    (fields, outcomes): (&Fields, &Outcomes),
    parameters: &[(String, String)],
) -> Result<(Selection, String), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut conditions = Vec::new();
    let (mut sort, mut cursor, mut limit) = (DEFAULT_SORT, None, paging::DEFAULT_LIMIT);
    for (name, text) in parameters {
        if enough(&faults) {
            break;
        }
        let mut refuse = |(code, detail): Refusal| faults.push(Fault::new(name, code, detail));
        match name.as_str() {
            "sort" => sort = text,
            "cursor" => cursor = Some(text),
            "limit" => match paging::limit(text) {
                Ok(number) => limit = number,
                Err(fault) => faults.push(fault),
            },
            _ => match condition((fields, outcomes), name, text) {
                Ok(condition) => conditions.extend(condition),
                Err(refusal) => refuse(refusal),
            },
        }
    }
    let order = read_sort(fields, sort)
        .map_err(|(code, detail)| faults.push(Fault::new("sort", code, detail)))
        .unwrap_or(Sort { by: SortBy::Creation, descending: false });
    let after = cursor.and_then(|cursor| match paging::position::<Position>(cursor) {
        Ok(position) if position.sort == sort => Some(position),
        Ok(_) => {
            faults.push(Fault::new("cursor", "cursor", "the cursor belongs to a list in another order"));
            None
        }
        Err(fault) => {
            faults.push(fault);
            None
        }
    });
    if faults.is_empty() {
        Ok((Selection { conditions, sort: order, after, limit }, sort.to_owned()))
    } else {
        Err(faults)
    }
}

fn condition((fields, outcomes): (&Fields, &Outcomes), name: &str, text: &str) -> Result<Option<Condition>, Refusal> {
    let (root, keys) = split(name).ok_or_else(|| unknown_parameter(name))?;
    match (root, keys.as_slice()) {
        ("code", []) if text.chars().count() > MAX_CODE => {
            Err(("too_long", format!("a code has at most {MAX_CODE} characters")))
        }
        ("code", []) => Ok(Some(Condition::Code(text.trim().to_owned()))),
        ("status", []) => match Status::from_key(text) {
            Some(status) => Ok(Some(Condition::Status(status))),
            None => Err(("unknown_choice", format!("'{}' is neither active nor inactive", excerpt(text)))),
        },
        ("q", []) if text.chars().count() > MAX_SEARCH_TEXT => {
            Err(("too_long", format!("at most {MAX_SEARCH_TEXT} characters are searched for")))
        }
        ("q", []) => {
            Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(|text| Condition::Contains(text.to_owned())))
        }
        ("field", [key]) => {
            let field = filterable(fields, key)?;
            Ok(Some(Condition::Field((*key).to_owned(), Comparison::Equal, operand(field, text)?)))
        }
        ("field", [key, comparison]) => {
            let field = filterable(fields, key)?;
            let known = COMPARISONS.iter().find(|(name, _)| name == comparison);
            let (_, comparison) = known.ok_or_else(|| {
                let detail = format!("'{}' is not a comparison; there are gt, gte, lt and lte", excerpt(comparison));
                ("unknown_comparison", detail)
            })?;
            if ValueKind::of(field) == ValueKind::Text {
                return Err((
                    "not_ordered",
                    format!("'{key}' is neither a number nor a date; only equality filters it"),
                ));
            }
            Ok(Some(Condition::Field((*key).to_owned(), *comparison, operand(field, text)?)))
        }
        ("outcome", [policy]) => outcome(outcomes, policy, text).map(Some),
        _ => Err(unknown_parameter(name)),
    }
}

fn outcome(outcomes: &Outcomes, policy: &str, text: &str) -> Result<Condition, Refusal> {
    let unknown = |what: &str, name: &str, known: &mut dyn Iterator<Item = &str>| {
        let known: Vec<&str> = known.collect();
        let hint = did_you_mean(name, known.iter().copied());
        format!("'{}' is not {what}; there are {}{hint}", excerpt(name), known.join(", "))
    };
    let Some(of_policy) = outcomes.0.get(policy) else {
        let detail = unknown("a policy of the pack", policy, &mut outcomes.0.keys().map(String::as_str));
        return Err(("unknown_policy", detail));
    };
    if !of_policy.iter().any(|outcome| outcome == text) {
        let what = format!("an outcome of '{policy}'");
        return Err(("unknown_outcome", unknown(&what, text, &mut of_policy.iter().map(String::as_str))));
    }
    Ok(Condition::Outcome(policy.to_owned(), text.to_owned()))
}

/// `field[floor_area][gte]` as `field` and its keys.
fn split(name: &str) -> Option<(&str, Vec<&str>)> {
    let (root, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    if rest.is_empty() {
        return Some((root, Vec::new()));
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
    let keys: Vec<&str> = inner.split("][").collect();
    keys.iter().all(|key| !key.is_empty() && !key.contains(['[', ']'])).then_some((root, keys))
}

fn unknown_parameter(name: &str) -> Refusal {
    let root = name.split('[').next().unwrap_or_default();
    let hint = did_you_mean(root, PARAMETERS);
    let detail = format!("'{}' is not a parameter; there are {}{hint}", excerpt(name), PARAMETERS.join(", "));
    ("unknown_parameter", detail)
}

fn filterable<'a>(fields: &'a Fields, key: &str) -> Result<&'a Field, Refusal> {
    match fields.get(key) {
        Some(field) if field.filterable => Ok(field),
        Some(_) => Err(("not_filterable", format!("the pack doesn't declare '{key}' as filterable"))),
        None => {
            let names = fields.iter().filter(|(_, field)| field.filterable).map(|(key, _)| key);
            let hint = did_you_mean(key, names);
            Err(("unknown_field", format!("the pack declares no field '{}'{hint}", excerpt(key))))
        }
    }
}

/// The value that a field is compared with. Its bounds and pattern don't matter here.
fn operand(field: &Field, text: &str) -> Result<Value, Refusal> {
    match field.field_type {
        FieldType::Integer | FieldType::Decimal => decimal(text).map(Value::Number),
        FieldType::Date => date(text).map(Value::Date),
        FieldType::Boolean | FieldType::Choice => field.parse(text),
        FieldType::Choices => match field.parse(text)? {
            Value::Choices(chosen) if chosen.len() == 1 => Ok(Value::Text(chosen.concat())),
            _ => Err(("wrong_type", "one choice is compared at a time".to_owned())),
        },
        FieldType::Text | FieldType::Phone | FieldType::Email => Ok(Value::Text(text.trim().to_owned())),
    }
}

fn read_sort(fields: &Fields, text: &str) -> Result<Sort, Refusal> {
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let by = match (name, split(name)) {
        ("created_at", _) => SortBy::Creation,
        ("code", _) => SortBy::Code,
        ("name", _) => SortBy::Name,
        (_, Some(("field", keys))) if keys.len() == 1 => {
            let key = keys.concat();
            let field = filterable(fields, &key)?;
            if field.field_type == FieldType::Choices {
                return Err(("not_ordered", format!("'{key}' is a list, which has no order")));
            }
            SortBy::Field(key, ValueKind::of(field))
        }
        _ => {
            let detail = format!(
                "'{}' is not an order; there are created_at, code, name and field[…] of a filterable field, each also \
                 with - before it",
                excerpt(text)
            );
            return Err(("unknown_order", detail));
        }
    };
    Ok(Sort { by, descending })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let declared = toml::from_str(
            "format = { section = 'network', type = 'choice', choices = ['big', 'small'], filterable = true }\n\
             goods = { section = 'network', type = 'choices', choices = ['a', 'b'], filterable = true }\n\
             area = { section = 'network', type = 'decimal', min = '0', filterable = true }\n\
             note = { section = 'basic', type = 'text' }",
        );
        Fields::new(declared.unwrap(), Vec::new())
    }

    fn read(query: &[(&str, &str)]) -> Result<(Selection, String), Vec<Fault>> {
        let parameters: Vec<_> = query.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let outcomes = Outcomes([("abc".to_owned(), vec!["A".to_owned(), "B".to_owned()])].into());
        selection((&fields(), &outcomes), &parameters)
    }

    fn fault(name: &str, text: &str) -> Fault {
        let mut faults = read(&[(name, text)]).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }

    #[test]
    fn conditions_are_typed() {
        let query = [("field[format]", "big"), ("field[area][gte]", "-1.50"), ("outcome[abc]", "A"), ("q", " x ")];
        let (selection, _) = read(&query).unwrap();
        assert_eq!(selection.conditions.len(), 4);
        let minimum = Condition::Field("area".to_owned(), Comparison::AtLeast, Value::Number("-1.5".parse().unwrap()));
        assert!(selection.conditions.contains(&minimum));
        assert!(selection.conditions.contains(&Condition::Contains("x".to_owned())));
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_nearest_name() {
        assert_eq!(fault("stauts", "active").detail.split("; did").nth(1), Some(" you mean 'status'?"));
        assert!(fault("field[formt]", "big").detail.ends_with("did you mean 'format'?"));
        assert!(fault("field[format]", "bigg").detail.ends_with("did you mean 'big'?"));
        assert_eq!(fault("field[note]", "x").code, "not_filterable");
        assert_eq!(fault("field[area]", "wide").code, "wrong_type");
        assert_eq!(fault("field[format][gt]", "big").code, "not_ordered");
        assert_eq!(fault("field[area][over]", "1").code, "unknown_comparison");
        assert!(fault("outcome[abd]", "A").detail.ends_with("there are abc; did you mean 'abc'?"));
        assert_eq!(fault("outcome[abc]", "D").code, "unknown_outcome");
        assert_eq!(fault("code", &"x".repeat(65)).code, "too_long");
        assert_eq!(fault("field[area", "1").code, "unknown_parameter");
        assert_eq!(fault("sort", "-size").code, "unknown_order");
        assert_eq!(fault("sort", "field[goods]").code, "not_ordered");
        assert_eq!(fault("status", "gone").code, "unknown_choice");
        assert_eq!(fault("limit", "501").code, "out_of_range");
        assert_eq!(fault("cursor", "zzz").code, "cursor");
    }

    #[test]
    fn all_faults_come_at_once() {
        let faults = read(&[("limit", "0"), ("sort", "x"), ("status", "x")]).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), ["limit", "status", "sort"]);
    }

    #[test]
    fn a_cursor_belongs_to_its_order() {
        let position = Position { sort: "name".to_owned(), value: Some("x".to_owned()), id: crate::Id::NIL };
        let cursor = paging::cursor(&position);
        assert_eq!(read(&[("sort", "name"), ("cursor", &cursor)]).unwrap().0.after, Some(position));
        assert_eq!(read(&[("sort", "-name"), ("cursor", &cursor)]).unwrap_err()[0].pointer, "cursor");
    }
}
