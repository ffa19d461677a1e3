//! Packs that mean harm, one a file in `tests/hostile`: each is refused when it is loaded or stopped within its limits, the
//! process lives and stays small, and others are answered meanwhile.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::attacks::{Attack, MANIFEST, POLICY, TEXTS, attacks, texts_of};
use crate::base::Base;
use crate::process::{Client, Place, binary, until};

/// Most memory that a hostile pack may make a process grow by, in KiB.
const GROWTH: u64 = 64 << 10;
/// Longest time that a hostile pack may take to be refused, and a hostile evaluation to be stopped, where the machine has much else to do.
const LONGEST: Duration = Duration::from_secs(60);

const BEGIN: &str = "fn decide(customer, context) {";

/// How checking a pack went: what was told, and the most memory that it took, in KiB.
fn check(pack: &Path) -> (Option<i32>, String, u64) {
    let told = tempfile::tempfile().unwrap();
    let mut child = Command::new(binary())
        .args(["rules", "check", pack.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(told.try_clone().unwrap())
        .stderr(told.try_clone().unwrap())
        .spawn()
        .unwrap();
    let (mut most, begun) = (0, Instant::now());
    let status = until("the check ends", || {
        most = memory(child.id(), "VmHWM").unwrap_or(most);
        if begun.elapsed() > LONGEST {
            child.kill().unwrap();
        }
        child.try_wait().unwrap()
    });
    let mut text = String::new();
    std::io::Seek::rewind(&mut &told).unwrap();
    std::io::Read::read_to_string(&mut &told, &mut text).unwrap();
    (status.code(), text, most)
}

/// What the system says of a process' memory, in KiB; nothing when the process has ended.
fn memory(process: impl Display, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(what))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn write(pack: &Path, files: &BTreeMap<String, String>) {
    for (path, text) in files {
        let at = pack.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
}

/// The memory that checking a sound pack takes, in KiB.
fn usual(folder: &Path) -> u64 {
    let sound =
        Attack { name: String::new(), refused: true, expected: String::new(), text: String::new(), is_pack: true };
    let pack = folder.join("sound");
    write(&pack, &sound.pack());
    let (code, told, most) = check(&pack);
    assert_eq!(code, Some(0), "{told}");
    most
}

#[test]
fn hostile_packs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let usual = usual(folder.path());
    let attacks: Vec<Attack> = attacks().into_iter().filter(|attack| attack.refused).collect();
    assert!(attacks.len() >= 60);
    for attack in attacks {
        let pack = folder.path().join(&attack.name);
        write(&pack, &attack.pack());
        let (code, told, most) = check(&pack);
        let shown: String = told.chars().take(1000).collect();
        assert_eq!(code, Some(1), "{}: {shown}", attack.name);
        assert!(told.contains(&format!("error[{}]", attack.expected)), "{}: {shown}", attack.name);
        assert!(told.len() < 300_000, "{}: {} bytes are told", attack.name, told.len());
        assert!(most < usual + GROWTH, "{}: {most} KiB", attack.name);
        fs::remove_dir_all(&pack).unwrap();
    }
}

/// Makes something in the folder of a sound pack.
type Making = fn(&Path);

/// What can lie in a folder that is no plain file of a pack, and the code with which it is refused; nothing where it is no part of the pack.
const FOLDERS: [(&str, Option<&str>, Making); 13] = [
    ("a pipe", None, |pack| mkfifo(&pack.join("policies/x.rhai"), Mode::S_IRWXU).unwrap()),
    ("a pipe for a manifest", Some("missing"), |pack| {
        fs::remove_file(pack.join("pack.toml")).unwrap();
        mkfifo(&pack.join("pack.toml"), Mode::S_IRWXU).unwrap();
    }),
    ("a pipe for a folder", None, |pack| mkfifo(&pack.join("lib"), Mode::S_IRWXU).unwrap()),
    ("a link to a device", Some("link"), |pack| symlink("/dev/zero", pack.join("policies/x.rhai")).unwrap()),
    ("a link to a file elsewhere", Some("link"), |pack| symlink("/etc/passwd", pack.join("policies/x.rhai")).unwrap()),
    ("a link to a folder elsewhere", Some("link"), |pack| symlink("/etc", pack.join("lib")).unwrap()),
    ("a link upwards", Some("link"), |pack| symlink("..", pack.join("lib")).unwrap()),
    ("a link to itself", Some("unreadable"), |pack| symlink("x.rhai", pack.join("policies/x.rhai")).unwrap()),
    ("a folder for a file", None, |pack| fs::create_dir(pack.join("policies/x.rhai")).unwrap()),
    ("no UTF-8", Some("encoding"), |pack| fs::write(pack.join("policies/grade.rhai"), b"//! \xe9t\xe9").unwrap()),
    ("a file of a terabyte", Some("too_large"), |pack| {
        fs::File::create(pack.join("policies/x.rhai")).unwrap().set_len(1 << 40).unwrap();
    }),
    ("too many files", Some("too_many_files"), |pack| {
        fs::create_dir(pack.join("lib")).unwrap();
        (0..5000).for_each(|number| fs::write(pack.join(format!("lib/a{number}.rhai")), "").unwrap());
    }),
    ("too much in all files", Some("too_large"), |pack| {
        fs::create_dir(pack.join("lib")).unwrap();
        let text = format!("//{}", "x".repeat(200_000));
        (0..100).for_each(|number| fs::write(pack.join(format!("lib/a{number}.rhai")), &text).unwrap());
    }),
];

#[test]
fn hostile_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let usual = usual(folder.path());
    let sound =
        Attack { name: String::new(), refused: true, expected: String::new(), text: String::new(), is_pack: true };
    for (name, expected, make) in FOLDERS {
        let pack = folder.path().join("pack");
        write(&pack, &sound.pack());
        make(&pack);
        let (code, told, most) = check(&pack);
        assert_eq!(code, Some(i32::from(expected.is_some())), "{name}: {told}");
        let expected = expected.map(|code| format!("error[{code}]")).unwrap_or_default();
        assert!(told.contains(&expected), "{name}: {told}");
        assert!(most < usual + GROWTH, "{name}: {most} KiB");
        fs::remove_dir_all(&pack).unwrap();
    }
}

/// One pack of all scripts that are stopped when they run, each a policy that does harm to the customer who has its name.
fn armed(attacks: &[Attack]) -> Vec<(String, String)> {
    let (mut manifest, mut texts) = (MANIFEST.to_owned(), TEXTS.to_owned());
    let mut files = Vec::new();
    for attack in attacks {
        let name = &attack.name;
        manifest += &format!("[policies.{name}]{POLICY}");
        texts += &texts_of(name, &attack.text);
        let armed = format!("{BEGIN} if customer.attack != \"{name}\" {{ return decision(\"1\"); }}");
        assert!(attack.text.contains(BEGIN), "{name}");
        files.push((format!("policies/{name}.rhai"), attack.text.replace(BEGIN, &armed)));
    }
    files.extend([("pack.toml".to_owned(), manifest), ("texts/en.toml".to_owned(), texts)]);
    files
}

/// Evaluates a customer whom one policy means harm to; gives what is said of that policy.
fn evaluate(client: &Client, attack: &str) -> Option<String> {
    let body = json!({"document": {"profile": {"basic": {"attack": attack}}}});
    let answer = client.send("POST", "/v1/evaluations", &body);
    if answer.status == 503 {
        return None;
    }
    let answer = answer.with(200);
    let decisions = answer.json["decisions"].as_array().unwrap();
    let policy = decisions.iter().find(|policy| policy["policy"] == attack).unwrap();
    Some(policy["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn hostile_scripts_are_stopped_and_others_answered_meanwhile() {
    let attacks: Vec<Attack> = attacks().into_iter().filter(|attack| !attack.refused).collect();
    assert!(attacks.len() >= 40);
    let (place, base) = (Place::new(), Base::new());
    let files = armed(&attacks);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (pack, url) = (place.pack("trial", &files), base.url());
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let client = service.client();
    let harmless = json!({"document": {"profile": {"basic": {"attack": "nobody"}}}});
    client.send("POST", "/v1/evaluations", &harmless).with(200);
    let before = memory(service.pid(), "VmRSS").unwrap();
    for attack in &attacks {
        let begun = Instant::now();
        let said = evaluate(&client, &attack.name).unwrap();
        // On a machine that has much else to do the clock stops a script before anything else does.
        assert!(said.contains(&attack.expected) || said.contains("stopped after"), "{}: {said}", attack.name);
        assert!(said.chars().count() < 700, "{}: {} characters", attack.name, said.chars().count());
        assert!(begun.elapsed() < LONGEST, "{}", attack.name);
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let (client, attacks, ended) = (client.clone(), &attacks, &ended);
            scope.spawn(move || {
                for attack in attacks.iter().cycle().skip(worker * 3).take_while(|_| !ended.load(Ordering::Relaxed)) {
                    evaluate(&client, &attack.name);
                }
            });
        }
        let asked = catch_unwind(AssertUnwindSafe(|| others_are_answered(&client)));
        ended.store(true, Ordering::Relaxed);
        asked.unwrap_or_else(|panic| resume_unwind(panic));
    });
    let most = memory(service.pid(), "VmHWM").unwrap();
    assert!(most < before + GROWTH, "{most} KiB after {before} KiB");
    assert_eq!(service.stop().0, Some(0));
}

/// Asks for this and that, one after the other.
fn others_are_answered(client: &Client) {
    for number in 0..20 {
        let customer = json!({"code": format!("C{number}"), "name": "Ana", "profile": {"basic": {"attack": "no"}}});
        for (method, path, body, status) in [
            ("GET", "/readyz", Json::Null, 200),
            ("POST", "/v1/customers", customer, 201),
            ("GET", "/v1/customers", Json::Null, 200),
            ("GET", "/v1/pack", Json::Null, 200),
        ] {
            let begun = Instant::now();
            client.send(method, path, &body).with(status);
            assert!(begun.elapsed() < Duration::from_secs(2), "{path}: {:?}", begun.elapsed());
        }
    }
}
