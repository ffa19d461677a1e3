//! The private database of `baremo serve`: it keeps its data, survives kills of either side, and goes when told to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use baremo::db::local::{LocalServer, LocalServerError};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Set in the process that plays the Baremo that is killed.
const OWNER_OF: &str = "BAREMO_TEST_OWNER_OF";

/// A folder for one server, with every folder above it open to the server's account.
struct Place {
    _top: tempfile::TempDir,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::named("pack")
    }

    fn named(name: &str) -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = top.path().canonicalize().unwrap().join(name);
        Self { _top: top, folder }
    }

    fn pid(&self) -> i32 {
        fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap()
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    number: i32,
}

fn connect(server: &LocalServer, database: &str) -> MysqlConnection {
    MysqlConnection::establish(&server.url(database)).unwrap()
}

fn write_seven(server: &LocalServer) {
    let statements = [
        "CREATE DATABASE kept",
        "CREATE TABLE kept.numbers (number INT PRIMARY KEY)",
        "INSERT INTO kept.numbers VALUES (7)",
    ];
    let mut conn = connect(server, "");
    statements.iter().for_each(|statement| conn.batch_execute(statement).unwrap());
}

fn numbers(server: &LocalServer) -> Vec<i32> {
    let rows = diesel::sql_query("SELECT number FROM numbers").load::<Number>(&mut connect(server, "kept")).unwrap();
    rows.into_iter().map(|row| row.number).collect()
}

fn runs(pid: i32) -> bool {
    // A process that has ended but whose parent hasn't asked for it has no arguments any more.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| !arguments.is_empty())
}

#[test]
fn data_outlives_a_stop_and_no_process_does() {
    let place = Place::new();
    let server = LocalServer::start(&place.folder).unwrap();
    let pid = place.pid();
    assert!(runs(pid));
    write_seven(&server);
    server.stop().unwrap();
    assert!(!runs(pid));

    let again = LocalServer::start(&place.folder).unwrap();
    assert_eq!(numbers(&again), [7]);
    let pid = place.pid();
    drop(again);
    assert!(!runs(pid), "dropping the value leaves the server running");
}

#[test]
fn a_server_that_was_killed_recovers_at_the_next_start() {
    let place = Place::new();
    let server = LocalServer::start(&place.folder).unwrap();
    write_seven(&server);
    kill(Pid::from_raw(place.pid()), Signal::SIGKILL).unwrap();
    server.stop().unwrap();
    assert!(place.folder.join("pid").exists() && place.folder.join("sock").exists(), "the kill left nothing stale");

    let again = LocalServer::start(&place.folder).unwrap();
    assert_eq!(numbers(&again), [7]);
    again.stop().unwrap();
}

#[test]
fn the_server_of_a_killed_owner_is_taken_over() {
    if let Some(folder) = std::env::var_os(OWNER_OF) {
        // Here this test is the owner: it starts the server, says so, and waits for its end.
        let _server = LocalServer::start(Path::new(&folder)).unwrap();
        writeln!(std::io::stdout(), "\nstarted").unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let place = Place::new();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local_server::the_server_of_a_killed_owner_is_taken_over", "--nocapture"])
        .env(OWNER_OF, &place.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said =
        BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok).find(|line| line == "started");
    assert!(said.is_some(), "the owner ended before its server had started");

    let second = LocalServer::start(&place.folder).unwrap_err();
    assert!(matches!(second, LocalServerError::InUse { .. }), "{second}");
    assert!(second.to_string().contains(&format!("(process {})", owner.id())), "{second}");

    owner.kill().unwrap();
    owner.wait().unwrap();
    let pid = place.pid();
    assert!(runs(pid), "the server ended with its owner");
    let heir = LocalServer::start(&place.folder).unwrap();
    assert_eq!(place.pid(), pid, "a second server was started");
    write_seven(&heir);
    assert_eq!(numbers(&heir), [7]);
    heir.stop().unwrap();
    assert!(!runs(pid));
}

#[test]
fn a_setup_that_was_cut_off_is_done_anew() {
    let place = Place::new();
    fs::create_dir_all(place.folder.join("new-1/mysql")).unwrap();
    fs::write(place.folder.join("new-1/ibdata1"), "half").unwrap();
    let server = LocalServer::start(&place.folder).unwrap();
    write_seven(&server);
    assert_eq!(numbers(&server), [7]);
    assert!(!place.folder.join("new-1").exists());
    server.stop().unwrap();
}

#[test]
fn a_folder_too_deep_for_a_socket_has_it_elsewhere() {
    let place = Place::named(&format!("{}/pack", "deep".repeat(20)));
    let server = LocalServer::start(&place.folder).unwrap();
    assert!(!place.folder.join("sock").exists());
    write_seven(&server);
    assert_eq!(numbers(&server), [7]);
    server.stop().unwrap();
}

#[test]
fn odd_letters_of_a_path_reach_the_database() {
    let place = Place::named("b+c%d&é");
    let server = LocalServer::start(&place.folder).unwrap();
    assert!(place.folder.join("sock").exists());
    write_seven(&server);
    assert_eq!(numbers(&server), [7]);
    server.stop().unwrap();
}

#[test]
fn data_that_no_server_can_read_is_told_with_the_log() {
    let place = Place::new();
    fs::create_dir_all(place.folder.join("data")).unwrap();
    fs::write(place.folder.join("data/ibdata1"), "no database").unwrap();
    let error = LocalServer::start(&place.folder).unwrap_err().to_string();
    assert!(error.contains("it ended at once"), "{error}");
    assert!(error.contains("[ERROR] InnoDB"), "the log isn't told: {error}");
}
