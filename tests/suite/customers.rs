//! Customers over HTTP: recording, changing, finding them.

use std::sync::Arc;

use baremo::customers::model::Fields;
use baremo::customers::selection::Outcomes;
use baremo::customers::store;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, with_fields};
use crate::base::{fields, rules};
use crate::process::until;

const DECLARED: &str = r#"
city = { section = "basic", type = "text", max_length = 20 }
format = { section = "network", type = "choice", choices = ["grocery", "kiosk"], required = true, filterable = true }
area = { section = "network", type = "decimal", min = "0", filterable = true }
staff = { section = "business", type = "integer", filterable = true }
opened_on = { section = "business", type = "date", filterable = true }
chain = { section = "network", type = "boolean", filterable = true }
goods = { section = "business", type = "choices", choices = ["a", "b", "c"], filterable = true }
email = { section = "personal", type = "email" }
"#;

fn service() -> TestApp {
    TestApp::new(&with_fields(DECLARED), "2018-01-01")
}

fn create(service: &TestApp, code: &str, name: &str, profile: &Json) -> Json {
    let mut profile = profile.clone();
    if profile["network"]["format"].is_null() {
        profile["network"]["format"] = json!("kiosk");
    }
    service.post("/v1/customers", &json!({"code": code, "name": name, "profile": profile})).with(201).json
}

/// Codes of a list, over all its pages.
fn codes(service: &TestApp, query: &str) -> Vec<String> {
    let mut path = format!("/v1/customers?{query}");
    let mut codes = Vec::new();
    loop {
        let answer = service.get(&path).with(200);
        let items = answer.json["items"].as_array().unwrap();
        codes.extend(items.iter().map(|item| item["code"].as_str().unwrap().to_owned()));
        let link = answer.header("Link").to_owned();
        assert_eq!(answer.json["next_cursor"].is_string(), !link.is_empty());
        let Some(next) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            return codes;
        };
        assert!(codes.len() < 1000, "the list has no end");
        path = next.to_owned();
    }
}

#[test]
fn a_customer_is_created_and_read_back() {
    let service = service();
    let sent = json!({"code": " X1 ", "name": " Ana ", "profile": {
        "network": {"format": "grocery", "area": "42.50", "chain": false},
        "business": {"staff": 3, "opened_on": "2015-02-28", "goods": ["c", "a"]}
    }});
    let created = service.post("/v1/customers", &sent).with(201);
    let location = created.header("Location").to_owned();
    assert_eq!(created.header("ETag"), "\"1\"");
    let read = service.get(&location).with(200);
    assert_eq!(read.json, created.json);
    assert_eq!(read.json["code"], "X1");
    assert_eq!(read.json["name"], "Ana");
    assert_eq!(read.json["status"], "active");
    let profile = json!({
        "network": {"format": "grocery", "area": "42.5", "chain": false},
        "business": {"staff": 3, "opened_on": "2015-02-28", "goods": ["a", "c"]}
    });
    assert_eq!(read.json["profile"], profile);
    let known = service.send("GET", &location, &[("If-None-Match", "W/\"0\", \"1\"")], &Json::Null).with(304);
    assert_eq!(known.header("ETag"), "\"1\"");
    service.send("GET", &location, &[("If-None-Match", "\"2\"")], &Json::Null).with(200);
    service.get("/v1/customers/0193d2c1-7b1e-7c55-9d1f-0a3b4c5d6e7f").with(404);
    service.get("/v1/customers/nobody").with(404);
}

#[test]
fn every_fault_of_a_new_customer_is_told_at_once() {
    let service = service();
    let sent = json!({"code": "", "name": "a\u{7}b", "profile": {
        "network": {"area": "-1", "monthly_volume": "3"}, "basic": {"citi": "León"}, "business": {"staff": "many"}
    }});
    let answer = service.post("/v1/customers", &sent).with(422);
    let mut faults = answer.faults();
    faults.sort_unstable();
    assert_eq!(
        faults,
        [
            ("/code", "required"),
            ("/name", "control_character"),
            ("/profile/basic/citi", "unknown_field"),
            ("/profile/business/staff", "wrong_type"),
            ("/profile/network/area", "out_of_range"),
            ("/profile/network/format", "required"),
            ("/profile/network/monthly_volume", "derived"),
        ]
    );
    let answer = service.post("/v1/customers", &json!({"code": "x".repeat(65), "name": 7})).with(422);
    assert_eq!(
        answer.faults(),
        [("/code", "too_long"), ("/name", "wrong_type"), ("/profile/network/format", "required")]
    );
    service.post("/v1/customers", &json!({"code": "X", "name": "X", "status": "active"})).with(422);
    assert_eq!(codes(&service, ""), Vec::<String>::new());
}

