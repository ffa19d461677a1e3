//! Checks of a script before it ever runs: what it reads, which outcomes, reasons and entitlements it gives, and every name,
//! type or table in it that can't be right. The walk follows the customer into the functions that are given him, so that
//! what a policy reads is known without running it.

mod calls;
mod chains;
mod completeness;
mod expressions;
mod natives;
mod room;
mod statements;
mod tables;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{ASTFlags, Position, Stmt};
use types::{Place, Type};

use super::diagnostic::Diagnostic;
use super::pack::{Pack, PolicyDeclaration};
use super::sandbox::MAX_CALL_LEVELS;

/// Names and numbers of parameters of the functions that the host offers.
pub(super) type Natives = BTreeMap<String, BTreeSet<usize>>;

/// Walks of functions after which their parameters count as unknown, against scripts made to keep the checks busy.
const MAX_WALKS: usize = 500;
/// Faults of one script that are listed.
const MAX_FAULTS: usize = 200;

/// A function of a policy or a library.
pub(super) struct Function {
    /// Names of its parameters.
    pub(super) params: Vec<String>,
    /// Its statements.
    pub(super) body: Rc<Vec<Stmt>>,
    /// The file in which it stands.
    pub(super) file: Rc<str>,
    /// Where its body begins.
    pub(super) position: Position,
}

/// One policy's script with all that its checks have to know.
pub(super) struct Script<'a> {
    pub(super) pack: &'a Pack,
    pub(super) declaration: &'a PolicyDeclaration,
    pub(super) natives: &'a Natives,
    /// The policy's own path.
    pub(super) file: Rc<str>,
    /// Texts of files by path.
    pub(super) files: &'a BTreeMap<Rc<str>, Rc<str>>,
    /// Statements at the top of the script.
    pub(super) top: &'a [Stmt],
    /// The hashes under which `switch` finds texts; the texts of its cases themselves are not kept.
    pub(super) case_hashes: &'a dyn Fn(&BTreeSet<String>) -> BTreeSet<u64>,
    /// Functions of the script and of all libraries.
    pub(super) functions: &'a BTreeMap<String, Function>,
}

/// What a script reads and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptFacts {
    /// The text of its `//!` lines.
    pub doc: String,
    /// Fields that it reads; the grouping fields of its cohorts included.
    pub fields: BTreeSet<String>,
    /// Metrics that it reads.
    pub metrics: BTreeSet<String>,
    /// Policies whose outcomes it reads.
    pub outcomes: BTreeSet<String>,
    /// Cohorts that it reads.
    pub cohorts: BTreeSet<String>,
    /// Whether it reads the as-of date, so that time alone can change what it decides.
    pub as_of: bool,
    /// Codes of the reasons that it gives with `because`, each with the values that every place gives with it.
    pub reasons: BTreeMap<String, BTreeSet<String>>,
    /// Whether bands decide, which give the reason `band`.
    pub bands: bool,
    /// Whether it makes scores, which can give the reason `weight_spread`.
    pub weights: bool,
    /// Entitlements that it gives.
    pub entitlements: BTreeSet<String>,
}

/// What the checks found.
pub(super) struct Findings {
    pub(super) facts: ScriptFacts,
    /// Functions of libraries and of the script that its constants and `decide` reach.
    pub(super) reached: BTreeSet<String>,
    /// Whether the constants can be run.
    pub(super) constants_sound: bool,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What is right as it stands, but seldom meant.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Checks one policy's script.
pub(super) fn analyse(script: &Script<'_>) -> Findings {
    let mut walk = Walk {
        script,
        facts: ScriptFacts { doc: doc(script.files.get(&script.file).map_or("", |text| text)), ..Default::default() },
        constants: BTreeMap::new(),
        reached: BTreeSet::new(),
        walks: BTreeMap::new(),
        asked: BTreeMap::new(),
        tables: BTreeMap::new(),
        diagnostics: Vec::new(),
        warnings: Vec::new(),
        depth: 0,
    };
    walk.constants();
    let constants_sound = walk.diagnostics.is_empty();
    walk.decide();
    walk.room();
    walk.unreached();
    walk.never_asked();
    walk.judge_tables();
    let groups = walk.facts.cohorts.iter().filter_map(|id| script.pack.cohorts.get(id)).flat_map(|c| c.group.clone());
    let groups: Vec<String> = groups.collect();
    walk.facts.fields.extend(groups);
    let Walk { facts, reached, diagnostics, warnings, .. } = walk;
    Findings { facts, reached, constants_sound, diagnostics, warnings }
}

/// The text of the lines that begin with `//!`.
fn doc(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim).collect();
    lines.join("\n")
}

/// Names with their noun: at most twelve of them.
pub(super) fn listed(noun: &str, names: &[&str]) -> String {
    let shown = names.get(..12).unwrap_or(names).join(", ");
    let more = names.len().saturating_sub(12);
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{noun}{} {shown}{and}", if names.len() == 1 { "" } else { "s" })
}

struct Walk<'a> {
    script: &'a Script<'a>,
    facts: ScriptFacts,
    constants: BTreeMap<String, Type>,
    reached: BTreeSet<String>,
    /// Results of functions by name and types of what they were given.
    walks: BTreeMap<String, Type>,
    asked: tables::AllAsked,
    tables: BTreeMap<Place, completeness::Asked>,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Functions within functions that are walked at the moment.
    depth: usize,
}

