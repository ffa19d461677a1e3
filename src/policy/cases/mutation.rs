//! Whether cases notice a change of a rule: each number, comparison, condition of a table and outcome of a script is nudged in turn, and a
//! change that every case lets pass stands unguarded.

use rhai::Token;
use rust_decimal::Decimal;

use super::super::diagnostic::Diagnostic;
use super::super::engine::{CompiledPolicies, compile};
use super::super::release::LoadedPack;
use super::super::sandbox;
use super::super::source::Source;
use super::{Case, Search, reading, running};

/// What became of the changes.
#[derive(Debug, Default)]
pub struct Mutations {
    /// How many were tried.
    pub tried: usize,
    /// Those that no case notices, as warnings.
    pub unnoticed: Vec<Diagnostic>,
    /// Whether time ran out before all were tried.
    pub cut_off: bool,
}

/// Changes the scripts of a pack in turn and runs the cases of the policies that they belong to and that are looked at; scripts without
/// cases are left out. Needs a stack of 16 MiB.
///
/// # Errors
/// Every fault in the form of the cases: then nothing is tried.
pub fn mutate(loaded: &LoadedPack, source: &Source, search: Search<'_>) -> Result<Mutations, Vec<Diagnostic>> {
    let files = reading::read(loaded, source)?;
    let mut found = Mutations::default();
    let path = |id: &str| loaded.pack.policies.get(id).map(|declared| declared.script_path(id)).unwrap_or_default();
    let scripts = source.scripts().into_iter().map(|(id, text)| (path(&id), text));
    let libraries = source.libs().into_iter().map(|(stem, text)| (format!("lib/{stem}.rhai"), text));
    for (file, text) in scripts.chain(libraries) {
        let uses = |policy: &str| path(policy) == file || loaded.policies.libraries(policy).contains(file.as_str());
        let cases: Vec<(&str, &[Case])> = files
            .iter()
            .filter(|(policy, cases)| !cases.is_empty() && search.concerns(policy) && uses(policy))
            .map(|(policy, cases)| (policy.as_str(), cases.as_slice()))
            .collect();
        if cases.is_empty() {
            continue;
        }
        let policies = cases.iter().filter_map(|(policy, _)| loaded.pack.policies.get(*policy));
        let outcomes: Vec<&str> = policies.flat_map(|declared| &declared.outcomes).map(String::as_str).collect();
        for change in changes(&text, &outcomes) {
            if search.is_over() {
                found.cut_off = true;
                return Ok(found);
            }
            found.tried += 1;
            if !is_noticed(loaded, source, (&file, change.applied(&text)), &cases) {
                let message = format!("no case notices it when {} becomes {}", change.from, change.to);
                let warning = Diagnostic::at(&file, &text, change.line, change.column, "unguarded", message);
                found.unnoticed.push(warning.as_warning());
            }
        }
    }
    Ok(found)
}

/// Whether the checks refuse a pack with this file, or a case comes out otherwise.
fn is_noticed(loaded: &LoadedPack, source: &Source, changed: (&str, String), cases: &[(&str, &[Case])]) -> bool {
    let Some(policies) = compiled(loaded, source, changed) else { return true };
    let differs = |policy: &str, case: &Case| !running::differences(&policies, policy, case).is_empty();
    cases.iter().any(|(policy, cases)| cases.iter().any(|case| differs(policy, case)))
}

/// The policies of a pack with another text in one file, unless the checks refuse it.
pub(super) fn compiled(loaded: &LoadedPack, source: &Source, (file, text): (&str, String)) -> Option<CompiledPolicies> {
    let (mut scripts, mut libraries) = (source.scripts(), source.libs());
    for (id, declared) in &loaded.pack.policies {
        if let Some(script) = scripts.get_mut(id).filter(|_| declared.script_path(id) == file) {
            script.clone_from(&text);
        }
    }
    for (stem, library) in &mut libraries {
        if format!("lib/{stem}.rhai") == file {
            library.clone_from(&text);
        }
    }
    compile(&loaded.pack, &scripts, &libraries).ok()
}

/// One change of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Line and column of what is changed, from 1.
    line: usize,
    column: usize,
    /// Where it begins, in bytes.
    at: usize,
    pub(super) from: String,
    to: String,
}

impl Change {
    pub(super) fn applied(&self, text: &str) -> String {
        let (before, rest) = text.split_at_checked(self.at).unwrap_or((text, ""));
        format!("{before}{}{}", self.to, rest.strip_prefix(self.from.as_str()).unwrap_or(rest))
    }
}

