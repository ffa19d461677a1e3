//! The description of a running service: that it knows its pack, and nothing of another one.

use std::collections::BTreeSet;

use baremo::policy::pack::Pack;
use baremo::policy::release::load;
use baremo::policy::source::Source;
use regex::Regex;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files, pack};
use crate::description::{described, properties, resolved};

/// The packs of the repository.
const PACKS: [&str; 4] = ["tobacco", "real_estate", "power", "automobile"];

fn loaded(source: &Source) -> Pack {
    load(source).unwrap().pack
}

/// What a service would give that runs with a pack.
fn running(pack: &Pack) -> Json {
    baremo::releases::api::openapi::running(&described(), pack)
}

/// The parameter of this name of the list of customers.
fn filter<'a>(description: &'a Json, name: &str) -> Option<&'a Json> {
    let parameters = description["paths"]["/v1/customers"]["get"]["parameters"].as_array().unwrap();
    parameters.iter().find(|parameter| parameter["name"] == name)
}

/// Every place below `json` for which `wanted` gives something.
fn collect<'a, T>(json: &'a Json, wanted: &dyn Fn(&'a Json) -> Option<T>, found: &mut Vec<T>) {
    found.extend(wanted(json));
    match json {
        Json::Object(object) => object.values().for_each(|value| collect(value, wanted, found)),
        Json::Array(items) => items.iter().for_each(|item| collect(item, wanted, found)),
        _ => {}
    }
}

#[test]
fn a_running_service_describes_the_fields_of_its_pack() {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    let description = app.get("/openapi.json").with(200).json;
    let schemas = &description["components"]["schemas"];
    assert_eq!(description["info"]["title"], "Baremo: Tobacco wholesale");
    assert_eq!(schemas["ProfileBodyNetwork"]["required"], json!(["retail_format", "market"]));
    assert_eq!(schemas["ProfileBodyNetwork"]["additionalProperties"], false);
    assert_eq!(schemas["CustomerBody"]["required"], json!(["code", "name", "profile"]));
    assert_eq!(schemas["ProfileNetwork"].get("required"), None);
    assert_eq!(schemas["ProfileFieldMarket"]["enum"], json!(["urban", "rural"]));
    assert_eq!(schemas["ProfileFieldOrderCycle"]["minimum"], 1);
    assert_eq!(schemas["ProfileFieldOrderCycle"]["maximum"], 60);
    assert_eq!(schemas["ProfileFieldOpenedOn"]["format"], "date");
    assert_eq!(schemas["ProfileFieldBankAccount"]["pattern"], "^(?:[0-9]{8,30})$");
    assert_eq!(schemas["ProfileFieldScopeOfBusiness"]["uniqueItems"], true);
    assert_eq!(schemas["TransactionKind"]["enum"], json!(["order", "return", "payment"]));
    assert!(schemas["Measures"]["properties"]["quantity"]["pattern"].is_string());
    assert_eq!(schemas["OutcomeVolumeGrade"]["enum"].as_array().unwrap().len(), 8);
    let parameters = description["paths"]["/v1/customers"]["get"]["parameters"].as_array().unwrap();
    let names: BTreeSet<&str> =
        parameters.iter().map(|it| resolved(&description, it)["name"].as_str().unwrap()).collect();
    for name in ["outcome[volume_grade]", "field[market]", "field[order_cycle][gte]", "limit"] {
        assert!(names.contains(name), "{name} of {names:?}");
    }
    assert!(!names.contains("field") && !names.contains("field[bank_account]"), "{names:?}");
    let base = described();
    assert!(base["components"]["schemas"].get("ProfileFieldMarket").is_none(), "the committed one knows no industry");
    for (name, schema) in base["components"]["schemas"].as_object().unwrap() {
        assert_eq!(schemas[name]["type"].is_null(), schema["type"].is_null(), "{name} is still there");
    }
}

