//! The parameters of the API with what the pack declares.

use serde_json::{Map, Value as Json, json};

use super::Industry;
use super::names::one_of;
use super::shapes::{decimal, reference};
use crate::customers::model::{Field, FieldType};
use crate::policy::texts::LabelKind;

impl Industry<'_> {
    /// Types the parameters of every operation.
    pub(super) fn type_parameters(&self, paths: &mut Map<String, Json>) {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                let Some(Json::Array(parameters)) = operation.get_mut("parameters") else { continue };
                if path == "/v1/customers" && method == "get" {
                    *parameters = self.of_customers(std::mem::take(parameters));
                }
                for parameter in parameters {
                    self.type_parameter(path, method, parameter);
                }
            }
        }
    }

    /// What an operation refuses unless the pack in force declares it has only those values. Elsewhere they are examples: an override of last
    /// year may be of a policy that is gone.
    fn type_parameter(&self, path: &str, method: &str, parameter: &mut Json) {
        let policies: Vec<&String> = self.pack.customer_policies().map(|(id, _)| id).collect();
        let name = parameter.get("name").and_then(Json::as_str);
        let (declared, only) = match name {
            Some("policy") => (policies, path == "/v1/customers/{id}/paths"),
            Some("list") => (self.pack.lists.keys().collect(), method != "delete"),
            Some("cohort") => (self.pack.cohorts.keys().collect(), true),
            _ => return,
        };
        let Some(first) = declared.first() else { return };
        parameter["example"] = json!(first);
        parameter["schema"] = if only { one_of(declared) } else { json!({"type": "string", "examples": declared}) };
    }

    /// The parameters of the list of customers: one for each field and policy instead of the open ones.
    fn of_customers(&self, base: Vec<Json>) -> Vec<Json> {
        let mut parameters: Vec<Json> =
            base.into_iter().filter(|it| !named(it, "field") && !named(it, "outcome")).collect();
        let mut orders = vec!["created_at".to_owned(), "code".to_owned(), "name".to_owned()];
        for (key, field) in self.pack.fields.iter().filter(|(_, field)| field.filterable) {
            parameters.extend(self.of_field(key, field));
            if field.field_type != FieldType::Choices {
                orders.push(format!("field[{key}]"));
            }
        }
        for (id, _) in self.pack.customer_policies() {
            let told = format!("Only customers with this outcome of {}", self.label(LabelKind::Policy, "", id));
            parameters.push(in_query(format!("outcome[{id}]"), told, reference(self.names.outcome(id))));
        }
        let descending: Vec<String> = orders.iter().map(|order| format!("-{order}")).collect();
        orders.extend(descending);
        for sort in parameters.iter_mut().filter(|parameter| named(parameter, "sort")) {
            sort["schema"] = one_of(&orders);
        }
        parameters
    }

    /// The parameters that filter by a field.
    fn of_field(&self, key: &str, field: &Field) -> Vec<Json> {
        let label = self.label(LabelKind::Field, "", key);
        let schema = match field.field_type {
            FieldType::Choices => self.choice(&label, LabelKind::Choice, key, field.choices.iter()),
            FieldType::Integer | FieldType::Decimal => decimal(format!("{label}, a decimal"), "1"),
            FieldType::Text | FieldType::Phone | FieldType::Email => json!({"type": "string"}),
            FieldType::Choice | FieldType::Boolean | FieldType::Date => reference(self.names.field(key)),
        };
        let mut parameters = Vec::new();
        if matches!(field.field_type, FieldType::Integer | FieldType::Decimal | FieldType::Date) {
            for (comparison, word) in [("gt", "above"), ("gte", "at least"), ("lt", "below"), ("lte", "at most")] {
                let told = format!("Only customers whose {label} is {word} this");
                parameters.push(in_query(format!("field[{key}][{comparison}]"), told, schema.clone()));
            }
        }
        parameters.push(in_query(format!("field[{key}]"), format!("Only customers of this {label}"), schema));
        parameters
    }
}

fn named(parameter: &Json, name: &str) -> bool {
    parameter.get("name").is_some_and(|found| found == name)
}

fn in_query(name: String, description: String, schema: Json) -> Json {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}
