//! The calendar: days of grace before a period closes, months that are caught up with, and where a day ends in zones near and far.

use baremo::policy::source::Source;
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::cadence::{club, order};

/// Outcome, last day of its period, and what the latest data would give.
#[track_caller]
fn grade(app: &TestApp, id: &str) -> (String, String, String) {
    let grade = app.in_force(id).remove("grade").unwrap();
    (grade.outcome, grade.closed_on, grade.provisional)
}

fn is(outcome: &str, closed_on: &str, provisional: &str) -> (String, String, String) {
    (outcome.to_owned(), closed_on.to_owned(), provisional.to_owned())
}

/// Past closings, oldest first: what each closed.
fn closings(app: &TestApp) -> Vec<Json> {
    let list = app.get("/v1/closings").with(200).json;
    let items = list["items"].as_array().unwrap().iter().rev();
    items.filter(|closing| closing["cause"] == "schedule").map(|closing| closing["policies"].clone()).collect()
}

#[test]
fn what_comes_in_the_days_of_grace_counts_and_what_comes_later_shows() {
    let app = TestApp::new(&club(5, "{ full_months = 1 }"), "2018-01-10");
    let id = app.customer("X1", json!({}));
    app.settled();
    app.close_now();
    app.record(&[order("A1", "X1", "2018-01-08", 12)]);
    app.move_to("2018-02-01");
    assert_eq!(grade(&app, &id), is("C", "2017-12-31", "B"), "January has ended and isn't closed");
    app.move_to("2018-02-05");
    app.record(&[order("A2", "X1", "2018-01-31", 10), order("A3", "X1", "2018-02-05", 500)]);
    app.settled();
    assert_eq!(grade(&app, &id), is("C", "2017-12-31", "A"), "22 in January");
    assert_eq!(app.decisions(&id)["grade"]["next_closing_on"], "2018-02-06");
    assert_eq!(closings(&app), Vec::<Json>::new());
    app.move_to("2018-02-06");
    assert_eq!(grade(&app, &id), is("A", "2018-01-31", "A"));
    assert_eq!(closings(&app), [json!({"grade": "2018-01-31"})]);

    app.record(&[order("A2", "X1", "2018-01-31", 1), order("A4", "X1", "2018-02-06", 3)]);
    app.settled();
    assert_eq!(grade(&app, &id), is("A", "2018-01-31", "B"), "13 in January, known too late");
    let decision = &app.decisions(&id)["grade"];
    assert_eq!(
        (&decision["inputs"][0]["value"], &decision["provisional"]["inputs"][0]["value"]),
        (&json!("22"), &json!("13"))
    );
    assert_eq!(decision["next_closing_on"], "2018-03-06");
    app.move_to("2018-03-05");
    assert_eq!(grade(&app, &id), is("A", "2018-01-31", "A"), "503 in February, not closed yet");
    app.record(&[order("A3", "X1", "2018-02-05", 1)]);
    app.move_to("2018-03-06");
    assert_eq!(grade(&app, &id), is("C", "2018-02-28", "C"));
}

#[test]
fn months_that_are_caught_up_with_close_one_after_the_other() {
    let app = TestApp::new(&club(0, "{ full_months = 3 }"), "2018-01-10");
    let id = app.customer("X1", json!({}));
    app.settled();
    app.close_now();
    app.record(&[order("A1", "X1", "2018-01-10", 45)]);
    app.settled();
    assert_eq!(app.change_basis(&json!({"business_date": "2018-05-15"})), 202);
    app.settled();
    assert_eq!(app.get("/v1/basis").json["business_date"], "2018-05-15");
    assert_eq!(
        closings(&app),
        [
            json!({"grade": "2018-01-31"}),
            json!({"grade": "2018-02-28"}),
            json!({"grade": "2018-03-31", "rank": "2018-03-31"}),
            json!({"grade": "2018-04-30"}),
        ]
    );
    let history = app.get(&format!("/v1/customers/{id}/assessments")).with(200).json;
    let mut days: Vec<&str> =
        history["items"].as_array().unwrap().iter().rev().map(|item| item["as_of"].as_str().unwrap()).collect();
    days.dedup();
    assert_eq!(days, ["2018-01-10", "2018-02-01", "2018-03-01", "2018-04-01", "2018-05-01"]);
    // The order is among the last three full months until April, and no more in May.
    assert_eq!(grade(&app, &id), is("C", "2018-04-30", "C"));
    let rank = app.in_force(&id).remove("rank").unwrap();
    assert_eq!(
        (rank.outcome.as_str(), rank.closed_on.as_str(), rank.provisional.as_str()),
        ("gold", "2018-03-31", "tin")
    );
    let tag = app.get("/v1/basis").header("ETag").to_owned();
    let back = app.patch("/v1/basis", &tag, &json!({"business_date": "2018-05-14"})).with(422);
    assert_eq!(back.faults(), [("/business_date", "out_of_range")]);
    assert!(back.json["errors"][0]["detail"].as_str().unwrap().contains("2018-05-15"), "{}", back.json);
}