/// All changes of a script whose policies have these outcomes.
pub(super) fn changes(text: &str, outcomes: &[&str]) -> Vec<Change> {
    let engine = sandbox::engine();
    let texts = [text];
    let (tokens, _) = engine.lex(&texts);
    let mut changes = Vec::new();
    for (token, position) in tokens.take_while(|(token, _)| !matches!(token, Token::EOF | Token::LexError(_))) {
        let (Some(line), Some(column)) = (position.line(), position.position()) else { continue };
        let Some(at) = offset(text, line, column) else { continue };
        let rest = text.get(at..).unwrap_or_default();
        let (from, all) = match &token {
            Token::DecimalConstant(_) => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(rest.len());
                // A range ends the number before its dots.
                let from = rest.get(..end).unwrap_or_default().split("..").next().unwrap_or_default();
                (from.to_owned(), nudged(from))
            }
            Token::StringConstant(_) => {
                let Some(inner) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
                let others = condition(inner).into_iter().chain(other_outcome(inner, outcomes));
                (format!("\"{inner}\""), others.map(|other| format!("\"{other}\"")).collect())
            }
            token => match swapped(token) {
                Some((from, to)) => (from.to_owned(), vec![to.to_owned()]),
                None => continue,
            },
        };
        changes.extend(all.into_iter().map(|to| Change { line, column, at, from: from.clone(), to }));
    }
    changes
}

/// Where a line and column, from 1, begin in a text, in bytes.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let (place, _) = text.get(before..)?.char_indices().nth(column.checked_sub(1)?)?;
    Some(before + place)
}

/// A number one step of its last place higher and lower.
fn nudged(number: &str) -> Vec<String> {
    let Ok(value) = number.replace('_', "").parse::<Decimal>() else { return Vec::new() };
    let step = Decimal::new(1, value.scale());
    [value.checked_add(step), value.checked_sub(step).filter(|lower| !lower.is_sign_negative())]
        .into_iter()
        .flatten()
        .map(|nudged| nudged.to_string())
        .collect()
}

/// Conditions of a table that are near another one.
fn condition(text: &str) -> Vec<String> {
    let trimmed = text.trim();
    for (sign, other) in [("<=", "<"), (">=", ">"), ("<", "<="), (">", ">=")] {
        if let Some(number) = trimmed.strip_prefix(sign) {
            let nudged = nudged(number.trim()).into_iter().map(|number| format!("{sign} {number}"));
            return nudged.chain([format!("{other}{number}")]).collect();
        }
    }
    let Some((from, below)) = trimmed.split_once("..") else { return Vec::new() };
    let beginnings = nudged(from.trim()).into_iter().map(|from| format!("{from}..{below}"));
    beginnings.chain(nudged(below.trim()).into_iter().map(|below| format!("{from}..{below}"))).collect()
}

/// The outcome beside one, where a text is one.
fn other_outcome(text: &str, outcomes: &[&str]) -> Option<String> {
    let place = outcomes.iter().position(|outcome| *outcome == text)?;
    let beside = outcomes.get(place + 1).or_else(|| outcomes.get(place.checked_sub(1)?))?;
    Some((*beside).to_owned())
}

/// What stands for a comparison, and for one near it.
fn swapped(token: &Token) -> Option<(&'static str, &'static str)> {
    Some(match token {
        Token::LessThan => ("<", "<="),
        Token::LessThanEqualsTo => ("<=", "<"),
        Token::GreaterThan => (">", ">="),
        Token::GreaterThanEqualsTo => (">=", ">"),
        Token::EqualsTo => ("==", "!="),
        Token::NotEqualsTo => ("!=", "=="),
        Token::And => ("&&", "||"),
        Token::Or => ("||", "&&"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_comparisons_conditions_and_outcomes_are_changed_where_they_stand() {
        let text = "// 7\nconst B = bands([[0.5, \"1\"]], \"2\");\nfn f(x) { x >= 20 && \"<= 3\" }\n";
        let told: Vec<String> = changes(text, &["1", "2"])
            .iter()
            .map(|one| format!("{}:{} {}→{}", one.line, one.column, one.from, one.to))
            .collect();
        let wanted = [
            "2:19 0.5→0.6",
            "2:19 0.5→0.4",
            "2:24 \"1\"→\"2\"",
            "2:31 \"2\"→\"1\"",
            "3:13 >=→>",
            "3:16 20→21",
            "3:16 20→19",
            "3:19 &&→||",
            "3:22 \"<= 3\"→\"<= 4\"",
            "3:22 \"<= 3\"→\"<= 2\"",
            "3:22 \"<= 3\"→\"< 3\"",
        ];
        assert_eq!(told, wanted);
        let change = changes(text, &[]).into_iter().find(|one| one.to == "21").unwrap();
        assert_eq!(change.applied(text), text.replace("20", "21"));
    }

    #[test]
    fn a_range_is_changed_at_both_ends() {
        assert_eq!(condition("1..10"), ["2..10", "0..10", "1..11", "1..9"]);
        assert_eq!(condition("grocery"), Vec::<String>::new());
        assert_eq!(nudged("0"), ["1"], "signs stand outside");
    }
}
