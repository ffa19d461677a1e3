//! Imports of every kind: the same by command and by upload, each thing once in a file, and of what their sender may write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files, pack};
use crate::base::Base;
use crate::observations;
use crate::process::Place;
use crate::uploads::{FORM, ended, form, upload};

/// A command line and a service, with a base each.
struct Both {
    place: Place,
    folder: PathBuf,
    base: Base,
    app: TestApp,
}

impl Both {
    fn new(place: Place, folder: PathBuf, app: TestApp) -> Self {
        let base = Base::new();
        base.db.run_here(baremo::db::migrate::revert_all).unwrap();
        Self { place, folder, base, app }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let url = self.base.url();
        let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_BUSINESS_DATE", "2018-01-01")];
        self.place.run(arguments, &own)
    }

    /// Imports a file by command and by upload, and gives the counts, which are the same as the report is.
    fn import(&self, texts: &[(&str, &str)], content: &[u8]) -> Json {
        let (file, report) = (self.place.path("file.csv"), self.place.path("report.csv"));
        std::fs::write(&file, content).unwrap();
        let [file, written, folder] = [&file, &report, &self.folder].map(|path| path.to_str().unwrap());
        let kind = texts.iter().find(|(part, _)| *part == "kind").unwrap().1;
        let mut arguments = vec!["import", kind, file, "--pack", folder, "--report", written];
        let options = options(texts);
        arguments.extend(options.iter().map(String::as_str));
        let output = self.run(&arguments);
        let said = String::from_utf8(output.stdout).unwrap();

        let id = upload(&self.app, texts, content);
        let counts = ended(&self.app, &id)["counts"].clone();
        let counted = ["read", "created", "changed", "unchanged", "faulty", "warnings"].map(|key| &counts[key]);
        let [read, created, changed, unchanged, faulty, warnings] = counted;
        let sentence = format!(
            "{read} rows read: {created} created, {changed} changed, {unchanged} unchanged, {faulty} faulty, {warnings} warnings"
        );
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(said.trim_end().ends_with(&sentence), "{said}\n{sentence}\n{told}");
        let downloaded = self.app.get(&format!("/v1/imports/{id}/report")).with(200).text;
        assert_eq!(downloaded, std::fs::read_to_string(&report).unwrap(), "{kind}");
        let lines = downloaded.lines().skip(1).map(|line| line.split(',').next().unwrap().parse::<u64>().unwrap());
        assert!(lines.is_sorted(), "{downloaded}");
        counts
    }
}

/// The options of the command that say what the parts of a form say.
fn options(texts: &[(&str, &str)]) -> Vec<String> {
    let option = |(part, text): &(&str, &str)| match *part {
        "kind" => Vec::new(),
        "mapping" => {
            let mapping: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
            mapping.iter().map(|(target, column)| format!("--map={target}={column}")).collect()
        }
        "dry_run" => vec!["--dry-run".to_owned()],
        "transaction_kind" => vec![format!("--kind={text}")],
        part => vec![format!("--{part}={text}")],
    };
    texts.iter().flat_map(option).collect()
}

#[test]
fn a_file_gives_the_same_counts_and_the_same_report_by_command_and_by_upload() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    let both = Both::new(Place::new(), root.join("rules/tobacco"), app);
    let sample = |name: &str| std::fs::read_to_string(root.join("samples").join(name)).unwrap();
    let customers = sample("tobacco_customers.csv").replacen("2015-", "=2015-", 7);
    let orders = sample("tobacco_orders.csv");
    let mut orders: Vec<&str> = orders.lines().take(2000).collect();
    // What is seen as rows are read stands in its place among what is seen when they are recorded.
    orders.insert(2, orders[1]);
    let orders = orders.join("\n").replacen("2017-", "2019-", 9);
    let columns = json!({"customer": "customer_code", "on": "ordered_at", "order": "order_id", "product": "product_code",
        "product_name": "product_name", "product_category": "category"});
    let counts = both.import(&[("kind", "customers")], customers.as_bytes());
    assert!(counts["faulty"].as_u64().unwrap() > 0, "{counts}");
    let texts = [("kind", "transactions"), ("transaction_kind", "order"), ("mapping", &columns.to_string())];
    let counts = both.import(&texts, orders.as_bytes());
    assert!(counts["faulty"].as_u64().unwrap() > 9, "{counts}");
}

