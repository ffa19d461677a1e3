//! Reading `[[employees]]` of a sample: who the service staff are, and the area that each serves.

use jiff::civil::Date;
use toml::Spanned;

use super::SampleEmployee;
use crate::faults::excerpt;
use crate::policy::document::{Faults, Item, Table};
use crate::policy::pack::Pack;

/// Every employee, in the order of the file.
pub(super) fn employees<'t, 'a>(faults: &'t Faults<'a>, pack: &Pack, item: &'t Item<'a>) -> Vec<SampleEmployee> {
    let Some(items) = item.get_ref().as_array() else {
        faults.at(&item.span(), "wrong_type", "an employee of the sample begins with [[employees]]");
        return Vec::new();
    };
    let mut read: Vec<SampleEmployee> = Vec::new();
    for table in items.iter().filter_map(|item| Table::of(faults, item, item.span(), "an employee of the sample")) {
        let span = table.span().clone();
        let Some(employee) = employee(faults, pack, table) else { continue };
        if read.iter().any(|one| one.code == employee.code) {
            faults.at(&span, "doubled", format!("the employee '{}' stands twice", excerpt(&employee.code)));
        }
        read.push(employee);
    }
    read
}

fn employee(faults: &Faults<'_>, pack: &Pack, mut table: Table<'_, '_>) -> Option<SampleEmployee> {
    let (code, name) = (table.required("code"), table.required("name"));
    let area = table.required::<Spanned<String>>("area");
    let from = table.required::<Date>("from");
    let areas = pack.areas().unwrap_or_default();
    if let Some(area) = area.as_ref().filter(|area| !areas.contains(area.get_ref())) {
        let hint = match pack.areas() {
            None => "; a pack without [staff] has none".to_owned(),
            Some(_) => faults.did_you_mean(area.get_ref(), areas.iter().map(String::as_str)),
        };
        faults.at(&area.span(), "unknown_choice", format!("'{}' is no area{hint}", excerpt(area.get_ref())));
    }
    table.close();
    Some(SampleEmployee { code: code?, name: name?, area: area?.into_inner(), from: from? })
}