/// What the examples show is taken as it is.
#[test]
fn the_examples_of_a_running_service_are_taken() {
    let mut titles = BTreeSet::new();
    for name in PACKS {
        let app = TestApp::new(&pack(name), "2020-01-01");
        let description = app.get("/openapi.json").with(200).json;
        let example = |schema: &str| description["components"]["schemas"][schema]["example"].clone();
        let created = app.post("/v1/customers", &example("CustomerBody")).with(201);
        app.patch(
            &format!("/v1/customers/{}", created.json["id"].as_str().unwrap()),
            created.header("ETag"),
            &example("CustomerPatch"),
        );
        app.post("/v1/evaluations", &json!({"document": example("Document")})).with(200);
        app.post("/v1/evaluations", &example("EvaluationRequest")).with(200);
        let batch = app.post("/v1/transactions/batches", &example("TransactionBatch"));
        let faults = batch.json["items"][0]["errors"].as_array().cloned().unwrap_or_default();
        assert!(faults.iter().all(|fault| fault["code"] == "unknown_product"), "{name}: {}", batch.json);
        let checked = app.post("/v1/pack-checks", &example("PackCheckRequest")).with(200);
        assert_eq!(checked.json["sound"], true, "{name}: {}", checked.json);
        app.user("ana", &["clerk"]);
        app.post("/v1/employees", &example("EmployeeBody")).with(201);
        let observed = app.post("/v1/observations/batches", &example("ObservationBatch")).with(207);
        assert_eq!(observed.json["items"][0]["status"], "created", "{name}: {}", observed.json);
        titles.insert(description["info"]["title"].to_string());
    }
    assert_eq!(titles.len(), PACKS.len(), "{titles:?}");
}

#[test]
fn a_description_that_is_known_is_not_sent_again() {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    let first = app.send_raw("GET", "/openapi.json", &[], String::new()).with(200);
    let tag = first.header("ETag");
    assert!(tag.starts_with("\"sha256:"), "{tag}");
    app.send_raw("GET", "/openapi.json", &[("If-None-Match", tag)], String::new()).with(304);
    app.send_raw("GET", "/openapi.json", &[("If-None-Match", "\"sha256:00\"")], String::new()).with(200);
}

#[test]
fn every_name_of_a_value_in_code_stands_once() {
    let name = Regex::new("^[A-Z][A-Z0-9_]*$").unwrap();
    for pack in PACKS.map(|name| loaded(&pack(name))) {
        let description = running(&pack);
        let mut enumerations = Vec::new();
        collect(&description, &|json| json["enum"].is_array().then_some(json), &mut enumerations);
        for schema in enumerations {
            let values = schema["enum"].as_array().unwrap();
            let given = schema["x-enum-varnames"].as_array();
            let names: BTreeSet<String> = match given {
                Some(names) => names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
                None => values.iter().map(|value| value.as_str().unwrap().to_uppercase()).collect(),
            };
            assert_eq!((names.len(), given.map_or(values.len(), Vec::len)), (values.len(), values.len()), "{schema}");
            // The base's own values are no business of a pack.
            assert!(given.is_none() || names.iter().all(|it| name.is_match(it)), "{schema}");
        }
    }
    let description = running(&loaded(&pack("real_estate")));
    let names = description["components"]["schemas"]["OutcomeIntention"]["x-enum-varnames"].as_array().unwrap();
    assert_eq!(names[..3], [json!("A_PLUS"), json!("A"), json!("A_MINUS")]);
}

