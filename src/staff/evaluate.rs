//! Evaluating an employee for a month, signing by both persons, and correcting what was signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::model::{EvaluationStatus, StaffEvaluation};
use super::store;
use crate::Id;
use crate::db::{self, Conn, Failure, Subjects, transaction};
use crate::employees::model::Employee;
use crate::employees::store as employees;
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::policy::model::{Assessed, Circumstances, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, Subject, Verdict};
use crate::policy::pack::{Staffing, SubjectKind};
use crate::releases::active::Active;
use crate::releases::model::By;
use crate::transactions::computation::Ledger;
use crate::transactions::metrics::Gathering;
use crate::transactions::model::{Month, Period};
use crate::versions::Versions;

/// Why nobody was evaluated, or nothing signed or distributed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such employee, evaluation or pool.
    #[error("there is no such employee, evaluation or pool")]
    NotFound,
    /// The pack evaluates nobody.
    #[error("the pack has no section [staff], by which employees are evaluated")]
    Undeclared,
    /// It has changed since the caller read it.
    #[error("the evaluation has changed since it was read")]
    Stale,
    /// There is one already.
    #[error("{0}")]
    Conflict(String),
    /// He isn't the one to sign.
    #[error("only the evaluated person and the person in charge sign")]
    WrongPerson,
    /// What was sent has faults.
    #[error("the request has faults")]
    Invalid(Vec<Fault>),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// A fault of something that isn't possible as things stand.
pub fn impossible(pointer: &str, detail: String) -> Error {
    Error::Invalid(vec![Fault::new(pointer, "not_possible", detail)])
}

/// What the pack says about staff.
pub fn staffing(active: &Active) -> Result<&Staffing, Error> {
    active.release.pack.staff.as_ref().ok_or(Error::Undeclared)
}

/// The days of a month that has ended before the business date.
pub fn ended(active: &Active, period: Date) -> Result<Period, Error> {
    let days = Month::of(period).period();
    if days.to < active.basis.business_date {
        return Ok(days);
    }
    let detail = format!("the month ends on {}, and the business date is {}", days.to, active.basis.business_date);
    Err(Error::Invalid(vec![Fault::new("/period", "out_of_range", detail)]))
}

/// What somebody wants to be computed.
#[derive(Clone, Debug)]
pub struct NewEvaluation {
    /// The employee.
    pub employee_id: Id,
    /// A day of the month.
    pub period: Date,
    /// The user who is in charge of him.
    pub in_charge: By,
    /// What is remarked, by module.
    pub remarks: BTreeMap<String, String>,
}

/// Evaluates an employee for a month for the first time.
///
/// # Errors
/// There is no such employee, the month hasn't ended, he served no area on its last day, he was evaluated already, or the policy fails.
pub fn create(conn: &mut Conn, active: &Active, new: &NewEvaluation) -> Result<StaffEvaluation, Error> {
    let staffing = staffing(active)?;
    let days = ended(active, new.period)?;
    transaction(conn, |conn| {
        let employee = employees::lock(conn, new.employee_id)?.ok_or_else(|| {
            let detail = format!("there is no employee with the id {}", new.employee_id);
            Error::Invalid(vec![Fault::new("/employee_id", "unknown_employee", detail)])
        })?;
        if store::current_evaluation(conn, employee.id, days.from)?.is_some() {
            return Err(Error::Conflict("the employee is evaluated for the month already".to_owned()));
        }
        let in_charge_id = in_charge(&employee, &new.in_charge)?;
        let computed = compute(conn, active, staffing, (&employee, days), &new.remarks)?;
        let evaluation = StaffEvaluation {
            id: Id::new(),
            employee_id: employee.id,
            period: days.from,
            area: computed.area,
            policy: staffing.policy.clone(),
            in_charge_id,
            in_charge: new.in_charge.name.clone(),
            release: active.basis.release,
            score: computed.score,
            assessed: computed.assessed,
            remarks: new.remarks.clone(),
            corrects: None,
            reason: None,
            corrected: false,
            version: 1,
            computed_at: Timestamp::now(),
            employee_signed_at: None,
            in_charge_signed_at: None,
        };
        store::insert_evaluation(conn, &evaluation)?;
        Ok(evaluation)
    })
}

/// What changes of an evaluation that is computed once more; what isn't there stays.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The user who is in charge.
    pub in_charge: Option<By>,
    /// What is remarked, by module.
    pub remarks: Option<BTreeMap<String, String>>,
}

