//! The description of the API: that it is the handlers', says everything that a stranger needs, and, of a running service, knows the
//! industry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use baremo::policy::pack::Pack;
use baremo::policy::release::load;
use baremo::policy::source::Source;
use regex::Regex;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files, pack};
use crate::imports::files_below;

fn described() -> Json {
    serde_json::from_str(&baremo::cli::openapi::text().unwrap()).unwrap()
}

/// Every operation with where it stands.
fn operations(description: &Json) -> Vec<(String, &Json)> {
    let paths = description["paths"].as_object().unwrap();
    let of_path = |(path, item): (&'_ String, &'_ Json)| -> Vec<(String, Json)> {
        item.as_object().unwrap().iter().map(|(method, it)| (format!("{method} {path}"), it.clone())).collect()
    };
    let found: usize = paths.iter().map(|entry| of_path(entry).len()).sum();
    assert!(found > 30, "{found} operations");
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, it)| (format!("{method} {path}"), it))
        })
        .collect()
}

/// The schema that a reference names, or the schema itself.
fn resolved<'a>(description: &'a Json, schema: &'a Json) -> &'a Json {
    let name = schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap());
    name.map_or(schema, |name| &description["components"]["schemas"][name])
}

fn has_example(description: &Json, media: &Json) -> bool {
    let schema = resolved(description, &media["schema"]);
    [&media["example"], &media["examples"], &schema["example"], &schema["examples"]].iter().any(|it| !it.is_null())
}

/// Every property of every named schema, with where it stands.
fn properties(description: &Json) -> Vec<(String, &Json)> {
    fn below<'a>(at: &str, schema: &'a Json, found: &mut Vec<(String, &'a Json)>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.push((format!("{at}.{name}"), property));
            below(&format!("{at}.{name}"), property, found);
        }
        for part in ["allOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            below(at, part, found);
        }
    }
    let mut found = Vec::new();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        below(name, schema, &mut found);
    }
    assert!(found.len() > 200, "{} properties", found.len());
    found
}

#[test]
fn the_committed_description_is_that_of_the_handlers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    let same = committed == baremo::cli::openapi::text().unwrap();
    assert!(same, "openapi/openapi.json is out of date: cargo run -- openapi > openapi/openapi.json");
}

#[test]
fn every_operation_is_described() {
    let description = described();
    let tags: BTreeSet<&str> =
        description["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (at, operation) in operations(&description) {
        for part in ["operationId", "summary", "description"] {
            assert!(operation[part].as_str().is_some_and(|text| !text.is_empty()), "{at} has no {part}");
        }
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{at}: the id stands twice");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(own[0].as_str().unwrap()), "{at}: {own:?}");
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{at} states no security"));
        let permissions = security.iter().filter_map(|scheme| scheme["bearer"].as_array()).map(Vec::len);
        assert!(permissions.eq(security.iter().map(|_| 1)) && security.len() < 2, "{at}: {security:?}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(
                parameter["description"].is_string(),
                "{at}: the parameter {} has no description",
                parameter["name"]
            );
        }
    }
}

#[test]
fn every_body_has_an_example_and_every_operation_problems() {
    let description = described();
    for (at, operation) in operations(&description) {
        let body = operation["requestBody"]["content"].as_object();
        // A generated client would have to choose.
        assert!(body.is_none_or(|body| body.len() == 1), "{at}: the body has several types");
        for (kind, media) in body.into_iter().flatten() {
            assert!(has_example(&description, media), "{at}: the body as {kind} has no example");
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at} never succeeds");
        assert!(responses.contains_key("4XX") && responses.contains_key("5XX"), "{at} never fails");
        for (status, response) in responses {
            let problem = response["content"].get("application/problem+json").is_some();
            assert_eq!(problem, status.starts_with(['4', '5']), "{at} {status}");
            for (kind, media) in response["content"].as_object().into_iter().flatten() {
                assert!(has_example(&description, media), "{at} {status} {kind} has no example");
            }
        }
    }
}

#[test]
fn every_schema_is_described_with_an_example_and_every_property_with_its_range() {
    let description = described();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} has no description");
        let example = [&schema["example"], &schema["examples"], &schema["enum"]];
        assert!(
            example.iter().any(|it| !it.is_null()),
            "{name} has no example: give it one, or each of its required fields"
        );
    }
    for (at, property) in properties(&description) {
        let target = resolved(&description, property);
        let mut parts = property["oneOf"].as_array().into_iter().flatten().chain([property, target]);
        assert!(parts.any(|part| part["description"].is_string()), "{at} has no description");
        let kinds = format!("{}", property["type"]);
        assert!(!kinds.contains("number"), "{at}: numbers are whole, or decimals as strings");
        assert!(!kinds.contains("integer") || property["minimum"].is_number(), "{at} has no minimum");
    }
}

/// Everything that a client sends has bounds.
#[test]
fn every_text_that_is_sent_has_a_bound() {
    let description = described();
    let mut waiting: Vec<&Json> = Vec::new();
    for (_, operation) in operations(&description) {
        for media in operation["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values()) {
            waiting.push(&media["schema"]);
        }
    }
    let (mut seen, mut unbounded) = (BTreeSet::new(), Vec::new());
    while let Some(schema) = waiting.pop() {
        let target = resolved(&description, schema);
        if !seen.insert(target.to_string()) {
            continue;
        }
        for (name, property) in target["properties"].as_object().into_iter().flatten() {
            let bounds = ["maxLength", "format", "pattern", "enum"]
                .iter()
                .any(|key| property[*key].is_string() || property[*key].is_number() || property[*key].is_array());
            if property["type"] == "string" && !bounds {
                unbounded.push(format!("{name} of {}", target["description"]));
            }
            if property["type"] == "array" {
                waiting.push(&property["items"]);
            }
            waiting.push(property);
        }
    }
    assert!(seen.len() > 20, "{} schemas are sent", seen.len());
    assert_eq!(unbounded, Vec::<String>::new());
}

/// Of two types with one name, the later would replace the earlier in the description without a word.
#[test]
fn every_schema_has_a_name_of_its_own() {
    let derived = Regex::new(r"(?s)#\[derive\([^)]*ToSchema[^)]*\)\](.*?)(?:struct|enum) (\w+)").unwrap();
    let renamed = Regex::new(r"schema\(as = (\w+)").unwrap();
    let written = Regex::new(r"(?m)^(?:impl ToSchema for (\w+) |    (\w+): \{)").unwrap();
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files_below("src", "rs") {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
        let mut enter = |name: &str| names.entry(name.to_owned()).or_default().push(file.display().to_string());
        for found in derived.captures_iter(&text) {
            enter(renamed.captures(&found[1]).map_or(&found[2], |renamed| renamed.get(1).unwrap().as_str()));
        }
        let by_hand = file.ends_with("digest.rs") || file.ends_with("schemas.rs");
        for found in written.captures_iter(&text).filter(|_| by_hand) {
            enter(found.get(1).or(found.get(2)).unwrap().as_str());
        }
    }
    let news: Vec<&String> = names.keys().filter(|name| name.starts_with("New")).collect();
    assert!(news.is_empty(), "{news:?}: generated Go has constructors of these names");
    let doubled: Vec<_> = names.iter().filter(|(_, files)| files.len() > 1).collect();
    assert_eq!(doubled, Vec::<(&String, &Vec<String>)>::new());
    for name in described()["components"]["schemas"].as_object().unwrap().keys() {
        assert!(
            names.contains_key(name),
            "{name} is of no type of src/: does an alias or a generic type stand in a schema?"
        );
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
    let names: BTreeSet<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
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
