//! What calls `decide` again and again: the state of the interpreter, kept from one subject to the next on each thread, since making it
//! anew and finding every function again costs more than a simple policy itself.

use std::sync::{Mutex, PoisonError};

use rhai::{Caches, Dynamic, Engine, EvalAltResult, EvalContext, GlobalRuntimeState, Scope};

use super::script::Loaded;

/// Levels of calls at which `decide` itself stands when it is called like this.
pub(super) const LEVELS_OF_DECIDE: usize = 2;

/// The state in which one policy is called.
pub(super) struct Runner {
    global: GlobalRuntimeState,
    /// Functions by name and types of what they are given, as they were found.
    caches: Caches,
    /// The constants.
    scope: Scope<'static>,
}

impl Runner {
    /// The state before the first call.
    pub(super) fn new(engine: &Engine, loaded: &Loaded) -> Self {
        let mut global = engine.new_global_runtime_state();
        global.lib.push(loaded.ast.shared_lib().clone());
        Self { global, caches: Caches::new(), scope: loaded.scope.clone() }
    }

    /// Calls `decide`. After an error or a panic the state is of no use any more.
    pub(super) fn decide(
        &mut self,
        engine: &Engine,
        loaded: &Loaded,
        mut customer: Dynamic,
        mut context: Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        self.global.num_operations = Default::default();
        if !loaded.fixed {
            self.scope = loaded.scope.clone();
        }
        let mut call = EvalContext::new(engine, &mut self.global, &mut self.caches, &mut self.scope, None);
        call.call_fn_raw("decide", false, false, &mut [&mut customer, &mut context])
    }
}

/// Runners of all policies, for as many threads as have been at work at one time.
pub(super) struct Runners(Mutex<Vec<Vec<Runner>>>);

impl Runners {
    /// None so far.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Lends runners to `work`, made by `make` where all are lent. They don't come back from a panic.
    pub(super) fn lend<T>(&self, make: impl FnOnce() -> Vec<Runner>, work: impl FnOnce(&mut [Runner]) -> T) -> T {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut runners = idle.unwrap_or_else(make);
        let result = work(&mut runners);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(runners);
        result
    }
}