/// Computes an evaluation that isn't signed by both once more, from what is known now; a single signature is void then.
///
/// # Errors
/// There is no such evaluation, it was signed by both, it has changed since it was read, or as with the first time.
pub fn recompute(
    conn: &mut Conn,
    active: &Active,
    id: Id,
    versions: &Versions,
    new: &Renewal,
) -> Result<StaffEvaluation, Error> {
    let staffing = staffing(active)?;
    change(conn, id, |conn, employee, evaluation| {
        if evaluation.status() == EvaluationStatus::Signed {
            return Err(Error::Conflict("a signed evaluation doesn't change; a correction names it".to_owned()));
        }
        fresh(versions, evaluation)?;
        if let Some(by) = &new.in_charge {
            evaluation.in_charge_id = in_charge(employee, by)?;
            evaluation.in_charge.clone_from(&by.name);
        }
        let remarks = new.remarks.as_ref().unwrap_or(&evaluation.remarks).clone();
        let days = Month::of(evaluation.period).period();
        let computed = compute(conn, active, staffing, (employee, days), &remarks)?;
        evaluation.area = computed.area;
        evaluation.policy.clone_from(&staffing.policy);
        evaluation.release = active.basis.release;
        evaluation.score = computed.score;
        evaluation.assessed = computed.assessed;
        evaluation.remarks = remarks;
        evaluation.computed_at = Timestamp::now();
        (evaluation.employee_signed_at, evaluation.in_charge_signed_at) = (None, None);
        Ok(())
    })
}

/// Signs an evaluation as it was read: as the evaluated person or as the one in charge.
///
/// # Errors
/// There is no such evaluation, it has changed since it was read, no version is named, the user is neither of the two, both, or has signed.
pub fn sign(conn: &mut Conn, user_id: Id, id: Id, versions: &Versions) -> Result<StaffEvaluation, Error> {
    change(conn, id, |_, employee, evaluation| {
        let (evaluated, in_charge) = (employee.user_id == Some(user_id), evaluation.in_charge_id == user_id);
        match (evaluated, in_charge) {
            (false, false) => return Err(Error::WrongPerson),
            (true, true) => return Err(Error::Conflict("nobody signs for both".to_owned())),
            _ if *versions == Versions::Any => {
                return Err(impossible("If-Match", "who signs names the version that he has read".to_owned()));
            }
            _ => fresh(versions, evaluation)?,
        }
        let signature =
            if evaluated { &mut evaluation.employee_signed_at } else { &mut evaluation.in_charge_signed_at };
        if signature.is_some() {
            return Err(Error::Conflict("he has signed already".to_owned()));
        }
        *signature = Some(Timestamp::now());
        Ok(())
    })
}

/// Begins the correction of a signed evaluation: a new one that names it, computed from what is known now, and signed by both again.
///
/// # Errors
/// There is no such evaluation, it isn't signed, another one corrects it, or as with the first time.
pub fn correct(conn: &mut Conn, active: &Active, id: Id, reason: &str) -> Result<StaffEvaluation, Error> {
    let staffing = staffing(active)?;
    let employee_id = store::evaluation(conn, id)?.ok_or(Error::NotFound)?.employee_id;
    transaction(conn, |conn| {
        let employee = employees::lock(conn, employee_id)?.ok_or(Error::NotFound)?;
        let signed = store::evaluation(conn, id)?.ok_or(Error::NotFound)?;
        if signed.status() != EvaluationStatus::Signed || signed.corrected {
            let said = "an evaluation is corrected once, when both have signed it; before, it is computed again";
            return Err(Error::Conflict(said.to_owned()));
        }
        let days = Month::of(signed.period).period();
        let computed = compute(conn, active, staffing, (&employee, days), &signed.remarks)?;
        let correction = StaffEvaluation {
            id: Id::new(),
            area: computed.area,
            policy: staffing.policy.clone(),
            release: active.basis.release,
            score: computed.score,
            assessed: computed.assessed,
            corrects: Some(signed.id),
            reason: Some(reason.to_owned()),
            version: 1,
            computed_at: Timestamp::now(),
            employee_signed_at: None,
            in_charge_signed_at: None,
            ..signed
        };
        store::insert_evaluation(conn, &correction)?;
        Ok(correction)
    })
}

/// Whether an evaluation is still as the caller read it.
fn fresh(versions: &Versions, evaluation: &StaffEvaluation) -> Result<(), Error> {
    if versions.accept(evaluation.version) { Ok(()) } else { Err(Error::Stale) }
}

