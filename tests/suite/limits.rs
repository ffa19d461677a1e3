//! What one client may take of the service: sizes, times, numbers at once and by the second; and that everybody else is served
//! meanwhile.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use baremo::http::limits::Limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files, unlimited};
use crate::process::until;
use crate::transactions::BAKERY;

fn limited(limits: Limits) -> TestApp {
    TestApp::limited(&files(&BAKERY), "2018-01-01", limits)
}

/// A connection on which a test writes what it likes.
pub struct Wire(TcpStream);

impl Wire {
    pub fn new(app: &TestApp) -> Self {
        Self::to(&app.address)
    }

    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(stream)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The head of a POST by the administrator, of which the body is still to come.
    pub fn begin_post(&mut self, token: &str, path: &str, length: usize, more: &str) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{more}\r\n"
        );
        self.write(head.as_bytes());
    }

    /// Status and body of the answer; nothing where the server hangs up.
    pub fn answer(&mut self) -> Option<(u16, Json)> {
        let mut reader = BufReader::new(&mut self.0);
        let status = line(&mut reader)?.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        while let Some((name, value)) = line(&mut reader)?.trim_end().split_once(": ") {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Whether the server still takes bytes.
    fn takes(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }
}

/// The next line; nothing where the server hangs up. One that does neither is a fault.
fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(0) => None,
        Ok(_) => Some(line),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the server neither answers nor hangs up")
        }
        Err(_) => None,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_body_has_a_size_also_unpacked() {
    let app = limited(Limits { body: 10_000, ..unlimited() });
    let path = "/v1/customers";
    let customer = |name: &str| json!({"code": "X", "name": name}).to_string();
    let refused = app.send("POST", path, &[], &json!({"code": "X", "name": "x".repeat(10_000)})).with(413);
    assert_eq!(refused.json["code"], "too_large");
    assert!(refused.json["detail"].as_str().unwrap().contains("10000"), "{}", refused.json);

    let post_packed = |bytes: &[u8]| {
        let mut wire = Wire::new(&app);
        wire.begin_post(&app.token, path, bytes.len(), "Content-Encoding: gzip\r\n");
        wire.write(bytes);
        wire.answer().unwrap()
    };
    let bomb = gzip(customer(&"x".repeat(100_000_000)).as_bytes());
    assert!(bomb.len() > 10_000, "the bomb is small enough to be refused for its packed size: {}", bomb.len());
    assert_eq!(post_packed(&bomb).0, 413);
    let bomb = gzip(customer(&"x".repeat(1_000_000)).as_bytes());
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    let (status, problem) = post_packed(&bomb);
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    let (status, problem) = post_packed(b"this is not gzip");
    assert_eq!((status, &problem["code"]), (400, &json!("bad_request")));
    assert_eq!(post_packed(&gzip(customer("Ana").as_bytes())).0, 201);
}

