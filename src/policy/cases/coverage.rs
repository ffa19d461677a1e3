//! What the cases of a pack reach: statements and branches of its scripts, rows of its tables, outcomes of its policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::debugger::DebuggerCommand;
use rhai::{AST, ASTNode, Expr, Position, Stmt};

use super::super::diagnostic::Diagnostic;
use super::super::engine::compile_prepared;
use super::super::host::{rows_of, watched};
use super::super::release::LoadedPack;
use super::super::source::Source;
use super::{reading, running};

/// What the cases of one policy reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The policy.
    pub policy: String,
    /// Its statements, those of library functions that it uses included.
    pub statements: Reached,
    /// Its branches: what follows `if`, `else` and the cases of `switch`.
    pub branches: Reached,
    /// Rows of its bands, lookups, matrices and tables.
    pub rows: Reached,
    /// Its outcomes.
    pub outcomes: Reached,
}

/// How many of something are reached, and which aren't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// How many there are.
    pub all: usize,
    /// Those that no case reaches, as an author finds them.
    pub missed: Vec<String>,
}

impl Reached {
    fn of<T: Ord>(all: impl IntoIterator<Item = (T, String)>, reached: impl Fn(&T) -> bool) -> Self {
        let (mut count, mut missed) = (0, Vec::new());
        for (one, name) in all {
            count += 1;
            if !reached(&one) {
                missed.push(name);
            }
        }
        missed.dedup();
        Self { all: count, missed }
    }

    /// How many are reached.
    pub fn hit(&self) -> usize {
        self.all.saturating_sub(self.missed.len())
    }
}

/// A place in a script: the function, and where in its file.
type Spot = (String, usize, usize);

/// What the cases of each policy reach. Needs a stack of 16 MiB.
///
/// # Errors
/// Every fault in the form of the cases.
pub fn coverage(loaded: &LoadedPack, source: &Source) -> Result<Vec<Coverage>, Vec<Diagnostic>> {
    let files = reading::read(loaded, source)?;
    let seen: Arc<Mutex<BTreeSet<Spot>>> = Arc::default();
    let notes = Arc::clone(&seen);
    // "Deprecated" is how rhai marks what may still change.
    #[expect(deprecated, reason = "the only way to see statements run")]
    let policies = compile_prepared(&loaded.pack, &source.scripts(), &source.libs(), |engine| {
        engine.register_debugger(
            |_, debugger| debugger,
            move |context, _, _, _, position| {
                let frames = context.global_runtime_state().debugger().call_stack();
                let function = frames.last().map(|frame| frame.fn_name.to_string());
                if let (Some(function), Some(spot)) = (function, spot(position)) {
                    notes.lock().unwrap_or_else(PoisonError::into_inner).insert((function, spot.0, spot.1));
                }
                Ok(DebuggerCommand::StepInto)
            },
        );
    })?;
    let mut all = Vec::new();
    for (id, declared) in &loaded.pack.policies {
        let Some(own) = policies.loaded(id) else { continue };
        seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let cases = files.iter().filter(|(policy, _)| policy == id).flat_map(|(_, cases)| cases);
        let (outcomes, rows): (BTreeSet<String>, _) = watched(|| {
            let decided = cases.filter_map(|case| running::run(&policies, id, case).outcome());
            decided.map(|(_, outcome)| outcome).collect()
        });
        let reached = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        let (statements, branches) = spots(&own.ast);
        let told = |(function, line, column): &Spot| {
            let file = own.files.get(function).cloned().unwrap_or_else(|| declared.script_path(id));
            format!("{file}:{line}:{column}")
        };
        let named =
            |spots: BTreeSet<Spot>| spots.into_iter().map(|spot| (spot.clone(), told(&spot))).collect::<Vec<_>>();
        let tables = own.scope.iter_raw().flat_map(|(name, _, value)| {
            rows_of(value).into_iter().map(move |row| (row.clone(), format!("{name}, {}", row.1)))
        });
        all.push(Coverage {
            policy: id.clone(),
            statements: Reached::of(named(statements), |spot| reached.contains(spot)),
            branches: Reached::of(named(branches), |spot| reached.contains(spot)),
            rows: Reached::of(tables.collect::<Vec<_>>(), |row| rows.contains(row)),
            outcomes: Reached::of(declared.outcomes.iter().map(|one| (one.clone(), one.clone())), |one| {
                outcomes.contains(one)
            }),
        });
    }
    Ok(all)
}

fn spot(position: Position) -> Option<(usize, usize)> {
    Some((position.line()?, position.position()?))
}

/// The statements of all functions, and of these the first of each branch.
fn spots(ast: &AST) -> (BTreeSet<Spot>, BTreeSet<Spot>) {
    let (mut statements, mut branches) = (BTreeSet::new(), BTreeSet::new());
    let names: BTreeMap<String, usize> =
        ast.iter_functions().map(|found| (found.name.to_owned(), found.params.len())).collect();
    for (name, params) in names {
        let mut one = ast.clone_functions_only();
        one.retain_functions(|_, _, found, count| found == name && count == params);
        let at = |position: Position| spot(position).map(|(line, column)| (name.clone(), line, column));
        one.walk(&mut |path: &[ASTNode<'_>]| {
            if let Some(ASTNode::Stmt(statement)) = path.last() {
                statements.extend(at(begin(statement)));
                match statement {
                    Stmt::If(flow, _) => {
                        for block in [&flow.body, &flow.branch] {
                            branches.extend(block.statements().first().and_then(|first| at(begin(first))));
                        }
                    }
                    Stmt::Switch(switch, _) => {
                        branches.extend(switch.1.expressions.iter().filter_map(|case| at(first(&case.rhs))));
                    }
                    _ => {}
                }
            }
            true
        });
    }
    (statements, branches)
}

/// Where the engine says that a statement begins.
fn begin(statement: &Stmt) -> Position {
    match statement {
        Stmt::Expr(expression) => first(expression),
        statement => statement.position(),
    }
}

/// Where the engine says that an expression begins.
fn first(expression: &Expr) -> Position {
    match expression {
        Expr::Stmt(block) => block.statements().first().map_or(expression.position(), begin),
        expression => expression.position(),
    }
}
