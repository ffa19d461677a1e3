"""A round trip with the client that openapi-python-client generates from a running service, whose description has the industry's
own fields: sign in, create a customer, record orders, read metrics, evaluate, read decisions, list by outcome."""

import os
import time
from datetime import date
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

from generated import AuthenticatedClient, Client, models
from generated.api.assessments import create_evaluation, list_customer_decisions
from generated.api.auth import create_token
from generated.api.customers import create_customer, get_customer, list_customers
from generated.api.products import put_product
from generated.api.transactions import create_transactions, list_customer_metrics
from generated.types import Response

CODE = "PY-1"
T = TypeVar("T")
A = TypeVar("A")


def good(expected: type[T], response: Response[A]) -> T:
    """What a call gave, or stops with what it answered."""
    assert isinstance(response.parsed, expected), f"{response.status_code} {response.content!r}"
    return response.parsed


def orders() -> list[models.TransactionBody]:
    """An order of ten cases in each of three months."""
    line = models.TransactionLineBody(product="PY-P1", measures=models.Measures(quantity="10", amount="400.00"))
    return [
        models.TransactionBody(
            source="round-trip",
            external_id=f"{CODE}-{month}",
            kind=models.TransactionKind.ORDER,
            customer_code=CODE,
            occurred_at=f"2017-{month}-05",
            lines=[line],
        )
        for month in (10, 11, 12)
    ]


def wait_for_grade(client: AuthenticatedClient, customer: UUID, outcome: str) -> models.CurrentDecision:
    """The volume grade, once it is the one expected: grades follow changes within a second or so."""
    for _ in range(150):
        decisions = good(models.CurrentDecisionList, list_customer_decisions.sync_detailed(customer, client=client))
        for decision in decisions.items:
            if (decision.policy, decision.outcome) == ("volume_grade", outcome):
                return decision
        time.sleep(0.2)
    raise TimeoutError("the grade doesn't follow the orders")


def main() -> None:
    """The round trip."""
    api = os.environ.get("BAREMO_API", "http://127.0.0.1:8080")
    credentials = models.Credentials(username="admin", password=os.environ["BAREMO_PASSWORD"])
    signed_in = good(models.Tokens, create_token.sync_detailed(client=Client(api), body=credentials))
    client = AuthenticatedClient(api, signed_in.access_token)

    profile = models.ProfileBody(
        basic=models.ProfileBodyBasic(opened_on=date(2015, 3, 1)),
        network=models.ProfileBodyNetwork(
            retail_format=models.ProfileFieldRetailFormat.GROCERY,
            market=models.ProfileFieldMarket.URBAN,
            floor_area="42.5",
        ),
    )
    new = models.CustomerBody(code=CODE, name="Ana", profile=profile)
    customer = good(models.Customer, create_customer.sync_detailed(client=client, body=new))
    assert isinstance(customer.profile.network, models.ProfileNetwork), customer.profile
    assert customer.profile.network.floor_area == "42.5", customer.profile

    product = models.ProductBody(name="Twenty", category="first", unit="case", factor="1")
    good(models.Product, put_product.sync_detailed("PY-P1", client=client, body=product))
    batch = models.TransactionBatch(items=orders())
    recorded = good(models.TransactionBatchResult, create_transactions.sync_detailed(client=client, body=batch))
    assert all(item.status == models.RecordStatus.CREATED for item in recorded.items), recorded

    metrics = good(models.MetricList, list_customer_metrics.sync_detailed(customer.id, client=client))
    assert {metric.key: metric.value for metric in metrics.items}["monthly_volume"] == "10", metrics

    request = models.EvaluationRequest(customer_id=customer.id)
    evaluation = good(models.Assessment, create_evaluation.sync_detailed(client=client, body=request))
    outcomes = {decision.policy: decision.outcome for decision in evaluation.decisions}
    assert outcomes["volume_grade"] == "3", outcomes

    graded = wait_for_grade(client, customer.id, "3")
    assert graded.reasons, "a decision has reasons"

    found = good(
        models.CustomerPage,
        list_customers.sync_detailed(client=client, code=CODE, outcomevolume_grade=models.OutcomeVolumeGrade.VALUE_3),
    )
    assert [item.id for item in found.items] == [customer.id], found

    unknown = UUID("00000000-0000-7000-8000-000000000000")
    refused = get_customer.sync_detailed(unknown, client=client)
    assert refused.status_code == HTTPStatus.NOT_FOUND
    assert good(models.Problem, refused).code == "not_found"


if __name__ == "__main__":
    main()
    print("openapi-python-client: the round trip is done")
