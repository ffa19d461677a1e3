//! Loads over HTTP: a plain client on a kept connection, closed loops of it, and open ones at a fixed rate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// A connection that is kept.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to an address such as `http://127.0.0.1:8080`.
    pub fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        Self { stream, buffer: vec![0; 1 << 16] }
    }

    /// Sends a request and reads its answer: the status and the body.
    pub fn send(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.stream.write_all(request).unwrap();
        let (mut length, mut head) = (0, None);
        let (status, begin, end) = loop {
            if length == self.buffer.len() {
                self.buffer.resize(2 * length, 0);
            }
            let read = self.stream.read(&mut self.buffer[length..]).unwrap();
            assert!(read > 0, "the service has closed the connection");
            length += read;
            head = head.or_else(|| read_head(&self.buffer[..length]));
            if let Some((status, begin, body)) = head
                && length >= begin + body
            {
                break (status, begin, begin + body);
            }
        };
        (status, &self.buffer[begin..end])
    }
}

/// The status, where the body begins, and its length; nothing while the head isn't whole.
fn read_head(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    Some((status, end + 4, length.expect("an answer states its length")))
}

/// A request with a JSON body as it is sent; the body may be empty.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends requests from so many clients, each the next one when it has the answer to the last, for a time. Gives requests a second.
pub fn closed<R: AsRef<[u8]>>(
    address: &str,
    clients: usize,
    time: Duration,
    request: impl Fn(usize) -> R + Sync,
) -> f64 {
    let begun = Instant::now();
    let sent: usize = thread::scope(|scope| {
        let client = |number: usize| {
            let request = &request;
            scope.spawn(move || {
                let mut client = Client::new(address);
                let mut sent = 0;
                while begun.elapsed() < time {
                    let (status, body) = client.send(request(number + sent * clients).as_ref());
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
                    sent += 1;
                }
                sent
            })
        };
        let threads: Vec<_> = (0..clients).map(client).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    count(sent) / begun.elapsed().as_secs_f64()
}

/// A request of an open load.
pub struct Sent {
    /// Its number, from 0.
    pub number: usize,
    /// When it was to be sent: a client that is behind sends at once, and the time that it lost counts.
    pub intended: Instant,
    /// When its answer was there.
    pub answered: Instant,
}

/// Sends so many requests at a fixed rate a second, in turn from so many clients, whatever the service does. Each answer must have
/// this status.
pub fn open<R: AsRef<[u8]>>(
    address: &str,
    load: (usize, f64, usize),
    status: u16,
    request: impl Fn(usize) -> R + Sync,
) -> Vec<Sent> {
    watched(address, load, status, request, |_| {})
}

/// The same, where somebody looks at the body of each answer.
pub fn watched<R: AsRef<[u8]>>(
    address: &str,
    (clients, rate, requests): (usize, f64, usize),
    status: u16,
    request: impl Fn(usize) -> R + Sync,
    look: impl Fn(&[u8]) + Sync,
) -> Vec<Sent> {
    let begun = Instant::now() + Duration::from_millis(50);
    thread::scope(|scope| {
        let client = |first: usize| {
            let (request, look) = (&request, &look);
            scope.spawn(move || {
                let mut client = Client::new(address);
                let mut sent = Vec::new();
                for number in (first..requests).step_by(clients) {
                    let (bytes, intended) = (request(number), begun + Duration::from_secs_f64(count(number) / rate));
                    thread::sleep(intended.saturating_duration_since(Instant::now()));
                    let (answer, body) = client.send(bytes.as_ref());
                    assert_eq!(answer, status, "{}", String::from_utf8_lossy(body));
                    look(body);
                    sent.push(Sent { number, intended, answered: Instant::now() });
                }
                sent
            })
        };
        let threads: Vec<_> = (0..clients).map(client).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// The time, in milliseconds, that so many of a hundred times don't exceed.
pub fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3
}

/// A number as a figure.
pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