/// What a form says of a file, the file, and how many of its rows are created and faulty, with how many remarks.
type ChineseFile = (&'static [(&'static str, &'static str)], &'static str, [u64; 3]);

/// One of each kind.
const CHINESE: [ChineseFile; 4] = [
    (
        &[("kind", "customers"), ("mapping", "{\"code\": \"店号\"}")],
        "店号,name,opened_on\nX1,华海小卖部,2015-01-31\nX2,恒达,\nX1,又一家,\nX3,李娜,从未\n",
        [2, 2, 0],
    ),
    (
        &[("kind", "products"), ("mapping", "{\"code\": \"货号\"}")],
        "货号,name,category,unit,factor\nP1,面包,bread,个,1\nP1,白面包,bread,个,1\nP2,黑麦,rye,个,-1\n",
        [1, 2, 0],
    ),
    (
        &[("kind", "transactions"), ("mapping", "{\"customer\": \"客户\"}"), ("transaction_kind", "order")],
        "客户,on,order,product,quantity,备注\nX1,2017-12-01,A1,P1,5,\nX1,2017-12-01,A1,P1,6,\nX9,2017-12-02,A2,P1,1,好\n\
         X2,2017-12-03,A3,P1,0,\n",
        [2, 2, 2],
    ),
    (
        &[("kind", "observations"), ("mapping", "{\"evidence\": \"证据\"}"), ("source", "inspection")],
        "kind,on,id,customer,value,证据\nbreach,2017-12-02,B1,X1,8,检查报告\nbreach,2017-12-02,B1,X1,9,检查\n\
         breach,2017-12-02,B2,X1,13,检查\n",
        [1, 2, 0],
    ),
];

#[test]
fn every_kind_is_read_alike_by_command_and_by_upload_and_a_dry_run_says_what_follows() {
    let place = Place::new();
    let pack = observations::pack();
    let pack: Vec<(&str, &str)> = pack.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let folder = place.pack("bakery", &pack);
    let both = Both::new(place, folder, TestApp::new(&files(&pack), "2018-01-01"));
    for (texts, text, [created, faulty, warnings]) in CHINESE {
        let content = encoding_rs::GB18030.encode(text).0;
        let read = created + faulty;
        let expected = json!({"read": read, "created": created, "changed": 0, "unchanged": 0, "faulty": faulty,
            "warnings": warnings});
        let with = |more: &[(&'static str, &'static str)]| [texts, &[("encoding", "gb18030")], more].concat();
        assert_eq!(both.import(&with(&[("dry_run", "true")]), &content), expected, "{texts:?}");
        assert_eq!(both.import(&with(&[]), &content), expected, "{texts:?}");
        let again = json!({"read": read, "created": 0, "changed": 0, "unchanged": created, "faulty": faulty,
            "warnings": warnings});
        assert_eq!(both.import(&with(&[]), &content), again, "{texts:?}");
    }
    let folder = both.folder.to_str().unwrap();
    let twice = ["import", "customers", "file.csv", "--pack", folder, "--map=code=a", "--map=Code=b"];
    let refused = both.run(&twice);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("--map names the column of 'Code' twice"), "{told}");
}

/// The counts of an import of transactions, and the lines of its faults with what is said of them.
fn transactions(app: &TestApp, dry_run: &str, file: &str) -> ([u64; 5], Vec<(u64, String)>) {
    let texts = [("kind", "transactions"), ("dry_run", dry_run)];
    let import = ended(app, &upload(app, &texts, file.as_bytes()));
    let counts =
        ["read", "created", "changed", "unchanged", "faulty"].map(|key| import["counts"][key].as_u64().unwrap());
    let faults = import["faults"].as_array().unwrap().iter();
    let told = |fault: &Json| (fault["line"].as_u64().unwrap(), fault["detail"].as_str().unwrap().to_owned());
    (counts, faults.map(told).collect())
}

