// A round trip with the client that hey-api generates: sign in, create a customer, record orders, read metrics, evaluate, read
// decisions, list by outcome.

import { client } from "./generated/hey-api/client.gen";
import {
  createCustomer,
  createEvaluation,
  createToken,
  createTransactions,
  getCustomer,
  listCustomerDecisions,
  listCustomerMetrics,
  listCustomers,
  putProduct,
} from "./generated/hey-api";
import { api, check, good, password, run, until } from "./shared";

const code = "TS-HEY";

void run("hey-api", async () => {
  client.setConfig({ baseUrl: api });
  const signedIn = good(await createToken({ body: { username: "admin", password } }));
  client.setConfig({ auth: () => signedIn.access_token });

  const profile = {
    basic: { opened_on: "2015-03-01" },
    network: { retail_format: "grocery", market: "rural", floor_area: "42.5" },
  };
  const customer = good(await createCustomer({ body: { code, name: "Ana", profile } }));
  check(customer.profile["network"]?.["floor_area"] === "42.5", "a decimal comes back as it was sent");

  const product = { name: "Twenty", category: "first", unit: "case", factor: "1" };
  good(await putProduct({ path: { code: "TS-P2" }, body: product }));
  const items = ["2017-10-05", "2017-11-05", "2017-12-05"].map((occurred_at, index) => ({
    source: "round-trip",
    external_id: `${code}-${index}`,
    kind: "order",
    customer_code: code,
    occurred_at,
    lines: [{ product: "TS-P2", measures: { quantity: "20", amount: "800.00" } }],
  }));
  const recorded = good(await createTransactions({ body: { items } }));
  check(recorded.items.every((item) => item.status === "created"), JSON.stringify(recorded));

  const path = { id: customer.id };
  const metrics = good(await listCustomerMetrics({ path }));
  const volume = metrics.items.find((metric) => metric.key === "monthly_volume");
  check(volume?.value === "20", JSON.stringify(volume));

  const evaluation = good(await createEvaluation({ body: { customer_id: customer.id } }));
  const evaluated = evaluation.decisions.find((decision) => decision.policy === "volume_grade");
  check(evaluated?.outcome === "1", JSON.stringify(evaluated));

  const graded = await until("the grade follows the orders", async () => {
    const decisions = good(await listCustomerDecisions({ path }));
    return decisions.items.find((decision) => decision.policy === "volume_grade" && decision.outcome === "1");
  });
  check((graded.reasons ?? []).length > 0, "a decision has reasons");

  const found = good(await listCustomers({ query: { outcome: { volume_grade: "1" }, code } }));
  check(found.items.length === 1 && found.items[0]?.id === customer.id, JSON.stringify(found));

  const refused = await getCustomer({ path: { id: "00000000-0000-7000-8000-000000000000" } });
  check(refused.error?.code === "not_found", "a problem has a code");
});