/// The variables of the function that is walked.
struct Frame {
    file: Rc<str>,
    variables: Vec<(String, Type)>,
    /// Variables that are assigned anew somewhere in the function, so that what they first held tells nothing.
    reassigned: BTreeSet<String>,
    /// Whether it sees the policy's constants.
    sees_constants: bool,
    returned: Option<Type>,
}

impl Frame {
    fn new(file: &Rc<str>, sees_constants: bool) -> Self {
        let file = Rc::clone(file);
        Self { file, variables: Vec::new(), reassigned: BTreeSet::new(), sees_constants, returned: None }
    }

    fn declare(&mut self, name: &str, declared: Type) {
        let known = if self.reassigned.contains(name) && !declared.is_guarded() { Type::Unknown } else { declared };
        self.variables.push((name.to_owned(), known));
    }

    fn find(&self, name: &str) -> Option<&Type> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, found)| found)
    }
}

impl Walk<'_> {
    /// Notes a fault at a position of a file, each fault of a place once.
    fn report(&mut self, file: &Rc<str>, position: Position, code: &'static str, message: impl Into<String>) {
        if self.diagnostics.len() >= MAX_FAULTS {
            return;
        }
        let diagnostic = self.at(&Place::at(file, position), code, message);
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Notes what is right as it stands, but seldom meant, each of a place once.
    fn warn(&mut self, place: &Place, code: &'static str, message: impl Into<String>) {
        let warning = self.at(place, code, message).as_warning();
        if self.warnings.len() < MAX_FAULTS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn at(&self, place: &Place, code: &'static str, message: impl Into<String>) -> Diagnostic {
        let text = self.script.files.get(&place.file).map_or("", |text| text);
        Diagnostic::at(&place.file, text, place.line, place.column.max(1), code, message)
    }

    /// The constants at the top of the script, each of which sees those before it.
    fn constants(&mut self) {
        let mut frame = Frame::new(&self.script.file, true);
        for statement in self.script.top {
            match statement {
                Stmt::Var(variable, flags, position) if flags.contains(ASTFlags::CONSTANT) => {
                    let (name, expression, _) = &**variable;
                    let known = self.value(&mut frame, expression);
                    if self.constants.insert(name.name.to_string(), known).is_some() {
                        let message = format!("the constant '{}' is defined twice", name.name);
                        self.report(&frame.file, *position, "defined_twice", message);
                    }
                }
                Stmt::Noop(_) => {}
                other => {
                    let message = "only constants stand at the top of a policy: const NAME = …;";
                    self.report(&frame.file, other.position(), "not_a_constant", message);
                }
            }
        }
    }

    /// `decide` and everything that it calls.
    fn decide(&mut self) {
        let functions = self.script.functions;
        let Some(decide) = functions.get("decide").filter(|decide| decide.file == self.script.file) else {
            let message = "a policy has a function decide(customer, context)";
            self.diagnostics.push(Diagnostic::of_file(&self.script.file, "no_decide", message));
            return;
        };
        if decide.params.len() != 2 {
            let message =
                format!("decide has two parameters, the customer and the context, not {}", decide.params.len());
            self.report(&decide.file, decide.position, "decide_parameters", message);
            return;
        }
        let result = self.function("decide", decide, vec![Type::Customer, Type::Context]);
        if !matches!(result, Type::Unknown | Type::Decision(_)) {
            let message =
                format!("decide gives a decision, but this gives {}", result.name().unwrap_or("something else"));
            self.report(&decide.file, decide.position, "not_a_decision", message);
        }
        if let Type::Decision(Some(given)) = result {
            let declared = self.script.declaration.outcomes.iter();
            let never: Vec<&str> = declared.map(String::as_str).filter(|outcome| !given.contains(*outcome)).collect();
            if !never.is_empty() {
                let place = Place::at(&decide.file, decide.position);
                self.warn(
                    &place,
                    "outcome_never_given",
                    format!("decide never gives the declared {}", listed("outcome", &never)),
                );
            }
        }
    }

    /// Functions of the policy itself that nothing calls are checked too, since they are meant for something.
    fn unreached(&mut self) {
        for (name, function) in self.script.functions {
            if function.file == self.script.file && !self.reached.contains(name) {
                self.function(name, function, vec![Type::Unknown; function.params.len()]);
            }
        }
    }

    /// What a function gives for parameters of these types.
    fn function(&mut self, name: &str, function: &Function, mut given: Vec<Type>) -> Type {
        self.reached.insert(name.to_owned());
        if self.walks.len() > MAX_WALKS {
            given.iter_mut().filter(|given| !given.is_guarded()).for_each(|given| *given = Type::Unknown);
        }
        if self.depth >= MAX_CALL_LEVELS {
            let message = format!("functions call each other more than {MAX_CALL_LEVELS} deep");
            self.report(&function.file, function.position, "too_deep", message);
            return Type::Unknown;
        }
        let key = format!("{name}{given:?}");
        if let Some(result) = self.walks.get(&key) {
            return result.clone();
        }
        self.walks.insert(key.clone(), Type::Unknown);
        let sees_constants = name == "decide" && function.file == self.script.file;
        let mut frame = Frame::new(&function.file, sees_constants);
        statements::gather_assigned(&function.body, &mut frame.reassigned);
        for (param, given) in function.params.iter().zip(given) {
            frame.declare(param, given);
        }
        self.depth += 1;
        let last = self.block(&mut frame, &function.body);
        self.depth -= 1;
        let result = frame.returned.as_ref().map_or(last.clone(), |returned| returned.or(&last));
        self.walks.insert(key, result.clone());
        result
    }
}
