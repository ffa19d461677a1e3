//! Traces as a collector gets them: a request goes on with the trace of whoever sent it, and nothing stands in them that a client sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::app::PASSWORD;
use crate::base::Base;
use crate::process::Place;
use crate::transactions::BAKERY;

/// Longest wait for spans, which are sent in batches of some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The bodies of all requests that somebody sends to a listener.
fn collect(listener: TcpListener) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut request, mut part) = (Vec::new(), [0; 65536]);
            // A closed connection, or one that rests, has sent its request.
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            while let Ok(length @ 1..) = stream.read(&mut part) {
                request.extend_from_slice(&part[..length]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            if send.send(request).is_err() {
                return;
            }
        }
    });
    receive
}

/// Stands in everything that a client sends.
const MARK: &str = "zqmarkedzq";

#[test]
fn a_request_is_a_span_of_its_senders_trace_and_shows_nothing_of_what_he_sent() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collected = collect(listener);
    let (place, base) = (Place::new(), Base::new());
    let url = base.url();
    let environment = [
        ("BAREMO_DATABASE_URL", url.as_str()),
        ("BAREMO_ADMIN_PASSWORD", PASSWORD),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        // What is logged decides on no trace; where the service is stands in the lines of its start.
        ("BAREMO_LOG", "warn,baremo::cli=info"),
    ];
    let mut service = place.serve(&place.pack("bakery", &BAKERY), &environment).ready();
    service.sign_in(PASSWORD);
    let token = service.token();
    let authorization = format!("Bearer {token}");
    let client = service.client();
    client.send("POST", "/v1/customers", &json!({"code": MARK, "name": MARK})).with(201);
    let headers = [("Authorization", authorization.as_str()), ("X-Mark", MARK), ("User-Agent", MARK)];
    client.send_raw("GET", &format!("/v1/customers/{MARK}?q={MARK}"), &headers, "").with(422);
    client.send_raw("GET", &format!("/v1/customers?q={MARK}"), &headers, "").with(200);
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    client.send_raw("GET", "/livez", &[parent], "").with(200);

    let trace = 0x0af7651916cd43dd8448eb211c80319c_u128.to_be_bytes();
    // The last one is the name of the span of due work, with its key and length.
    let awaited: [&[u8]; 5] = [&trace, b"/livez", b"/v1/auth/token", b"/v1/customers/{id}", b"\x2a\x03due"];
    let mut sent = Vec::new();
    while !awaited.iter().all(|bytes| holds(&sent, bytes)) {
        sent.extend(collected.recv_timeout(LIMIT).expect("a span never came"));
    }
    assert!(holds(&sent, b"POST /v1/traces"));
    for mark in [MARK, PASSWORD, &token] {
        assert!(!holds(&sent, mark.as_bytes()), "{mark} stands in {}", String::from_utf8_lossy(&sent));
    }
}

fn holds(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|bytes| bytes == part)
}
