//! Loading scripts: reading files into functions and constants, checking one policy with the libraries it uses, and building
//! what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rhai::{AST, ASTNode, Array, Dynamic, Engine, EvalAltResult, Map, Position, Scope, Stmt};

use super::analysis::{Function, Natives, Script, ScriptFacts, analyse};
use super::diagnostic::{Diagnostic, MOST_TOGETHER};
use super::pack::{Pack, PolicyDeclaration};
use super::runner::LEVELS_OF_DECIDE;
use super::sandbox::{CONSTANTS, MAX_CALL_LEVELS, MAX_CONSTANTS, MAX_SOURCE, within};
use super::{failure, host, sandbox, stability, subject};

/// One policy, ready to run.
pub(super) struct Loaded {
    /// Constants, built once.
    pub(super) scope: Scope<'static>,
    /// Whether no call can change a constant: decisions are the only values that functions change in place.
    pub(super) fixed: bool,
    /// The functions that `decide` reaches.
    pub(super) ast: AST,
    /// Line and column of `decide`, from 1.
    pub(super) decide: (usize, usize),
    /// What the script reads and gives.
    pub(super) facts: ScriptFacts,
    /// What is seldom meant.
    pub(super) warnings: Vec<Diagnostic>,
    /// Files of the functions that don't stand in the policy's own.
    pub(super) files: BTreeMap<String, String>,
}

/// Engines and host functions for the scripts of one pack.
pub(super) struct Loader<'a> {
    pack: &'a Pack,
    engine: &'a Engine,
    /// The same engine, except that names are not resolved: constants aren't known before they have run.
    lenient: Engine,
    natives: Natives,
    libraries: Vec<File>,
}

/// A script file that was read.
struct File {
    path: Rc<str>,
    text: Rc<str>,
    ast: AST,
    functions: BTreeMap<String, Function>,
}

/// The engine for the scripts of a pack.
pub(super) fn engine(plan: &subject::Plan) -> Engine {
    let mut engine = sandbox::engine();
    host::register(&mut engine);
    subject::register(&mut engine, plan);
    engine.set_max_call_levels(MAX_CALL_LEVELS + LEVELS_OF_DECIDE);
    engine
}

impl<'a> Loader<'a> {
    /// Reads the libraries; faults in them are added to `diagnostics`.
    pub(super) fn new(
        pack: &'a Pack,
        plan: &subject::Plan,
        engine: &'a Engine,
        libraries: &BTreeMap<String, String>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut lenient = self::engine(plan);
        lenient.set_strict_variables(false);
        lenient.set_max_call_levels(MAX_CALL_LEVELS);
        let natives = natives(engine);
        let mut loader = Self { pack, engine, lenient, natives, libraries: Vec::new() };
        for (stem, text) in libraries {
            if diagnostics.len() >= MOST_TOGETHER {
                break;
            }
            let path = format!("lib/{stem}.rhai");
            match loader.read(&path, text) {
                Ok((file, faults)) => {
                    diagnostics.extend(faults);
                    diagnostics.extend(loader.library_faults(&file));
                    loader.libraries.push(file);
                }
                Err(fault) => diagnostics.push(fault),
            }
        }
        loader
    }

    /// Parses a file and finds its functions. Faults of single functions don't hinder the checks of the rest.
    fn read(&self, path: &str, text: &str) -> Result<(File, Vec<Diagnostic>), Diagnostic> {
        if text.len() > MAX_SOURCE {
            let message = format!("{} bytes are more than the {MAX_SOURCE} that a script may have", text.len());
            return Err(Diagnostic::of_file(path, "too_large", message));
        }
        let parsed = catch_unwind(AssertUnwindSafe(|| self.lenient.compile(text)));
        let ast = match parsed {
            Ok(Ok(ast)) => ast,
            Ok(Err(error)) => return Err(syntax(path, text, &error)),
            Err(_) => return Err(Diagnostic::of_file(path, "syntax", "the script can't be read")),
        };
        let path: Rc<str> = Rc::from(path);
        let text: Rc<str> = Rc::from(text);
        let mut functions = BTreeMap::new();
        let mut faults = Vec::new();
        for found in ast.iter_functions() {
            let position = locate(&text, found.name);
            let fault = |code, message: String| {
                let (line, column) = (position.line().unwrap_or(1), position.position().unwrap_or(1));
                Diagnostic::at(&path, &text, line, column, code, message)
            };
            if self.natives.contains_key(found.name) {
                let message = format!("'{}' is a function of Baremo and can't be defined anew", found.name);
                faults.push(fault("redefined", message));
                continue;
            }
            let function = Function {
                params: found.params.iter().map(|param| (*param).to_owned()).collect(),
                body: Rc::new(body(&ast, found.name, found.params.len())),
                file: Rc::clone(&path),
                position,
            };
            if functions.insert(found.name.to_owned(), function).is_some() {
                let message = format!("the function '{}' is defined twice; a name has one definition", found.name);
                faults.push(fault("defined_twice", message));
            }
        }
        Ok((File { path, text, ast, functions }, faults))
    }

