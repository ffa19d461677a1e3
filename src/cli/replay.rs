//! `baremo replay`: computes kept assessments of a base again and tells which don't come out the same.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Failure, base};
use crate::assessments::replay::{Difference, Sample, replay_base};
use crate::config::Config;
use crate::db::Db;
use crate::db::migrate::migrate;
use crate::releases::active::InForce;
use crate::releases::start;

/// Assessments whose differences are shown.
const SHOWN: u64 = 100;

/// Options of replaying.
#[derive(Debug, Args)]
pub struct Replay {
    /// Folder of the pack whose base is replayed
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
    /// How many of the assessments, such as 1% or 0.05%: the same ones each time
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "100%")]
    sample: Sample,
}

fn share(text: &str) -> Result<Sample, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<Decimal>().ok());
    let share = number.filter(|share| *share > Decimal::ZERO && *share <= Decimal::ONE_HUNDRED);
    let per_million = share.and_then(|share| (share * Decimal::from(10_000)).ceil().to_u32());
    per_million
        .map(|per_million| Sample { per_million })
        .ok_or_else(|| "a share is above 0% and at most 100%, such as 1%".to_owned())
}

impl Replay {
    /// Replays the sample; the exit code is 1 where anything differs.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let pack_id = base::pack_id(&self.pack)
            .ok_or_else(|| format!("{} holds no pack.toml that names its pack", self.pack.display()))?;
        base::beside(config, &pack_id, |db| replay(db, &pack_id, self.sample))
    }
}

fn replay(db: &Db, pack_id: &str, sample: Sample) -> Result<ExitCode, Failure> {
    db.run_here(|conn| {
        migrate(conn)?;
        start::check_pack(conn, pack_id)
    })?;
    let (mut same, mut other) = (0_u64, 0_u64);
    let mut shown = String::new();
    let all = replay_base(db, &InForce::default(), sample, &mut |id, replayed| match replayed {
        Ok(differences) if differences.is_empty() => same += 1,
        differs => {
            other += 1;
            if other <= SHOWN {
                shown += &match differs {
                    Ok(differences) => format!("{id} differs\n{}", differences.iter().map(told).collect::<String>()),
                    Err(why) => format!("{id} can't be computed again: {why}\n"),
                };
            }
        }
    })?;
    let more = if other > SHOWN { format!("… and {} more\n", other - SHOWN) } else { String::new() };
    let replayed = same + other;
    writeln!(std::io::stdout(), "{shown}{more}{replayed} of {all} assessments replayed: {same} the same, {other} not")?;
    Ok(if other == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(difference: &Difference) -> String {
    let Difference { policy, pointer, kept, replayed } = difference;
    let side = |json: &Option<String>| json.clone().unwrap_or_else(|| "nothing".to_owned());
    format!("    {policy}{pointer}: kept {}, now {}\n", side(kept), side(replayed))
}