#[test]
fn rows_of_one_order_and_product_stand_once_or_with_different_revisions() {
    let app = observations::served();
    app.product("P1", "wheat");
    let file = "customer,on,order,kind,product,quantity,revision\n\
        X1,2017-12-01,A1,order,P1,5,\n\
        X2,2017-12-01,A1,order,P1,6,\n\
        X1,2017-12-02,A2,order,P1,1,1\n\
        X1,2017-12-02,A2,order,P1,2,2\n\
        X1,2017-12-02,A2,order,P1,3,1\n\
        X1,2017-12-02,A2,order,P1,4,\n\
        X2,2017-12-03,A3,order,P1,1,2\n\
        X1,2017-12-03,A3,order,P1,1,1\n\
        X1,2017-12-01,A1,order,P1,1,7\n";
    let (dry, _) = transactions(&app, "true", file);
    let (real, faults) = transactions(&app, "false", file);
    assert_eq!(real, [9, 3, 1, 1, 4], "read, created, changed, unchanged, faulty");
    assert_eq!(dry, real);
    let said = |line: u64| {
        format!(
            "the order and product stand on line {line} already, and no other revision tells this row from that one"
        )
    };
    assert_eq!(faults, [(3, said(2)), (6, said(4)), (7, said(4)), (10, said(2))]);
    assert_eq!(transactions(&app, "true", file).0, [9, 0, 0, 5, 4]);
    assert_eq!(transactions(&app, "false", file).0, [9, 0, 0, 5, 4]);
}

#[test]
fn a_column_that_is_not_read_is_told_of_every_kind() {
    let app = observations::served();
    for (kind, header) in [
        ("customers", "code,name"),
        ("products", "code,name,category,unit,factor"),
        ("transactions", "customer,on,order,kind,quantity"),
        ("observations", "kind,on,id,customer"),
    ] {
        let import = ended(&app, &upload(&app, &[("kind", kind)], format!("{header},colour\n").as_bytes()));
        assert_eq!((&import["status"], &import["counts"]["warnings"]), (&json!("finished"), &json!(1)), "{import}");
        let told = &import["faults"][0];
        assert_eq!((&told["code"], &told["column"]), (&json!("unused_column"), &json!("colour")), "{import}");
    }
}

#[test]
fn a_file_is_imported_by_those_who_may_write_what_it_holds() {
    let app = observations::served();
    let role = |headers: &[(&str, &str)], permissions: &[&str]| {
        app.send("PUT", "/v1/roles/importer", headers, &json!({"permissions": permissions})).with(200);
    };
    role(&[], &["imports:write"]);
    let may = |permissions: &[&str]| role(&[("If-Match", "*")], permissions);
    let authorization = format!("Bearer {}", app.as_role("importer"));
    for (kind, needed) in [
        ("customers", &["customers:write"][..]),
        ("products", &["products:write"]),
        ("transactions", &["transactions:write"]),
        ("observations", &["observations:write", "staff:evaluate"]),
    ] {
        let send = || {
            let headers = [("Authorization", authorization.as_str()), ("Content-Type", FORM)];
            app.send_raw("POST", "/v1/imports", &headers, form(&[("kind", kind)], b"code,name\n"))
        };
        for (place, missing) in needed.iter().enumerate() {
            may(&[&["imports:write"], &needed[..place]].concat());
            let detail = send().with(403).json["detail"].as_str().unwrap().to_owned();
            assert_eq!(detail, format!("a file of {kind} is imported by those who have the permission {missing} too"));
        }
        may(&[&["imports:write"], needed].concat());
        send().with(202);
    }
}
