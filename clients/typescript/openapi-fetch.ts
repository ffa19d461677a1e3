// A round trip with the types of openapi-typescript: sign in, create a customer, record orders, read metrics, evaluate, read
// decisions, list by outcome.

import createClient from "openapi-fetch";
import type { paths } from "./generated/openapi";
import { api, check, good, password, run, until } from "./shared";

const code = "TS-FETCH";
const client = createClient<paths>({ baseUrl: api });

void run("openapi-typescript", async () => {
  const signedIn = good(await client.POST("/v1/auth/token", { body: { username: "admin", password } }));
  client.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${signedIn.access_token}`);
      return request;
    },
  });

  const profile = {
    basic: { opened_on: "2015-03-01" },
    network: { retail_format: "grocery", market: "urban", floor_area: "42.5" },
  };
  const customer = good(await client.POST("/v1/customers", { body: { code, name: "Ana", profile } }));
  check(customer.profile["network"]?.["floor_area"] === "42.5", "a decimal comes back as it was sent");

  const product = { name: "Twenty", category: "first", unit: "case", factor: "1" };
  good(await client.PUT("/v1/products/{code}", { params: { path: { code: "TS-P1" } }, body: product }));
  const items = ["2017-10-05", "2017-11-05", "2017-12-05"].map((occurred_at, index) => ({
    source: "round-trip",
    external_id: `${code}-${index}`,
    kind: "order",
    customer_code: code,
    occurred_at,
    lines: [{ product: "TS-P1", measures: { quantity: "15", amount: "600.00" } }],
  }));
  const recorded = good(await client.POST("/v1/transactions/batches", { body: { items } }));
  check(recorded.items.every((item) => item.status === "created"), JSON.stringify(recorded));

  const path = { id: customer.id };
  const metrics = good(await client.GET("/v1/customers/{id}/metrics", { params: { path } }));
  const volume = metrics.items.find((metric) => metric.key === "monthly_volume");
  check(volume?.value === "15", JSON.stringify(volume));

  const evaluation = good(await client.POST("/v1/evaluations", { body: { customer_id: customer.id } }));
  const evaluated = evaluation.decisions.find((decision) => decision.policy === "volume_grade");
  check(evaluated?.outcome === "2", JSON.stringify(evaluated));

  const graded = await until("the grade follows the orders", async () => {
    const decisions = good(await client.GET("/v1/customers/{id}/decisions", { params: { path } }));
    return decisions.items.find((decision) => decision.policy === "volume_grade" && decision.outcome === "2");
  });
  check((graded.reasons ?? []).length > 0, "a decision has reasons");

  const query = { outcome: { volume_grade: "2" }, code };
  const found = good(await client.GET("/v1/customers", { params: { query } }));
  check(found.items.length === 1 && found.items[0]?.id === customer.id, JSON.stringify(found));

  const refused = await client.GET("/v1/customers/{id}", { params: { path: { id: "00000000-0000-7000-8000-000000000000" } } });
  check(refused.error?.code === "not_found", "a problem has a code");
});
