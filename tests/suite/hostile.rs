//! Attacks on the edge from outside, and the end of a service in the middle of its work.

use std::net::TcpStream;

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::limits::Wire;
use crate::process::{Place, until};
use crate::transactions::BAKERY;

#[test]
fn a_service_that_is_told_to_stop_says_so_and_answers_what_it_has_begun() {
    let (place, base) = (Place::new(), Base::new());
    let (pack, url) = (place.pack("bakery", &BAKERY), base.url());
    let own =
        [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD), ("BAREMO_DRAIN_SECONDS", "3")];
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let (address, token) = service.access();
    let body = json!({"code": "X1", "name": "Ana"}).to_string();
    let (begin, end) = body.as_bytes().split_at(5);
    let mut slow = Wire::to(&address);
    slow.begin_post(&token, "/v1/customers", body.len(), "");
    slow.write(begin);

    service.terminate();
    until("it isn't ready", || (service.get("/readyz").status == 503).then_some(()));
    service.get("/v1/pack").with(200);
    let at = address.strip_prefix("http://").unwrap().to_owned();
    until("nobody listens", || TcpStream::connect(&at).is_err().then_some(()));
    slow.write(end);
    assert_eq!(slow.answer().map(|(status, _)| status), Some(201));
    assert_eq!(service.stop().0, Some(0));
}

/// Sends line breaks and control characters wherever a client can.
fn try_to_forge(address: &str) {
    let line = "FORGED {\\\"level\\\":\\\"ERROR\\\",\\\"message\\\":\\\"FORGED\\\"}";
    let bodies = [
        format!("{{\"username\": \"admin\\n{line}\", \"password\": \"x\\u001b[2J\\r\\n{line}\"}}"),
        format!("{{\"\\n{line}\": 1}}"),
    ];
    for body in bodies {
        for path in ["/v1/auth/token", "/v1/x%0AFORGED%0D%0AFORGED?q=%0AFORGED", "/v1/customers/%1b[2J%0AFORGED"] {
            let mut wire = Wire::to(address);
            let named = "X-Request-Id: x\tFORGED\r\nUser-Agent: x\tFORGED\r\nX-Forwarded-For: x\tFORGED\r\n";
            wire.begin_post("x", path, body.len(), named);
            wire.write(body.as_bytes());
            assert!(wire.answer().is_some_and(|(status, _)| (400..500).contains(&status)), "{path}");
        }
    }
}

#[test]
fn nobody_forges_a_line_of_the_log() {
    for format in ["json", "pretty"] {
        let (place, base) = (Place::new(), Base::new());
        let (pack, url) = (place.pack("bakery", &BAKERY), base.url());
        let own = [
            ("BAREMO_DATABASE_URL", url.as_str()),
            ("BAREMO_ADMIN_PASSWORD", PASSWORD),
            ("BAREMO_LOG_FORMAT", format),
            ("BAREMO_LOG", "debug"),
        ];
        let service = place.serve(&pack, &own);
        let address = until("it serves", || {
            let log = service.log();
            let rest = log.split("serving on ").nth(1)?;
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ":/.".contains(c)))?;
            Some(rest[..end].to_owned())
        });
        try_to_forge(&address);
        let log = until("the requests are logged", || {
            Some(service.log()).filter(|log| log.matches("a request was answered").count() >= 6)
        });
        assert!(!log.contains('\u{1b}') || format == "pretty");
        for line in log.lines() {
            assert!(!line.trim_start().starts_with("FORGED"), "{line}");
            if format == "json" {
                let read: Json = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                assert!(!read["message"].as_str().unwrap_or_default().starts_with("FORGED"), "{line}");
            }
        }
        assert_eq!(service.stop().0, Some(0));
    }
}
