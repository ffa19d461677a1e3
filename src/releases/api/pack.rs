//! The pack in force over HTTP: everything that a form and a result view are built from.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::customers::model::{Field, FieldType, Maintenance, Section};
use crate::digest::Digest;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadPack;
use crate::policy::diagnostic::{Diagnostic, FaultSeverity};
use crate::policy::pack::{
    Appealing, Cadence, EntitlementType, ListDeclaration, Overriding, Pack, PolicyDeclaration, Staffing, SubjectKind,
};
use crate::policy::texts::LabelKind;
use crate::releases::active::{Active, InForce};
use crate::schemas::{DecimalText, Labels};
use crate::transactions::model::{Function, Metric, ObservationKind, Window};

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_pack);
}

/// A text in each language of the pack, by language code.
type Texts = BTreeMap<String, String>;

/// The pack in force: everything that a form and a result view are built from.
#[derive(Serialize, ToSchema)]
#[schema(as = Pack)]
pub struct PackView {
    /// Its id.
    #[schema(example = "bakery")]
    id: String,
    /// Its title.
    #[schema(value_type = Labels)]
    title: Texts,
    /// Digest of the release.
    release: Digest,
    /// Time zone of its business dates (IANA).
    #[schema(example = "Europe/Madrid")]
    time_zone: String,
    /// Currency of its amounts (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: String,
    /// Unit of its quantities.
    #[schema(example = "case")]
    unit: String,
    /// Languages of its texts; the first is the fallback.
    #[schema(example = json!(["en", "es"]))]
    languages: Vec<String>,
    /// The date field from which a newcomer's months are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    opening_field: Option<String>,
    /// Sections of the customer file, in the order of forms.
    sections: Vec<ChoiceView>,
    /// Fields of the customer file, in the order of forms.
    fields: Vec<FieldView>,
    /// Kinds of transactions.
    kinds: Vec<KindView>,
    /// Kinds of observations.
    observations: Vec<ObservationKindView>,
    /// Derived fields.
    metrics: Vec<MetricDeclarationView>,
    /// Policies, in the order of the pack.
    policies: Vec<PolicyView>,
    /// Lists of customers, in the order of the pack.
    lists: Vec<ListView>,
    /// What holds for overrides: for how many days one lasts at most, and from how many days of difference on it is a warning.
    overrides: Overriding,
    /// What holds for appeals: within how many days they are filed and answered.
    appeals: Appealing,
    /// How service staff are evaluated; only there where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    staff: Option<Staffing>,
    /// Faults of a newer content of the pack's folder, which therefore isn't in force; only there when there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    load_faults: Vec<LoadFault>,
}

/// A fault in a file of a pack.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"severity": "error", "file": "policies/volume_grade.rhai", "line": 12, "column": 5, "code": "unknown_field",
    "message": "there is no field or metric 'montly_volume'; did you mean 'monthly_volume'?"}))]
pub struct LoadFault {
    /// How much it weighs.
    severity: FaultSeverity,
    /// Path inside the pack, such as `policies/<policy>.rhai`; absent where the whole folder is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    file: Option<String>,
    /// Line, from 1; absent where the whole file is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    line: Option<usize>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    column: Option<usize>,
    /// The line of the file; of a long one what stands around the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    excerpt: Option<Box<str>>,
    /// Stable code of what is wrong.
    #[schema(value_type = String)]
    code: &'static str,
    /// What is wrong, and what would be right.
    message: String,
}

impl LoadFault {
    pub(super) fn new(fault: &Diagnostic) -> Self {
        let Diagnostic { severity, code, file, line, column, excerpt, message, .. } = fault.clone();
        Self { severity, file: Some(file).filter(|file| !file.is_empty()), line, column, excerpt, code, message }
    }
}

/// A field of the customer file.
#[derive(Serialize, ToSchema)]
#[schema(as = Field, example = json!({"key": "floor_area", "section": "network", "type": "decimal", "labels": {"en": "Floor area (m²)"},
    "required": false, "min": "0", "max": "10000", "maintenance": "static", "filterable": true, "personal": false}))]
pub struct FieldView {
    /// Its key.
    key: String,
    /// The section in which it stands.
    section: Section,
    /// What it holds.
    #[serde(rename = "type")]
    field_type: FieldType,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// Whether a file without it is refused.
    required: bool,
    /// Allowed values of a choice, with their labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    choices: Vec<ChoiceView>,
    /// Smallest number allowed, in the unit of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    min: Option<Decimal>,
    /// Largest number allowed, in the unit of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    max: Option<Decimal>,
    /// Longest text allowed, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_length: Option<u32>,
    /// Regular expression that the whole text must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pattern: Option<String>,
    /// Who changes it, and how often.
    maintenance: Maintenance,
    /// Whether lists can be filtered and sorted by it.
    filterable: bool,
    /// Whether it is personal data.
    personal: bool,
}

