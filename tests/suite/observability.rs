//! What an operator sees of a running service: metrics, the ids of requests, and logs in which no secret and nobody's data stand.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::{Answer, Base};
use crate::limits::Wire;
use crate::process::{Client, Place, Service, number, until};
use crate::transactions::{BAKERY, bakery};
use crate::uploads::FORM;

const SCRAPER: &str = "a-scraper-has-its-own-token";

/// The bakery as a process, on a base of its own.
fn serve(place: &Place, base: &Base, environment: &[(&str, &str)]) -> Service {
    let url = base.url();
    let own =
        [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD), ("BAREMO_METRICS_TOKEN", SCRAPER)];
    let pack = place.pack("bakery", &BAKERY);
    let mut service = place.serve(&pack, &[&own, environment].concat()).ready();
    service.sign_in(PASSWORD);
    service
}

/// The metrics by their names with labels.
fn metrics(service: &mut Service) -> BTreeMap<String, f64> {
    let authorization = format!("Bearer {SCRAPER}");
    values(&service.client().send_raw("GET", "/metrics", &[("Authorization", &authorization)], "").with(200))
}

fn values(answer: &Answer) -> BTreeMap<String, f64> {
    let lines = answer.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap())).unwrap())
        .collect()
}

#[test]
fn metrics_count_requests_by_route_and_tell_the_work_and_what_is_in_force() {
    let (place, base) = (Place::new(), Base::new());
    let mut service = serve(&place, &base, &[]);
    for code in ["A1", "A2", "A3"] {
        let id =
            service.send("POST", "/v1/customers", &json!({"code": code, "name": "x"})).with(201).json["id"].clone();
        service.get(&format!("/v1/customers/{}", id.as_str().unwrap())).with(200);
    }
    service.get("/v1/nothing").with(404);
    service.send("TRACE", "/v1/customers", &Json::Null).with(405);
    let read = until("all three are assessed", || {
        let read = metrics(&mut service);
        let stored = number(&base.url(), "SELECT COUNT(*) FROM assessments")?;
        let counted = *read.get("baremo_assessed_customers_total{cause=\"due\",result=\"stored\"}")?;
        (read["baremo_due_customers"] == 0.0 && stored == 3 && counted == 3.0).then_some(read)
    });
    let requests = |method: &str, route: &str, status: u16| {
        read.get(&format!("baremo_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"))
            .copied()
    };
    assert_eq!(requests("POST", "/v1/customers", 201), Some(3.0));
    assert_eq!(requests("GET", "/v1/customers/{id}", 200), Some(3.0));
    assert_eq!(requests("GET", "none", 404), Some(1.0));
    assert_eq!(requests("other", "/v1/customers", 405), Some(1.0));
    assert_eq!(read["baremo_http_request_seconds_count{method=\"POST\",route=\"/v1/customers\"}"], 3.0);
    assert_eq!(read["baremo_http_requests_running"], 1.0, "the one that asks");
    assert_eq!((read["baremo_database_up"], read["baremo_open_runs"], read["baremo_release_stale"]), (1.0, 0.0, 0.0));
    assert_eq!(read["baremo_database_connections_max"], 16.0);
    let basis = service.get("/v1/basis").with(200).json;
    let in_force = read.keys().find(|name| name.starts_with("baremo_in_force_info")).unwrap();
    for key in ["release", "cohort", "business_date"] {
        assert!(in_force.contains(&format!("{key}=\"{}\"", basis[key].as_str().unwrap())), "{in_force} {basis}");
    }
    let number = |name: &str| read[name];
    assert_eq!(number("baremo_basis_number"), basis["number"].as_f64().unwrap());

    service.send("POST", "/v1/runs", &json!({})).with(202);
    until("a run has assessed them again", || {
        let read = metrics(&mut service);
        let again = *read.get("baremo_assessed_customers_total{cause=\"run\",result=\"unchanged\"}")?;
        (again == 3.0 && read["baremo_open_runs"] == 0.0).then_some(())
    });
}

