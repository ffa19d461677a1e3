//! `baremo` as a process of its own, with a data folder that goes with its value: what an operator starts, kills and reads.

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use crate::base::Answer;
use crate::imports::files_below;
use crate::uploads::{FORM, form};

/// Longest time that anything may take which takes a second or ten, on a machine that has much to do.
const LIMIT: Duration = Duration::from_secs(90);

/// The binary that is tested: that of this build, or another one that the environment names.
pub fn binary() -> PathBuf {
    env::var_os("BAREMO_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_baremo").into(), PathBuf::from)
}

/// Looks until there is something to see.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Asks a database for one number; nothing while it gives none.
pub fn number(url: &str, sql: &str) -> Option<i64> {
    number_on(&mut MysqlConnection::establish(url).ok()?, sql)
}

/// Asks over a connection for one number; nothing while the database gives none.
pub fn number_on(conn: &mut MysqlConnection, sql: &str) -> Option<i64> {
    let rows = diesel::sql_query(format!("SELECT CAST(({sql}) AS SIGNED) number")).load::<Number>(conn).ok()?;
    rows.first().map(|row| row.number)
}

/// A folder for data and packs. Every private database in it ends with it.
pub struct Place {
    top: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        // The server's account must be able to pass.
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        Self { top }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a pack and gives its folder.
    pub fn pack(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        for (path, text) in files {
            self.write(&format!("{name}/{path}"), text);
        }
        self.path(name)
    }

    /// Copies a folder of the repository to the same path here, and gives it.
    pub fn copy(&self, folder: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in files_below(folder, "") {
            let to = self.path(file.to_str().unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from.join(&file), to).unwrap();
        }
        self.path(folder)
    }

    /// URL of a pack's private database.
    pub fn private_url(&self, pack: &str) -> String {
        format!("mysql://root@localhost/baremo?unix_socket={}", self.path(&format!("data/{pack}/sock")).display())
    }

    /// The database servers that work in this folder.
    pub fn servers(&self) -> Vec<Pid> {
        let folder = self.path("").display().to_string();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&format!("--datadir={folder}"))
        })
        .map(Pid::from_raw)
        .collect()
    }

    /// The one database server of this folder.
    #[track_caller]
    pub fn server(&self) -> Pid {
        let servers = self.servers();
        assert_eq!(servers.len(), 1, "{servers:?}");
        servers[0]
    }

    /// `baremo` with arguments and environment, in this folder.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.top.path())
            .env("BAREMO_DATA_FOLDER", self.path("data"))
            .env("BAREMO_LISTEN", "127.0.0.1:0")
            // Tests that wait look more often than any user.
            .env("BAREMO_RATE_LIMIT", "0")
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs `baremo` to its end.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments, environment).output().unwrap()
    }

    /// Starts a service with arguments.
    pub fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Service {
        Service::spawn(self.command(arguments, environment))
    }

    /// Starts serving a pack.
    pub fn serve(&self, pack: &Path, environment: &[(&str, &str)]) -> Service {
        self.start(&["serve", "--pack", pack.to_str().unwrap()], environment)
    }

    /// Starts serving a pack whose folder is watched.
    pub fn watch(&self, pack: &Path, environment: &[(&str, &str)]) -> Service {
        self.start(&["serve", "--watch", "--pack", pack.to_str().unwrap()], environment)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for server in self.servers() {
            let _ = kill(server, Signal::SIGKILL);
        }
    }
}

/// What a process has written so far.
type Written = Arc<Mutex<String>>;

/// A running `baremo serve`, killed with its value.
pub struct Service {
    child: Child,
    out: Written,
    log: Written,
    readers: Vec<JoinHandle<()>>,
    client: Client,
}

/// Sends requests, with a token once somebody has signed in.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    address: String,
    token: Option<String>,
}

