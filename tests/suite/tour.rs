//! The README's tour, typed as printed: every command is run, and what comes back must be what the page shows.

use std::path::Path;
use std::process::Command;

use crate::app::PASSWORD;
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

#[test]
fn the_tour_gives_what_it_says() {
    let app = sample_app();
    let closing = app.post("/v1/closings", &serde_json::Value::Null).with(202).json;
    app.run_ended(closing["id"].as_str().unwrap());
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = tour(&page);
    assert!(commands.len() > 15, "{} commands", commands.len());
    let mut script = String::new();
    for (command, _) in &commands {
        let command =
            command.replace("http://127.0.0.1:8080", &app.address).replace("the password that was printed", PASSWORD);
        script += &format!("{command}\necho '{MARK}'\n");
    }
    let printed = Command::new("bash").arg("-c").arg(&script).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let outputs: Vec<&str> = printed.split(&format!("{MARK}\n")).collect();
    for ((command, shown), printed) in commands.iter().zip(outputs) {
        assert!(shows(shown, printed), "$ {command}\nthe page shows:\n{shown}\nbut it prints:\n{printed}");
    }
}

#[test]
fn what_the_page_shows_is_compared_to_the_letter() {
    assert!(shows("a … c\n", "a b c\n"));
    assert!(!shows("a … c\n", "a b d\n"));
    assert!(!shows("a\n", "a b\n"));
}
