//! Imports by upload: the same as on the command line, followed over HTTP, and taken over from processes that are killed.

use std::io::{Read, Write};
use std::net::TcpStream;

use baremo::imports::model::NO_LONGER_TOLD;
use baremo::imports::store;
use serde_json::{Value as Json, json};

use crate::app::{PASSWORD, TestApp, with_fields};
use crate::base::{Answer, Base};
use crate::interleavings::mill_files;
use crate::limits::Wire;
use crate::process::{Place, number, until};

const BOUNDARY: &str = "the-end-of-a-part";
/// Media type of [`form`].
pub const FORM: &str = "multipart/form-data; boundary=the-end-of-a-part";

/// A part as a browser sends it.
fn part(name: &str, content: &[u8]) -> Vec<u8> {
    let file = if name == "file" { "; filename=\"../customers.csv\"\r\nContent-Type: text/csv" } else { "" };
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// Parts in their order.
fn parts(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body: Vec<u8> = parts.iter().flat_map(|(name, content)| part(name, content)).collect();
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// A form with a file as its last part.
pub fn form(texts: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut all: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    all.push(("file", file));
    parts(&all)
}

fn send(app: &TestApp, body: &[u8]) -> Answer {
    let authorization = format!("Bearer {}", app.token);
    app.send_raw("POST", "/v1/imports", &[("Authorization", &authorization), ("Content-Type", FORM)], body)
}

#[test]
fn an_upload_with_a_key_is_taken_once() {
    let app = shops();
    let keyed = |texts: &[(&str, &str)], file: &str| {
        let authorization = format!("Bearer {}", app.token);
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", FORM), ("Idempotency-Key", "spring")];
        app.send_raw("POST", "/v1/imports", &headers, form(texts, file.as_bytes()))
    };
    let mapped = [("kind", "customers"), ("mapping", "{\"code\": \"shop_no\"}")];
    let file = rows(20);
    let first = keyed(&mapped, &file).with(202);
    let again = keyed(&mapped, &file).with(202);
    assert_eq!((&first.json["id"], again.header("Idempotency-Replayed")), (&again.json["id"], "true"));
    assert_eq!(first.header("Location"), again.header("Location"));
    for (texts, file) in [(&mapped[..], &rows(21)), (&[mapped[0], mapped[1], ("dry_run", "true")][..], &file)] {
        assert_eq!(keyed(texts, file).with(422).json["code"], "idempotency_mismatch");
    }
    ended(&app, first.json["id"].as_str().unwrap());
    until("what was sent again is gone", || (count(&app.base, "imports") == 1).then_some(()));
}

#[test]
fn a_client_that_goes_away_finds_what_became_of_his_upload() {
    let app = shops();
    let file = rows(20);
    let body = form(&[("kind", "customers"), ("mapping", "{\"code\": \"shop_no\"}")], file.as_bytes());
    let authorization = format!("Bearer {}", app.token);
    for round in 0..20 {
        let key = format!("round-{round}");
        let mut wire = Wire::new(&app);
        wire.write(
            format!(
                "POST /v1/imports HTTP/1.1\r\nHost: test\r\nAuthorization: {authorization}\r\nContent-Type: {FORM}\r\n\
                 Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        );
        wire.write(&body);
        let keys = "SELECT COUNT(*) FROM idempotency_keys";
        until("the key is taken", || number(&app.base.url(), keys).filter(|keys| *keys == round + 1));
        drop(wire);
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", FORM), ("Idempotency-Key", key.as_str())];
        let again = until("it is done", || {
            Some(app.send_raw("POST", "/v1/imports", &headers, body.clone())).filter(|answer| answer.status != 409)
        });
        assert_eq!(again.with(202).header("Idempotency-Replayed"), "true");
    }
    until("what was sent again is gone", || (count(&app.base, "imports") == 20).then_some(()));
}

/// Sends a file that is taken.
#[track_caller]
pub fn upload(app: &TestApp, texts: &[(&str, &str)], file: &[u8]) -> String {
    let answer = send(app, &form(texts, file)).with(202);
    let id = answer.json["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("Location"), format!("/v1/imports/{id}"));
    id
}

/// The import when it has ended.
#[track_caller]
pub fn ended(app: &TestApp, id: &str) -> Json {
    until("the import has ended", || {
        let import = app.get(&format!("/v1/imports/{id}")).with(200).json;
        import.get("finished_at").is_some().then_some(import)
    })
}

/// Rows of a table.
fn count(base: &Base, table: &str) -> i64 {
    number(&base.url(), &format!("SELECT COUNT(*) FROM {table}")).unwrap()
}

fn shops() -> TestApp {
    let declared = "format = { section = 'network', type = 'choice', choices = ['grocery', 'kiosk'] }\n\
                    area = { section = 'network', type = 'decimal', min = '0' }";
    TestApp::new(&with_fields(declared), "2018-01-01")
}

/// Customers, of whom every tenth has a wrong area and one a name that a spreadsheet would run.
fn rows(count: usize) -> String {
    let area = |number| if number % 10 == 3 { "-1" } else { "12.5" };
    let row = |number| {
        format!("S{number},{}华海小卖部 {number},kiosk,{}\n", if number == 0 { "=" } else { "" }, area(number))
    };
    format!("shop_no,name,format,area\n{}", (0..count).map(row).collect::<String>())
}

#[test]
fn a_file_is_imported_and_followed_to_its_report() {
    let app = shops();
    let rows = rows(1500);
    let texts = [("kind", "customers"), ("mapping", "{\"code\": \"shop_no\"}")];
    let id = upload(&app, &texts, rows.as_bytes());
    let import = ended(&app, &id);
    let size = rows.len();
    assert_eq!(import["status"], "finished");
    assert_eq!(import["progress"], json!({"bytes": size, "total_bytes": size, "rows": 1500}));
    let counts = json!({"read": 1500, "created": 1350, "changed": 0, "unchanged": 0, "faulty": 150, "warnings": 0});
    assert_eq!(import["counts"], counts);
    assert_eq!(import["faults"].as_array().unwrap().len(), 20);
    let first = json!({"line": 5, "severity": "fault", "column": "area", "code": "out_of_range",
        "detail": "-1 is below the minimum 0"});
    assert_eq!(import["faults"][0], first);
    assert_eq!(import["file_name"], "customers.csv", "the path is cut off");
    assert_eq!((&import["encoding"], &import["attempts"]), (&json!("UTF-8"), &json!(1)));

    let report = app.get(&format!("/v1/imports/{id}/report")).with(200);
    assert_eq!(report.header("Content-Type"), "text/csv; charset=utf-8");
    assert_eq!(report.header("Content-Disposition"), format!("attachment; filename=\"import-{id}.csv\""));
    let lines: Vec<&str> = report.text.lines().collect();
    assert_eq!(lines.len(), 1 + 150);
    assert_eq!(lines[1], "5,fault,area,out_of_range,'-1 is below the minimum 0");

    let again = upload(&app, &texts, rows.as_bytes());
    assert_eq!(ended(&app, &again)["counts"]["unchanged"], 1350);
    let list = app.get("/v1/imports?limit=1").with(200).json;
    assert_eq!(list["items"][0]["id"], again.as_str());
    let cursor = list["next_cursor"].as_str().unwrap();
    let next = app.get(&format!("/v1/imports?cursor={cursor}")).with(200).json;
    assert_eq!((&next["items"][0]["id"], next.get("next_cursor")), (&json!(id), None));
    until("files are removed", || (count(&app.base, "import_files") == 0).then_some(()));
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let app = shops();
    let id = upload(&app, &[("dry_run", "true"), ("kind", "customers")], b"code,name\nA,Ana\nB,\n");
    let import = ended(&app, &id);
    assert_eq!((&import["counts"]["created"], &import["counts"]["faulty"]), (&json!(1), &json!(1)));
    assert_eq!(import["dry_run"], true);
    assert_eq!(count(&app.base, "customers"), 0);
}

#[test]
fn a_file_of_another_encoding_is_read_in_it_and_told_otherwise() {
    let app = shops();
    let names = b"code,name\nS292,\xbb\xaa\xba\xa3\xd0\xa1\xc2\xf4\xb2\xbf\n";
    let failed = ended(&app, &upload(&app, &[("kind", "customers")], names));
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("encoding")));
    let detail = failed["error"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("line 2, character 6 of the line (byte 0xBB) is not UTF-8"), "{detail}");
    assert!(detail.contains("likely gb18030 (Chinese) or "), "{detail}");
    let id = upload(&app, &[("kind", "customers"), ("encoding", "gb18030")], names);
    assert_eq!(ended(&app, &id)["counts"]["created"], 1);
    assert_eq!(app.get("/v1/customers?code=S292").with(200).json["items"][0]["name"], "华海小卖部");
}

#[test]
fn a_file_that_lacks_columns_fails_with_their_names() {
    let app = shops();
    let id = upload(&app, &[("kind", "customers")], b"kode,name\nA,Ana\n");
    let import = ended(&app, &id);
    assert_eq!((&import["status"], &import["error"]["code"]), (&json!("failed"), &json!("columns")));
    let detail = import["error"]["detail"].as_str().unwrap();
    assert_eq!(detail, "the column 'code' is missing; did you mean 'kode'? (the header has kode, name)");
    app.get(&format!("/v1/imports/{id}/report")).with(404);
}

#[test]
fn a_first_row_of_data_is_not_told_and_lines_of_old_programs_are_refused() {
    let app = shops();
    let failed = |file: &[u8]| {
        let import = ended(&app, &upload(&app, &[("kind", "customers")], file));
        assert_eq!(import["status"], "failed", "{import}");
        import["error"].clone()
    };
    let error = failed("S112,Li Xiaodong,000-84927258,000-84927258\nS113,Min Zhao,1,2\n".as_bytes());
    let detail = "none of the 4 columns of the first line is known: it must be a header, which names code";
    assert_eq!(error, json!({"code": "columns", "detail": detail}));
    assert_eq!(failed(b"code,name\rA,Ana\rB,Bea\r")["code"], "line_ends");
}

#[test]
fn faults_are_forgotten_with_their_report_and_counts_are_not() {
    let app = shops();
    let with_faults = "code,name,area\nA,Ana,-1\nB,Bea,1\n".as_bytes();
    let [old, young] = [(); 2].map(|()| upload(&app, &[("kind", "customers")], with_faults));
    let failed = upload(&app, &[("kind", "customers")], b"kode,name\nA,Ana\n");
    for id in [&old, &young, &failed] {
        ended(&app, id);
    }
    for (id, days) in [(&old, 31), (&young, 29), (&failed, 31)] {
        let hex = id.replace('-', "");
        app.base.execute(&format!(
            "UPDATE imports SET finished_at = UTC_TIMESTAMP(6) - INTERVAL {days} DAY WHERE id = UNHEX('{hex}')"
        ));
    }
    // The second time there is nothing left to forget.
    for _ in 0..2 {
        app.base.db.run_here(store::tidy).unwrap();
        let read = |id: &str| app.get(&format!("/v1/imports/{id}")).with(200).json;
        assert_eq!((&read(&old)["faults"], &read(&old)["counts"]["faulty"]), (&json!([]), &json!(1)));
        assert_eq!(read(&failed)["error"], json!({"code": "columns", "detail": NO_LONGER_TOLD}));
        assert_eq!(read(&young)["faults"][0]["code"], "out_of_range");
    }
}

#[test]
fn open_imports_are_in_the_metrics() {
    let app = shops();
    app.state.workers.stop();
    let counted = || {
        let text = app.get("/metrics").with(200).text;
        let of = |status: &str| {
            let name = format!("baremo_open_imports{{status=\"{status}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
        };
        [of("waiting"), of("running")]
    };
    assert_eq!(counted(), ["0", "0"]);
    let [first, _] = ["A", "B"].map(|code| upload(&app, &[("kind", "customers")], code.as_bytes()));
    assert_eq!(counted(), ["2", "0"]);
    let hex = first.replace('-', "");
    app.base.execute(&format!("UPDATE imports SET status = 'running' WHERE id = UNHEX('{hex}')"));
    assert_eq!(counted(), ["1", "1"]);
}

#[test]
fn the_description_says_how_the_mapping_is_sent() {
    let description: Json = serde_json::from_str(&baremo::cli::openapi::text().unwrap()).unwrap();
    let sent = &description["paths"]["/v1/imports"]["post"]["requestBody"]["content"]["multipart/form-data"];
    assert_eq!(sent["encoding"], json!({"mapping": {"contentType": "application/json"}}));
    let form = &description["components"]["schemas"]["ImportForm"];
    assert_eq!(form["required"], json!(["kind", "file"]));
    let mapping = &form["properties"]["mapping"];
    assert_eq!((&mapping["maxProperties"], &mapping["additionalProperties"]["maxLength"]), (&json!(1000), &json!(200)));
}

#[test]
fn every_fault_of_the_form_is_told_and_nothing_remains() {
    let app = shops();
    let wrong = [("kind", "custmers"), ("mapping", "[1]"), ("dry_run", "yes"), ("encoding", "gb18031")];
    let answer = send(&app, &form(&wrong, b"code,name\n")).with(422);
    let all = [
        ("/kind", "unknown_choice"),
        ("/mapping", "wrong_type"),
        ("/dry_run", "wrong_type"),
        ("/encoding", "unknown_choice"),
    ];
    assert_eq!(answer.faults(), all);
    let detail = answer.json["errors"][0]["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "'custmers' is not one of customers, products, transactions, observations; did you mean 'customers'?"
    );

    let faults = |body: &[u8]| -> Vec<(String, String)> {
        let answer = send(&app, body).with(422);
        answer.faults().into_iter().map(|(pointer, code)| (pointer.to_owned(), code.to_owned())).collect()
    };
    let one = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    let file: (&str, &[u8]) = ("file", b"code,name\nA,a\n");
    assert_eq!(faults(&parts(&[file, ("kind", b"customers"), ("dry_run", b"yes")])), one("/dry_run", "wrong_type"));
    assert_eq!(faults(&parts(&[("kind", b"customers"), file, file])), one("/file", "doubled"));
    assert_eq!(faults(&parts(&[("kind", b"products"), ("kind", b"customers"), file])), one("/kind", "doubled"));
    assert_eq!(faults(&parts(&[("kind", b"customers"), ("maping", b"{}"), file])), one("/maping", "unknown_field"));
    assert_eq!(faults(&parts(&[("kind", b"customers")])), one("/file", "required"));
    assert_eq!(faults(&parts(&[file])), one("/kind", "required"));
    assert_eq!(faults(&parts(&[("kind", b"customers"), ("file", b"")])), one("/file", "empty"));
    assert_eq!(faults(&form(&[("kind", "customers"), ("source", "till")], b"x")), one("/source", "not_allowed"));
    let mapped = |mapping: &str| faults(&form(&[("kind", "customers"), ("mapping", mapping)], b"x"));
    assert_eq!(mapped(r#"{"code": "a", "code": "b"}"#), one("/mapping/code", "doubled"));
    assert_eq!(mapped(r#"{"code": "a", "Code": "b"}"#), one("/mapping", "doubled"));
    assert_eq!(mapped(r#"{"code": " "}"#), one("/mapping/code", "out_of_range"));
    assert_eq!(mapped(r#"{"code": 1}"#), one("/mapping/code", "wrong_type"));
    assert_eq!(mapped("{code: 1}"), one("/mapping", "wrong_type"));

    app.send("POST", "/v1/imports", &[], &json!({"kind": "customers"})).with(415);
    until("nothing remains", || (count(&app.base, "imports") == 0).then_some(()));
    assert_eq!(count(&app.base, "import_files"), 0);
}

#[test]
fn the_parts_of_a_form_come_in_any_order() {
    let app = shops();
    let file = rows(30_000);
    let mapping: (&str, &[u8]) = ("mapping", b"{\"code\": \"shop_no\"}");
    let answer =
        send(&app, &parts(&[("dry_run", b"true"), ("file", file.as_bytes()), ("kind", b"customers"), mapping]));
    let import = ended(&app, answer.with(202).json["id"].as_str().unwrap());
    assert_eq!((&import["kind"], &import["dry_run"]), (&json!("customers"), &json!(true)));
    assert_eq!((&import["counts"]["created"], &import["counts"]["faulty"]), (&json!(27_000), &json!(3_000)));
    assert_eq!(import["progress"]["bytes"], file.len());
}

#[test]
fn a_file_that_is_too_large_is_refused_and_nothing_remains() {
    let app = shops();
    let file = vec![b'x'; (2 << 20) + 1];
    let answer = send(&app, &form(&[("kind", "customers")], &file)).with(413);
    assert!(answer.json["detail"].as_str().unwrap().contains("at most 2 MiB"), "{}", answer.json);
    until("nothing remains", || (count(&app.base, "imports") == 0).then_some(()));
    assert_eq!(count(&app.base, "import_files"), 0);
}

/// Sends the most of a form, and gives the connection and the rest.
fn begun(app: &TestApp) -> (TcpStream, Vec<u8>) {
    let mut client = TcpStream::connect(app.address.trim_start_matches("http://")).unwrap();
    let mut whole = form(&[("kind", "customers")], &vec![b'x'; 2_000_000]);
    let head = format!(
        "POST /v1/imports HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {}\r\nContent-Type: {FORM}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        app.token,
        whole.len()
    );
    let rest = whole.split_off(1_500_000);
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(&whole).unwrap();
    until("a part has come", || (count(&app.base, "import_files") == 1).then_some(()));
    (client, rest)
}

#[test]
fn an_upload_that_was_given_up_meanwhile_came_too_slowly() {
    let app = shops();
    let (mut client, rest) = begun(&app);
    app.base.execute("UPDATE imports SET status = 'discarded'");
    client.write_all(&rest).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"request_timeout\""), "{answer}");
    until("nothing remains", || (count(&app.base, "imports") == 0).then_some(()));
}

#[test]
fn nothing_remains_of_an_upload_that_breaks_off() {
    let app = shops();
    let (client, _) = begun(&app);
    assert_eq!(app.get("/v1/imports").with(200).json["items"], json!([]), "nobody sees it");
    drop(client);
    until("nothing remains", || (count(&app.base, "imports") == 0).then_some(()));
    assert_eq!(count(&app.base, "import_files"), 0);
}

#[test]
fn what_a_killed_process_was_receiving_is_removed_and_so_are_old_reports() {
    let app = shops();
    app.state.workers.stop();
    let id = upload(&app, &[("kind", "customers")], b"code,name\nA,Ana\n");
    let row = |id: &str, status: &str, lease: &str, finished: &str| {
        format!(
            "INSERT INTO imports SELECT UNHEX('{id}'), kind, dry_run, '{status}', options, file_name, total_bytes, \
             done_bytes, outcome, created_by, created_at, {finished}, owner, {lease}, token FROM imports LIMIT 1"
        )
    };
    let [late, early, old, young] = ["f1", "f2", "f3", "f4"].map(|id| id.repeat(16));
    let ago = |days: u32| format!("UTC_TIMESTAMP(6) - INTERVAL {days} DAY");
    app.base.execute(&row(&late, "receiving", &ago(1), "NULL"));
    app.base.execute(&row(&early, "receiving", "UTC_TIMESTAMP(6) + INTERVAL 1 MINUTE", "NULL"));
    app.base.execute(&row(&old, "finished", "NULL", &ago(31)));
    app.base.execute(&row(&young, "finished", "NULL", &ago(29)));
    for import in [&late, &early, &old, &young] {
        for table in ["import_files", "import_reports"].iter().take(if *import < old { 1 } else { 2 }) {
            app.base.execute(&format!("INSERT INTO {table} VALUES (UNHEX('{import}'), 0, 'x')"));
        }
    }
    app.base.db.run_here(store::tidy).unwrap();
    let url = app.base.url();
    let left = |table: &str| number(&url, &format!("SELECT COUNT(*) FROM {table} WHERE import_id > 0xf0")).unwrap();
    assert_eq!(number(&url, "SELECT COUNT(*) FROM imports WHERE id > 0xf0"), Some(3));
    assert_eq!((left("import_files"), left("import_reports")), (1, 1));
    assert_eq!(app.get(&format!("/v1/imports/{id}")).with(200).json["status"], "waiting");
    assert_eq!(app.get("/v1/imports").with(200).json["items"].as_array().unwrap().len(), 3);
}

#[test]
fn an_import_is_cancelled_while_it_waits_and_while_it_runs() {
    let app = shops();
    let id = upload(&app, &[("kind", "customers"), ("mapping", "{\"code\": \"shop_no\"}")], rows(30_000).as_bytes());
    let waiting = upload(&app, &[("kind", "customers")], b"code,name\nA,Ana\n");
    until("it runs", || {
        let import = app.get(&format!("/v1/imports/{id}")).with(200).json;
        (import["status"] == "running" && import["progress"]["rows"].as_u64().unwrap() > 0).then_some(())
    });
    let cancel = |id: &str| app.post(&format!("/v1/imports/{id}/cancellation"), &Json::Null);
    assert_eq!(cancel(&waiting).with(200).json["status"], "cancelled");
    assert_eq!(cancel(&id).with(200).json["status"], "cancelled");
    assert_eq!(cancel(&id).with(409).json["detail"], "the import has ended");
    cancel("018f0000-0000-7000-8000-000000000000").with(404);
    // The next one begins when the cancelled one has let go.
    assert_eq!(ended(&app, &upload(&app, &[("kind", "customers")], b"code,name\nB,Bea\n"))["counts"]["created"], 1);
    let import = app.get(&format!("/v1/imports/{id}")).with(200).json;
    assert_eq!(import["status"], "cancelled");
    assert!(count(&app.base, "customers") < 27_000, "it went on");
    assert_eq!(count(&app.base, "import_files"), 0);
}

#[test]
fn an_import_of_a_killed_process_is_taken_over_and_gives_what_it_would_have_given() {
    const CUSTOMERS: usize = 20_000;
    let place = Place::new();
    let base = Base::new();
    base.db.run_here(baremo::db::migrate::revert_all).unwrap();
    let url = base.url();
    let pack = place.pack("mill", &mill_files(20).each_ref().map(|(path, text)| (*path, text.as_str())));
    let own = [
        ("BAREMO_DATABASE_URL", url.as_str()),
        ("BAREMO_ADMIN_PASSWORD", PASSWORD),
        ("BAREMO_BUSINESS_DATE", "2018-01-01"),
    ];
    let start = || {
        let mut service = place.serve(&pack, &own).ready();
        service.sign_in(PASSWORD);
        service
    };
    let mut first = start();
    let rows: String = (0..CUSTOMERS).map(|number| format!("C{number},Customer {number}\n")).collect();
    let sent = first.client().upload(&[("kind", "customers")], format!("code,name\n{rows}").as_bytes()).with(202);
    let path = format!("/v1/imports/{}", sent.json["id"].as_str().unwrap());
    until("some rows are in", || {
        let rows = first.get(&path).with(200).json["progress"]["rows"].as_u64();
        rows.filter(|rows| (1000..20_000).contains(rows))
    });
    first.kill();
    let mut second = start();
    let import = until("the other process has imported it", || {
        let import = second.get(&path).with(200).json;
        import.get("finished_at").is_some().then_some(import)
    });
    assert_eq!((&import["status"], &import["attempts"]), (&json!("finished"), &json!(2)), "{import}");
    let counted = |key: &str| usize::try_from(import["counts"][key].as_u64().unwrap()).unwrap();
    assert!(counted("unchanged") > 0, "{import}");
    assert_eq!((counted("read"), counted("created") + counted("unchanged")), (CUSTOMERS, CUSTOMERS));
    assert_eq!(number(&url, "SELECT COUNT(*) FROM customers WHERE version = 1"), i64::try_from(CUSTOMERS).ok());
    assert_eq!(number(&url, "SELECT COUNT(*) FROM import_files"), Some(0));
    assert_eq!(second.stop().0, Some(0));
}
