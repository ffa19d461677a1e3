//! Reading `[generate]` of a sample: its customers, their fields and hidden values, and products; a few customers are made to
//! see that the fields take what the distributions give.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use toml::Spanned;

use super::kinds;
use super::making::Making;
use super::model::{CustomerValue, Draw, Generate, GeneratedProduct, Leaf, Pattern, Piece, Reference, Stop};
use super::reader::{Reader, Sort};
use crate::customers::file::{MAX_CODE, MAX_NAME};
use crate::customers::model::{Field, FieldType};
use crate::faults::did_you_mean;
use crate::faults::excerpt;
use crate::policy::document::{Faults, Item, Read, Span, Table, check_key, found};
use crate::policy::pack::Pack;
use crate::transactions::products;

/// Most customers that are made.
pub const MOST_CUSTOMERS: u32 = 10_000_000;
/// Customers that are made to see whether the fields take their values.
const TRIED: u32 = 50;
/// Keys with a meaning of their own, by which no hidden value is called.
const RESERVED: [&str; 9] =
    ["season", "trend", "price", "delay", "product", "product_category", "number", "digits", "letters"];

/// What the table says, or nothing with faults.
pub(super) fn read<'t, 'a>(
    faults: &'t Faults<'a>,
    pack: &'t Pack,
    business_date: Option<Date>,
    mut top: Table<'t, 'a>,
) -> Option<Generate> {
    let before = faults.count();
    let mut reader = Reader { faults, pack, lists: Vec::new(), known: BTreeMap::new() };
    let customers = reader.within(&mut top, "customers", 1..=MOST_CUSTOMERS);
    if !top.has("customers") {
        faults.at(top.span(), "missing", "what is generated needs 'customers', how many there are");
    }
    let seed = top.optional::<u64>("seed").unwrap_or(1);
    let months = reader.within(&mut top, "months", 1..=240).unwrap_or(24);
    let lists = lists(&mut reader, &mut top);
    let (values, spans) = values(&mut reader, &mut top);
    let code = top.required_item("code").and_then(|item| code(&reader, item));
    let names = top.required_item("name").and_then(|item| reader.patterns(item));
    let growth = reader.optional(&mut top, "growth");
    let closed = stop(&reader, &mut top, "closed");
    let silent = stop(&reader, &mut top, "silent");
    let products = generated_products(&reader, &mut top);
    let months = u16::try_from(months).unwrap_or(u16::MAX);
    let mut kinds = kinds::read(&mut reader, &mut top, &products, months);
    let observations = kinds::observations(&mut reader, &mut top, &kinds, months);
    kinds.extend(observations);
    let name_span = top.key_span("name");
    top.close();
    let opening = pack.definitions.opening_field.as_deref();
    let opening = values.iter().position(|value| !value.hidden && Some(value.key.as_str()) == opening);
    let (business_date, customers, code, names) = (business_date?, customers?, code?, names?);
    let generate = Generate {
        business_date,
        customers,
        seed,
        values,
        products,
        kinds,
        code,
        names,
        lists,
        growth,
        closed,
        silent,
        opening,
    };
    if faults.count() > before {
        return None;
    }
    tried(faults, pack, &generate, &spans, &name_span);
    Some(generate)
}

/// Makes a few customers, and reports each field that doesn't take a value.
fn tried(faults: &Faults<'_>, pack: &Pack, generate: &Generate, spans: &[Span], name: &Span) {
    let mut told = BTreeSet::new();
    let making = Making::new(generate, generate.seed);
    for customer in (1..=TRIED).map(|number| making.customer(number)) {
        for ((plan, value), span) in generate.values.iter().zip(&customer.values).zip(spans) {
            let Some(field) = pack.fields.get(&plan.key).filter(|_| !plan.hidden) else { continue };
            let refusal = match value {
                Some(value) => field.parse(&value.to_string()).err(),
                None => {
                    field.required.then(|| ("required", format!("'{}' is required and may not be absent", plan.key)))
                }
            };
            if let Some((code, detail)) = refusal
                && told.insert(&plan.key)
            {
                faults.at(span, code, format!("the field '{}' does not take what is made: {detail}", plan.key));
            }
        }
        let fits = |text: &str, most: usize| (1..=most).contains(&text.trim().chars().count());
        if !fits(&customer.name, MAX_NAME) || !fits(&customer.code, MAX_CODE) {
            let message = format!(
                "a customer is called '{}' and has the code '{}': names have 1 to {MAX_NAME} characters, codes {MAX_CODE}",
                excerpt(&customer.name),
                excerpt(&customer.code)
            );
            faults.at(name, "too_long", message);
            return;
        }
    }
}