#[test]
fn depth_and_headers_have_limits() {
    let app = limited(unlimited());
    for depth in [200, 100_000] {
        let deep = format!("{{\"code\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let headers = [("Content-Type", "application/json"), ("Authorization", &format!("Bearer {}", app.token))];
        let refused = app.send_raw("POST", "/v1/customers", &headers, deep).with(400);
        assert_eq!(refused.json["code"], "bad_request");
    }
    let head = |headers: &str| {
        let mut wire = Wire::new(&app);
        wire.write(format!("GET /livez HTTP/1.1\r\nHost: test\r\n{headers}\r\n").as_bytes());
        wire.answer()
    };
    let many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    assert!(head(&many).is_none_or(|(status, _)| (400..500).contains(&status)));
    let large = format!("X: {}\r\n", "x".repeat(200_000));
    assert!(head(&large).is_none_or(|(status, _)| (400..500).contains(&status)));
    assert_eq!(head("").map(|(status, _)| status), Some(200));
}

#[test]
fn a_slow_client_is_cut_off() {
    let app = limited(Limits {
        head_time: Duration::from_millis(1500),
        body_time: Duration::from_millis(1500),
        ..unlimited()
    });
    let mut body = Wire::new(&app);
    body.begin_post(&app.token, "/v1/customers", 100, "");
    body.write(b"{\"code\":");
    let (status, problem) = body.answer().unwrap();
    assert_eq!((status, &problem["code"]), (408, &json!("request_timeout")));
    assert_eq!(body.answer(), None, "the connection stays open");

    let mut head = Wire::new(&app);
    head.write(b"GET /livez HTTP/1.1\r\nHost:");
    assert!(head.answer().is_none_or(|(status, _)| status == 408));
    app.get("/v1/pack").with(200);
}

#[test]
fn a_connection_that_dawdles_after_an_answer_is_closed() {
    let short = Duration::from_millis(1500);
    let app = limited(Limits { head_time: short, silence: short, ..unlimited() });
    let answered = || {
        let mut wire = Wire::new(&app);
        wire.write(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(wire.answer().map(|(status, _)| status), Some(200));
        wire
    };
    assert_eq!(answered().answer(), None, "one that stays silent");
    let mut begun = answered();
    begun.write(b"GET /livez HTTP/1.1\r\nHost:");
    assert_eq!(begun.answer(), None, "one whose second head stops");
    let mut dripping = answered();
    dripping.write(b"GET /livez HTTP/1.1\r\nX: ");
    until("one whose second head drips is closed", || (!dripping.takes(b"x")).then_some(()));

    let refused = || {
        let mut wire = Wire::new(&app);
        wire.write(b"POST /v1/nothing HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        assert_eq!(wire.answer().map(|(status, _)| status), Some(404));
        wire
    };
    assert_eq!(refused().answer(), None, "one whose body stops that nobody reads");
    let mut dripping = refused();
    until("one whose body drips that nobody reads is closed", || (!dripping.takes(b"1\r\nx\r\n")).then_some(()));
}

#[test]
fn a_connection_on_which_an_answer_is_long_in_coming_stays_open() {
    let short = Duration::from_millis(300);
    let app = limited(Limits { silence: short, ..unlimited() });
    let mut wire = Wire::new(&app);
    let body = json!({"code": "X1", "name": "Ana"}).to_string();
    wire.begin_post(&app.token, "/v1/customers", body.len(), "");
    let begun = Instant::now();
    until("it was silent for long", || (begun.elapsed() > 4 * short).then_some(()));
    wire.write(body.as_bytes());
    assert_eq!(wire.answer().map(|(status, _)| status), Some(201));
}

#[test]
fn a_request_that_takes_too_long_or_comes_when_there_are_too_many_is_told_so() {
    let app = limited(Limits { request_time: Duration::from_secs(3), requests_at_once: 1, ..unlimited() });
    let mut slow = Vec::new();
    let begun = Instant::now();
    // Whichever comes first has the place: sooner or later it is one that doesn't end.
    let busy = until("the one place is taken", || {
        let mut wire = Wire::new(&app);
        wire.begin_post(&app.token, "/v1/customers", 100, "");
        slow.push(wire);
        Some(app.get("/v1/runs")).filter(|answer| answer.json["code"] == "busy")
    });
    assert_eq!((busy.status, busy.header("Retry-After")), (503, "2"));
    assert_eq!(busy.header("X-Request-Id"), busy.json["request_id"]);
    app.get("/livez").with(200);
    let answers: Vec<Json> = slow.iter_mut().filter_map(|wire| wire.answer().map(|(_, problem)| problem)).collect();
    assert!(answers.iter().any(|problem| problem["code"] == "timed_out"), "{answers:?}");
    assert!(begun.elapsed() >= Duration::from_secs(3));
    app.get("/v1/runs").with(200);
}

#[test]
fn whoever_has_no_token_takes_no_place_of_users() {
    let held = |limits: Limits, anonymous: usize| {
        let app = limited(limits);
        let idle = || {
            let mut wire = Wire::new(&app);
            wire.begin_post("x", "/v1/auth/token", 100, "");
            wire.write(b"{");
            wire
        };
        let mut held: Vec<Wire> = (1..anonymous).map(|_| idle()).collect();
        let without = || app.send_raw("GET", "/.well-known/jwks.json", &[], String::new());
        // One that asks may itself have the last place.
        until("their places are taken", || {
            held.push(idle());
            Some(without()).filter(|answer| answer.json["code"] == "busy")
        });
        app.get("/v1/pack").with(200);
        app.customer("X1", json!({}));
        drop(held);
        until("their places are free", || Some(without()).filter(|answer| answer.status == 200));
    };
    // A quarter of eight, then three of one address.
    held(Limits { requests_at_once: 8, ..unlimited() }, 2);
    held(Limits { anonymous_of_address: 3, ..unlimited() }, 3);
}

#[test]
fn a_body_without_a_token_is_small_and_soon_here() {
    let app = limited(Limits { anonymous_body_time: Duration::from_secs(2), ..unlimited() });
    let path = "/v1/auth/token";
    let body = |length: usize| json!({"username": "nobody", "password": "x".repeat(length)}).to_string();
    let send = |bytes: &[u8], headers: &str| {
        let mut wire = Wire::new(&app);
        wire.begin_post("x", path, bytes.len(), headers);
        wire.write(bytes);
        wire.answer().unwrap()
    };
    let gzipped = "Content-Encoding: gzip\r\n";
    assert_eq!(send(body(60_000).as_bytes(), "").0, 401);
    assert_eq!(send(&gzip(body(60_000).as_bytes()), gzipped).0, 401);
    for (status, problem) in [send(body(66_000).as_bytes(), ""), send(&gzip(body(10_000_000).as_bytes()), gzipped)] {
        assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
        assert!(problem["detail"].as_str().unwrap().contains("65536"), "{problem}");
    }
    let refused = app.post(path, &json!({"username": "nobody", "password": "x".repeat(66_000)}));
    assert_eq!(refused.status, 401, "a user's body is as small");

    let mut slow = Wire::new(&app);
    slow.begin_post("x", path, 100, "");
    slow.write(b"{");
    assert_eq!(slow.answer().map(|(status, _)| status), Some(408));
}

#[test]
fn bodies_come_in_the_packing_and_encoding_that_are_taken() {
    let app = limited(unlimited());
    let send = |path: &str, content: &str, headers: &[(&str, &str)]| {
        let authorization = format!("Bearer {}", app.token);
        let mut all = vec![("Authorization", authorization.as_str()), ("Content-Type", content)];
        all.extend(headers);
        app.send_raw("POST", path, &all, "{}".to_owned())
    };
    let json = "application/json";
    for coding in ["deflate", "br", "zstd", "x", "gzip, gzip", "identity, gzip", ""] {
        let refused = send("/v1/customers", json, &[("Content-Encoding", coding)]).with(415);
        assert_eq!(refused.json["code"], "unsupported_media_type", "{coding}");
        assert_eq!(refused.header("Accept-Encoding"), "gzip, identity", "{coding}");
    }
    send("/v1/customers", json, &[("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")]).with(415);
    send("/v1/customers", json, &[("Content-Encoding", "Identity")]).with(422);
    send("/v1/imports", "multipart/form-data; boundary=x", &[("Content-Encoding", "gzip")]).with(415);
    for charset in ["iso-8859-1", "utf-16", "\"gbk\"", ""] {
        send("/v1/customers", &format!("{json}; charset={charset}"), &[]).with(415);
    }
    for charset in ["utf-8", "UTF-8", "\"utf-8\""] {
        send("/v1/customers", &format!("{json}; charset={charset}"), &[]).with(422);
    }
}

#[test]
fn a_user_has_a_rate_and_whoever_has_no_token_is_his_address() {
    // One a second, two at once: signing in has taken one of the address.
    let app = limited(Limits { rate: NonZeroU32::new(1), ..Limits::default() });
    let first = app.get("/v1/pack").with(200);
    assert_eq!(
        (first.header("RateLimit-Policy"), first.header("RateLimit")),
        ("\"default\";q=2;w=2", "\"default\";r=1")
    );
    let refused = (0..10).map(|_| app.get("/v1/pack")).find(|answer| answer.status != 200).unwrap().with(429);
    assert_eq!((&refused.json["code"], refused.header("Retry-After")), (&json!("rate_limited"), "1"));
    assert_eq!(refused.header("RateLimit"), "\"default\";r=0;t=1");

    let forged = |_| app.send_raw("GET", "/v1/pack", &[("Authorization", "Bearer x")], String::new());
    let statuses: Vec<u16> = (0..10).map(forged).map(|answer| answer.status).collect();
    assert!(statuses.contains(&429) && !statuses.contains(&200), "{statuses:?}");
    for _ in 0..10 {
        app.get("/livez").with(200);
    }
}

#[test]
fn many_idle_sockets_keep_nobody_out() {
    let app = limited(unlimited());
    let idle: Vec<Wire> = (0..2000).map(|_| Wire::new(&app)).collect();
    app.get("/v1/pack").with(200);
    app.customer("X1", json!({}));
    drop(idle);
    app.get("/v1/pack").with(200);
}

#[test]
fn answers_say_what_browsers_and_caches_may_do_with_them() {
    let app = limited(unlimited());
    let id = app.customer("X1", json!({}));
    let customer = app.get(&format!("/v1/customers/{id}")).with(200);
    assert_eq!(customer.header("Cache-Control"), "private, no-cache");
    let list = app.get("/v1/customers").with(200);
    assert_eq!(list.header("Cache-Control"), "no-store");
    let decisions = app.get(&format!("/v1/customers/{id}/decisions")).with(200);
    assert!(decisions.says("Vary", "Accept-Language") && !customer.says("Vary", "Accept-Language"));
    let page = app.send_raw("GET", "/problems", &[], String::new()).with(200);
    assert!(page.header("Content-Security-Policy").contains("default-src 'none'"));
    for answer in [&customer, &list, &page, &app.get("/v1/nothing")] {
        assert_eq!(
            (answer.header("X-Content-Type-Options"), answer.header("Referrer-Policy")),
            ("nosniff", "no-referrer")
        );
    }

    let of = |origin: &str| app.send("GET", "/v1/nothing", &[("Origin", origin)], &Json::Null).with(404);
    let known = of("https://crm.example");
    assert_eq!(known.header("Access-Control-Allow-Origin"), "https://crm.example");
    assert!(known.header("Access-Control-Expose-Headers").to_lowercase().contains("etag"));
    assert_eq!(of("https://evil.example").header("Access-Control-Allow-Origin"), "");
    let preflight = |origin: &str| {
        let asked = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PATCH"),
            ("Access-Control-Request-Headers", "if-match,authorization,content-type"),
        ];
        app.send_raw("OPTIONS", "/v1/customers", &asked, String::new())
    };
    assert_eq!(preflight("https://crm.example").with(200).header("Access-Control-Allow-Origin"), "https://crm.example");
    assert_eq!(preflight("https://evil.example").with(400).json["code"], "bad_request");

    let packed = app.send_raw("HEAD", "/openapi.json", &[("Accept-Encoding", "gzip")], String::new());
    assert_eq!(packed.header("Content-Encoding"), "gzip");
}
