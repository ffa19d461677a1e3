//! The service under load: reads, writes and assessments at a fixed rate with runs going on. Nothing fails but what a full service
//! refuses, nothing grows, and a stop lets running requests finish. Times are told, not judged.

use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::interleavings::mill_files;
use crate::process::{Client, Place};

const CUSTOMERS: u32 = 2000;
/// Requests that are under way at once at most: more than the service takes.
const SENDERS: u32 = 300;
/// The 16 connections of the service each keep a thread busy, not the requests that wait for one. The others are those of the HTTP server, of
/// the runtime and of the work in the background, a few for each processor, and those that came to rest seconds ago.
const MOST_THREADS: u64 = 80;
/// How long the service goes on after the signal to stop, so that what was sent before it has reached it.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a service that stops waits for running requests after that.
const STOP_LIMIT: Duration = Duration::from_secs(20);

fn setting(name: &str, default: u32) -> u32 {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// What a process has of memory in KiB, of descriptors and of threads.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    memory: u64,
    descriptors: u64,
    threads: u64,
}

impl Use {
    fn of(pid: Pid) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        Self { memory: field("VmRSS:"), descriptors: descriptors.try_into().unwrap(), threads: field("Threads:") }
    }

    fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

/// A request that was sent: how long after the moment at which it was due it was answered, and how.
struct Sent {
    begun: Instant,
    took: Duration,
    /// Nothing where the answer broke off or nobody took the request.
    status: Option<u16>,
    /// Whether a refusal says when to come again.
    is_sound: bool,
}

/// The request of a number: four of ten read, three write, three evaluate.
fn request(index: u32, ids: &[String]) -> (&'static str, String, Json) {
    let place = (index * 7919) % CUSTOMERS;
    let id = &ids[usize::try_from(place).unwrap()];
    let get = |path: String| ("GET", path, Json::Null);
    match index % 10 {
        0 => get("/v1/customers?limit=20".to_owned()),
        1 => get(format!("/v1/customers/{id}")),
        2 => get(format!("/v1/customers/{id}/decisions")),
        3 => get(format!("/v1/customers/{id}/metrics")),
        4..=6 => {
            let order = json!({"source": "load", "external_id": index.to_string(), "kind": "order",
                "customer_code": format!("C{place}"), "occurred_at": format!("2017-{:02}-05", 9 + index % 4),
                "lines": [{"measures": {"quantity": "1"}}]});
            ("POST", "/v1/transactions/batches".to_owned(), json!({"items": [order]}))
        }
        _ => ("POST", "/v1/evaluations".to_owned(), json!({"customer_id": id})),
    }
}

/// Sends every request at its moment, until it is over. Late ones are counted from the moment at which they were due.
fn send(
    client: &Client,
    ids: &[String],
    (begun, rate): (Instant, u32),
    next: &AtomicU32,
    over: &AtomicBool,
) -> Vec<Sent> {
    let mut sent = Vec::new();
    while !over.load(Ordering::Acquire) {
        let index = next.fetch_add(1, Ordering::AcqRel);
        let due = begun + Duration::from_secs(1) * index / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (method, path, body) = request(index, ids);
        let begun = Instant::now();
        let answer = client.try_send(None, method, &path, &body);
        let is_sound =
            answer.as_ref().is_none_or(|answer| answer.status < 500 || !answer.header("Retry-After").is_empty());
        sent.push(Sent { begun, took: due.elapsed(), status: answer.map(|answer| answer.status), is_sound });
    }
    sent
}

/// Starts a run whenever none is open, until it is over, and counts them.
fn keep_running(client: &Client, over: &AtomicBool) -> u32 {
    let mut runs = 0;
    while !over.load(Ordering::Acquire) {
        let started = client.try_send(None, "POST", "/v1/runs", &json!({"renew_cohort": true}));
        runs += u32::from(started.is_some_and(|answer| answer.status == 202));
        thread::sleep(Duration::from_secs(1));
    }
    runs
}