    /// What a library must not have: constants, and functions of other libraries.
    fn library_faults(&self, file: &File) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        if let Some(statement) = file.ast.statements().iter().find(|statement| !statement.is_noop()) {
            let message = "a library has functions only; constants stand in policies and are passed to functions";
            faults.push(file.fault(statement.position(), "library_statement", message));
        }
        for (name, function) in &file.functions {
            if let Some(other) = self.libraries.iter().find(|other| other.functions.contains_key(name)) {
                let message =
                    format!("the function '{name}' is defined in {} too; a name has one definition", other.path);
                faults.push(file.fault(function.position, "defined_twice", &message));
            }
        }
        faults
    }

    /// Checks one policy and builds what runs, or gives every fault.
    pub(super) fn load(
        &self,
        policy: &str,
        declaration: &PolicyDeclaration,
        text: &str,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let path = declaration.script_path(policy);
        let (file, mut diagnostics) = self.read(&path, text).map_err(|fault| vec![fault])?;
        let mut files = BTreeMap::from([(Rc::clone(&file.path), Rc::clone(&file.text))]);
        files.extend(self.libraries.iter().map(|library| (Rc::clone(&library.path), Rc::clone(&library.text))));
        let (top, mut functions) = (file.ast.statements().to_vec(), BTreeMap::new());
        for library in &self.libraries {
            for (name, function) in &library.functions {
                if file.functions.contains_key(name) {
                    let own = file.functions.get(name).map_or(Position::NONE, |own| own.position);
                    let message =
                        format!("the function '{name}' is defined in {} too; a name has one definition", library.path);
                    diagnostics.push(file.fault(own, "defined_twice", &message));
                }
                functions.insert(name.clone(), function.copy());
            }
        }
        functions.extend(file.functions.iter().map(|(name, function)| (name.clone(), function.copy())));
        let script = Script {
            pack: self.pack,
            declaration,
            natives: &self.natives,
            file: Rc::clone(&file.path),
            files: &files,
            case_hashes: &|texts| self.case_hashes(texts),
            top: &top,
            functions: &functions,
        };
        let findings = analyse(&script);
        diagnostics.extend(findings.diagnostics);
        let mut scope = Scope::new();
        if findings.constants_sound
            && let Err(fault) = self.run_constants(&file, &functions, &findings.reached, &mut scope)
        {
            diagnostics.push(fault);
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let own = self.engine.compile_with_scope(&scope, text).map_err(|error| vec![syntax(&path, text, &error)])?;
        let ast = self.with_libraries(own, &findings.reached);
        let foreign = functions.iter().filter(|(_, function)| function.file != file.path);
        let files = foreign.map(|(name, function)| (name.clone(), function.file.to_string())).collect();
        let decide = file.functions.get("decide").map_or(Position::new(1, 1), |decide| decide.position);
        let decide = (decide.line().unwrap_or(1), decide.position().unwrap_or(1).max(1));
        let fixed = scope.iter_raw().all(|(_, _, constant)| is_fixed(constant));
        let mut facts = findings.facts;
        let opening_field = self.pack.definitions.opening_field.as_deref();
        for key in declaration.stability.iter().flat_map(|stability| stability::reads(stability, opening_field)) {
            let is_metric = self.pack.definitions.metrics.contains_key(key);
            (if is_metric { &mut facts.metrics } else { &mut facts.fields }).insert(key.to_owned());
        }
        Ok(Loaded { scope, fixed, ast, decide, facts, warnings: findings.warnings, files })
    }

    /// The hashes under which `switch` keeps texts, found by compiling one: rhai doesn't say how it makes them.
    fn case_hashes(&self, texts: &BTreeSet<String>) -> BTreeSet<u64> {
        let cases: Vec<String> = texts.iter().map(|text| format!("{text:?} => true")).collect();
        let ast = self.lenient.compile(format!("switch false {{ {} }}", cases.join(", ")));
        match ast.as_ref().map(|ast| ast.statements()) {
            Ok([Stmt::Switch(switch, _)]) => switch.1.cases.keys().copied().collect(),
            _ => BTreeSet::new(),
        }
    }

    fn with_libraries(&self, own: AST, reached: &BTreeSet<String>) -> AST {
        self.libraries.iter().fold(own, |ast, library| {
            ast.merge_filtered(&library.ast, |_, _, script, name, _| script && reached.contains(name))
        })
    }

    /// Runs the top of the script once, which leaves its constants in `scope`.
    fn run_constants(
        &self,
        file: &File,
        functions: &BTreeMap<String, Function>,
        reached: &BTreeSet<String>,
        scope: &mut Scope<'static>,
    ) -> Result<(), Diagnostic> {
        let ast = self.with_libraries(file.ast.clone(), reached);
        let run = || within(CONSTANTS, || self.lenient.run_ast_with_scope(scope, &ast));
        let error: Box<EvalAltResult> = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => {
                let bytes: usize = scope.iter_raw().map(|(_, _, value)| host::weight(value)).sum();
                let message = || format!("the constants take more than {} KiB", MAX_CONSTANTS / 1024);
                let too_large = (bytes > MAX_CONSTANTS).then(|| file.fault(Position::NONE, "constant", &message()));
                return too_large.map_or(Ok(()), Err);
            }
            Ok(Err(error)) => error,
            Err(_) => return Err(Diagnostic::of_file(&file.path, "constant", "building the constants crashed")),
        };
        let (function, position) = failure::origin(&error);
        let message = failure::message(&error);
        let foreign = function.and_then(|name| functions.get(&name)).filter(|function| function.file != file.path);
        let library = foreign.and_then(|function| self.libraries.iter().find(|library| library.path == function.file));
        Err(library.unwrap_or(file).fault(position, "constant", &message))
    }
}