impl Client {
    fn new() -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { agent, address: String::new(), token: None }
    }

    /// The same with connections of its own.
    pub fn apart(&self) -> Self {
        Self { agent: Self::new().agent, ..self.clone() }
    }

    pub fn send(&self, method: &str, path: &str, body: &Json) -> Answer {
        self.send_for(None, method, path, body)
    }

    /// Changes the version of something.
    pub fn patch(&self, path: &str, version: i64, body: &Json) -> Answer {
        self.send_for(Some(version), "PATCH", path, body)
    }

    /// Sends a request with headers of its own, as nobody.
    pub fn send_raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(self.agent.run(request.body(body.to_owned()).unwrap()).unwrap())
    }

    /// Sends a form with a file.
    pub fn upload(&self, parts: &[(&str, &str)], file: &[u8]) -> Answer {
        let request = self.request(None, "POST", "/v1/imports", &Json::Null).map(|_| form(parts, file));
        let (mut head, body) = request.into_parts();
        head.headers.insert("Content-Type", FORM.parse().unwrap());
        Answer::read(self.agent.run(ureq::http::Request::from_parts(head, body)).unwrap())
    }

    /// Sends a request to a process that may be gone: nothing where it is. `version` is that of what it changes.
    pub fn try_send(&self, version: Option<i64>, method: &str, path: &str, body: &Json) -> Option<Answer> {
        Answer::try_read(self.agent.run(self.request(version, method, path, body)).ok()?)
    }

    fn send_for(&self, version: Option<i64>, method: &str, path: &str, body: &Json) -> Answer {
        Answer::read(self.agent.run(self.request(version, method, path, body)).unwrap())
    }

    fn request(&self, version: Option<i64>, method: &str, path: &str, body: &Json) -> ureq::http::Request<String> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        if let Some(version) = version {
            request = request.header("If-Match", format!("\"{version}\""));
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        request.header("Content-Type", "application/json").body(text).unwrap()
    }
}

fn gather(stream: impl Read + Send + 'static) -> (Written, JoinHandle<()>) {
    let written = Written::default();
    let gathered = written.clone();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut written = gathered.lock().unwrap();
            written.push_str(&line);
            written.push('\n');
        }
    });
    (written, reader)
}

impl Service {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, out_reader) = gather(child.stdout.take().unwrap());
        let (log, log_reader) = gather(child.stderr.take().unwrap());
        Self { child, out, log, readers: vec![out_reader, log_reader], client: Client::new() }
    }

    /// What it has written to standard output.
    pub fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn logged_address(&mut self, word: &str) -> String {
        until(&format!("'{word}' is logged"), || {
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            let mut messages = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
            let address = messages.find_map(|line| {
                let rest = line["message"].as_str()?.strip_prefix(word)?;
                Some(rest.split(',').next()?.to_owned())
            });
            assert!(address.is_some() || ended.is_none(), "it ended ({ended:?}):\n{log}");
            address
        })
    }

    /// The address at which it answers, ready or not.
    fn address(&mut self) -> String {
        self.logged_address("starting on ")
    }

    /// Waits until it is ready.
    pub fn ready(mut self) -> Self {
        self.logged_address("serving on ");
        self
    }

    /// The token of the one who has signed in.
    pub fn token(&self) -> String {
        self.client.token.clone().expect("nobody has signed in")
    }

    /// Sends requests to it from elsewhere, as the one who has signed in.
    pub fn client(&mut self) -> Client {
        if self.client.address.is_empty() {
            self.client.address = self.address();
        }
        self.client.clone()
    }

    pub fn send(&mut self, method: &str, path: &str, body: &Json) -> Answer {
        self.client().send(method, path, body)
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &Json::Null)
    }

    /// Signs the administrator in.
    #[track_caller]
    pub fn sign_in(&mut self, password: &str) {
        let answer = self.send("POST", "/v1/auth/token", &json!({"username": "admin", "password": password})).with(200);
        self.client.token = Some(answer.json["access_token"].as_str().unwrap().to_owned());
    }

    /// The password that it has made up and printed.
    pub fn printed_password(&self) -> Option<String> {
        self.out().lines().find_map(|line| line.strip_prefix("One-time password: ").map(str::to_owned))
    }

    fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status = until("the process has ended", || child.try_wait().unwrap());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }

    /// Its address, and the token of the one who has signed in.
    pub fn access(&mut self) -> (String, String) {
        let client = self.client();
        (client.address, client.token.unwrap_or_default())
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it as an operator does, and gives its exit code and how long it took.
    pub fn stop(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        self.terminate();
        (self.ended().code(), begun.elapsed())
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
