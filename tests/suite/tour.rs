//! The tour of the README and the page for front-end builders, typed as printed: every command is run, and what comes back must be what the
//! page shows.

use std::path::Path;
use std::process::Command;

use crate::app::{PASSWORD, TestApp};
use crate::decisions::sample_app;

/// A line that no command prints: it parts what the commands print.
const MARK: &str = "-- next command --";

/// The commands of the page's console blocks, each with the output that the page shows.
fn tour(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside {
        } else if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else if let Some((_, output)) = commands.last_mut() {
            *output += line;
            output.push('\n');
        }
    }
    commands
}

/// Whether a text is what the page shows, `…` standing for anything.
fn shows(shown: &str, printed: &str) -> bool {
    let pattern: Vec<String> = shown.trim_end().split('…').map(regex::escape).collect();
    regex::Regex::new(&format!("(?s)^{}$", pattern.join(".*"))).unwrap().is_match(printed.trim_end())
}

/// Types the commands of a page, in a folder of their own, and compares what they print.
fn walk(app: &TestApp, page: &str) {
    let commands = tour(page);
    assert!(commands.len() > 15, "{} commands", commands.len());
    let mut script = String::new();
    for (command, _) in &commands {
        let command =
            command.replace("http://127.0.0.1:8080", &app.address).replace("the password that was printed", PASSWORD);
        script += &format!("{command}\necho '{MARK}'\n");
    }
    let folder = tempfile::tempdir().unwrap();
    // A command that waits for what never comes ends the walk.
    let mut bash = Command::new("timeout");
    let printed = bash.args(["60", "bash", "-c", &script]).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let mark = format!("{MARK}\n");
    let mut outputs = printed.split(&mark);
    for (command, shown) in &commands {
        let printed = outputs.next().unwrap_or_default();
        assert!(shows(shown, printed), "$ {command}\nthe page shows:\n{shown}\nbut it prints:\n{printed}");
    }
    assert_eq!(outputs.count(), 1, "every command was run");
}

fn page(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What `make run` starts.
fn closed_sample() -> TestApp {
    let app = sample_app();
    let closing = app.post("/v1/closings", &serde_json::Value::Null).with(202).json;
    app.run_ended(closing["id"].as_str().unwrap());
    app
}

#[test]
fn the_tour_gives_what_it_says() {
    walk(&closed_sample(), &page("README.md"));
}

#[test]
fn the_page_for_front_ends_gives_what_it_says_and_is_served() {
    let app = closed_sample();
    walk(&app, &page("docs/front-ends.md"));
    let served = app.send_raw("GET", "/docs/front-ends", &[], "").with(200);
    assert_eq!(served.header("Content-Type"), "text/html; charset=utf-8");
    assert!(served.text.contains("<h1>For front-end builders</h1>"), "{}", served.text);
    let loaded = regex::Regex::new(r#"<(script|link|img|iframe)|(src|href)="https?:"#).unwrap();
    assert!(!loaded.is_match(&served.text), "it needs a network");
    let docs = app.send_raw("GET", "/docs/", &[], "").with(200);
    assert!(docs.text.contains("swagger-ui"));
    assert_eq!(docs.header("Cache-Control"), "public, max-age=3600");
    let settings = app.send_raw("GET", "/docs/swagger-initializer.js", &[], "").with(200);
    assert!(settings.text.contains(r#""validatorUrl": "none""#), "{}", settings.text);
}

#[test]
fn what_the_page_shows_is_compared_to_the_letter() {
    assert!(shows("a … c\n", "a b c\n"));
    assert!(!shows("a … c\n", "a b d\n"));
    assert!(!shows("a\n", "a b\n"));
}