/// A value with its labels.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"value": "grocery", "labels": {"en": "Grocery", "es": "Alimentación"}}))]
pub struct ChoiceView {
    /// The value.
    value: String,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
}

/// A kind of transactions.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "order", "labels": {"en": "Order"}, "products": true,
    "measures": [{"value": "quantity", "labels": {"en": "Quantity"}}]}))]
pub struct KindView {
    /// Its key.
    key: String,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// Whether each line names a product.
    products: bool,
    /// The kind that it subtracts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subtracts_from: Option<String>,
    /// The measures of a line, with their labels.
    measures: Vec<ChoiceView>,
}

/// A list of customers.
#[derive(Serialize, ToSchema)]
#[schema(as = List, example = json!({"id": "core", "labels": {"en": "Core customers"}, "policy": "value_group", "outcomes": ["core"]}))]
pub struct ListView {
    /// Its id.
    id: String,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// The policy whose outcomes lead to it; absent where it is kept by hand alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    policy: Option<String>,
    /// Those outcomes.
    outcomes: Vec<String>,
}

/// A kind of observations: facts about a customer that are no transactions.
#[derive(Serialize, ToSchema)]
#[schema(as = ObservationKind, example = json!({"key": "breach", "labels": {"en": "Breach"}, "value": true, "min": "1", "max": "12", "unit": "point"}))]
pub struct ObservationKindView {
    /// Its key.
    key: String,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// Whether an observation has a value.
    value: bool,
    /// The smallest value, in `unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    min: Option<Decimal>,
    /// The largest value, in `unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    max: Option<Decimal>,
    /// Unit of its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<String>,
}

/// A derived field.
#[derive(Serialize, ToSchema)]
#[schema(as = MetricDeclaration, example = json!({"key": "monthly_volume", "labels": {"en": "Mean monthly volume"}, "type": "decimal",
    "function": "mean_per_month", "kind": "order", "measure": "quantity", "window": {"full_months": 3}, "unit": "case",
    "maintenance": "derived"}))]
pub struct MetricDeclarationView {
    /// Its key.
    key: String,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// Type of its values: decimal or date.
    #[serde(rename = "type")]
    value_type: FieldType,
    /// How it is computed.
    function: Function,
    /// Kind of transactions or observations it reads.
    kind: String,
    /// Measure it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    measure: Option<String>,
    /// The measure it divides by, for a ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    of: Option<String>,
    /// The one product category it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    category: Option<String>,
    /// Its window.
    window: Window,
    /// Unit of its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<String>,
    /// Always `derived`.
    maintenance: Maintenance,
}

/// A policy.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy, example = json!({"id": "volume_grade", "labels": {"en": "Volume grade"}, "subject": "customer",
    "cadence": "month", "outcomes": [{"value": "1", "labels": {"en": "Grade 1"}}, {"value": "2", "labels": {"en": "Grade 2"}}],
    "entitlements": [{"key": "monthly_supply", "labels": {"en": "Monthly supply"}, "type": "decimal", "unit": "case"}], "overridable": false, "appealable": true}))]
pub struct PolicyView {
    /// Its id.
    id: String,
    /// Its titles.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// What it decides about.
    subject: SubjectKind,
    /// How often its outcome may change.
    cadence: Cadence,
    /// Its outcomes, best first.
    outcomes: Vec<ChoiceView>,
    /// Parts of its score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    indicators: Vec<ChoiceView>,
    /// What its outcomes entitle to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    entitlements: Vec<EntitlementView>,
    /// Whether a person may decide instead.
    overridable: bool,
    /// Whether an appeal may go against its decisions.
    appealable: bool,
}

/// Something that an outcome entitles to.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "monthly_supply", "labels": {"en": "Monthly supply"}, "type": "decimal", "unit": "case"}))]
pub struct EntitlementView {
    /// Its key.
    key: String,
    /// Its labels.
    #[schema(value_type = Labels)]
    labels: Texts,
    /// What its value is.
    #[serde(rename = "type")]
    entitlement_type: EntitlementType,
    /// Unit of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<String>,
}

/// The pack in force
///
/// Fields, metrics, policies and all labels: a form and a result view can be built from it alone.
#[utoipa::path(tag = "pack", operation_id = "getPack", security(("bearer" = ["pack:read"])), responses(
    (status = 200, body = PackView, description = "The pack", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/pack")]
pub async fn get_pack(
    _: Permit<ReadPack>,
    active: Current<Active>,
    in_force: web::Data<InForce>,
) -> Result<HttpResponse, Problem> {
    let pack = &active.release.pack;
    let labels = Labeller(pack);
    let faults = in_force.load_faults();
    etag::tagged(&PackView {
        id: pack.id.clone(),
        title: pack.title.clone(),
        release: active.basis.release,
        time_zone: pack.time_zone.iana_name().unwrap_or_default().to_owned(),
        currency: pack.currency.clone(),
        unit: pack.unit.clone(),
        languages: pack.languages.clone(),
        opening_field: pack.definitions.opening_field.clone(),
        sections: labels.sections(),
        fields: pack.fields.iter().map(|(key, field)| labels.field(key, field)).collect(),
        kinds: labels.kinds(),
        observations: labels.observations(),
        metrics: pack.definitions.metrics.iter().map(|(key, metric)| labels.metric(key, metric)).collect(),
        policies: pack.policies.iter().map(|(id, policy)| labels.policy(id, policy)).collect(),
        lists: labels.lists(),
        overrides: pack.overrides,
        appeals: pack.appeals,
        staff: pack.staff.clone(),
        load_faults: faults.iter().flat_map(|faults| faults.iter()).map(LoadFault::new).collect(),
    })
}

/// Makes views of declarations with their labels in every language.
struct Labeller<'a>(&'a Pack);

