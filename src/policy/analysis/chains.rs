//! The walk through dotted chains: what is read of the customer and the context, and calls on values.

use rhai::{ASTFlags, BinaryExpr, Expr, Position};

use super::types::{Texts, Type};
use super::{Frame, Walk};
use crate::faults::did_you_mean;
use crate::policy::pack::CutRule;

/// One step of a chain.
enum Link<'a> {
    Dot(&'a Expr),
    Index(&'a Expr),
}

/// What a chain starts from, and its steps.
fn flatten(expression: &Expr) -> Option<(&Expr, Vec<Link<'_>>)> {
    let (parts, flags, mut index) = chained(expression)?;
    let (mut right, mut flags) = (&parts.rhs, flags);
    let mut links = Vec::new();
    loop {
        let link = if index { Link::Index } else { Link::Dot };
        match chained(right).filter(|_| !flags.contains(ASTFlags::BREAK)) {
            Some((next, next_flags, next_index)) => {
                links.push(link(&next.lhs));
                (right, flags, index) = (&next.rhs, next_flags, next_index);
            }
            None => {
                links.push(link(right));
                return Some((&parts.lhs, links));
            }
        }
    }
}

fn chained(expression: &Expr) -> Option<(&BinaryExpr, ASTFlags, bool)> {
    match expression {
        Expr::Dot(parts, flags, _) => Some((parts, *flags, false)),
        Expr::Index(parts, flags, _) => Some((parts, *flags, true)),
        _ => None,
    }
}

impl Walk<'_> {
    /// The type at the end of a chain. `defaulted` says that it stands left of `??`.
    pub(super) fn chain(&mut self, frame: &mut Frame, expression: &Expr, defaulted: bool) -> Type {
        let Some((base, links)) = flatten(expression) else { return Type::Unknown };
        let mut known = self.expression(frame, base);
        for (index, link) in links.iter().enumerate() {
            let following = links.get(index + 1);
            known = match link {
                Link::Dot(Expr::Property(property, position)) => {
                    if known == Type::Maybe && !(defaulted && following.is_none()) {
                        let message = "customer.maybe stands only left of ??: customer.maybe.field ?? value";
                        self.report(&frame.file, *position, "maybe", message);
                    }
                    self.property(frame, &known, &property.2, *position)
                }
                Link::Dot(Expr::MethodCall(call, position)) => {
                    let outcome_only =
                        matches!(following, Some(Link::Dot(Expr::Property(property, _))) if property.2 == "outcome");
                    self.method(frame, known, call, *position, outcome_only)
                }
                Link::Dot(other) => {
                    self.value(frame, other);
                    Type::Unknown
                }
                Link::Index(at) => self.index(frame, &known, at),
            };
        }
        known
    }

    fn index(&mut self, frame: &mut Frame, known: &Type, at: &Expr) -> Type {
        let file = frame.file.clone();
        if known.is_guarded() {
            let message = format!(
                "{} may only be dotted, so that what a policy reads is known",
                known.name().unwrap_or_default()
            );
            self.report(&file, at.start_position(), "guarded", message);
        }
        if self.value(frame, at) == Type::Number {
            self.report(&file, at.start_position(), "index", "lists have no places; ask them with 'in' or 'for'");
        }
        Type::Unknown
    }

    fn property(&mut self, frame: &Frame, of: &Type, name: &str, position: Position) -> Type {
        match of {
            Type::Customer if name == "maybe" => Type::Maybe,
            Type::Customer if name == "code" => Type::text(),
            Type::Customer | Type::Maybe => self.read(frame, name, position),
            Type::Context => match name {
                "as_of" | "month" => {
                    self.facts.as_of = true;
                    Type::Date
                }
                "outcomes" => Type::Outcomes,
                "cohorts" => Type::Cohorts,
                _ => {
                    let hint = did_you_mean(name, ["as_of", "month", "outcomes", "cohorts"]);
                    let message = format!("the context has as_of, month, outcomes and cohorts, but no '{name}'{hint}");
                    self.report(&frame.file, position, "unknown_property", message);
                    Type::Unknown
                }
            },
            Type::Outcomes => self.outcome_of(frame, name, position),
            Type::Cohorts => {
                if let Some(declared) = self.script.pack.cohorts.get(name) {
                    self.facts.cohorts.insert(name.to_owned());
                    return Type::Cohort {
                        classes: declared.cuts.count() + 1,
                        ranks: matches!(declared.cuts, CutRule::Ranks(_)),
                    };
                } else {
                    let hint = did_you_mean(name, self.script.pack.cohorts.keys().map(String::as_str));
                    let message = format!("the pack declares no cohort '{name}'{hint}");
                    self.report(&frame.file, position, "unknown_cohort", message);
                }
                Type::Unknown
            }
            Type::Decision(outcomes) if name == "outcome" => {
                let declared = || Texts::of(self.script.declaration.outcomes.iter().cloned()).known;
                Type::Text(Texts { known: outcomes.clone().or_else(declared), outcome: true, ..Texts::default() })
            }
            Type::Score if name == "value" => Type::Unknown,
            Type::Map(entries) if entries.contains_key(name) => {
                entries.get(name).map_or(Type::Unknown, |(_, value)| value.clone())
            }
            Type::Unknown if name == "outcome" => {
                Type::Text(Texts { outcome: true, ..Texts::of(self.script.declaration.outcomes.iter().cloned()) })
            }
            Type::Unknown => Type::Unknown,
            known => {
                let message = format!("{} has no property '{name}'", known.name().unwrap_or_default());
                self.report(&frame.file, position, "unknown_property", message);
                Type::Unknown
            }
        }
    }

    /// A field or metric of the customer.
    fn read(&mut self, frame: &Frame, key: &str, position: Position) -> Type {
        let pack = self.script.pack;
        if let Some(field) = pack.fields.get(key) {
            self.facts.fields.insert(key.to_owned());
            return Type::of_field(field.field_type, &field.choices);
        }
        if let Some(metric) = pack.definitions.metrics.get(key) {
            self.facts.metrics.insert(key.to_owned());
            return Type::of_field(metric.value_type(), &[]);
        }
        let keys = pack.fields.iter().map(|(key, _)| key).chain(pack.definitions.metrics.keys().map(String::as_str));
        let hint = did_you_mean(key, keys);
        let message = format!("the pack declares no field or metric '{key}'{hint}");
        self.report(&frame.file, position, "unknown_field", message);
        Type::Unknown
    }

    fn outcome_of(&mut self, frame: &Frame, policy: &str, position: Position) -> Type {
        if let Some(declaration) = self.script.pack.policies.get(policy) {
            self.facts.outcomes.insert(policy.to_owned());
            return Type::Text(Texts { outcome: true, ..Texts::of(declaration.outcomes.iter().cloned()) });
        }
        let hint = did_you_mean(policy, self.script.pack.policies.keys().map(String::as_str));
        let message = format!("the pack declares no policy '{policy}'{hint}");
        self.report(&frame.file, position, "unknown_policy", message);
        Type::Unknown
    }
}
