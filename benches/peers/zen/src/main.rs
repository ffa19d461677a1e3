//! The composite policy of the measured pack by zen-engine: decision tables for the cells and the bands, an expression node between them,
//! compiled once. `zen-peer INPUTS OUTPUTS`

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value as Json, json};
use zen_engine::model::GraphContent;
use zen_engine::{Decision, Variable};

const ROUNDS: usize = 11;
const FORMATS: [(&str, i32); 7] = [
    ("grocery", 40),
    ("convenience", 70),
    ("supermarket", 100),
    ("department_store", 90),
    ("tobacco_liquor", 80),
    ("entertainment", 60),
    ("other", 20),
];
const MARKETS: [(&str, i32); 2] = [("urban", 0), ("rural", 10)];
const SIZES: [(&str, i32, &str); 3] = [("large", 0, ">= 480"), ("medium", 3, "[120..480)"), ("small", 7, "< 120")];
const GRADES: [(&str, &str, i32); 8] = [
    (">= 90", "1", 30),
    (">= 80", "2", 20),
    (">= 70", "3", 15),
    (">= 60", "4", 10),
    (">= 50", "5", 8),
    (">= 40", "6", 5),
    (">= 20", "7", 3),
    ("", "8", 1),
];

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let shops: Vec<Json> = serde_json::from_slice(&std::fs::read(&paths[0]).unwrap()).unwrap();
    let shops: Vec<Variable> = shops.into_iter().map(Variable::from).collect();
    let mut content: GraphContent = serde_json::from_value(graph()).unwrap();
    content.compile();
    let decision = Decision::from(content);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (times, decided) = runtime.block_on(async {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            for shop in &shops {
                black_box(decision.evaluate(black_box(shop).clone()).await.unwrap());
            }
            times.push(begin.elapsed().as_secs_f64() * 1e9 / shops.len() as f64);
        }
        let mut decided = Vec::new();
        for shop in &shops {
            decided.push(outcome(&decision.evaluate(shop.clone()).await.unwrap().result.to_value()));
        }
        (times, decided)
    });
    let mut times = times;
    times.sort_by(f64::total_cmp);
    let answer = json!({ "nanoseconds": times[ROUNDS / 2], "decided": decided });
    std::fs::write(&paths[1], answer.to_string()).unwrap();
}

fn outcome(result: &Json) -> Json {
    json!({
        "outcome": result["outcome"],
        "score": result["score"],
        "size": result["size"],
        "pays_late": result["pays_late"],
        "supply": result["supply"],
    })
}

/// Input, cells, indicators with the score, bands, output.
fn graph() -> Json {
    let mut cells = Vec::new();
    for (format, base) in FORMATS {
        for (market, less_by_market) in MARKETS {
            for (size, less_by_size, range) in SIZES {
                cells.push(json!({
                    "_id": format!("{format} {market} {size}"),
                    "format": format!("\"{format}\""),
                    "market": format!("\"{market}\""),
                    "quantity": range,
                    "influence": (base - less_by_market - less_by_size).to_string(),
                    "size": format!("\"{size}\""),
                }));
            }
        }
    }
    let grades: Vec<Json> = GRADES
        .iter()
        .map(|(range, grade, supply)| {
            json!({ "_id": grade, "score": range, "outcome": format!("\"{grade}\""), "supply": supply.to_string() })
        })
        .collect();
    let column = |id: &str, field: &str| json!({ "id": id, "name": id, "field": field });
    let scaled = |field: &str, low: &str, high: &str| {
        format!("(min([max([{field}, {low}]), {high}]) - {low}) / ({high} - {low}) * 100")
    };
    let expression = |key: &str, value: String| json!({ "id": key, "key": key, "value": value });
    let score = "(35 * $.contribution + 20 * $.support + 20 * $.credit + 15 * $.growth + 10 * influence) / 100";
    json!({
        "nodes": [
            { "id": "in", "name": "in", "type": "inputNode", "content": {} },
            { "id": "cells", "name": "cells", "type": "decisionTableNode", "content": {
                "hitPolicy": "first",
                "passThrough": true,
                "inputs": [column("format", "format"), column("market", "market"), column("quantity", "yearly_quantity")],
                "outputs": [column("influence", "influence"), column("size", "size")],
                "rules": cells,
            } },
            { "id": "indicators", "name": "indicators", "type": "expressionNode", "content": {
                "passThrough": true,
                "expressions": [
                    expression("contribution", scaled("yearly_quantity", "0", "600")),
                    expression("support", scaled("ordering_months", "0.5", "1")),
                    expression("credit", scaled("on_time_share", "0.8", "1")),
                    expression("growth", scaled("half_year_growth", "(-0.2)", "0.2")),
                    expression("score", score.to_owned()),
                    expression("pays_late", "on_time_share < 0.9".to_owned()),
                ],
            } },
            { "id": "grades", "name": "grades", "type": "decisionTableNode", "content": {
                "hitPolicy": "first",
                "passThrough": true,
                "inputs": [column("score", "score")],
                "outputs": [column("outcome", "outcome"), column("supply", "supply")],
                "rules": grades,
            } },
            { "id": "out", "name": "out", "type": "outputNode", "content": {} },
        ],
        "edges": [
            { "id": "1", "sourceId": "in", "targetId": "cells" },
            { "id": "2", "sourceId": "cells", "targetId": "indicators" },
            { "id": "3", "sourceId": "indicators", "targetId": "grades" },
            { "id": "4", "sourceId": "grades", "targetId": "out" },
        ],
    })
}
