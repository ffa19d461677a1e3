//! What each industry's users do, by what the field says, through the public API: the four packs, four services of one binary side by side, and two
//! packs' files of one customer that one front end draws.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use crate::app::{PASSWORD, TestApp, files, pack};
use crate::decisions::{SAMPLE, ids_of};
use crate::process::{Place, Service, until};
use crate::stability::{close, decision};

static POWER: LazyLock<TestApp> = LazyLock::new(|| TestApp::new(&pack("power"), "2026-10-01"));
static ESTATE: LazyLock<TestApp> = LazyLock::new(|| TestApp::new(&pack("real_estate"), "2026-10-15"));
static AUTOMOBILE: LazyLock<TestApp> = LazyLock::new(|| TestApp::new(&pack("automobile"), "2026-10-01"));

/// What is said of a customer, with each key where the pack's own description has it: a field of a section, or a metric. Required fields of which nothing
/// is said have the first value that they take.
fn document(app: &TestApp, said: &Json) -> Json {
    let pack = app.get("/v1/pack").with(200).json;
    let mut profile = Map::new();
    let mut metrics = said.as_object().unwrap().clone();
    for field in pack["fields"].as_array().unwrap() {
        let (key, kind) = (field["key"].as_str().unwrap(), field["type"].as_str().unwrap());
        let any = || match kind {
            "choice" => field["choices"][0]["value"].clone(),
            "date" => json!("2020-01-01"),
            "boolean" => json!(false),
            _ => json!("1"),
        };
        let Some(value) = metrics.remove(key).or_else(|| (field["required"] == true).then(any)) else { continue };
        let whole = value.as_str().filter(|_| kind == "integer").map(|text| json!(text.parse::<i64>().unwrap()));
        let section = profile.entry(field["section"].as_str().unwrap()).or_insert_with(|| json!({}));
        section[key] = whole.unwrap_or(value);
    }
    // Of nothing these are 0, as they are for a customer of the base.
    let of_nothing = ["sum", "count", "any", "orders", "lines", "mean_per_month", "breadth", "decayed_sum"];
    for metric in pack["metrics"].as_array().unwrap() {
        let key = metric["key"].as_str().unwrap();
        if of_nothing.contains(&metric["function"].as_str().unwrap()) && !metrics.contains_key(key) {
            metrics.insert(key.to_owned(), json!("0"));
        }
    }
    json!({"profile": profile, "metrics": metrics})
}

fn evaluated(app: &TestApp, said: &Json) -> BTreeMap<String, Json> {
    let answer = app.post("/v1/evaluations", &json!({"document": document(app, said)})).with(200).json;
    let decisions = answer["decisions"].as_array().unwrap().iter();
    decisions.map(|one| (one["policy"].as_str().unwrap().to_owned(), one.clone())).collect()
}

/// What one policy decides of a customer of whom this is said.
fn decided(app: &TestApp, policy: &str, said: Json) -> Json {
    let decision = evaluated(app, &said).remove(policy).unwrap();
    assert_eq!(decision["status"], "decided", "{decision}");
    decision
}

fn outcome(app: &TestApp, policy: &str, said: Json) -> String {
    decided(app, policy, said)["outcome"].as_str().unwrap().to_owned()
}

