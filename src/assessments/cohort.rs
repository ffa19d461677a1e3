//! Computing the statistics of the population, in one consistent snapshot of all active customers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assess::{Assessor, PAGE};
use super::store;
use crate::Id;
use crate::db::{self, Conn, snapshot};
use crate::policy::cohorts::CohortBuilder;
use crate::policy::model::Cohort;
use crate::releases::active::Active;

/// Every cohort that the state's release declares, as of its business date, of all whose data can be read. `alive` is called
/// each time that `every` has passed.
pub fn compute<E: From<db::Error> + db::Failure>(
    conn: &mut Conn,
    active: &Arc<Active>,
    every: Duration,
    alive: &mut dyn FnMut() -> Result<(), E>,
) -> Result<Cohort, E> {
    let assessor = Assessor::new(conn, active.clone(), active.basis.business_date)?;
    snapshot(conn, |conn| {
        let mut builder = CohortBuilder::new(&active.release.pack);
        let mut shown = Instant::now();
        for shard in store::inhabited_shards(conn)? {
            let mut after = Id::NIL;
            loop {
                let page = store::customers_page(conn, shard, after, PAGE)?;
                let Some(last) = page.last() else { break };
                after = last.id;
                let subjects = assessor.subjects(conn, store::stretch(&page), &page)?;
                subjects.iter().flatten().for_each(|subject| builder.add(&subject.values));
                if shown.elapsed() > every {
                    alive()?;
                    shown = Instant::now();
                }
            }
        }
        Ok(builder.finish())
    })
}
