//! What a release changes: the policies whose decisions could differ, and the cohorts whose cuts could.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::CompiledPolicies;
use super::pack::{Pack, PolicyDeclaration};
use super::release::LoadedPack;
use super::source::Source;
use crate::digest::Digest;

/// The new release's policies whose content isn't that of the old one: script, libraries, declaration, or a declaration of what
/// they read; and those that read outcomes of such.
pub fn changed_policies(old: &LoadedPack, new: &LoadedPack) -> BTreeSet<String> {
    let ids = || new.pack.policies.keys();
    let differs = |id: &&String| old.contents.get(*id) != new.contents.get(*id);
    let mut changed: BTreeSet<String> = ids().filter(differs).cloned().collect();
    loop {
        let reads_changed = |id: &&String| {
            new.policies.script(id).is_some_and(|facts| facts.outcomes.iter().any(|read| changed.contains(read)))
        };
        let more: Vec<String> = ids().filter(|id| !changed.contains(*id)).filter(reads_changed).cloned().collect();
        if more.is_empty() {
            return changed;
        }
        changed.extend(more);
    }
}

/// The new release's cohorts that the old one declares otherwise or not at all.
pub fn changed_cohorts(old: &LoadedPack, new: &LoadedPack) -> BTreeSet<String> {
    let ids = new.pack.cohorts.keys();
    ids.filter(|id| cohort(&old.pack, id) != cohort(&new.pack, id)).cloned().collect()
}

/// The name of everything on which the decisions of each policy rest.
pub(super) fn contents(source: &Source, pack: &Pack, policies: &CompiledPolicies) -> BTreeMap<String, Digest> {
    let (scripts, libs) = (source.scripts(), source.libs());
    let content = |(id, declared): (&String, &PolicyDeclaration)| {
        let facts = policies.script(id)?;
        let used = policies.libraries(id);
        let is_used = |stem: &str| used.iter().any(|path| path.ends_with(&format!("/{stem}.rhai")));
        let mut parts = vec![scripts.get(id)?.clone(), format!("{declared:?}")];
        parts.extend(libs.iter().filter(|(stem, _)| is_used(stem)).map(|(_, text)| text.clone()));
        parts.extend(facts.fields.iter().map(|key| field(pack, key)));
        parts.extend(facts.metrics.iter().map(|key| metric(pack, key)));
        parts.extend(facts.cohorts.iter().map(|id| cohort(pack, id)));
        Some((id.clone(), Digest::of(parts.join("\u{0}"))))
    };
    pack.policies.iter().filter_map(content).collect()
}

fn field(pack: &Pack, key: &str) -> String {
    pack.fields.get(key).map(|field| format!("{key} {:?} {:?}", field.field_type, field.choices)).unwrap_or_default()
}

fn metric(pack: &Pack, key: &str) -> String {
    let Some(metric) = pack.definitions.metrics.get(key) else { return String::new() };
    let mut kinds: Vec<String> = pack.definitions.kinds_of(metric).map(|kind| format!("{kind:?}")).collect();
    kinds.extend(pack.definitions.observations.get(&metric.kind).map(|kind| format!("{kind:?}")));
    format!("{key} {metric:?} {kinds:?} {:?}", pack.definitions.opening_field)
}

fn cohort(pack: &Pack, id: &str) -> String {
    let Some(declared) = pack.cohorts.get(id) else { return String::new() };
    let fields: Vec<String> =
        declared.group.iter().chain(declared.population.keys()).map(|key| field(pack, key)).collect();
    format!("{id} {declared:?} {fields:?} {} {}", field(pack, &declared.value), metric(pack, &declared.value))
}
