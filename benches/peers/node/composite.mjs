// The composite policy of the measured pack by json-rules-engine: a rule for each cell and each band, facts for the indicators.
// node composite.mjs INPUTS OUTPUTS

import { readFileSync, writeFileSync } from "node:fs";
import { Engine } from "json-rules-engine";

const ROUNDS = 5;
const FORMATS = { grocery: 40, convenience: 70, supermarket: 100, department_store: 90, tobacco_liquor: 80, entertainment: 60, other: 20 };
const MARKETS = { urban: 0, rural: 10 };
const SIZES = { large: 0, medium: 3, small: 7 };
const GRADES = [[90, "1", 30], [80, "2", 20], [70, "3", 15], [60, "4", 10], [50, "5", 8], [40, "6", 5], [20, "7", 3], [-Infinity, "8", 1]];

const scaled = (x, low, high) => ((Math.min(Math.max(x, low), high) - low) / (high - low)) * 100;
const indicator = (fact, low, high) => async (_, almanac) => scaled(await almanac.factValue(fact), low, high);

const engine = new Engine();
engine.addFact("size", async (_, almanac) => {
  const quantity = await almanac.factValue("yearly_quantity");
  return quantity >= 480 ? "large" : quantity >= 120 ? "medium" : "small";
});
engine.addFact("contribution", indicator("yearly_quantity", 0, 600));
engine.addFact("support", indicator("ordering_months", 0.5, 1));
engine.addFact("credit", indicator("on_time_share", 0.8, 1));
engine.addFact("growth", indicator("half_year_growth", -0.2, 0.2));
engine.addFact("score", async (_, almanac) => {
  const names = ["contribution", "support", "credit", "growth", "influence"];
  const values = await Promise.all(names.map((name) => almanac.factValue(name)));
  return (35 * values[0] + 20 * values[1] + 20 * values[2] + 15 * values[3] + 10 * values[4]) / 100;
});
for (const [format, base] of Object.entries(FORMATS)) {
  for (const [market, lessByMarket] of Object.entries(MARKETS)) {
    for (const [size, lessBySize] of Object.entries(SIZES)) {
      const influence = base - lessByMarket - lessBySize;
      engine.addRule({
        priority: 2,
        conditions: {
          all: [
            { fact: "format", operator: "equal", value: format },
            { fact: "market", operator: "equal", value: market },
            { fact: "size", operator: "equal", value: size },
          ],
        },
        event: { type: "cell", params: { size } },
        onSuccess: (_, almanac) => almanac.addFact("influence", influence),
      });
    }
  }
}
GRADES.forEach(([from, outcome, supply], place) => {
  const all = [];
  if (from > -Infinity) all.push({ fact: "score", operator: "greaterThanInclusive", value: from });
  if (place > 0) all.push({ fact: "score", operator: "lessThan", value: GRADES[place - 1][0] });
  engine.addRule({ conditions: { all }, event: { type: "grade", params: { outcome, supply } } });
});
engine.addRule({
  conditions: { all: [{ fact: "on_time_share", operator: "lessThan", value: 0.9 }] },
  event: { type: "pays_late" },
});

async function decide(shop) {
  const { events, almanac } = await engine.run(shop);
  const of = (type) => events.find((event) => event.type === type)?.params;
  const { outcome, supply } = of("grade");
  const pays_late = events.some((event) => event.type === "pays_late");
  return { outcome, score: await almanac.factValue("score"), size: of("cell").size, pays_late, supply };
}

const [inputs, outputs] = process.argv.slice(2);
const shops = JSON.parse(readFileSync(inputs, "utf8"));
const decided = [];
for (const shop of shops) decided.push(await decide(shop));
const times = [];
for (let round = 0; round < ROUNDS; round++) {
  const begin = process.hrtime.bigint();
  for (const shop of shops) await engine.run(shop);
  times.push(Number(process.hrtime.bigint() - begin) / shops.length);
}
times.sort((a, b) => a - b);
writeFileSync(outputs, JSON.stringify({ nanoseconds: times[Math.floor(ROUNDS / 2)], decided }));
