//! Reading `[generate.transactions.<kind>]` and `[generate.observations.<kind>]` of a sample: when transactions happen, what they follow, and their measures.

use rust_decimal::Decimal;
use toml::Spanned;

use super::model::{GeneratedProduct, KindPlan, MeasurePlan, Monthly, Number, Origin, Reference};
use super::reader::{Reader, Sort};
use crate::faults::did_you_mean;
use crate::faults::excerpt;
use crate::policy::document::{Item, Read, Span, Table};
use crate::transactions::model::{Kind, ObservationKind, SubjectKind};

/// The name of an observation's value.
const VALUE: &str = "value";
/// Places of a measure that says nothing about them.
const PLACES: u32 = 2;

/// Every kind, in the order of the file.
pub(super) fn read<'t, 'a>(
    reader: &mut Reader<'t, 'a>,
    top: &mut Table<'t, 'a>,
    products: &[GeneratedProduct],
    months: u16,
) -> Vec<KindPlan> {
    let Some(table) = top.table("transactions", "the transactions made") else { return Vec::new() };
    let pack = reader.pack;
    let mut kinds: Vec<KindPlan> = Vec::new();
    for (key, span, item) in table.entries() {
        let Some(kind) = pack.definitions.kinds.get(key) else {
            let hint = did_you_mean(key, pack.definitions.kinds.keys().map(String::as_str));
            reader.faults.at(&span, "unknown_kind", format!("there is no kind '{}'{hint}", excerpt(key)));
            continue;
        };
        let Some(table) = Table::of(reader.faults, item, span, format!("the kind '{key}'")) else { continue };
        let known = reader.known.clone();
        kinds.extend(KindReader { reader, kind, products, months, before: &kinds }.read(key, table));
        reader.known = known;
    }
    kinds
}

/// Every kind of observations, in the order of the file; `before` are the kinds of transactions, which they may follow.
pub(super) fn observations<'t, 'a>(
    reader: &mut Reader<'t, 'a>,
    top: &mut Table<'t, 'a>,
    before: &[KindPlan],
    months: u16,
) -> Vec<KindPlan> {
    let Some(table) = top.table("observations", "the observations made") else { return Vec::new() };
    let kinds = reader.pack.definitions.observations.clone();
    let of_customers = |kind: &&ObservationKind| kind.subject == SubjectKind::Customer;
    let mut plans = Vec::new();
    for (key, span, item) in table.entries() {
        let Some(kind) = kinds.get(key).filter(of_customers) else {
            let hint =
                did_you_mean(key, kinds.iter().filter(|(_, kind)| of_customers(kind)).map(|(key, _)| key.as_str()));
            let message = format!("there is no kind of observations of customers '{}'{hint}", excerpt(key));
            reader.faults.at(&span, "unknown_kind", message);
            continue;
        };
        let Some(table) = Table::of(reader.faults, item, span, format!("the kind '{key}'")) else { continue };
        let known = reader.known.clone();
        let line = Kind { products: false, subtracts_from: None, measures: vec![VALUE.to_owned()] };
        plans.extend(KindReader { reader, kind: &line, products: &[], months, before }.observation(key, kind, table));
        reader.known = known;
    }
    plans
}

/// The reading of one kind.
struct KindReader<'r, 't, 'a> {
    reader: &'r mut Reader<'t, 'a>,
    kind: &'r Kind,
    products: &'r [GeneratedProduct],
    months: u16,
    before: &'r [KindPlan],
}