#[test]
fn a_code_belongs_to_one_customer() {
    let service = service();
    create(&service, "X'\"\\1", "Ana", &json!({}));
    let sent = json!({"code": "X'\"\\1", "name": "Eva", "profile": {"network": {"format": "kiosk"}}});
    let answer = service.post("/v1/customers", &sent).with(409);
    assert_eq!(answer.json["code"], "already_exists");
    assert_eq!(answer.json["detail"], "a customer with the code 'X'\"\\1' exists already");
    create(&service, "x'\"\\1", "another case is another code", &json!({}));
}

#[test]
fn a_patch_changes_what_it_names_and_null_removes() {
    let service = service();
    let customer = create(&service, "X1", "Ana", &json!({"network": {"area": "10"}, "basic": {"city": "León"}}));
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    let patch = json!({"code": "X1", "name": "Ana María", "profile": {"network": {"area": null, "chain": true}, "basic": null}});
    let changed = service.patch(&path, "\"1\"", &patch).with(200);
    assert_eq!(changed.header("ETag"), "\"2\"");
    assert_eq!(changed.json["name"], "Ana María");
    assert_eq!(changed.json["profile"], json!({"network": {"format": "kiosk", "chain": true}}));
    assert_eq!(changed.json, service.get(&path).json);
    assert_eq!(codes(&service, "field[chain]=true"), ["X1"]);
    assert_eq!(codes(&service, "field[area][gte]=0"), Vec::<String>::new());
    assert_eq!(codes(&service, "q=mar%C3%ADa"), ["X1"]);

    let same = service.patch(&path, "\"2\"", &json!({"profile": {"network": {"chain": true}}})).with(200);
    assert_eq!(same.json["version"], 2);
    let refused = json!({"code": "X2", "name": null, "profile": {"network": {"format": null}}});
    let answer = service.patch(&path, "\"2\"", &refused).with(422);
    assert_eq!(
        answer.faults(),
        [("/code", "immutable"), ("/name", "required"), ("/profile/network/format", "required")]
    );
    service.patch(&path, "\"1\"", &json!({"name": "late"})).with(412);
    service.send("PATCH", &path, &[], &json!({"name": "late"})).with(428);
    assert_eq!(service.get(&path).json["version"], 2);
}