fn lists<'t, 'a>(reader: &mut Reader<'t, 'a>, top: &mut Table<'t, 'a>) -> Vec<Vec<String>> {
    let Some(table) = top.table("lists", "the lists of the sample") else { return Vec::new() };
    let mut lists = Vec::new();
    for (name, span, item) in table.entries() {
        check_key(reader.faults, name, &span);
        if RESERVED.contains(&name) {
            reader.faults.at(&span, "reserved", format!("'{name}' has a meaning of its own in patterns"));
        }
        let entries = Vec::<String>::read(item, reader.faults).unwrap_or_default();
        if item.get_ref().as_array().is_some_and(|items| items.is_empty()) {
            reader.faults.at(&item.span(), "empty", format!("the list '{name}' has no entry"));
        }
        reader.lists.push(name.to_owned());
        lists.push(entries);
    }
    lists
}

/// Fields and hidden values in the order of the file, and where each stands.
fn values<'t, 'a>(reader: &mut Reader<'t, 'a>, top: &mut Table<'t, 'a>) -> (Vec<CustomerValue>, Vec<Span>) {
    let (fields, hidden) = (top.table("fields", "the fields made"), top.table("hidden", "the hidden values"));
    let all = |table: Option<Table<'t, 'a>>| table.map(|table| table.entries().collect::<Vec<_>>()).unwrap_or_default();
    let (fields, hidden) = (all(fields), all(hidden));
    for (key, field) in reader.pack.fields.iter().filter(|(_, field)| field.required) {
        if !fields.iter().any(|(made, ..)| *made == key) {
            let message = format!("'{key}' is a required {} and has to be made", in_words(field.field_type));
            reader.faults.at(&top.key_span("fields"), "missing", message);
        }
    }
    let fields = fields.into_iter().map(|entry| (entry, false));
    let mut entries: Vec<_> = fields.chain(hidden.into_iter().map(|entry| (entry, true))).collect();
    entries.sort_by_key(|((_, span, _), _)| span.start);
    let (mut values, mut spans) = (Vec::new(), Vec::new());
    for ((key, span, item), hidden) in entries {
        let made = if hidden { hidden_value(reader, key, &span, item) } else { field_value(reader, key, &span, item) };
        let absent = item.get_ref().as_table().and_then(|table| table.get("absent"));
        let absent = absent.and_then(|item| reader.number(item, &[]));
        let Some((draw, sort)) = made else { continue };
        reader.known.insert(key.to_owned(), (Reference::Value(values.len()), sort));
        values.push(CustomerValue { key: key.to_owned(), hidden, draw, absent });
        spans.push(span);
    }
    (values, spans)
}

fn hidden_value<'t, 'a>(
    reader: &Reader<'t, 'a>,
    key: &str,
    span: &Span,
    item: &'t Item<'a>,
) -> Option<(Draw<Leaf>, Sort)> {
    check_key(reader.faults, key, span);
    if RESERVED.contains(&key) || reader.pack.fields.get(key).is_some() {
        let message =
            format!("'{key}' is a field of the pack or has a meaning of its own; call the hidden value otherwise");
        reader.faults.at(span, "doubled", message);
    }
    let choice = |table: &toml::de::DeTable<'_>| table.contains_key("weights") || table.contains_key("value");
    if !contains(item, &choice) {
        let mut number = reader.number(item, &["absent"])?;
        number.places.get_or_insert(6);
        return Some((Draw::One(Leaf::Number { number, min: None, max: None }), Sort::Number));
    }
    let draw = reader.draw(item, &["absent"], &|item, also| weights(reader, item, also, None))?;
    let mut choices = BTreeSet::new();
    collect(&draw, &mut choices);
    Some((draw, Sort::Choice(choices.into_iter().collect())))
}