impl File {
    fn fault(&self, position: Position, code: &'static str, message: &str) -> Diagnostic {
        let (line, column) = (position.line().unwrap_or(1), position.position().unwrap_or(1));
        Diagnostic::at(&self.path, &self.text, line, column.max(1), code, message)
    }
}

impl Function {
    fn copy(&self) -> Self {
        Self {
            params: self.params.clone(),
            body: Rc::clone(&self.body),
            file: Rc::clone(&self.file),
            position: self.position,
        }
    }
}

/// Whether a constant holds no decision.
fn is_fixed(constant: &Dynamic) -> bool {
    if let Some(list) = constant.read_lock::<Array>() {
        return list.iter().all(is_fixed);
    }
    if let Some(map) = constant.read_lock::<Map>() {
        return map.values().all(is_fixed);
    }
    !constant.is::<host::Draft>()
}

fn syntax(path: &str, text: &str, error: &rhai::ParseError) -> Diagnostic {
    let (line, column) = (error.1.line().unwrap_or(1), error.1.position().unwrap_or(1));
    Diagnostic::at(path, text, line, column.max(1), "syntax", error.0.to_string())
}

/// The statements of a function. They are copied, since the tree shows them only while it is walked.
fn body(ast: &AST, name: &str, params: usize) -> Vec<Stmt> {
    // The filter of `clone_functions_only_filtered` is passed over where nothing was there before.
    let mut one = ast.clone_functions_only();
    one.retain_functions(|_, _, found, count| found == name && count == params);
    let mut statements = Vec::new();
    one.walk(&mut |path: &[ASTNode<'_>]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    statements
}

/// Where a function is defined; the tree doesn't keep it.
fn locate(text: &str, name: &str) -> Position {
    for (line, content) in (1u16..).zip(text.lines()) {
        let Some((before, after)) = content.split_once("fn ") else { continue };
        let rest = after.trim_start().strip_prefix(name).map(str::trim_start);
        if rest.is_some_and(|rest| rest.starts_with('(')) {
            return Position::new(line, u16::try_from(before.chars().count()).map_or(1, |column| column + 1));
        }
    }
    Position::new(1, 1)
}

/// The host's functions by name, with the numbers of values that they take. Readers of properties aren't functions.
pub(super) fn natives(engine: &Engine) -> Natives {
    let found =
        engine.collect_fn_metadata(None, |info| Some((info.metadata.name.to_string(), info.metadata.num_params)), true);
    let mut natives = Natives::new();
    for (name, count) in found {
        if name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('$') {
            natives.entry(name).or_default().insert(count);
        }
    }
    natives
}