#[test]
fn metrics_tell_what_waits_while_nobody_works_on_it() {
    let app = bakery();
    app.state.workers.stop();
    for code in ["A1", "A2", "A3"] {
        app.customer(code, json!({}));
    }
    app.post("/v1/runs", &json!({})).with(202);
    app.base.execute("UPDATE run_shards SET assessed = 1 LIMIT 1");
    // One connection is taken while the metrics are read.
    let read = app.state.db.run_here(|_| Ok::<_, baremo::db::Error>(values(&app.get("/metrics").with(200)))).unwrap();
    assert_eq!((read["baremo_due_customers"], read["baremo_open_runs"]), (3.0, 1.0));
    let run = |state: &str| read[&format!("baremo_run_customers{{state=\"{state}\"}}")];
    assert_eq!((run("assessed"), run("waiting")), (1.0, 2.0));
    let connections = |state: &str| read[&format!("baremo_database_connections{{state=\"{state}\"}}")];
    assert!(connections("busy") == 1.0 && connections("idle") >= 1.0, "{read:?}");
}

#[test]
fn metrics_are_for_the_scraper_and_for_who_may_read_them() {
    let (place, base) = (Place::new(), Base::new());
    let mut service = serve(&place, &base, &[]);
    let client = service.client();
    client.send_raw("GET", "/metrics", &[], "").with(401);
    client.send_raw("GET", "/metrics", &[("Authorization", "Bearer another-token-of-nobody")], "").with(401);
    let answer = service.get("/metrics").with(200);
    assert!(answer.header("Content-Type").starts_with("text/plain; version=0.0.4"));
    let authorization = format!("Bearer {SCRAPER}");
    client.send_raw("GET", "/v1/customers", &[("Authorization", &authorization)], "").with(401);
}

#[test]
fn a_request_keeps_the_id_that_its_client_gave_it_in_answer_and_log() {
    let app = bakery();
    let named = |id: &str| app.send("GET", "/v1/customers", &[("X-Request-Id", id)], &Json::Null);
    assert_eq!(named("order-desk.17_b").header("X-Request-Id"), "order-desk.17_b");
    for bad in ["with blank", &"x".repeat(65), "semi;colon"] {
        let given = named(bad).header("X-Request-Id").to_owned();
        assert!(given.len() == 36 && given != bad, "{given}");
    }
    assert_eq!(app.get("/v1/nothing").with(404).header("X-Request-Id").len(), 36);

    let (place, base) = (Place::new(), Base::new());
    // Lines of every level bear it. Where the service is stands in those of its start.
    let mut service = serve(&place, &base, &[("BAREMO_LOG", "warn,baremo::cli=info")]);
    base.execute("RENAME TABLE products TO elsewhere");
    let authorization = format!("Bearer {}", service.token());
    let headers = [("Authorization", authorization.as_str()), ("X-Request-Id", "find-me")];
    service.client().send_raw("GET", "/v1/products", &headers, "").with(500);
    let lines = until("the failure is logged", || {
        let log = service.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        let lines: Vec<Json> = lines.filter(|line| line["span"]["id"] == "find-me").collect();
        (lines.len() >= 2).then_some(lines)
    });
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(messages, ["the database failed", "a request failed"]);
    assert_eq!((&lines[0]["span"]["route"], &lines[0]["span"]["method"]), (&json!("/v1/products"), &json!("GET")));
}

