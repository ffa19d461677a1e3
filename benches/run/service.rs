//! The real service as a process of its own, and what it and its database use while it works.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use crate::Base;

const PASSWORD: &str = "correct horse";
/// How long a token is used: it is good for ten minutes.
const FRESH: Duration = Duration::from_secs(300);
/// Ticks of a second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;

/// Seconds that a piece of work took: on the clock, and of processors.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub wall: f64,
    pub client: f64,
    pub server: f64,
}

impl Usage {
    /// What work takes that `client` does with the database `server`, both ids of processes.
    pub fn of<T>(client: u32, server: u32, work: impl FnOnce() -> T) -> (T, Self) {
        let (begin, before) = (Instant::now(), (processor_seconds(client), processor_seconds(server)));
        let done = work();
        let wall = begin.elapsed().as_secs_f64();
        let usage =
            Self { wall, client: processor_seconds(client) - before.0, server: processor_seconds(server) - before.1 };
        (done, usage)
    }
}

fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may hold blanks; user and system time are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / TICKS
}

/// A running `baremo serve`, stopped with its value.
pub struct Service {
    child: Child,
    server: u32,
    address: String,
    /// When it was given, and the token.
    token: RefCell<Option<(Instant, String)>>,
}

impl Service {
    /// Serves the tobacco pack on a base and waits until it is ready.
    pub fn start(base: &Base) -> Self {
        let data = std::env::temp_dir().join(format!("baremo-bench-{}", std::process::id()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_baremo"))
            .args(["serve", "--pack", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/tobacco")])
            .env("BAREMO_DATABASE_URL", base.url())
            .env("BAREMO_DATA_FOLDER", data)
            .env("BAREMO_LISTEN", "127.0.0.1:0")
            .env("BAREMO_ADMIN_PASSWORD", PASSWORD)
            .env("BAREMO_LOAD_SAMPLE", "true")
            .env("BAREMO_RATE_LIMIT", "0")
            .env("BAREMO_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("serving on http")).expect("the service didn't start");
        thread::spawn(move || lines.for_each(drop));
        let address = line.split("serving on http://").nth(1).unwrap();
        let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(address.len());
        let address = format!("http://{}", &address[..end]);
        Self { child, server: base.pid(), address, token: RefCell::default() }
    }

    /// A token that is good for some minutes yet.
    fn token(&self) -> String {
        let known = self.token.borrow().clone();
        if let Some((_, token)) = known.filter(|(given, _)| given.elapsed() < FRESH) {
            return token;
        }
        let credentials = json!({"username": "admin", "password": PASSWORD});
        let answer = self.send_as("", "POST", "/v1/auth/token", &credentials);
        let token = answer["access_token"].as_str().unwrap().to_owned();
        self.token.replace(Some((Instant::now(), token.clone())));
        token
    }

    /// Starts a run with a body and waits for its end.
    pub fn run(&self, body: &str) -> (Json, Usage) {
        Usage::of(self.child.id(), self.server, || {
            let run = self.send("POST", "/v1/runs", &serde_json::from_str(body).unwrap());
            let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
            loop {
                let run = self.send("GET", &path, &Json::Null);
                if run["status"] == "finished" {
                    return run;
                }
                thread::sleep(Duration::from_millis(20));
            }
        })
    }

    /// Makes a release with another threshold, compares it with the one in force and waits for the end; gives what came of it.
    pub fn compare(&self) -> (Json, Usage) {
        let script =
            include_str!("../../rules/tobacco/policies/volume_grade.rhai").replace("[15, \"2\"]", "[16, \"2\"]");
        let files = json!({"policies/volume_grade.rhai": script, "cases/volume_grade.toml": null});
        let release = self.send("POST", "/v1/releases", &json!({"files": files, "message": "grade 2 from 16"}));
        let path = format!("/v1/releases/{}", release["digest"].as_str().unwrap());
        let checked = self.send("POST", &format!("{path}/check"), &Json::Null);
        assert_eq!(checked["sound"], true, "{checked}");
        Usage::of(self.child.id(), self.server, || {
            self.send("POST", &format!("{path}/comparison"), &json!({}));
            loop {
                let comparison = self.send("GET", &format!("{path}/comparison"), &Json::Null);
                if comparison["status"] == "finished" {
                    return comparison["result"].clone();
                }
                thread::sleep(Duration::from_millis(20));
            }
        })
    }

    /// Replays a share of the assessments that the base keeps, by the command; gives what it says in the end.
    pub fn replay(&self, base: &Base, share: &str) -> (String, f64) {
        let begin = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_baremo"))
            .args(["replay", "--sample", share, "--pack", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/tobacco")])
            .env("BAREMO_DATABASE_URL", base.url())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        (said.lines().last().unwrap_or_default().to_owned(), begin.elapsed().as_secs_f64())
    }

    /// The most memory that the process has had at a time, in megabytes of 1,000,000 bytes.
    pub fn peak_megabytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0 / 1e6
    }

    fn send(&self, method: &str, path: &str, body: &Json) -> Json {
        self.send_as(&self.token(), method, path, body)
    }

    fn send_as(&self, token: &str, method: &str, path: &str, body: &Json) -> Json {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("Content-Type", "application/json")
            .header("Authorization", format!("Bearer {token}"));
        let mut answer = ureq::run(request.body(text).unwrap()).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