/// A pack whose keys make names that are taken: by the API's own schemas, and by each other.
fn of_taken_names() -> Source {
    let field = |key: &str, choice: &str| {
        format!(
            "[fields.{key}]\nsection = \"basic\"\ntype = \"choice\"\nchoices = [\"{choice}\"]\nmaintenance = \"static\"\nfilterable = true\n"
        )
    };
    let manifest = format!(
        "[pack]\nid = \"names\"\ntitle = {{ en = \"Names\" }}\ncontract = 1\ntime_zone = \"Europe/Madrid\"\ncurrency = \"EUR\"\n\
         unit = \"piece\"\nlanguages = [\"en\"]\ncloses_after = 0\n{}{}[kinds.visit]\nmeasures = [\"quantity\"]\n\
         [policies.count]\nsubject = \"customer\"\noutcomes = [\"A+\", \"A\"]\ncadence = \"continuous\"\n",
        field("tier_1", "high"),
        field("tier1", "low")
    );
    let texts = "kinds.visit = \"v\"\nmeasures.quantity = \"q\"\npolicies.count = \"c\"\noutcomes.count.\"A+\" = \"a\"\n\
                 outcomes.count.A = \"b\"\nfields.tier_1 = \"t\"\nfields.tier1 = \"u\"\nchoices.tier_1.high = \"h\"\nchoices.tier1.low = \"l\"\n";
    let script = "//! One.\nfn decide(customer, context) { decision(\"A+\") }";
    files(&[("pack.toml", &manifest), ("texts/en.toml", texts), ("policies/count.rhai", script)])
}

#[test]
fn what_a_pack_names_replaces_no_other_schema() {
    let (base, description) = (described(), running(&loaded(&of_taken_names())));
    let schemas = &description["components"]["schemas"];
    assert_eq!(schemas["OutcomeCount"]["properties"], base["components"]["schemas"]["OutcomeCount"]["properties"]);
    let values = |name: &str| resolved(&description, &filter(&description, name).unwrap()["schema"])["enum"].clone();
    assert_eq!(values("outcome[count]"), json!(["A+", "A"]));
    assert_eq!((values("field[tier_1]"), values("field[tier1]")), (json!(["high"]), json!(["low"])));
    for profile in ["ProfileBasic", "ProfileBodyBasic"] {
        let of = |key: &str| resolved(&description, &schemas[profile]["properties"][key])["enum"].clone();
        assert_eq!((of("tier_1"), of("tier1")), (json!(["high"]), json!(["low"])), "{profile}");
    }
    let mut references = Vec::new();
    collect(&description, &|json| json["$ref"].as_str(), &mut references);
    assert!(references.len() > 500, "{} references", references.len());
    for reference in references {
        assert!(description.pointer(reference.trim_start_matches('#')).is_some(), "{reference} is nowhere");
    }
}

#[test]
fn a_list_of_customers_is_filtered_by_what_is_decided_about_customers() {
    let description = running(&loaded(&pack("automobile")));
    assert!(filter(&description, "outcome[lead_temperature]").is_some());
    assert_eq!(filter(&description, "outcome[technician_score]"), None, "that is decided about employees");
}

/// What is refused unless the pack declares it has those values alone; what may be of an earlier release is open.
#[test]
fn a_running_service_types_what_its_pack_declares() {
    let loaded = loaded(&pack("power"));
    let description = running(&loaded);
    let schemas = &description["components"]["schemas"];
    assert_eq!(schemas["ObservationBody"]["properties"]["kind"]["enum"], json!(["theft", "breach"]));
    assert_eq!(
        schemas["Transaction"]["properties"]["kind"]["examples"],
        json!(["reading", "payment", "service_charge"])
    );
    assert_eq!(schemas["Decision"]["properties"]["policy"]["examples"][0], "segment");
    for open in [&schemas["Transaction"]["properties"]["kind"], &schemas["Decision"]["properties"]["outcome"]] {
        assert_eq!((&open["type"], open.get("enum")), (&json!("string"), None));
    }
    let of = |method: &str, path: &str, name: &str| {
        let parameters = description["paths"][path][method]["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"].clone()
    };
    let lists: Vec<&String> = loaded.lists.keys().collect();
    assert_eq!(of("get", "/v1/lists/{list}/members", "list")["enum"], json!(lists));
    assert_eq!(of("delete", "/v1/lists/{list}/members/{entry}", "list")["examples"], json!(lists));
    assert_eq!(of("get", "/v1/customers/{id}/paths", "policy")["enum"][0], "segment");
    assert_eq!(of("get", "/v1/overrides", "policy")["examples"][0], "segment");
    let pattern = Regex::new(schemas["Measures"]["properties"]["quantity"]["pattern"].as_str().unwrap()).unwrap();
    assert!(pattern.is_match("12.5") && pattern.is_match("0") && !pattern.is_match("-12.5"));
}