/// A pack with personal fields and a policy that fails with one of them in its message.
const GOSSIP: [(&str, &str); 3] = [
    (
        "pack.toml",
        r#"[pack]
id = "gossip"
title = { en = "Gossip" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "piece"
languages = ["en"]
closes_after = 0
[kinds.order]
measures = ["quantity"]
[metrics.volume]
function = "sum"
kind = "order"
measure = "quantity"
window = { full_months = 3 }
[observations.visit]
min = "0"
max = "100"
[policies.size]
subject = "customer"
outcomes = ["one"]
cadence = "continuous"
[fields.contact_person]
section = "personal"
type = "text"
max_length = 60
personal = true
[fields.telephone]
section = "personal"
type = "phone"
personal = true
[fields.email]
section = "personal"
type = "email"
filterable = true
personal = true
[fields.born_on]
section = "personal"
type = "date"
personal = true
[fields.children]
section = "personal"
type = "integer"
max = 30
personal = true
"#,
    ),
    (
        "texts/en.toml",
        r#"kinds.order = "o"
measures.quantity = "q"
metrics.volume = "v"
observations.visit = "v"
policies.size = "s"
outcomes.size.one = "1"
fields.contact_person = "c"
fields.telephone = "t"
fields.email = "e"
fields.born_on = "b"
fields.children = "n"
"#,
    ),
    (
        "policies/size.rhai",
        "//! Fails.\nfn decide(customer, context) { throw customer.contact_person; decision(\"one\") }",
    ),
];

/// Stands in everything that is personal or secret in what follows.
const MARK: &str = "zqmarkedzq";
/// The marked number of a telephone, and of children.
const NUMBER: &str = "660918273645";

/// Uploads a marked file whose code stands in a marked column, and gives the import when it has ended.
fn upload(client: &Client, token: &str, columns: &str) -> Json {
    let mapping = format!("{{\"code\": \"{MARK}\"}}");
    let rows = format!("C7,{MARK},{MARK},+{NUMBER},1970-01-01\nC8,{MARK},{MARK},{MARK},{MARK}\n");
    let part = |rest: &str, content: &str| {
        format!("--the-end-of-a-part\r\nContent-Disposition: form-data; name={rest}\r\n\r\n{content}\r\n")
    };
    let file = format!("\"file\"; filename=\"{MARK}.csv\"");
    let parts = [("\"kind\"", "customers"), ("\"mapping\"", &mapping), (&file, &format!("{columns}\n{rows}"))];
    let body = parts.map(|(rest, content)| part(rest, content)).concat() + "--the-end-of-a-part--\r\n";
    let headers = [("Authorization", token), ("Content-Type", FORM), ("Idempotency-Key", &format!("{MARK}{columns}"))];
    let taken = client.send_raw("POST", "/v1/imports", &headers, &body).with(202).json;
    until("the import has ended", || {
        let import = client.send("GET", &format!("/v1/imports/{}", taken["id"].as_str()?), &Json::Null).json;
        import.get("finished_at").is_some().then_some(import)
    })
}

/// Sends what is marked and taken.
fn enter(client: &Client, token: &str) {
    let columns = format!("{MARK},name,contact_person,telephone,born_on");
    let import = upload(client, token, &columns);
    assert_eq!((&import["status"], &import["counts"]["created"]), (&json!("finished"), &json!(1)), "{import}");
    assert_eq!(upload(client, token, "code,name,contact_person,telephone,born_on")["status"], "failed");
    let user =
        json!({"username": MARK, "display_name": MARK, "roles": ["clerk"], "password": format!("{MARK}-secret")});
    client.send("POST", "/v1/users", &user).with(201);
    let signs_in = json!({"username": MARK, "password": format!("{MARK}-secret")});
    client.send("POST", "/v1/auth/token", &signs_in).with(200);
    let employee = json!({"code": MARK, "name": MARK, "username": MARK});
    client.send("POST", "/v1/employees", &employee).with(201);
    let observation = |kind: &str| {
        json!({"source": MARK, "external_id": format!("{MARK}{kind}"), "kind": kind, "customer_code": "C1",
            "observed_on": "2018-01-01", "value": "7", "evidence": MARK, "reported_by": MARK})
    };
    let batch = json!({"items": [observation("visit"), observation(MARK)]});
    let answer = client.send("POST", "/v1/observations/batches", &batch).with(207).json;
    let became = |index: usize| answer["items"][index]["status"].clone();
    assert_eq!((became(0), became(1)), (json!("created"), json!("refused")), "{answer}");
}

#[test]
fn logs_metrics_and_errors_hold_no_personal_data_and_no_secrets() {
    let (place, base) = (Place::new(), Base::new());
    let url = base.url();
    let secrets = [format!("{MARK}-password"), format!("{MARK}-metrics-token")];
    let environment = [
        ("BAREMO_DATABASE_URL", url.as_str()),
        ("BAREMO_ADMIN_PASSWORD", &secrets[0]),
        ("BAREMO_METRICS_TOKEN", &secrets[1]),
        ("BAREMO_LOG", "trace"),
    ];
    let mut service = place.serve(&place.pack("gossip", &GOSSIP), &environment).ready();
    service.sign_in(&secrets[0]);
    let mut errors = Vec::new();
    let mut refused = |answer: Answer| {
        assert!(answer.status >= 400, "{}", answer.text);
        errors.push(format!("{} {}", answer.status, answer.text));
    };
    let profile = json!({"personal": {"contact_person": MARK, "telephone": format!("+{NUMBER}"),
        "email": format!("{MARK}@example.com"), "born_on": "1970-01-01"}});
    let customer = json!({"code": "C1", "name": MARK, "profile": profile});
    let made = service.send("POST", "/v1/customers", &customer).with(201).json;
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/customers/{id}");

    refused(service.send("POST", "/v1/customers", &customer));
    let faulty = json!({"code": "C2", "name": format!("{MARK}\u{7}"), "profile": {"personal": {"contact_person": MARK.repeat(9),
        "telephone": MARK, "email": MARK, "born_on": MARK, "children": NUMBER.parse::<i64>().unwrap()}}});
    refused(service.send("POST", "/v1/customers", &faulty));
    let shapeless = json!({"personal": {"telephone": [MARK], "email": {"at": MARK}, "children": MARK}});
    refused(service.client().patch(&path, 1, &json!({"profile": shapeless})));
    refused(service.client().patch(&path, 7, &json!({"name": MARK})));
    refused(service.get(&format!("/v1/customers?field[born_on][gte]={MARK}")));
    refused(service.get(&format!("/v1/customers/{MARK}")));
    refused(service.get(&format!("/{MARK}?{MARK}")));
    service.get(&format!("/v1/customers?q={MARK}")).with(200);
    let document = json!({"document": {"profile": {"personal": {"contact_person": 1, "telephone": MARK}}}});
    refused(service.send("POST", "/v1/evaluations", &document));
    service.send("POST", "/v1/evaluations", &json!({"customer_id": id})).with(200);
    let client = service.client();
    let token = service.token();
    enter(&client, &format!("Bearer {token}"));
    let json_type = ("Content-Type", "application/json");
    refused(client.send_raw(
        "POST",
        "/v1/auth/token",
        &[json_type],
        &json!({"username": MARK, "password": MARK}).to_string(),
    ));
    refused(client.send_raw(
        "POST",
        "/v1/auth/token",
        &[json_type],
        &format!("{{\"username\": \"{MARK}\", \"password\": {MARK}"),
    ));
    refused(client.send_raw(
        "GET",
        "/v1/customers",
        &[("Authorization", &format!("Bearer {MARK}")), ("Cookie", MARK), ("User-Agent", MARK)],
        "",
    ));
    until("the failing policy has been tried", || {
        number(&url, "SELECT COUNT(*) FROM assessments").filter(|count| *count > 0)
    });
    // A message of the database that names the value.
    base.execute("UPDATE customers SET name = '1'");
    base.execute("ALTER TABLE customers MODIFY name INT NOT NULL");
    refused(service.send("POST", "/v1/customers", &json!({"code": "C3", "name": MARK})).with(500));
    // One that says what the database says of something else.
    let said = json!({"code": "C4", "name": format!("Deadlock found {MARK}")});
    refused(service.send("POST", "/v1/customers", &said).with(500));
    base.execute("DROP TABLE products");
    refused(service.get(&format!("/v1/products/{MARK}")));
    let mut wire = Wire::to(&service.access().0);
    let head = format!("{MARK} /v1/customers HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
    wire.write(head.as_bytes());
    assert_eq!(wire.answer().map(|(status, _)| status), Some(405));
    let metrics =
        client.send_raw("GET", "/metrics", &[("Authorization", &format!("Bearer {}", secrets[1]))], "").with(200).text;
    let log = until("the last failure and the strange method are logged", || {
        let log = service.log();
        (log.matches("the database failed").count() >= 3 && log.contains("\"method\":\"other\"")).then_some(log)
    });
    assert!(log.contains("a request was answered") && metrics.contains("baremo_http_requests_total"), "{log}");
    let told = |text: &str| [MARK, NUMBER, token.as_str()].iter().any(|mark| text.contains(mark));
    let shown: Vec<&str> =
        log.lines().chain(metrics.lines()).chain(errors.iter().map(String::as_str)).filter(|line| told(line)).collect();
    assert!(shown.is_empty(), "{} lines show what nobody may see: {:#?}", shown.len(), shown);
}