/// Watches what the process uses: the most in the second quarter of the time and in the last.
fn watch(pid: Pid, lasts: Duration) -> (Use, Use) {
    let begun = Instant::now();
    let (mut warm, mut last) = (Use::default(), Use::default());
    while begun.elapsed() < lasts {
        let (quarter, used) = (begun.elapsed().as_millis() * 4 / lasts.as_millis(), Use::of(pid));
        match quarter {
            1 => warm = warm.max(used),
            3 => last = last.max(used),
            _ => {}
        }
        thread::sleep(lasts / 100);
    }
    (warm, last)
}

#[test]
#[ignore = "takes two minutes: called by make audit"]
fn five_hundred_requests_a_second_and_a_stop_among_them() {
    let (rate, seconds) = (setting("BAREMO_TEST_LOAD_RATE", 500), setting("BAREMO_TEST_LOAD_SECONDS", 120));
    let (place, base) = (Place::new(), Base::new());
    let url = base.url();
    let pack = place.pack("mill", &mill_files(20).each_ref().map(|(path, text)| (*path, text.as_str())));
    let drain = DRAIN.as_secs().to_string();
    let own = [
        ("BAREMO_DATABASE_URL", url.as_str()),
        ("BAREMO_ADMIN_PASSWORD", PASSWORD),
        ("BAREMO_BUSINESS_DATE", "2018-01-01"),
        ("BAREMO_DRAIN_SECONDS", drain.as_str()),
    ];
    let rows: String = (0..CUSTOMERS).map(|number| format!("C{number},Customer {number}\n")).collect();
    let file = place.write("customers.csv", &format!("code,name\n{rows}"));
    let mut service = place.serve(&pack, &own).ready();
    let import = ["import", "customers", file.to_str().unwrap(), "--pack", pack.to_str().unwrap()];
    assert!(place.run(&import, &own).status.success());
    service.sign_in(PASSWORD);
    let mut ids: Vec<String> = Vec::new();
    let mut path = "/v1/customers?limit=500".to_owned();
    loop {
        let page = service.get(&path).with(200).json;
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/customers?limit=500&cursor={cursor}");
    }

    let (client, pid) = (service.client(), service.pid());
    let (next, over, begun) = (AtomicU32::new(0), AtomicBool::new(false), Instant::now());
    let (sent, (warm, last), runs, stopped_at, stopping) = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..SENDERS).map(|_| scope.spawn(|| send(&client.apart(), &ids, (begun, rate), &next, &over))).collect();
        let runs = scope.spawn(|| keep_running(&client.apart(), &over));
        let used = watch(pid, Duration::from_secs(seconds.into()));
        let stopped_at = Instant::now();
        let (code, stopping) = service.stop();
        over.store(true, Ordering::Release);
        assert_eq!(code, Some(0), "it ends in order among requests");
        let sent: Vec<Sent> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        (sent, used, runs.join().unwrap(), stopped_at, stopping)
    });

    let before: Vec<&Sent> = sent.iter().filter(|sent| sent.begun < stopped_at).collect();
    let mut times: Vec<Duration> = before.iter().map(|sent| sent.took).collect();
    times.sort_unstable();
    let share = |percent: usize| times[(times.len() - 1) * percent / 100];
    let refused = before.iter().filter(|sent| sent.status == Some(503)).count();
    eprintln!(
        "{} requests in {seconds} s, {refused} refused, {runs} runs, p50 {:?}, p99 {:?}, stopped in {stopping:?}; {warm:?} then {last:?}",
        before.len(),
        share(50),
        share(99),
    );
    for sent in &before {
        // One that would take longer than a stop may is cut off.
        let Some(status) = sent.status else {
            assert!(stopping >= DRAIN + STOP_LIMIT, "a request that was running is not answered");
            continue;
        };
        assert!(status < 500 || status == 503, "a request is answered {status}");
        assert!(sent.is_sound, "a refusal doesn't say when to come again");
        assert!([200, 207, 503].contains(&status), "a request is answered {status}");
    }
    assert!(before.len() - refused > before.len() / 2, "most requests are refused");
    assert!(runs > 0);
    assert!(last.memory < warm.memory * 5 / 4 + 32 * 1024, "memory grows from {warm:?} to {last:?}");
    assert!(last.descriptors < warm.descriptors * 5 / 4 + 32, "descriptors grow from {warm:?} to {last:?}");
    assert!(last.threads < MOST_THREADS, "threads grow from {warm:?} to {last:?}");
}