/// Whether a table, or one of those among which it chooses, is of a sort.
fn contains(item: &Item<'_>, sort: &dyn Fn(&toml::de::DeTable<'_>) -> bool) -> bool {
    let Some(table) = item.get_ref().as_table() else { return false };
    let of_lists = ["mix", "from"].into_iter().filter_map(|key| table.get(key)?.get_ref().as_array());
    let of_tables = table.get("is").and_then(|is| is.get_ref().as_table());
    sort(table)
        || table.get("else").is_some_and(|item| contains(item, sort))
        || of_tables.is_some_and(|is| is.iter().any(|(_, item)| contains(item, sort)))
        || of_lists
            .flat_map(|items| items.iter())
            .any(|pair| pair.get_ref().as_array().is_some_and(|pair| pair.iter().any(|item| contains(item, sort))))
}

/// Every choice that could be drawn.
fn collect(draw: &Draw<Leaf>, choices: &mut BTreeSet<String>) {
    draw.each(&mut |leaf| {
        if let Leaf::Weights(weights) = leaf {
            choices.extend(weights.iter().map(|(_, choice)| choice.clone()));
        }
    });
}

fn field_value<'t, 'a>(
    reader: &Reader<'t, 'a>,
    key: &str,
    span: &Span,
    item: &'t Item<'a>,
) -> Option<(Draw<Leaf>, Sort)> {
    let Some(field) = reader.pack.fields.get(key) else {
        let hint = did_you_mean(key, reader.pack.fields.iter().map(|(key, _)| key));
        reader.faults.at(span, "unknown_field", format!("the pack declares no field '{}'{hint}", excerpt(key)));
        return None;
    };
    if let FieldType::Integer | FieldType::Decimal = field.field_type {
        let mut number = reader.number(item, &["absent"])?;
        let places = if field.field_type == FieldType::Integer { 0 } else { number.places.unwrap_or(2) };
        number.places = Some(places);
        return Some((Draw::One(Leaf::Number { number, min: field.min, max: field.max }), Sort::Number));
    }
    let draw = reader.draw(item, &["absent"], &|item, also| leaf(reader, field, item, also))?;
    let sort = match field.field_type {
        FieldType::Choice => Sort::Choice(field.choices.clone()),
        FieldType::Choices => Sort::Choices,
        FieldType::Boolean => Sort::Boolean,
        FieldType::Date => Sort::Date,
        _ => Sort::Text,
    };
    Some((draw, sort))
}

fn in_words(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Choice => "choice",
        FieldType::Choices => "list of choices",
        FieldType::Boolean => "boolean",
        FieldType::Date => "date",
        FieldType::Integer | FieldType::Decimal => "number",
        FieldType::Text | FieldType::Phone | FieldType::Email => "text",
    }
}