fn codes(decision: &Json) -> Vec<&str> {
    decision["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

fn with(said: &Json, more: Json) -> Json {
    let mut all = said.clone();
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

fn value<'a>(decision: &'a Json, reason: &str, value: &str) -> &'a str {
    let reasons = decision["reasons"].as_array().unwrap();
    let reason = reasons.iter().find(|one| one["code"] == reason).unwrap_or_else(|| panic!("{decision}"));
    reason["values"][value].as_str().unwrap()
}

/// A supermarket in town of five years' standing that orders every month, pays on time, grows by a fifth and buys more than anybody.
fn best_store() -> Json {
    json!({"retail_format": "supermarket", "market": "urban", "opened_on": "2013-01-01", "monthly_volume": "25", "quarterly_quantity": "1000000",
        "quarterly_price": "1000000", "yearly_quantity": "1000000", "yearly_amount": "1000000000", "assortment": "10000", "ordering_months": "1",
        "on_time_share": "1", "half_year_growth": "0.2", "yearly_orders": "12"})
}

#[test]
fn retailers_are_classified_three_ways_and_supplied_by_it() {
    let declared = SAMPLE.get("/v1/pack").with(200).json;
    let outcomes = |policy: &str| {
        let policies = declared["policies"].as_array().unwrap();
        policies.iter().find(|one| one["id"] == policy).unwrap()["outcomes"].as_array().unwrap().len()
    };
    // Seven formats in two markets and three scales; eight grades; ten levels.
    assert_eq!((outcomes("category"), outcomes("volume_grade"), outcomes("level")), (42, 8, 10));
    let grade = |volume: &str| outcome(&SAMPLE, "volume_grade", with(&best_store(), json!({"monthly_volume": volume})));
    // Grade 1 is 20 cases or more; three grades lie above 10.
    assert_eq!([grade("20"), grade("19.999999"), grade("10"), grade("9.999999")], ["1", "2", "3", "4"]);
    let best = evaluated(&SAMPLE, &best_store());
    assert_eq!(
        (&best["category"]["outcome"], &best["level"]["outcome"]),
        (&json!("supermarket_urban_large"), &json!("1"))
    );
    assert_eq!(best["volume_grade"]["entitlements"]["monthly_supply"], "30");
    assert_eq!(best["level"]["entitlements"]["brand_access"], json!(["I", "II", "III", "IV", "V"]));
    // Where there isn't enough for all, a key customer gets three portions, others one.
    assert_eq!(best["service_plan"]["entitlements"]["scarce_goods_portions"], "3");
}

#[test]
fn customer_value_has_five_indicators_and_makes_three_groups() {
    let value = |more: Json| decided(&SAMPLE, "value", with(&best_store(), more));
    let full = value(json!({}));
    // 35 + 20 + 20 + 15 + 10, all of them full.
    assert_eq!((&full["outcome"], &full["score"]), (&json!("value"), &json!("100")));
    // Late payments: 20 × (0.9 − 0.8) ÷ 0.2 = 10 of 20.
    assert_eq!(value(json!({"on_time_share": "0.9"}))["score"], "90");
    // A shrinking store: 15 × half of growth gone.
    assert_eq!(value(json!({"half_year_growth": "-0.2"}))["score"], "92.5");
    let group = |more: Json| outcome(&SAMPLE, "value_group", with(&best_store(), more));
    assert_eq!(group(json!({})), "core");
    // A kiosk of nothing: low value is the problem group.
    let poor = json!({"retail_format": "other", "market": "rural", "yearly_amount": "0", "assortment": "0", "ordering_months": "0", "on_time_share": "0",
        "half_year_growth": "-1", "opened_on": "2017-12-01"});
    assert_eq!(
        (outcome(&SAMPLE, "value", with(&best_store(), poor.clone())).as_str(), group(poor).as_str()),
        ("low_value", "problem")
    );
}

#[test]
fn a_breach_costs_the_credit_and_a_serious_one_the_group() {
    let after = decided(&SAMPLE, "value", with(&best_store(), json!({"violations_year": "1"})));
    assert_eq!((&after["score"], codes(&after)[1]), (&json!("80"), "breach"));
    let serious = json!({"serious_violations_year": "1", "last_serious_violation": "2017-12-20"});
    let all = evaluated(&SAMPLE, &with(&best_store(), serious));
    assert_eq!(
        (&all["value_group"]["outcome"], &all["service_plan"]["outcome"]),
        (&json!("problem"), &json!("supervised"))
    );
    // The rating sets how power customers pay: what was stolen is paid before.
    let payer = json!({"supplied_since": "2020-01-01", "on_time_share": "1", "monthly_amount": "1000", "contracted_capacity": "100",
        "industry_category": "manufacturing", "voltage_level": "10kv"});
    let method = |more: Json| {
        let decision = decided(&POWER, "credit", with(&payer, more));
        (
            decision["outcome"].as_str().unwrap().to_owned(),
            decision["entitlements"]["payment_method"].as_str().unwrap().to_owned(),
        )
    };
    let pair = |rating: &str, method: &str| (rating.to_owned(), method.to_owned());
    assert_eq!(method(json!({})), pair("AAA", "postpaid"));
    assert_eq!(method(json!({"on_time_share": "0.85"})), pair("B", "deposit"));
    assert_eq!(method(json!({"on_time_share": "0.7"})), pair("C", "prepaid"));
    assert_eq!(method(json!({"theft_on": "2025-01-15"})), pair("D", "prepaid"));
}

#[test]
fn a_key_customer_is_visited_each_week_called_back_within_a_day_and_has_duties() {
    let plan = decided(&SAMPLE, "service_plan", best_store());
    let promised = &plan["entitlements"];
    assert_eq!(
        (&plan["outcome"], &promised["visit_interval"], &promised["callback_hours"]),
        (&json!("key"), &json!("7"), &json!("24"))
    );
    assert_eq!(
        (&promised["in_province_supply"], &promised["out_of_province_supply"]),
        (&json!("full"), &json!("priority"))
    );
    let texts =
        |key: &str| promised[key].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect::<BTreeSet<_>>();
    // A modern terminal has value-added services; rights are tied to duties.
    assert!(texts("services").is_superset(
        &["shop_image_design", "promotional_material", "preferential_supply", "bank_services", "training"].into()
    ));
    assert!(texts("duties").contains("scan_sales"));
}

#[test]
fn a_purchase_amount_makes_classes_and_a_favourite_brand_an_attitude() {
    let class = |id: &str| SAMPLE.outcomes(id)["abc"].clone();
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut amounts: Vec<(Decimal, String)> = Vec::new();
    for id in ids_of(&SAMPLE).values() {
        let amount: Decimal = SAMPLE.metric(id, "yearly_amount", "2018-01-01").parse().unwrap();
        *sums.entry(class(id)).or_default() += amount;
        amounts.push((amount, class(id)));
    }
    // The classes' amounts are all of it, and A ends with the customer who completes 80 %.
    let total: Decimal = amounts.iter().map(|(amount, _)| *amount).sum();
    assert_eq!(sums.values().sum::<Decimal>(), total);
    amounts.sort_by(|one, other| other.cmp(one));
    let of_a: Vec<Decimal> = amounts.iter().filter(|(_, class)| class == "A").map(|(amount, _)| *amount).collect();
    assert_eq!(
        of_a,
        amounts.iter().take(of_a.len()).map(|(amount, _)| *amount).collect::<Vec<_>>(),
        "A are the largest"
    );
    let limit = total * Decimal::new(8, 1);
    assert!(sums["A"] >= limit && sums["A"] - of_a[of_a.len() - 1] < limit, "{} of {total}", sums["A"]);

    let attitude = |more: Json| outcome(&SAMPLE, "attitude", with(&best_store(), more));
    assert_eq!(attitude(json!({"favourite_share": "0.6"})), "loyal");
    assert_eq!(attitude(json!({"favourite_share": "0.3"})), "switching");
    assert_eq!(attitude(json!({"favourite_share": "0.1"})), "no_loyalty");
    // First adopters of new products are loyal.
    assert_eq!(attitude(json!({"favourite_share": "0.1", "new_products": "1"})), "loyal");
}

#[test]
fn loyalty_has_a_type_and_satisfaction_says_whether_it_lasts() {
    let kind = |attachment: &str, months: &str, promotion: &str, sensitive: bool| {
        let more = json!({"attachment": attachment, "ordering_months": months, "promotion_share": promotion, "price_sensitive": sensitive});
        outcome(&SAMPLE, "loyalty_type", with(&best_store(), more))
    };
    assert_eq!(kind("90", "1", "0", false), "premium");
    assert_eq!(kind("10", "1", "0", false), "inertia");
    assert_eq!(kind("10", "1", "0.6", false), "incentive");
    assert_eq!(kind("90", "0.1", "0", false), "latent");
    assert_eq!(kind("10", "0.1", "0", true), "price");
    assert_eq!(kind("10", "0.1", "0", false), "none");
    let both = |satisfaction: &str, months: &str| {
        let more = json!({"satisfaction": satisfaction, "ordering_months": months});
        outcome(&SAMPLE, "satisfaction_loyalty", with(&best_store(), more))
    };
    assert_eq!(both("10", "1"), "hostage");
    assert_eq!(both("70", "1"), "loyal");
    assert_eq!(both("100", "1"), "apostle");
    assert_eq!(both("10", "0.1"), "defector");
    assert_eq!(both("70", "0.1"), "mercenary");
}

#[test]
fn the_share_of_a_customers_need_and_what_he_does_not_buy_yet() {
    let more = json!({"yearly_amount": "600", "estimated_need": "1000", "assortment": "7", "assortment_offered": "10"});
    let share = decided(&SAMPLE, "customer_share", with(&best_store(), more));
    // 600 of 1,000 is 60 %.
    assert_eq!((&share["outcome"], value(&share, "band", "value")), (&json!("main"), "60"));
    assert_eq!(share["entitlements"]["products_to_offer"], "3");
    assert_eq!(outcome(&SAMPLE, "customer_share", best_store()), "unknown");
}

#[test]
fn without_satisfaction_nobody_is_promoted_to_core() {
    let degrees = |satisfaction: &str| {
        let more = json!({"satisfaction": satisfaction, "visit_mean": "100"});
        decided(&SAMPLE, "four_degrees", with(&best_store(), more))
    };
    assert_eq!((&degrees("60")["outcome"], codes(&degrees("60"))), (&json!("core"), vec!["band"]));
    // 30 × 59.9 % + 70 = 87.97 points would be core.
    let below = degrees("59.9");
    assert_eq!(
        (&below["outcome"], &below["score"], codes(&below)),
        (&json!("ordinary"), &json!("87.97"), vec!["below_floor"])
    );
}

#[test]
fn integrity_points_are_taken_and_added_decay_and_sum_to_the_balance() {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    let profile =
        document(&app, &json!({"retail_format": "grocery", "market": "urban", "opened_on": "2013-01-01"}))["profile"]
            .clone();
    let id = app.customer("X1", profile);
    let observed = |id: &str, kind: &str, on: &str, value: &str| json!({"source": "office", "external_id": id, "kind": kind, "customer_code": "X1", "observed_on": on, "value": value, "evidence": "report 12"});
    let body = json!({"items": [observed("1", "violation", "2017-12-01", "8"), observed("2", "violation", "2017-12-31", "6"),
        observed("3", "praise", "2017-12-31", "3")]});
    let answer = app.post("/v1/observations/batches", &body).with(207).json;
    assert!(answer["items"].as_array().unwrap().iter().all(|one| one["status"] == "created"), "{answer}");
    // At any date the lines sum to the balance, and the balance is the metric.
    for as_of in ["2018-01-01", "2018-03-15", "2018-12-31"] {
        for metric in ["integrity_taken", "integrity_added"] {
            let ledger = app.get(&format!("/v1/customers/{id}/metrics/{metric}/ledger?as_of={as_of}")).with(200).json;
            let lines = ledger["items"].as_array().unwrap();
            let sum: Decimal =
                lines.iter().map(|line| line["left"].as_str().unwrap().parse::<Decimal>().unwrap()).sum();
            let balance: Decimal = ledger["balance"].as_str().unwrap().parse().unwrap();
            assert_eq!(
                (sum, lines.len()),
                (balance, if metric == "integrity_taken" { 2 } else { 1 }),
                "{metric} on {as_of}"
            );
            assert_eq!(
                app.metric(&id, metric, as_of).parse::<Decimal>().unwrap(),
                balance.round_dp(6),
                "{metric} on {as_of}"
            );
        }
    }
    let taken = app.get(&format!("/v1/customers/{id}/metrics/integrity_taken/ledger?as_of=2017-12-31")).with(200).json;
    // Of what was observed on the day itself all is left.
    assert_eq!((&taken["items"][1]["left"], &taken["items"][1]["evidence"]), (&json!("6"), &json!("report 12")));
    app.get(&format!("/v1/customers/{id}/metrics/yearly_amount/ledger?as_of=2018-01-01")).with(422);
    app.get(&format!("/v1/customers/{id}/metrics/integrity_token/ledger?as_of=2018-01-01")).with(422);
    until("he is watched", || {
        (app.outcomes(&id).get("integrity").map(String::as_str) == Some("watched")).then_some(())
    });
}

/// A factory of 300 kVA with a time-of-use tariff.
fn factory() -> Json {
    json!({"industry_category": "manufacturing", "voltage_level": "10kv", "contracted_capacity": "300", "supplied_since": "2020-01-01", "time_of_use": true,
        "basic_charge": "by_demand", "recent_energy": "73000", "recent_peak_share": "0.4", "recent_reactive_ratio": "0.3", "recent_price": "0.7",
        "yearly_demand": "250"})
}

#[test]
fn a_power_customer_is_advised_with_figures() {
    let advice = |more: Json| decided(&POWER, "load_advice", with(&factory(), more));
    assert_eq!(advice(json!({}))["outcome"], "efficient");
    // From the peak to the valley: (0.6 − 0.45) × 73,000 kWh = 10,950 kWh, and each saves 0.7: 7,665.
    let peak = advice(json!({"recent_peak_share": "0.6"}));
    assert_eq!((&peak["outcome"], value(&peak, "peak_load", "shiftable")), (&json!("shift_load"), "10950"));
    assert_eq!(value(&peak, "peak_load", "saving").parse::<Decimal>().unwrap(), Decimal::from(7665));
    // 1 ÷ √(1 + 0.75²) = 0.8, and 0.9 is demanded.
    let factor = advice(json!({"recent_reactive_ratio": "0.75"}));
    assert_eq!(
        (&factor["outcome"], value(&factor, "low_power_factor", "factor")),
        (&json!("raise_power_factor"), "0.8")
    );
    assert_eq!(advice(json!({"recent_unbalance": "16"}))["outcome"], "balance_phases");
    assert_eq!(advice(json!({"yearly_demand": "301"}))["outcome"], "fit_capacity");
}

#[test]
fn power_customers_have_segments_vips_and_rules_that_beat_the_score() {
    let segment = |more: Json| {
        let load = json!({"yearly_energy": "5256", "monthly_energy": "438", "yearly_demand": "1", "yearly_valley_share": "0.3", "reading_months": "1"});
        outcome(&POWER, "segment", with(&with(&factory(), load), more))
    };
    // 438 kWh a month with a demand of 1 kW: 438 ÷ 730 = 0.6 of the time.
    assert_eq!(segment(json!({})), "industry_high_voltage_steady");
    assert_eq!(segment(json!({"yearly_valley_share": "0.6"})), "industry_high_voltage_valley");
    assert_eq!(segment(json!({"monthly_energy": "73"})), "industry_high_voltage_ordinary");
    let declared = POWER.get("/v1/pack").with(200).json;
    let lists: Vec<&str> =
        declared["lists"].as_array().unwrap().iter().map(|list| list["id"].as_str().unwrap()).collect();
    assert!(
        ["vip", "important", "dishonest", "green_channel", "key_accounts"].iter().all(|list| lists.contains(list)),
        "{lists:?}"
    );
}

#[test]
fn a_newcomer_begins_in_the_middle_and_a_thief_is_on_the_list_of_the_dishonest() {
    let app = TestApp::new(&pack("power"), "2026-01-02");
    let customer = |code: &str, since: &str| {
        let said = with(&factory(), json!({"supplied_since": since}));
        app.customer(code, document(&app, &said)["profile"].clone())
    };
    let (old, new) = (customer("P1", "2020-01-01"), customer("P2", "2025-06-01"));
    close(&app);
    // Whoever was supplied less than a year ago begins as B, whatever the figures say.
    let class = decision(&app, &new, "value");
    assert!(class["outcome"] == "B" && codes(&class).contains(&"newcomer"), "{class}");
    assert_eq!(app.outcomes(&old)["value"], "C", "nothing is known that speaks for him");
    // An inspector found theft.
    let theft = json!({"items": [{"source": "inspection", "external_id": "T1", "kind": "theft", "customer_code": "P1", "observed_on": "2025-12-01",
        "evidence": "protocol 9"}]});
    let answer = app.post("/v1/observations/batches", &theft).with(207).json;
    assert_eq!(answer["items"][0]["status"], "created", "{answer}");
    until("the theft costs the credit, provisionally", || {
        (decision(&app, &old, "credit")["provisional"]["outcome"] == "D").then_some(())
    });
    close(&app);
    assert_eq!(app.outcomes(&old)["credit"], "D");
    assert_ne!(app.outcomes(&new)["credit"], "D");
    let members = app.get("/v1/lists/dishonest/members").with(200).json;
    let codes: Vec<&str> =
        members["items"].as_array().unwrap().iter().map(|one| one["customer_code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["P1"]);
}

#[test]
fn a_buyer_goes_through_the_funnel_and_his_case_to_its_department() {
    let visits = |more: Json| {
        let none = json!({"receptions_half_year": "0", "receptions_this_month": "0", "show_flats_half_year": "0", "show_flats_this_month": "0",
            "units_five_years": "0", "units_this_month": "0", "dwelling_type": "flat"});
        with(&none, more)
    };
    let stage = |more: Json| outcome(&ESTATE, "funnel", visits(more));
    assert_eq!(stage(json!({"receptions_half_year": "1"})), "visitor");
    assert_eq!(stage(json!({"show_flats_half_year": "1"})), "interested");
    assert_eq!(stage(json!({"units_five_years": "1"})), "buyer");
    // Three of the five signs of a relationship.
    assert_eq!(
        stage(
            json!({"units_five_years": "2", "recommends": true, "shares_experience": true, "helps_improve": true, "tolerates_problems": true})
        ),
        "loyal"
    );

    // Who means to buy within a month, decides himself, has his loan and the money: 25 + 12 + 15 + 15 + 12 + 1 = 80 points.
    let serious = json!({"receptions_quarter": "3", "receptions_this_month": "0", "show_flats_quarter": "2", "show_flats_this_month": "0",
        "units_quarter": "0", "purchase_horizon": "within_1_month", "decision_maker_present": true, "financing": "mortgage",
        "loan_status": "pre_approved", "budget": "730000", "asking_price": "1000000"});
    let intention = decided(&ESTATE, "intention", visits(serious.clone()));
    assert_eq!((&intention["outcome"], &intention["score"]), (&json!("A"), &json!("80")));
    assert!(intention["entitlements"]["closing_probability"].is_string());
    // One less of budget is a minus.
    assert_eq!(outcome(&ESTATE, "intention", visits(with(&serious, json!({"budget": "729999"})))), "A-");

    let case = |kind: &str, about: &str| {
        decided(&ESTATE, "case_class", visits(json!({"case_kind": kind, "case_subject": about})))
    };
    let complaint = case("complaint", "construction");
    assert_eq!(
        (&complaint["outcome"], &complaint["entitlements"]["department"]),
        (&json!("complaint_construction"), &json!("engineering"))
    );
    assert!(
        complaint["entitlements"]["solve_days"].is_string() && complaint["entitlements"]["answer_hours"].is_string()
    );
    // A valid complaint has a gift and is asked again, a good suggestion an incentive.
    assert_eq!(
        (&complaint["entitlements"]["thanks"], &complaint["entitlements"]["asked_again"]),
        (&json!("gift"), &json!(true))
    );
    assert_eq!(case("suggestion", "design")["entitlements"]["thanks"], "incentive");
    assert_eq!(case("inquiry", "sales_promise")["entitlements"]["department"], "marketing");
    // While a complaint is open there is no promotion.
    let promoted = outcome(&ESTATE, "promotion", visits(json!({"case_kind": "complaint", "case_subject": "service"})));
    assert_eq!(promoted, "complaint_open");
}

#[test]
fn a_lead_is_followed_up_the_sooner_the_hotter_it_is() {
    let lead = |days: &str, driven: bool, budget: bool| {
        let mut said = json!({"opened_on": "2026-08-01", "lead_stage": "lead", "purchase_horizon": days, "test_drive_done": driven,
            "contacts_before": "0", "contacts_this_month": "0"});
        if budget {
            said["budget"] = json!("200000");
        }
        let decision = decided(&AUTOMOBILE, "lead_temperature", said);
        (
            decision["outcome"].as_str().unwrap().to_owned(),
            decision["entitlements"]["follow_up_days"].as_str().unwrap().to_owned(),
        )
    };
    let pair = |temperature: &str, days: &str| (temperature.to_owned(), days.to_owned());
    assert_eq!(lead("5", true, true), pair("H", "2"));
    assert_eq!(lead("5", true, false), pair("A", "7"));
    assert_eq!(lead("14", false, false), pair("B", "14"));
    assert_eq!(lead("60", false, false), pair("C", "30"));
    let stage = |stage: &str| {
        outcome(
            &AUTOMOBILE,
            "lead_temperature",
            json!({"opened_on": "2026-08-01", "lead_stage": stage, "contacts_before": "0", "contacts_this_month": "0"}),
        )
    };
    assert_eq!((stage("ordered").as_str(), stage("lost").as_str()), ("O", "none"));
}

/// A pack that takes the relationship level, with the margin entered by hand.
const RELATIONS: &str = r#"
[pack]
id = "relations"
title = { en = "Relations" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "piece"
languages = ["en"]

[fields.margin_share]
section = "business"
type = "decimal"
maintenance = "dynamic"

[fields.customers_of_kind]
section = "business"
type = "choice"
choices = ["many", "medium", "few"]
maintenance = "dynamic"

[policies.relationship_level]
common = true
cadence = "continuous"
"#;

#[test]
fn the_relationship_follows_from_margin_and_number_of_customers() {
    let general = |file: &str| {
        let path = format!("{}/rules/common/relationship_level/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let (declared, script, texts) = (general("policy.toml"), general("policy.rhai"), general("texts/en.toml"));
    let own = "fields = { margin_share = \"Margin\", customers_of_kind = \"Customers of his kind\" }\n\
        choices.customers_of_kind = { many = \"Many\", medium = \"A medium number\", few = \"Few\" }\n";
    let source = files(&[
        ("pack.toml", RELATIONS),
        ("texts/en.toml", own),
        ("common/relationship_level/policy.toml", &declared),
        ("common/relationship_level/policy.rhai", &script),
        ("common/relationship_level/texts/en.toml", &texts),
    ]);
    let app = TestApp::new(&source, "2018-01-01");
    // Nine customers, three of each margin: thirds.
    let mut ids = BTreeMap::new();
    for (margin, share) in [("low", "0.1"), ("medium", "0.2"), ("high", "0.3")] {
        for number in ["many", "medium", "few"] {
            let profile = json!({"business": {"margin_share": share, "customers_of_kind": number}});
            ids.insert((margin, number), app.customer(&format!("{margin}-{number}"), profile));
        }
    }
    // With a closing come the thirds of those who are there.
    close(&app);
    let table = [
        ("high", ["accountable", "proactive", "partnership"]),
        ("medium", ["reactive", "accountable", "proactive"]),
        ("low", ["basic", "reactive", "accountable"]),
    ];
    for (margin, levels) in table {
        for (number, level) in ["many", "medium", "few"].into_iter().zip(levels) {
            assert_eq!(
                app.outcomes(&ids[&(margin, number)])["relationship_level"],
                level,
                "{margin} margin, {number} customers"
            );
        }
    }
    // What was taken is part of the release.
    let release = app.get("/v1/basis").with(200).json["release"].as_str().unwrap().to_owned();
    let kept = app.get(&format!("/v1/releases/{release}")).with(200).json;
    assert_eq!(kept["files"]["common/relationship_level/policy.rhai"], script);
}

/// The outcomes that nobody has after a service's first run, as `policy outcome`.
fn missing(service: &mut Service) -> Vec<String> {
    let run = service.get("/v1/runs").with(200).json["items"][0].clone();
    assert_eq!((&run["status"], &run["failed"]), (&json!("finished"), &json!(0)));
    let policies = run["summary"].as_array().unwrap().iter();
    let outcomes =
        policies.flat_map(|policy| policy["outcomes"].as_array().unwrap().iter().map(move |one| (policy, one)));
    let named = |(policy, one): (&Json, &Json)| {
        format!("{} {}", policy["policy"].as_str().unwrap(), one["outcome"].as_str().unwrap())
    };
    outcomes.filter(|(_, one)| one["customers"] == 0).map(named).collect()
}

/// What the sample's employees are called after an evaluation of September.
fn scored(service: &mut Service) -> BTreeSet<String> {
    let employees = service.get("/v1/employees?limit=100").with(200).json["items"].clone();
    let outcome = |employee: &Json| {
        let evaluated = json!({"employee_id": employee["id"], "period": "2026-09"});
        let evaluation = service.send("POST", "/v1/staff-evaluations", &evaluated).with(201).json;
        evaluation["decision"]["outcome"].as_str().unwrap().to_owned()
    };
    employees.as_array().unwrap().iter().map(outcome).collect()
}

#[test]
fn four_services_of_one_binary_serve_four_industries_side_by_side_and_every_outcome_occurs() {
    let place = Place::new();
    let packs = ["tobacco", "power", "real_estate", "automobile"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let services = packs.map(|pack| place.serve(&folder.join(pack), &[("BAREMO_ADMIN_PASSWORD", PASSWORD)]));
    let mut served = BTreeSet::new();
    for service in services {
        let mut service = service.ready();
        service.sign_in(PASSWORD);
        let pack = service.get("/v1/pack").with(200).json;
        served.insert(pack["id"].as_str().unwrap().to_owned());
        service.get("/v1/customers?limit=1").with(200);
        assert_eq!(missing(&mut service), [""; 0], "outcomes of {} that its sample doesn't make", pack["id"]);
        if pack["staff"].is_object() {
            assert_eq!(
                scored(&mut service),
                ["excellent", "good", "insufficient", "sufficient"].map(str::to_owned).into()
            );
        }
    }
    assert_eq!(served, packs.map(str::to_owned).into());
}

/// Draws a customer's decisions from the pack's description and the evaluation alone, as any front end would.
fn drawn(app: &TestApp, said: &Json) -> Vec<String> {
    let pack = app.get("/v1/pack").with(200).json;
    let shown = app.post("/v1/evaluations", &json!({"document": document(app, said)})).with(200).json;
    let label = |owner: &Json, key: &str, value: &str| -> String {
        let of = owner[key].as_array().into_iter().flatten();
        let found = of.clone().find(|one| one["value"] == value || one["key"] == value);
        found.map_or_else(
            || panic!("no label of {value} among {key}"),
            |one| one["labels"]["es"].as_str().unwrap().to_owned(),
        )
    };
    let mut lines = Vec::new();
    for decision in shown["decisions"].as_array().unwrap() {
        let declared = pack["policies"].as_array().unwrap().iter().find(|one| one["id"] == decision["policy"]).unwrap();
        let title = declared["labels"]["es"].as_str().unwrap();
        let Some(outcome) = decision["outcome"].as_str() else {
            lines.push(format!("{title}: –"));
            continue;
        };
        lines.push(format!("{title}: {}", label(declared, "outcomes", outcome)));
        for reason in decision["reasons"].as_array().into_iter().flatten() {
            lines.push(format!("  {}", reason["text"].as_str().unwrap()));
        }
        for (key, value) in decision["entitlements"].as_object().into_iter().flatten() {
            lines.push(format!("  {} = {value}", label(declared, "entitlements", key)));
        }
        for input in decision["inputs"].as_array().unwrap() {
            lines.push(format!("  · {} {}", input["label"].as_str().unwrap(), input["value"].as_str().unwrap_or("–")));
        }
    }
    lines
}

#[test]
fn one_front_end_draws_the_same_customer_by_two_packs() {
    let (by_one, by_other) = (drawn(&SAMPLE, &best_store()), drawn(&POWER, &factory()));
    for (app, lines) in [(&*SAMPLE, &by_one), (&*POWER, &by_other)] {
        let policies = app.get("/v1/pack").with(200).json["policies"].as_array().unwrap().len();
        let titles = lines.iter().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(titles, policies, "{lines:?}");
        assert!(
            lines.iter().any(|line| line.starts_with("  ·")) && lines.iter().any(|line| line.contains(" = ")),
            "{lines:?}"
        );
    }
    // The two answers have the same members, whatever the industry.
    let members = |app: &TestApp, said: &Json| {
        let shown = app.post("/v1/evaluations", &json!({"document": document(app, said)})).with(200).json;
        let keys = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        let decisions = shown["decisions"].as_array().unwrap().iter().flat_map(&keys).collect::<BTreeSet<_>>();
        (keys(&shown), decisions)
    };
    let ((one, decisions), (other, others)) = (members(&SAMPLE, &best_store()), members(&POWER, &factory()));
    assert_eq!(one, other);
    let optional: BTreeSet<String> =
        ["error", "indicators", "score", "entitlements", "reasons", "outcome", "label", "computed_outcome"]
            .map(str::to_owned)
            .into();
    assert!(
        decisions.symmetric_difference(&others).all(|member| optional.contains(member)),
        "{decisions:?} {others:?}"
    );
}
