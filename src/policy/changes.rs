//! What a release changes: the policies whose decisions could differ, and the cohorts whose cuts could.

use std::collections::BTreeSet;

use super::pack::Pack;
use super::release::LoadedPack;
use super::source::Source;

/// A release with its files.
type Release<'a> = (&'a Source, &'a LoadedPack);

/// The new release's policies whose content isn't that of the old one: script, libraries, declaration, or a declaration of what
/// they read; and those that read outcomes of such.
pub fn changed_policies(old: Release<'_>, new: Release<'_>) -> BTreeSet<String> {
    let policies = &new.1.policies;
    let ids = || new.1.pack.policies.keys();
    let mut changed: BTreeSet<String> = ids().filter(|id| content(old, id) != content(new, id)).cloned().collect();
    loop {
        let reads_changed = |id: &&String| {
            policies.script(id).is_some_and(|facts| facts.outcomes.iter().any(|read| changed.contains(read)))
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

/// Everything on which the decisions of a policy rest, in words; nothing where there is no such policy.
fn content((source, loaded): Release<'_>, id: &str) -> Option<String> {
    let pack = &loaded.pack;
    let facts = loaded.policies.script(id)?;
    let mut parts = vec![source.scripts().remove(id)?, format!("{:?}", pack.policies.get(id)?)];
    let libs = source.libs();
    let used = loaded.policies.libraries(id);
    parts.extend(
        libs.into_iter()
            .filter(|(stem, _)| used.iter().any(|path| path.ends_with(&format!("/{stem}.rhai"))))
            .map(|(_, text)| text),
    );
    parts.extend(facts.fields.iter().map(|key| field(pack, key)));
    parts.extend(facts.metrics.iter().map(|key| metric(pack, key)));
    parts.extend(facts.cohorts.iter().map(|id| cohort(pack, id)));
    Some(parts.join("\u{0}"))
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