impl Labeller<'_> {
    fn of(&self, kind: LabelKind, owner: &str, key: &str) -> Texts {
        let label =
            |language: &String| (language.clone(), self.0.texts.label_of(kind, owner, key, language).to_owned());
        self.0.languages.iter().map(label).collect()
    }

    fn choices<'b>(&self, kind: LabelKind, owner: &str, keys: impl IntoIterator<Item = &'b String>) -> Vec<ChoiceView> {
        let choice = |key: &String| ChoiceView { value: key.clone(), labels: self.of(kind, owner, key) };
        keys.into_iter().map(choice).collect()
    }

    fn sections(&self) -> Vec<ChoiceView> {
        let section = |section: Section| ChoiceView {
            value: section.key().to_owned(),
            labels: self.0.languages.iter().map(|it| (it.clone(), section.label(it).to_owned())).collect(),
        };
        Section::ALL.map(section).into()
    }

    fn field(&self, key: &str, field: &Field) -> FieldView {
        FieldView {
            key: key.to_owned(),
            section: field.section,
            field_type: field.field_type,
            labels: self.of(LabelKind::Field, "", key),
            required: field.required,
            choices: self.choices(LabelKind::Choice, key, &field.choices),
            min: field.min,
            max: field.max,
            max_length: field.max_length,
            pattern: field.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
            maintenance: field.maintenance,
            filterable: field.filterable,
            personal: field.personal,
        }
    }

    fn kinds(&self) -> Vec<KindView> {
        let definitions = &self.0.definitions;
        let kind = |(key, kind): (&String, &crate::transactions::model::Kind)| KindView {
            key: key.clone(),
            labels: self.of(LabelKind::Kind, "", key),
            products: kind.products,
            subtracts_from: kind.subtracts_from.clone(),
            measures: self.choices(LabelKind::Measure, "", definitions.measures(key)),
        };
        definitions.kinds.iter().map(kind).collect()
    }

    fn lists(&self) -> Vec<ListView> {
        let list = |(id, declared): (&String, &ListDeclaration)| ListView {
            id: id.clone(),
            labels: self.of(LabelKind::List, "", id),
            policy: declared.policy.clone(),
            outcomes: declared.outcomes.clone(),
        };
        self.0.lists.iter().map(list).collect()
    }

    fn observations(&self) -> Vec<ObservationKindView> {
        let kind = |(key, kind): (&String, &ObservationKind)| ObservationKindView {
            key: key.clone(),
            labels: self.of(LabelKind::Observation, "", key),
            value: kind.value,
            min: kind.min.map(|min| min.normalize()),
            max: kind.max.map(|max| max.normalize()),
            unit: kind.unit.clone(),
        };
        self.0.definitions.observations.iter().map(kind).collect()
    }

    fn metric(&self, key: &str, metric: &Metric) -> MetricDeclarationView {
        MetricDeclarationView {
            key: key.to_owned(),
            labels: self.of(LabelKind::Metric, "", key),
            value_type: metric.value_type(),
            function: metric.function,
            kind: metric.kind.clone(),
            measure: metric.measure.clone(),
            of: metric.of.clone(),
            category: metric.category.clone(),
            window: metric.window,
            unit: metric.unit.clone(),
            maintenance: Maintenance::Derived,
        }
    }

    fn policy(&self, id: &str, policy: &PolicyDeclaration) -> PolicyView {
        let entitlement = |(key, declared): (&String, &crate::policy::pack::EntitlementDeclaration)| EntitlementView {
            key: key.clone(),
            labels: self.of(LabelKind::Entitlement, id, key),
            entitlement_type: declared.entitlement_type,
            unit: declared.unit.clone(),
        };
        PolicyView {
            id: id.to_owned(),
            labels: self.of(LabelKind::Policy, "", id),
            subject: policy.subject,
            cadence: policy.cadence,
            outcomes: self.choices(LabelKind::Outcome, id, &policy.outcomes),
            indicators: self.choices(LabelKind::Indicator, id, &policy.indicators),
            entitlements: policy.entitlements.iter().map(entitlement).collect(),
            overridable: policy.overridable,
            appealable: policy.appealable,
        }
    }
}