/// Keys of fields, metrics, policies and observations, and of all else that a pack declares.
fn words(pack: &Pack) -> (BTreeSet<String>, BTreeSet<String>) {
    let definitions = &pack.definitions;
    let mut keys: BTreeSet<String> = pack.fields.iter().map(|(key, _)| key.to_owned()).collect();
    keys.extend(definitions.metrics.keys().cloned());
    keys.extend(definitions.observations.keys().cloned());
    keys.extend(pack.policies.keys().cloned());
    let mut all = keys.clone();
    all.extend(definitions.kinds.keys().cloned());
    all.extend(pack.lists.keys().chain(pack.cohorts.keys()).cloned());
    all.extend(pack.fields.iter().flat_map(|(_, field)| field.choices.clone()));
    all.extend(pack.policies.values().flat_map(|policy| policy.outcomes.clone()));
    (keys, all)
}

/// Keys and texts of examples: whole ones, and the words in them that can be nothing but keys.
fn shown(description: &Json) -> BTreeSet<String> {
    fn within(json: &Json, found: &mut BTreeSet<String>) {
        let mut text = |text: &str| {
            found.insert(text.to_owned());
            let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            found.extend(words.filter(|word| word.contains('_')).map(str::to_owned));
        };
        match json {
            Json::String(value) => text(value),
            Json::Array(items) => items.iter().for_each(|item| within(item, found)),
            Json::Object(object) => {
                object.keys().for_each(|key| text(key));
                object.values().for_each(|value| within(value, found));
            }
            _ => {}
        }
    }
    let mut examples = Vec::new();
    for key in ["example", "examples"] {
        collect(description, &|json| json.get(key), &mut examples);
    }
    let mut found = BTreeSet::new();
    examples.into_iter().for_each(|example| within(example, &mut found));
    found
}

#[test]
fn no_example_of_a_running_service_names_another_industry() {
    let packs = PACKS.map(|name| loaded(&pack(name)));
    // Words of the API itself.
    let base = described();
    let mut general: BTreeSet<String> =
        properties(&base).iter().filter_map(|(at, _)| Some(at.rsplit('.').next()?.to_owned())).collect();
    let mut values = Vec::new();
    collect(&base, &|json| json["enum"].as_array(), &mut values);
    general.extend(values.into_iter().flatten().filter_map(|value| Some(value.as_str()?.to_owned())));
    for own in &packs {
        let description = running(own);
        let shown = shown(&description);
        assert!(shown.iter().any(|word| own.policies.contains_key(word)), "{}", own.id);
        let (_, all) = words(own);
        for other in packs.iter().filter(|other| other.id != own.id) {
            let foreign: Vec<String> = words(other).0.into_iter().filter(|word| !all.contains(word)).collect();
            let found: Vec<&String> =
                foreign.iter().filter(|word| shown.contains(*word) && !general.contains(*word)).collect();
            assert!(found.is_empty(), "{} names {found:?} of {}", own.id, other.id);
        }
        let schemas = &description["components"]["schemas"];
        let request = &schemas["OverrideRequest"]["example"];
        let policy = &own.policies[request["policy"].as_str().unwrap()];
        assert!(
            policy.overridable && policy.outcomes.iter().any(|outcome| request["outcome"] == outcome.as_str()),
            "{request}"
        );
        let appealed = schemas["AppealRequest"]["example"]["policy"].as_str().unwrap();
        assert!(own.policies[appealed].appealable, "{appealed}");
    }
}

#[test]
fn a_running_description_is_written_without_a_service() {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    assert_eq!(app.get("/openapi.json").with(200).json, running(&loaded(&pack("tobacco"))));
}