/// What makes the value of a field that is no number.
fn leaf<'t, 'a>(reader: &Reader<'t, 'a>, field: &Field, item: &'t Item<'a>, also: &[&'static str]) -> Option<Leaf> {
    if field.field_type == FieldType::Choice {
        return weights(reader, item, also, Some(&field.choices));
    }
    let name = format!("a {}", in_words(field.field_type));
    let mut table = Table::of(reader.faults, item, item.span(), name)?;
    table.allow(also);
    let leaf = match field.field_type {
        FieldType::Choices => {
            let chances = table.required_item("chances");
            chances.and_then(|item| reader.weights(item, Some(&field.choices))).map(Leaf::Chances)
        }
        FieldType::Boolean => reader.required(&mut table, "chance").map(Leaf::Chance),
        FieldType::Date => date(reader, &mut table),
        _ => table.required_item("text").and_then(|item| reader.patterns(item)).map(Leaf::Text),
    };
    table.close();
    leaf
}

fn weights<'t, 'a>(
    reader: &Reader<'t, 'a>,
    item: &'t Item<'a>,
    also: &[&'static str],
    possible: Option<&[String]>,
) -> Option<Leaf> {
    let mut table = Table::of(reader.faults, item, item.span(), "a choice")?;
    table.allow(also);
    let weights = match table.optional::<Spanned<String>>("value") {
        Some(value) => {
            reader.choice(value.get_ref(), &value.span(), possible);
            table.allow(&["weights"]);
            Some(vec![(super::model::Number::constant(Decimal::ONE), value.into_inner())])
        }
        None => table.required_item("weights").and_then(|item| reader.weights(item, possible)),
    };
    table.close();
    weights.map(Leaf::Weights)
}

fn date<'t, 'a>(reader: &Reader<'t, 'a>, table: &mut Table<'t, 'a>) -> Option<Leaf> {
    let (between, months) = (table.item("between"), table.item("months_before"));
    let (days, of) = (table.item("days_after"), table.optional::<Spanned<String>>("of"));
    match (between, months, days) {
        (Some(between), None, None) => reader.dates(between).map(|(first, last)| Leaf::Between(first, last)),
        (None, Some(months), None) => reader.number(months, &[]).map(Leaf::MonthsBefore),
        (None, None, Some(days)) => {
            let number = reader.number(days, &[]);
            let Some(of) = of else {
                reader.faults.at(table.span(), "missing", "'days_after' needs 'of', the date after which it is");
                return None;
            };
            match reader.named(&of)? {
                (reference, Sort::Date) => Some(Leaf::DaysAfter(number?, reference)),
                _ => {
                    reader.faults.at(&of.span(), "wrong_type", format!("'{}' is no date", of.get_ref()));
                    None
                }
            }
        }
        _ => {
            let message = "a date is made from one of between, months_before, days_after";
            reader.faults.at(table.span(), "missing", message);
            None
        }
    }
}

fn code<'t, 'a>(reader: &Reader<'t, 'a>, item: &'t Item<'a>) -> Option<Pattern> {
    let mut patterns = reader.patterns(item)?;
    let numbered = |pattern: &Pattern| pattern.0.iter().any(|piece| matches!(piece, Piece::Number(_)));
    match (patterns.pop(), patterns.is_empty()) {
        (Some(pattern), true) if numbered(&pattern) => Some(pattern),
        _ => {
            let message = "the code is one pattern with {number}, such as \"C{number:6}\": every customer has his own";
            reader.faults.at(&item.span(), "pattern", message);
            None
        }
    }
}

fn stop<'t, 'a>(reader: &Reader<'t, 'a>, top: &mut Table<'t, 'a>, key: &'static str) -> Option<Stop> {
    let mut table = top.table(key, format!("'{key}'"))?;
    let chance = reader.required(&mut table, "chance");
    let months_before = reader.required(&mut table, "months_before");
    table.close();
    Some(Stop { chance: chance?, months_before: months_before? })
}

fn generated_products<'t, 'a>(reader: &Reader<'t, 'a>, top: &mut Table<'t, 'a>) -> Vec<GeneratedProduct> {
    let Some(item) = top.item("products") else { return Vec::new() };
    let Some(items) = item.get_ref().as_array() else {
        let message = format!("a product begins with [[generate.products]]; here stands {}", found(item.get_ref()));
        reader.faults.at(&item.span(), "wrong_type", message);
        return Vec::new();
    };
    let mut codes = BTreeSet::new();
    let mut products = Vec::new();
    for item in items.iter() {
        let Some(product) = product(reader, item) else { continue };
        if !codes.insert(product.code.clone()) {
            reader.faults.at(&item.span(), "doubled", format!("the product '{}' stands twice", product.code));
        }
        products.push(product);
    }
    products
}

fn product<'t, 'a>(reader: &Reader<'t, 'a>, item: &'t Item<'a>) -> Option<GeneratedProduct> {
    let mut table = Table::of(reader.faults, item, item.span(), "a product")?;
    let code = table.required::<String>("code");
    let (name, category) = (table.required::<String>("name"), table.required::<String>("category"));
    let unit = table.optional::<String>("unit").unwrap_or_else(|| reader.pack.unit.clone());
    let factor = table.optional::<Decimal>("factor").unwrap_or(Decimal::ONE);
    let price = table.optional::<Decimal>("price").unwrap_or_default();
    let weight = reader.optional(&mut table, "weight");
    let weight = weight.unwrap_or_else(|| super::model::Number::constant(Decimal::ONE));
    let span = table.span().clone();
    table.close();
    let (code, name, category) = (code?, name?, category?);
    let body = products::ProductBody {
        name: name.clone(),
        category: category.clone(),
        unit: unit.clone(),
        factor: factor.to_string(),
    };
    for fault in body.check(&code).err().unwrap_or_default() {
        let key = fault.pointer.trim_start_matches('/').to_owned();
        reader.faults.at(&span, "product", format!("'{key}' of the product: {}", fault.detail));
    }
    Some(GeneratedProduct { code, name, category, unit, factor, price, weight })
}
