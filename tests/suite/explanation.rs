//! Explanations of an assessment for who may see what, in three languages, on the real orders of the tobacco sample.

use serde_json::{Value as Json, json};

use crate::decisions::{SAMPLE, ids_of};

/// The latest assessment of the customer S388.
fn latest() -> String {
    let id = &ids_of(&SAMPLE)["S388"];
    let page = SAMPLE.get(&format!("/v1/customers/{id}/assessments?limit=1")).with(200).json;
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

fn explained(reader: &str, language: &str) -> Json {
    let path = format!("/v1/assessments/{}/explanation?for={reader}", latest());
    SAMPLE.send("GET", &path, &[("Accept-Language", language)], &Json::Null).with(200).json
}

fn of<'a>(explanation: &'a Json, policy: &str) -> &'a Json {
    let policies = explanation["policies"].as_array().unwrap();
    policies.iter().find(|one| one["policy"] == policy).unwrap_or_else(|| panic!("{explanation}"))
}

#[test]
fn a_customer_sees_what_decided_and_what_leads_on_but_no_weights() {
    let explanation = explained("customer", "en");
    assert_eq!((&explanation["for"], explanation.get("assessment")), (&json!("customer"), None));
    let grade = of(&explanation, "volume_grade");
    assert_eq!(grade["decided_by"], "band");
    let next = &grade["next"];
    let number = |json: &Json| json.as_str().unwrap().parse::<f64>().unwrap();
    let band = &SAMPLE.get(&format!("/v1/assessments/{}", latest())).json["decisions"];
    let band =
        band.as_array().unwrap().iter().find(|one| one["policy"] == "volume_grade").unwrap()["reasons"][0].clone();
    let expected = number(&band["values"]["next"]) - number(&band["values"]["value"]);
    assert!((number(&next["missing"]) - expected).abs() < 1e-9, "{grade}");
    let path = &grade["paths"][0];
    assert_eq!((&path["outcome"], &path["changes"][0]["key"]), (&next["outcome"], &json!("monthly_volume")), "{grade}");
    assert!(number(&path["changes"][0]["to"]) >= number(&next["from"]));
    let text = explanation.to_string();
    for hidden in ["\"weight\"", "\"rows\"", "\"inputs\"", "\"decision\"", "sha256:"] {
        assert!(!text.contains(hidden), "{hidden} is not the customer's: {text}");
    }
}

#[test]
fn an_account_manager_sees_figures_and_an_auditor_by_which_rules() {
    let manager = explained("account_manager", "en");
    let grade = of(&manager, "volume_grade");
    let outcome = grade["outcome"].as_str().unwrap();
    // A band is named by where it begins and what it gives.
    let rows: Vec<&str> = grade["rows"].as_array().unwrap().iter().map(|row| row.as_str().unwrap()).collect();
    assert!(
        rows.iter().any(|row| row.starts_with("GRADES, ") && row.contains(outcome))
            && rows.contains(&&*format!("SUPPLY, {outcome}")),
        "{rows:?}"
    );
    let value = of(&manager, "value");
    assert_eq!(value["decided_by"], "indicator");
    assert!(value["weakest"]["label"].is_string() && value["decision"]["inputs"].is_array(), "{value}");
    assert!(
        value["sentences"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one.as_str().unwrap().starts_with("Most is missing from"))
    );
    assert_eq!(manager.get("assessment"), None);
    let auditor = explained("auditor", "en");
    assert!(auditor["assessment"]["release"].as_str().unwrap().starts_with("sha256:"));
    let path = format!("/v1/assessments/{}/explanation?for=auditor", latest());
    let clerk = SAMPLE.as_role("clerk");
    assert_eq!(SAMPLE.send_as(&clerk, "GET", &path, &[], &Json::Null).status, 403);
    SAMPLE.get(&format!("/v1/assessments/{}/explanation?for=nobody", latest())).with(422);
    SAMPLE.get("/v1/assessments/01a2008f-c5ab-7253-a9fc-1d735533f672/explanation").with(404);
}

#[test]
fn explanations_are_in_the_readers_language() {
    let text = |language: &str| {
        of(&explained("customer", language), "volume_grade")["next"]["text"].as_str().unwrap().to_owned()
    };
    assert!(text("en").contains(" more for “") && text("es").contains(" más para «") && text("zh").contains("即为"));
}