impl<'t, 'a> KindReader<'_, 't, 'a> {
    fn read(mut self, key: &str, mut table: Table<'t, 'a>) -> Option<KindPlan> {
        let share = self.reader.optional(&mut table, "share");
        let origin = match table.optional::<Spanned<String>>("follows") {
            Some(follows) => self.follows(&follows, &mut table),
            None if table.has("follows") => None,
            None => self.monthly(&mut table),
        };
        if self.kind.products {
            self.know("price", Reference::Price, Sort::Number);
            self.know("product", Reference::Product, Sort::Choice(self.all(|product| &product.code)));
            self.know("product_category", Reference::Category, Sort::Choice(self.all(|product| &product.category)));
        }
        let names = self.reader.pack.definitions.measures(key).to_vec();
        let measures = table.item("measures").map(|item| self.measures(item, &names)).unwrap_or_default();
        table.close();
        let with_products = self.kind.products;
        Some(KindPlan { kind: key.to_owned(), names, with_products, observed: false, origin: origin?, share, measures })
    }

    fn observation(mut self, key: &str, kind: &ObservationKind, mut table: Table<'t, 'a>) -> Option<KindPlan> {
        let share = self.reader.optional(&mut table, "share");
        let origin = match table.optional::<Spanned<String>>("follows") {
            Some(follows) => self.follows(&follows, &mut table),
            None if table.has("follows") => None,
            None => self.monthly(&mut table),
        };
        let number = if kind.value { self.reader.required(&mut table, VALUE) } else { None };
        table.close();
        let bound = |bound: Option<Decimal>| bound.map(|bound| Box::new(Number::constant(bound)));
        let measures = number.map(|mut number| {
            number.places.get_or_insert(PLACES);
            number.min = number.min.or(bound(kind.min));
            number.max = number.max.or(bound(kind.max));
            MeasurePlan { measure: 0, number, parts: Vec::new() }
        });
        let (kind, names) = (key.to_owned(), vec![VALUE.to_owned()]);
        let measures = measures.into_iter().collect();
        Some(KindPlan { kind, names, with_products: false, observed: true, origin: origin?, share, measures })
    }

    fn know(&mut self, key: &str, reference: Reference, sort: Sort) {
        self.reader.known.insert(key.to_owned(), (reference, sort));
    }

    fn all(&self, of: impl Fn(&GeneratedProduct) -> &String) -> Vec<String> {
        self.products.iter().map(|product| of(product).clone()).collect()
    }

    fn follows(&mut self, follows: &Spanned<String>, table: &mut Table<'t, 'a>) -> Option<Origin> {
        let faults = self.reader.faults;
        let Some(place) = self.before.iter().position(|kind| kind.kind == *follows.get_ref()) else {
            let hint = did_you_mean(follows.get_ref(), self.before.iter().map(|kind| kind.kind.as_str()));
            let message = format!("no kind '{}' stands above{hint}", excerpt(follows.get_ref()));
            faults.at(&follows.span(), "unknown_kind", message);
            table.allow(&["chance", "days_after"]);
            return None;
        };
        let followed = self.before.get(place)?;
        if self.kind.products && !followed.with_products {
            let message = format!("this kind has products, but '{}', which it follows, has none", followed.kind);
            faults.at(&follows.span(), "kind", message);
        }
        for (measure, name) in followed.names.iter().enumerate() {
            self.know(&format!("{}.{name}", followed.kind), Reference::Followed(measure), Sort::Number);
        }
        let chance = self.reader.optional(table, "chance");
        let days_after = self.reader.required(table, "days_after");
        self.know("delay", Reference::Delay, Sort::Number);
        Some(Origin::Follows { kind: place, chance, days_after: days_after? })
    }

    fn monthly(&mut self, table: &mut Table<'t, 'a>) -> Option<Origin> {
        let seasons = table.item("seasons");
        let seasons = seasons.and_then(|item| self.reader.draw(item, &[], &|item, _| self.factors(item)));
        if table.has("seasons") {
            self.know("season", Reference::Season, Sort::Number);
        }
        self.know("trend", Reference::Trend, Sort::Number);
        let per_month = self.reader.required(table, "per_month");
        let regular = table.optional("regular").unwrap_or(false);
        let months = self.reader.within(table, "months", 1..=240);
        let months = months.and_then(|months| u16::try_from(months).ok()).unwrap_or(self.months);
        let days = table.item("day").and_then(|item| self.days(item));
        let (mut lines, mut products) = (None, Vec::new());
        if self.kind.products {
            lines = self.reader.optional(table, "lines");
            products = self.places(table);
        }
        Some(Origin::Monthly(Monthly { per_month: per_month?, regular, months, days, seasons, lines, products }))
    }

    /// Twelve factors.
    fn factors(&self, item: &'t Item<'a>) -> Option<Vec<Decimal>> {
        let factors = Vec::<Decimal>::read(item, self.reader.faults)?;
        if factors.len() != 12 {
            let message = format!("seasons are 12 numbers, January first, not {}", factors.len());
            self.reader.faults.at(&item.span(), "wrong_type", message);
            return None;
        }
        Some(factors)
    }

    fn days(&self, item: &'t Item<'a>) -> Option<(i8, i8)> {
        let days = Vec::<u8>::read(item, self.reader.faults)?;
        let day = |day: u8| i8::try_from(day).ok().filter(|day| (1..=28).contains(day));
        let days = match days.as_slice() {
            [from, to] if from <= to => day(*from).zip(day(*to)),
            _ => None,
        };
        if days.is_none() {
            self.reader.faults.at(&item.span(), "out_of_range", "here stand two days from 1 to 28, such as [25, 28]");
        }
        days
    }

    /// Places of the products from which lines are chosen.
    fn places(&self, table: &mut Table<'t, 'a>) -> Vec<usize> {
        if self.products.is_empty() {
            let message = "a kind with products needs some in [[generate.products]]";
            self.reader.faults.at(table.span(), "missing", message);
        }
        let Some(codes) = table.optional::<Vec<Spanned<String>>>("products") else {
            return (0..self.products.len()).collect();
        };
        let place = |code: &Spanned<String>| {
            let place = self.products.iter().position(|product| product.code == *code.get_ref());
            if place.is_none() {
                let hint = did_you_mean(code.get_ref(), self.products.iter().map(|product| product.code.as_str()));
                let message = format!("there is no product '{}'{hint}", excerpt(code.get_ref()));
                self.reader.faults.at(&code.span(), "unknown_product", message);
            }
            place
        };
        codes.iter().filter_map(place).collect()
    }

    fn measures(&mut self, item: &'t Item<'a>, names: &[String]) -> Vec<MeasurePlan> {
        let faults = self.reader.faults;
        let Some(table) = Table::of(faults, item, item.span(), "'measures'") else { return Vec::new() };
        let (mut plans, mut made) = (Vec::new(), Vec::new());
        for (name, span, item) in table.entries() {
            let measure = self.measure(name, &span, names, &mut made);
            let number = self.reader.number(item, &["parts"]);
            let parts = item.get_ref().as_table().and_then(|table| table.get("parts"));
            let parts = parts.map(|item| self.parts(item, names, &mut made)).unwrap_or_default();
            if let Some(measure) = measure {
                self.know(name, Reference::Measure(measure), Sort::Number);
            }
            for (place, _) in &parts {
                if let Some(name) = names.get(*place) {
                    self.know(name, Reference::Measure(*place), Sort::Number);
                }
            }
            if let (Some(measure), Some(mut number)) = (measure, number) {
                number.places.get_or_insert(PLACES);
                plans.push(MeasurePlan { measure, number, parts });
            }
        }
        plans
    }

    fn parts(&self, item: &'t Item<'a>, names: &[String], made: &mut Vec<usize>) -> Vec<(usize, Number)> {
        let Some(table) = Table::of(self.reader.faults, item, item.span(), "'parts'") else { return Vec::new() };
        let mut parts = Vec::new();
        for (name, span, item) in table.entries() {
            let measure = self.measure(name, &span, names, made);
            parts.extend(measure.zip(self.reader.number(item, &[])));
        }
        parts
    }

    /// The place of a measure, which is made once.
    fn measure(&self, name: &str, span: &Span, names: &[String], made: &mut Vec<usize>) -> Option<usize> {
        let Some(place) = names.iter().position(|measure| measure == name) else {
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            let message = format!("the kind has no measure '{}'{hint}", excerpt(name));
            self.reader.faults.at(span, "unknown_measure", message);
            return None;
        };
        if made.contains(&place) {
            self.reader.faults.at(span, "doubled", format!("the measure '{name}' is made twice"));
        }
        made.push(place);
        Some(place)
    }
}
