//! Schemas that many parts of the API's description share. The last ones are open here, as no industry is known; the description of
//! a running service has them typed by its pack (`releases/description.rs`).

use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::csv_rows::{MAX_MAPPED, MAX_NAME};

macro_rules! schemas {
    ($($(#[doc = $doc:literal])+ $name:ident: $schema:tt;)+) => {$(
        $(#[doc = $doc])+
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description = [$($doc.trim()),+].join(" ");
                let mut schema = json!($schema);
                if let Some(object) = schema.as_object_mut() {
                    object.insert("description".to_owned(), description.into());
                }
                serde_json::from_value(schema).map_or_else(|_| RefOr::T(Schema::default()), RefOr::T)
            }
        }

        impl ToSchema for $name {}
    )+};
}

schemas! {
    /// An exact decimal number, written as a string. The field that has it says its unit.
    DecimalText: {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "example": "12.5"};

    /// A text in each language of the pack, by language code.
    Labels: {"type": "object", "additionalProperties": {"type": "string"}, "example": {"en": "Volume grade", "es": "Grado de volumen"}};

    /// The value of an entitlement: a truth value, a text, a decimal as text, or a list of texts.
    EntitlementValue: {
        "oneOf": [{"type": "boolean"}, {"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "example": "15"
    };

    /// Days by policy.
    PolicyDays: {"type": "object", "additionalProperties": {"type": "string", "format": "date"}, "example": {"volume_grade": "2017-12-31"}};

    /// Values of some fields, by field.
    ChosenValues: {
        "type": "object", "additionalProperties": {"type": "array", "items": {"type": "string", "maxLength": 2000}},
        "example": {"retail_format": ["grocery"]}
    };

    /// What is remarked, by module.
    Remarks: {
        "type": "object", "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 1000},
        "example": {"attendance": "One late arrival"}
    };

    /// Texts of a pack's files by path, such as `policies/volume_grade.rhai`; null leaves a file out. A file has at most 256 KiB, a pack
    /// 500 files and 4 MiB in all, counted in UTF-8.
    PackFileTexts: {
        "type": "object", "additionalProperties": {"type": ["string", "null"], "maxLength": 262_144},
        "example": {"policies/volume_grade.rhai": "fn decide(customer, context) {\n    decision(\"1\")\n}\n"}
    };

    /// Key of a metric that a pack declares.
    MetricKey: {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z][a-z0-9_]*$", "example": "on_time_share"};

    /// Name of a role (`GET /v1/roles`).
    RoleName: {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z][a-z0-9_]*$", "example": "clerk"};

    /// Name of a permission; `GET /v1/roles` lists them.
    PermissionName: {"type": "string", "maxLength": 64, "pattern": "^[a-z]+:[a-z]+$", "example": "customers:read"};

    /// A workbook of Office Open XML (xlsx).
    Workbook: {"type": "string", "format": "binary", "example": "PK…"};

    /// Texts by name: values that a sentence mentions, or the figures of a computation.
    NamedTexts: {"type": "object", "additionalProperties": {"type": "string"}, "example": {"months": "3", "sum": "37.5"}};

    /// A JSON object: column of the file by target, where its name is another one. Each target stands once, in whatever letters.
    ColumnMapping: {
        "type": "object", "maxProperties": MAX_MAPPED, "propertyNames": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": MAX_NAME}, "example": {"code": "shop_no"}
    };

    /// Values of the customer file by section and field, as the pack in force declares them (`GET /v1/pack`). Decimals and dates are
    /// strings; absent values are left out.
    Profile: {
        "type": "object", "additionalProperties": {"type": "object", "additionalProperties": true},
        "example": {"network": {"retail_format": "grocery", "floor_area": "42.5"}}
    };

    /// Values of the customer file to enter, by section and field, as the pack in force declares them.
    ProfileBody: {
        "type": "object", "additionalProperties": {"type": "object", "additionalProperties": true},
        "example": {"network": {"retail_format": "grocery", "floor_area": "42.5"}}
    };

    /// Changes of the customer file by section and field: what is left out stays, `null` removes a value or a section.
    ProfilePatch: {
        "type": "object", "additionalProperties": {"type": ["object", "null"], "additionalProperties": true},
        "example": {"network": {"retail_format": null, "floor_area": "50"}}
    };

    /// A kind of transactions that the pack in force declares.
    TransactionKind: {"type": "string", "minLength": 1, "maxLength": 64, "example": "order"};

    /// Value of each measure of the transaction's kind, as the pack in force declares them: decimals of at most 15 digits before and
    /// 6 after the point, 0 or more.
    Measures: {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^0*[0-9]{1,15}(\.[0-9]{1,6}0*)?$"}, "example": {"quantity": "12", "amount": "480.00"}};

    /// Values of metrics by key, as the pack in force declares them: decimals or dates as strings.
    MetricValues: {
        "type": "object", "example": {"monthly_volume": "12.5"}, "additionalProperties": {
            "type": "string", "pattern": r"^(-?0*[0-9]{1,15}(\.[0-9]{1,6}0*)?|[0-9]{4}-[0-9]{2}-[0-9]{2})$"
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_described() {
        let described = |schema: RefOr<Schema>| serde_json::to_value(schema).unwrap();
        assert_eq!(described(DecimalText::schema())["pattern"], r"^-?[0-9]+(\.[0-9]+)?$");
        assert_eq!(described(EntitlementValue::schema())["oneOf"][2]["items"]["type"], "string");
        assert_eq!(described(PolicyDays::schema())["additionalProperties"]["format"], "date");
        let mapping = described(ColumnMapping::schema());
        assert_eq!((&mapping["maxProperties"], &mapping["propertyNames"]["maxLength"]), (&json!(1000), &json!(200)));
        let patch = described(ProfilePatch::schema());
        assert_eq!(patch["additionalProperties"]["type"], serde_json::json!(["object", "null"]));
        assert!(patch["description"].as_str().unwrap().starts_with("Changes of the customer file"));
    }
}