/// A club whose clock is another zone's.
fn club_in(zone: &str) -> Source {
    let source = club(0, "{ month_to_date = true }");
    let manifest = source.files().find(|(path, _)| *path == "pack.toml").unwrap().1.replace("Europe/Madrid", zone);
    let mut all: Vec<(&str, &str)> = source.files().filter(|(path, _)| *path != "pack.toml").collect();
    all.push(("pack.toml", &manifest));
    files(&all)
}

/// An instant or a local time, and the day on which it falls.
type Moments<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn fall_on(zone: &str, moments: Moments<'_>) {
    let app = TestApp::new(&club_in(zone), "2018-06-01");
    let ids: Vec<String> = (0..moments.len()).map(|number| app.customer(&format!("X{number}"), json!({}))).collect();
    let sent = moments.iter().enumerate().map(|(number, (moment, _))| order(moment, &format!("X{number}"), moment, 1));
    assert!(app.record(&sent.collect::<Vec<_>>()).iter().all(|status| status == "created"));
    for ((moment, day), id) in moments.iter().zip(ids) {
        let listed = app.get(&format!("/v1/customers/{id}/transactions")).with(200).json;
        assert_eq!(listed["items"][0]["occurred_on"], *day, "{moment} in {zone}");
        // What was bought from the first of the month to a day: 1 from that day on.
        let eve = day.parse::<Date>().unwrap().checked_sub(1.day()).unwrap();
        let bought = [eve.to_string().as_str(), day].map(|as_of| app.metric(&id, "recent", as_of));
        assert_eq!(bought, ["0", "1"], "{moment} in {zone}");
    }
}

#[test]
fn a_day_ends_at_midnight_in_shanghai_and_madrid() {
    fall_on(
        "Asia/Shanghai",
        &[
            ("2017-10-31T15:59:59Z", "2017-10-31"),
            ("2017-10-31T16:00:00Z", "2017-11-01"),
            ("2017-12-31T23:59:59+08:00", "2017-12-31"),
            ("2017-12-31T18:00:00+01:00", "2018-01-01"),
        ],
    );
    // An hour ahead of UTC in winter, two from 26 March to 29 October 2017.
    fall_on(
        "Europe/Madrid",
        &[
            ("2017-03-25T22:59:59Z", "2017-03-25"),
            ("2017-03-25T23:00:00Z", "2017-03-26"),
            ("2017-03-26T02:30:00", "2017-03-26"),
            ("2017-03-26T21:59:59Z", "2017-03-26"),
            ("2017-03-26T22:00:00Z", "2017-03-27"),
            ("2017-03-31T22:00:00Z", "2017-04-01"),
            ("2017-10-28T22:00:00Z", "2017-10-29"),
            ("2017-10-29T02:30:00", "2017-10-29"),
            ("2017-10-29T22:59:59Z", "2017-10-29"),
            ("2017-10-31T22:59:59Z", "2017-10-31"),
            ("2017-10-31T23:00:00Z", "2017-11-01"),
        ],
    );
}

#[test]
fn a_day_ends_where_midnight_is_skipped_or_comes_twice() {
    // Three hours behind UTC; two from midnight of 15 October 2017, which was 1 o'clock at once, to that of 18 February 2018, which was
    // 23 o'clock again.
    fall_on(
        "America/Sao_Paulo",
        &[
            ("2017-10-15T02:59:59Z", "2017-10-14"),
            ("2017-10-15T03:00:00Z", "2017-10-15"),
            ("2017-10-15T00:30:00", "2017-10-15"),
            ("2017-11-01T01:59:59Z", "2017-10-31"),
            ("2017-11-01T02:00:00Z", "2017-11-01"),
            ("2018-02-18T01:59:59Z", "2018-02-17"),
            ("2018-02-18T02:30:00Z", "2018-02-17"),
            ("2018-02-18T03:00:00Z", "2018-02-18"),
            ("2018-03-01T02:59:59Z", "2018-02-28"),
        ],
    );
    // East of the date line since the end of 2011, when there was no 30 December; 14 hours ahead of UTC in its summer, 13 in its winter.
    fall_on(
        "Pacific/Apia",
        &[
            ("2011-12-30T09:59:59Z", "2011-12-29"),
            ("2011-12-30T10:00:00Z", "2011-12-31"),
            ("2011-12-30T12:00:00", "2011-12-31"),
            ("2017-06-30T10:59:59Z", "2017-06-30"),
            ("2017-06-30T11:00:00Z", "2017-07-01"),
            ("2017-10-31T09:59:59Z", "2017-10-31"),
            ("2017-10-31T10:00:00Z", "2017-11-01"),
        ],
    );
}