/// The account of who is in charge of an employee, which isn't his own.
fn in_charge(employee: &Employee, by: &By) -> Result<Id, Error> {
    let user_id = by.user_id.unwrap_or(Id::NIL);
    if employee.user_id == Some(user_id) {
        return Err(impossible("/in_charge", "nobody is in charge of himself".to_owned()));
    }
    Ok(user_id)
}

/// Changes an evaluation.
fn change(
    conn: &mut Conn,
    id: Id,
    change: impl Fn(&mut Conn, &Employee, &mut StaffEvaluation) -> Result<(), Error>,
) -> Result<StaffEvaluation, Error> {
    let employee_id = store::evaluation(conn, id)?.ok_or(Error::NotFound)?.employee_id;
    transaction(conn, |conn| {
        let employee = employees::lock(conn, employee_id)?.ok_or(Error::NotFound)?;
        let mut evaluation = store::evaluation(conn, id)?.ok_or(Error::NotFound)?;
        change(conn, &employee, &mut evaluation)?;
        evaluation.version += 1;
        store::update_evaluation(conn, &evaluation)?;
        Ok(evaluation)
    })
}

/// What a month comes to.
struct Computed {
    area: String,
    score: rust_decimal::Decimal,
    assessed: Assessed,
}

fn compute(
    conn: &mut Conn,
    active: &Active,
    staffing: &Staffing,
    (employee, days): (&Employee, Period),
    remarks: &BTreeMap<String, String>,
) -> Result<Computed, Error> {
    let area = employee.area_on(days.to).map(str::to_owned).ok_or_else(|| {
        impossible("/employee_id", format!("the employee serves no area on {}, the last day of the month", days.to))
    })?;
    let pack = &active.release.pack;
    let known = pack.policies.get(&staffing.policy).map(|policy| policy.indicators.as_slice()).unwrap_or_default();
    let unknown = |module: &&String| !known.contains(module);
    if let Some(module) = remarks.keys().find(unknown) {
        let hint = did_you_mean(module, known.iter().map(String::as_str));
        let detail = format!("'{}' has no part '{}'{hint}", staffing.policy, excerpt(module));
        return Err(Error::Invalid(vec![Fault::new("/remarks", "unknown_field", detail)]));
    }
    let as_of = Month::of(days.from).plus(1).period().from;
    let subject = Arc::new(subject(conn, active, employee, as_of)?);
    let circumstances = Circumstances {
        as_of,
        cohort: &active.cohort,
        standing: &NONE_STANDING,
        previous: &NONE_PREVIOUS,
        overrides: &NONE_OVERRIDES,
    };
    let assessed = active.release.policies.assess_employee(&subject, circumstances);
    let result = assessed.policies.iter().find(|result| result.policy == staffing.policy).map(|result| &result.result);
    let failed = |said: &str| impossible("/employee_id", format!("'{}' gives no score: {said}", staffing.policy));
    let score = match result {
        Some(Verdict::Decided(decision)) => decision.score.ok_or_else(|| failed("its decision has none"))?,
        Some(Verdict::Failed(said) | Verdict::Blocked(said)) => return Err(failed(said)),
        None => return Err(failed("the release doesn't have it")),
    };
    if score.is_sign_negative() && !score.is_zero() {
        return Err(failed("a score isn't below 0"));
    }
    Ok(Computed { area, score, assessed })
}

/// An employee as policies see him.
fn subject(conn: &mut Conn, active: &Active, employee: &Employee, as_of: Date) -> db::Result<Subject> {
    let definitions = active.release.pack.definitions.of(SubjectKind::Employee);
    let categories = BTreeMap::new();
    let known_until = active.basis.business_date;
    let gathering = Gathering { definitions: &definitions, categories: &categories, as_of, known_until };
    let ids = [employee.id];
    let ledgers = gathering.ledgers(conn, Subjects::Listed(&ids), &ids)?;
    let nothing = Ledger::default();
    let ledger = ledgers.get(&employee.id).unwrap_or(&nothing);
    let values =
        gathering.values(ledger, None).filter_map(|(key, metric)| Some((key.clone(), metric.value?))).collect();
    let windows = definitions.metrics.iter().map(|(key, metric)| (key.clone(), metric.window.period(as_of))).collect();
    Ok(Subject { code: employee.code.clone(), values, windows: Arc::new(windows) })
}
