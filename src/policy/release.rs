//! A pack that passed all its checks, ready to assess subjects.

use std::collections::BTreeMap;
use std::fmt;

use super::analysis::listed;
use super::cases;
use super::changes;
use super::diagnostic::{Diagnostic, MOST_TOGETHER};
use super::engine::{CompiledPolicies, ScriptFacts, compile};
use super::manifest;
use super::pack::{Pack, PolicyDeclaration};
use super::sample;
use super::source::{MANIFEST, Source};
use super::stability;
use super::texts::{self, BAND, BAND_VALUES, Given, WEIGHT_SPREAD, WEIGHT_SPREAD_VALUES};
use crate::digest::Digest;

/// A pack with its policies compiled and its texts checked: immutable, shared by all threads.
pub struct LoadedPack {
    /// What the pack declares, with its texts.
    pub pack: Pack,
    /// Its policies.
    pub policies: CompiledPolicies,
    /// The name of its content, as [`Source::digest`] gives it.
    pub digest: Digest,
    /// By policy, the name of everything on which its decisions rest: releases in which it is the same decide alike.
    pub(super) contents: BTreeMap<String, Digest>,
}

impl fmt::Debug for LoadedPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedPack").field("id", &self.pack.id).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Checks and compiles a pack. Its cases are not run, and not read: [`super::cases::run`] does.
///
/// # Errors
/// Every fault of the manifest, the scripts and the texts, by file and line.
pub fn load(source: &Source) -> Result<LoadedPack, Vec<Diagnostic>> {
    let (loaded, faults) = examine(source);
    match loaded {
        Some(loaded) if faults.is_empty() => Ok(loaded),
        _ => Err(sorted(faults)),
    }
}

/// Like [`load`], and checks also the form of the cases and of the sample's description.
///
/// # Errors
/// Every fault of every file of the pack, by file and line.
pub fn check(source: &Source) -> Result<LoadedPack, Vec<Diagnostic>> {
    let (loaded, mut faults) = examine(source);
    if let Some(loaded) = &loaded {
        faults.extend(cases::check(loaded, source));
        faults.extend(sample::read(source, &loaded.pack).err().unwrap_or_default());
    }
    match loaded {
        Some(loaded) if faults.is_empty() => Ok(loaded),
        _ => Err(sorted(faults)),
    }
}

/// The pack where manifest and scripts are sound, and all faults there are.
fn examine(source: &Source) -> (Option<LoadedPack>, Vec<Diagnostic>) {
    let (manifest, mut faults) = manifest::read(source);
    let Some(manifest) = manifest else { return (None, faults) };
    let (mut pack, faulty) = (manifest.pack, manifest.faulty);
    let manifest_is_sound = faults.is_empty();
    let mut scripts = source.scripts();
    scripts.retain(|id, _| !faulty.contains(id));
    let policies = match compile(&pack, &scripts, &source.libs()) {
        Ok(policies) => Some(policies),
        Err(found) => {
            // What a script says of a name whose declaration is faulty is no fault of the script.
            let names_faulty =
                |fault: &Diagnostic| faulty.iter().any(|name| fault.message.contains(&format!("'{name}'")));
            faults.extend(found.into_iter().filter(|fault| !names_faulty(fault)));
            None
        }
    };
    let given = policies.as_ref().map(|policies| given(&pack, policies)).unwrap_or_default();
    let (texts, text_faults) = texts::read(source, &pack, &faulty, &given);
    faults.extend(text_faults);
    pack.texts = texts;
    let loaded = policies.filter(|_| manifest_is_sound);
    let loaded = loaded.map(|policies| {
        let contents = changes::contents(source, &pack, &policies);
        LoadedPack { pack, policies, digest: source.digest(), contents }
    });
    (loaded, faults)
}

/// The reasons that each policy gives, with the names of their values.
fn given(pack: &Pack, policies: &CompiledPolicies) -> Given {
    let reasons = |facts: &ScriptFacts, is_stable: bool| {
        let mut reasons = facts.reasons.clone();
        for (code, values) in stability::REASONS.iter().filter(|_| is_stable) {
            reasons.entry((*code).to_owned()).or_default().extend(values.iter().map(|name| (*name).to_owned()));
        }
        for (code, gives, values) in
            [(BAND, facts.bands, &BAND_VALUES[..]), (WEIGHT_SPREAD, facts.weights, &WEIGHT_SPREAD_VALUES[..])]
        {
            if gives {
                reasons.entry(code.to_owned()).or_default().extend(values.iter().map(|name| (*name).to_owned()));
            }
        }
        reasons
    };
    let given = |(id, declared): (&String, &PolicyDeclaration)| {
        Some((id.clone(), reasons(policies.script(id)?, declared.stability.is_some())))
    };
    pack.policies.iter().filter_map(given).collect()
}

/// What is right as it stands in a pack, but seldom meant.
pub fn warnings(loaded: &LoadedPack) -> Vec<Diagnostic> {
    let LoadedPack { pack, policies, .. } = loaded;
    let read_cohorts = policies.reads(|facts| &facts.cohorts);
    let mut read = policies.reads(|facts| &facts.fields);
    read.extend(policies.reads(|facts| &facts.metrics));
    read.extend(pack.definitions.opening_field.clone());
    read.extend(pack.staff.iter().flat_map(|staff| [staff.by.clone(), staff.collected.clone()]));
    for cohort in read_cohorts.iter().filter_map(|id| pack.cohorts.get(id)) {
        read.insert(cohort.value.clone());
        read.extend(cohort.group.iter().chain(cohort.population.keys()).cloned());
    }
    let unread = |code, what: &str, keys: &mut dyn Iterator<Item = &str>| {
        let unread: Vec<&str> = keys.filter(|key| !read.contains(*key)).collect();
        let message = format!("no policy reads the {}", listed(what, &unread));
        (!unread.is_empty()).then(|| Diagnostic::of_file(MANIFEST, code, message).as_warning())
    };
    let fields = unread("unread_field", "field", &mut pack.fields.iter().map(|(key, _)| key));
    let metrics = unread("unread_metric", "metric", &mut pack.definitions.metrics.keys().map(String::as_str));
    let cohorts: Vec<&str> = pack.cohorts.keys().filter(|id| !read_cohorts.contains(*id)).map(String::as_str).collect();
    let cohorts = (!cohorts.is_empty()).then(|| {
        let message = format!("no policy reads the {}", listed("cohort", &cohorts));
        Diagnostic::of_file(MANIFEST, "unread_cohort", message).as_warning()
    });
    let of_manifest = [fields, metrics, cohorts].into_iter().flatten();
    sorted(of_manifest.chain(policies.warnings().cloned()).collect())
}

/// The faults by file and place.
fn sorted(mut faults: Vec<Diagnostic>) -> Vec<Diagnostic> {
    faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    faults.truncate(MOST_TOGETHER);
    faults
}

#[cfg(test)]
mod tests;