#[test]
fn of_two_changes_of_one_version_one_wins() {
    let service = service();
    let customer = create(&service, "X1", "Ana", &json!({}));
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let change = |name: String| {
            let (service, path) = (&service, &path);
            scope.spawn(move || service.patch(path, "\"1\"", &json!({"name": name})).status)
        };
        let changes: Vec<_> = (0..6).map(|number| change(format!("name {number}"))).collect();
        changes.into_iter().map(|change| change.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
}

#[test]
fn a_customer_is_deactivated_and_reactivated_once_each() {
    let service = service();
    let customer = create(&service, "X1", "Ana", &json!({}));
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    let post =
        |what: &str, tag: &str| service.send("POST", &format!("{path}/{what}"), &[("If-Match", tag)], &Json::Null);
    assert_eq!(post("reactivation", "\"1\"").with(409).json["detail"], "the customer is active already");
    let inactive = post("deactivation", "\"1\"").with(200);
    assert_eq!((inactive.json["status"].as_str(), inactive.header("ETag")), (Some("inactive"), "\"2\""));
    assert_eq!(codes(&service, "status=active"), Vec::<String>::new());
    assert_eq!(codes(&service, "status=inactive"), ["X1"]);
    post("deactivation", "\"1\"").with(412);
    post("deactivation", "\"2\"").with(409);
    assert_eq!(post("reactivation", "\"2\"").with(200).json["version"], 3);
    service.post(&format!("{path}/deactivation"), &Json::Null).with(428);
}

#[test]
fn lists_are_filtered() {
    let service = service();
    create(
        &service,
        "A1",
        "Ana 100%",
        &json!({"network": {"area": "10", "chain": true}, "business": {
            "goods": ["a", "b"], "opened_on": "2015-01-01"
        }}),
    );
    create(
        &service,
        "B2",
        "EVA_1",
        &json!({"network": {"format": "grocery", "area": "20.5"}, "business": {
            "goods": ["b"], "opened_on": "2016-01-01"
        }}),
    );
    create(&service, "C3", "Zoë", &json!({"network": {"chain": false}}));
    for (query, wanted) in [
        ("field[format]=grocery", vec!["B2"]),
        ("field%5Barea%5D%5Bgt%5D=10", vec!["B2"]),
        ("field[area][gte]=10.000&field[area][lt]=20.5", vec!["A1"]),
        ("field[area][lte]=20.5", vec!["A1", "B2"]),
        ("field[area]=20.50", vec!["B2"]),
        ("field[chain]=false", vec!["C3"]),
        ("field[goods]=b", vec!["A1", "B2"]),
        ("field[opened_on][lt]=2016-01-01", vec!["A1"]),
        ("q=eva_", vec!["B2"]),
        ("q=0%25", vec!["A1"]),
        ("q=_", vec!["B2"]),
        ("q=%25", vec!["A1"]),
        ("q=zo%C3%8B", vec!["C3"]),
        ("q=c3", vec!["C3"]),
        ("q=!", vec![]),
        ("q=", vec!["A1", "B2", "C3"]),
        ("q=a&status=active&field[goods]=a", vec!["A1"]),
        ("q=1%0Aana", vec!["A1"]),
    ] {
        assert_eq!(codes(&service, query), wanted, "{query}");
    }
    // The only policy of this pack gives everybody its only outcome.
    until("everybody is assessed", || (codes(&service, "outcome[size]=one") == ["A1", "B2", "C3"]).then_some(()));
    let refused = service.get("/v1/customers?outcome[size]=two&outcome[sice]=one").with(422);
    assert_eq!(refused.faults(), [("outcome[size]", "unknown_outcome"), ("outcome[sice]", "unknown_policy")]);
}

#[test]
fn unknown_parameters_are_refused() {
    let service = service();
    let answer = service.get("/v1/customers?stauts=active&field[aera]=1&field[city]=x&limit=0&page=2").with(422);
    assert_eq!(
        answer.faults(),
        [
            ("stauts", "unknown_parameter"),
            ("field[aera]", "unknown_field"),
            ("field[city]", "not_filterable"),
            ("limit", "out_of_range"),
            ("page", "unknown_parameter"),
        ]
    );
    assert!(answer.json["errors"][1]["detail"].as_str().unwrap().ends_with("did you mean 'area'?"));
}

#[test]
fn pages_are_whole_with_ties_and_absent_values_in_every_order() {
    let service = service();
    let mut made = Vec::new();
    for number in 0..23_i64 {
        // Three ties each, and every fourth without values.
        let tie = (number * 7 % 23) / 3;
        let mut profile = json!({});
        if number % 4 != 0 {
            profile = json!({
                "network": {"area": format!("{tie}.5"), "chain": tie % 2 == 0},
                "business": {"staff": -tie, "opened_on": format!("2015-01-0{}", tie + 1)}
            });
        }
        let name = format!("name {tie}");
        let code = format!("C{:02}", 50 - number);
        create(&service, &code, &name, &profile);
        made.push((number % 4 != 0, tie, code, name));
    }
    let present: Vec<_> = made.iter().filter(|customer| customer.0).collect();
    let absent: Vec<_> = made.iter().filter(|customer| !customer.0).collect();
    // Sorting is stable and `made` is in the order of ids, so a whole order follows, and its reverse.
    let by_value = |key: fn(i64) -> i64, descending: bool| {
        let (mut with, mut without) = (present.clone(), absent.clone());
        if descending {
            with.reverse();
            without.reverse();
            with.sort_by_key(|customer| -key(customer.1));
        } else {
            with.sort_by_key(|customer| key(customer.1));
        }
        with.iter().chain(&without).map(|customer| customer.2.clone()).collect::<Vec<_>>()
    };
    let mut by_name = made.clone();
    by_name.sort_by(|a, b| a.3.cmp(&b.3));
    let by_name: Vec<String> = by_name.into_iter().map(|customer| customer.2).collect();
    let created: Vec<String> = made.iter().map(|customer| customer.2.clone()).collect();
    let reversed = |codes: &[String]| codes.iter().rev().cloned().collect::<Vec<_>>();
    let orders = [
        ("created_at", created.clone()),
        ("-created_at", reversed(&created)),
        ("code", reversed(&created)),
        ("-code", created),
        ("name", by_name.clone()),
        ("-name", reversed(&by_name)),
        ("field[area]", by_value(|tie| tie, false)),
        ("-field[area]", by_value(|tie| tie, true)),
        ("field[staff]", by_value(|tie| -tie, false)),
        ("field[opened_on]", by_value(|tie| tie, false)),
        ("-field[opened_on]", by_value(|tie| tie, true)),
        ("field[chain]", by_value(|tie| i64::from(tie % 2 == 0), false)),
        ("-field[chain]", by_value(|tie| i64::from(tie % 2 == 0), true)),
    ];
    for (sort, wanted) in &orders {
        for limit in [2, 5, 22, 23] {
            assert_eq!(&codes(&service, &format!("sort={sort}&limit={limit}")), wanted, "{sort} by {limit}");
        }
    }
    let filtered: Vec<String> = orders[7].1.iter().filter(|code| code.contains("C3")).cloned().collect();
    assert_eq!(codes(&service, "sort=-field[area]&limit=2&q=c3"), filtered[..]);
}

#[test]
fn a_customer_is_found_by_his_code_alone() {
    let service = service();
    for code in ["X1", "X10", "x1"] {
        create(&service, code, "X1 and sons", &json!({}));
    }
    assert_eq!(codes(&service, "code=X1"), ["X1"]);
    assert_eq!(codes(&service, "code=X"), Vec::<String>::new());
}

#[test]
fn another_pack_hides_what_it_does_not_declare_and_has_its_own_index() {
    let service = service();
    let customer = create(&service, "X1", "Ana", &json!({"basic": {"city": "León"}, "network": {"area": "10"}}));
    let id = customer["id"].as_str().unwrap().parse().unwrap();
    let other: Arc<Fields> = fields(
        "city = { section = 'basic', type = 'text', filterable = true }\n\
         format = { section = 'network', type = 'choice', choices = ['grocery'] }",
    );
    let list = |fields: &Fields, name: &str, value: &str| {
        let parameters = [(name.to_owned(), value.to_owned())];
        service
            .base
            .db
            .run_here(|conn| baremo::customers::list::list(conn, (fields, &Outcomes::default()), &parameters))
            .unwrap()
            .0
            .len()
    };
    assert_eq!(list(&other, "field[city]", "León"), 0);
    service.base.db.run_here(|conn| store::reindex(conn, None, &other)).unwrap();
    assert_eq!(list(&other, "field[city]", "León"), 1);
    assert_eq!(list(&fields(DECLARED), "field[area]", "10"), 0);

    let changes = baremo::customers::record::Changes {
        profile: Some(json!({"basic": {"city": "Soria"}, "network": {"format": "grocery"}})),
        ..Default::default()
    };
    let changed = service
        .base
        .db
        .run_here(|conn| baremo::customers::record::change(conn, &rules(&other), id, &1.into(), &changes))
        .unwrap();
    assert_eq!(changed.profile["network"]["area"], "10", "a value that no field declares is kept");
}

#[test]
fn nobody_gets_in_without_a_token() {
    let service = service();
    let id = "0193d2c1-7b1e-7c55-9d1f-0a3b4c5d6e7f";
    for (method, path) in [
        ("GET", "/v1/customers".to_owned()),
        ("POST", "/v1/customers".to_owned()),
        ("GET", format!("/v1/customers/{id}")),
        ("PATCH", format!("/v1/customers/{id}")),
        ("POST", format!("/v1/customers/{id}/deactivation")),
        ("POST", format!("/v1/customers/{id}/reactivation")),
    ] {
        assert_eq!(service.send_raw(method, &path, &[], String::new()).status, 401, "{method} {path}");
    }
}

/// A database that looks for the best of all orders in which twenty tables can be joined doesn't come to an end.
#[test]
fn twenty_filters_at_once_are_answered() {
    let keys: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
    let declared: Vec<String> =
        keys.iter().map(|key| format!("{key} = {{ section = 'basic', type = 'text', filterable = true }}")).collect();
    let app = TestApp::new(&with_fields(&declared.join("\n")), "2018-01-01");
    let profile: serde_json::Map<String, Json> = keys.iter().map(|key| (key.clone(), json!("x"))).collect();
    let id = app.customer("C1", json!({"basic": profile}));
    app.customer("C2", json!({}));
    let filters: Vec<String> = keys.iter().map(|key| format!("field[{key}]=x")).collect();
    let found =
        app.get(&format!("/v1/customers?{}", filters.join("&").replace('[', "%5B").replace(']', "%5D"))).with(200);
    assert_eq!((found.json["items"].as_array().unwrap().len(), &found.json["items"][0]["id"]), (1, &json!(id)));
}
