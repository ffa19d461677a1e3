//! Traces as a collector gets them: a request goes on with the trace of whoever sent it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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

#[test]
fn a_request_is_a_span_of_its_senders_trace() {
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
    ];
    let mut service = place.serve(&place.pack("bakery", &BAKERY), &environment).ready();
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    service.client().send_raw("GET", "/livez", &[parent], "").with(200);
    let trace = 0x0af7651916cd43dd8448eb211c80319c_u128.to_be_bytes();
    loop {
        let sent = collected.recv_timeout(LIMIT).expect("the span never came");
        if sent.windows(trace.len()).any(|bytes| bytes == trace) {
            assert!(sent.windows(6).any(|bytes| bytes == b"/livez") && sent.starts_with(b"POST /v1/traces"));
            return;
        }
    }
}
