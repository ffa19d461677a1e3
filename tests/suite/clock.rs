//! Moving the business date of a test's service, and waiting till everything that follows has been done.

use std::collections::BTreeMap;

use baremo::db::Error;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::process::until;

/// What there is left to do: customers who are due, open runs, a date that isn't reached, rules or a catalogue that no run follows yet.
const LEFT: &str = "SELECT
    (SELECT COUNT(*) FROM subjects WHERE next_due_on <= basis.business_date)
    + (SELECT COUNT(*) FROM runs WHERE status IN ('preparing', 'running'))
    + (deployment.fixed_business_date <> basis.business_date)
    + (deployment.catalogue_seq <> basis.catalogue_seq)
    + (basis.rules_number > 1 AND NOT EXISTS (SELECT 1 FROM runs WHERE basis_number >= basis.rules_number))
    FROM deployment, bases basis WHERE basis.number = (SELECT MAX(number) FROM bases)";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// What is in force of one policy for a customer, as a front end shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    pub outcome: String,
    /// The last day of the period whose closing gave it; empty where it follows the data.
    pub closed_on: String,
    /// What the latest data would give.
    pub provisional: String,
}

impl TestApp {
    /// Asks the base for one number.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        let query = format!("SELECT CAST(({sql}) AS SIGNED) number");
        let rows: Vec<Number> =
            self.base.db.run_here(|conn| Ok::<_, Error>(diesel::sql_query(query).load(conn)?)).unwrap();
        rows[0].number
    }

    /// Waits until there is nothing left to do: who ought to have been assessed has been, and this process knows the basis in force.
    #[track_caller]
    pub fn settled(&self) {
        until("everybody is assessed", || {
            let left = self.number(LEFT);
            if left > 0 {
                self.state.workers.wake();
            }
            let known = self.state.in_force.get().map(|active| active.basis.number);
            (left == 0 && known == Some(self.number("SELECT MAX(number) FROM bases"))).then_some(())
        });
    }

    /// Changes the basis, with the tag of the one in force.
    #[track_caller]
    pub fn change_basis(&self, change: &Json) -> u16 {
        let mut status = 0;
        until("the basis is still the one that was read", || {
            let tag = self.get("/v1/basis").with(200).header("ETag").to_owned();
            let answer = self.patch("/v1/basis", &tag, change);
            status = answer.status;
            assert!([200, 202, 412].contains(&status), "{}", answer.json);
            (status != 412).then_some(())
        });
        status
    }

    /// Moves the business date, and waits until all closings on the way are passed and everybody is assessed.
    #[track_caller]
    pub fn move_to(&self, date: &str) {
        self.change_basis(&json!({"business_date": date}));
        self.settled();
        assert_eq!(self.get("/v1/basis").json["business_date"], date);
    }

    /// Closes now, and waits until everybody has passed.
    #[track_caller]
    pub fn close_now(&self) {
        self.post("/v1/closings", &Json::Null).with(202);
        self.settled();
    }

    /// The decisions in force of a customer, by policy.
    #[track_caller]
    pub fn decisions(&self, id: &str) -> BTreeMap<String, Json> {
        let answer = self.get(&format!("/v1/customers/{id}/decisions")).with(200).json;
        let items = answer["items"].as_array().unwrap().iter();
        items.map(|item| (item["policy"].as_str().unwrap().to_owned(), item.clone())).collect()
    }

    /// What is in force for a customer, by policy.
    #[track_caller]
    pub fn in_force(&self, id: &str) -> BTreeMap<String, InForce> {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let read = |(policy, decision): (String, Json)| {
            let provisional = if decision["provisional"].is_null() { &decision } else { &decision["provisional"] };
            let found = InForce {
                outcome: text(&decision["outcome"]),
                closed_on: text(&decision["closed_on"]),
                provisional: text(&provisional["outcome"]),
            };
            (policy, found)
        };
        self.decisions(id).into_iter().map(read).collect()
    }

    /// Changes fields of a customer.
    #[track_caller]
    pub fn change_customer(&self, id: &str, change: &Json) {
        let path = format!("/v1/customers/{id}");
        let tag = self.get(&path).with(200).header("ETag").to_owned();
        self.patch(&path, &tag, change).with(200);
    }
}
