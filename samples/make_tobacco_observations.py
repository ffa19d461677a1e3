"""Makes tobacco_observations.csv: invented observations of the stores of tobacco_customers.csv, of which only the orders are real, and of
the invented stores beside them.

Violations and praise are listed; every other choice follows from a fixed seed by SHA-256, so any Python 3 writes the same bytes.
Run it in this folder, after make_tobacco_customers.py and make_tobacco_invented.py.
"""

import csv
import datetime
import hashlib

SEED = "baremo-tobacco-observations-1"
CUSTOMERS = ["tobacco_customers.csv", "tobacco_invented_customers.csv"]
ORDERS = ["tobacco_orders.csv", "tobacco_invented_orders.csv"]
OUTPUT = "tobacco_observations.csv"
BUSINESS_DATE = datetime.date(2018, 1, 1)     # everything is before it

# Store, day, points of severity (none: serious), evidence. They are few, and chosen: a violation of the last 365 days takes a
# store's credit from its customer value, and none of these stores has volume grade 1, 2 or 3.
VIOLATIONS = [
    ("S421", "2017-09-14", None, "Case 2017-031: counterfeit cigarettes found"),
    ("S33904", "2016-08-23", None, "Case 2016-018: licence lent"),
    ("S310", "2017-04-19", 12, "Inspection 2017-0112: goods of unknown origin"),
    ("S310", "2017-08-02", 12, "Inspection 2017-0240: goods of unknown origin"),
    ("S310", "2017-11-15", 12, "Inspection 2017-0357: goods of unknown origin"),
    ("S310", "2017-12-19", 12, "Inspection 2017-0402: goods of unknown origin"),
    ("S403", "2017-04-12", 8, "Inspection 2017-0105: bought elsewhere than from the wholesaler"),
    ("S403", "2017-11-20", 9, "Inspection 2017-0361: bought elsewhere than from the wholesaler"),
    ("S309", "2016-11-08", 12, "Inspection 2016-0349: sold without the licence on display"),
    ("S309", "2016-12-14", 12, "Inspection 2016-0391: sold without the licence on display"),
    ("S424", "2016-10-26", 12, "Inspection 2016-0333: sold to other shops"),
    ("S424", "2016-12-21", 12, "Inspection 2016-0402: sold to other shops"),
    ("S450", "2017-10-10", 5, "Inspection 2017-0318: sold to another shop"),
    ("S422", "2017-06-07", 3, "Inspection 2017-0170: no price labels"),
    ("S355", "2017-05-16", 2, "Inspection 2017-0143: no price labels"),
    ("S446", "2016-03-09", 3, "Inspection 2016-0061: no price labels"),
    ("S339", "2015-09-22", 4, "Inspection 2015-0288: sold without the licence on display"),
    ("S438", "2014-05-20", 6, "Inspection 2014-0150: sold to another shop"),
]

# Store, day, points, evidence.
PRAISE = [
    ("S375", "2017-03-21", 6, "Report 2017-008 of counterfeit goods proved true"),
    ("S375", "2017-10-17", 8, "Report 2017-029 of counterfeit goods proved true"),
    ("S402", "2017-07-11", 10, "Report 2017-020 of goods without tax stamp proved true"),
    ("S402", "2017-11-28", 6, "Cartons delivered by mistake returned"),
    ("S343", "2017-06-13", 8, "Report 2017-017 of a licence lent proved true"),
    ("S343", "2017-12-05", 6, "Money paid twice returned"),
    ("S298", "2017-08-08", 10, "Report 2017-023 of counterfeit goods proved true"),
    ("S298", "2017-12-12", 5, "Cartons delivered by mistake returned"),
    ("S404", "2017-09-05", 5, "Money paid twice returned"),
    ("S422", "2017-11-07", 2, "Cartons delivered by mistake returned"),
    ("S315", "2017-05-23", 4, "Cartons delivered by mistake returned"),
    ("S436", "2016-04-12", 8, "Report 2016-011 of counterfeit goods proved true"),
]

# Lowest first answer to a survey, and how far two numbers by chance may raise it.
ANSWERS = {"satisfaction_survey": (40, 30), "attachment_survey": (20, 40)}
# Stores that buy more than half of their amount at a discount, and how much they said at first that they hold with us.
BARGAIN_HUNTERS = {"S432": 41, "S422": 48, "X07": 45}
SURVEYS = [datetime.date(2017, 4, 10), datetime.date(2017, 10, 16)]     # each takes four weeks
QUARTERS = [datetime.date(2017, month, 1) for month in (1, 4, 7, 10)]
ADOPTER_FROM = 10                                                       # months with an order; adopters are regular customers
COLUMNS = ["kind", "on", "id", "customer", "value", "evidence", "reported_by"]


def number(purpose, key, below):
    """A whole number from 0 to below − 1 that depends on the seed, the purpose and the key alone."""
    digest = hashlib.sha256(f"{SEED}/{purpose}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def rows_of(names):
    """The rows of some files."""
    for name in names:
        with open(name, newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def days_of_orders():
    """The days on which each store ordered before the business date, by its code, in order."""
    days = {}
    for line in rows_of(ORDERS):
        on = datetime.date.fromisoformat(line["ordered_at"][:10])
        if on < BUSINESS_DATE:
            days.setdefault(line["customer_code"], set()).add(on)
    return {code: sorted(each) for code, each in days.items()}


def surveys(code, manager):
    """Satisfaction and attachment: four of five stores are asked for each, and the second answer is near the first."""
    for kind, (low, spread) in ANSWERS.items():
        first = low + number(f"{kind}/a", code, spread) + number(f"{kind}/b", code, spread)
        if kind == "attachment_survey":
            first = BARGAIN_HUNTERS.get(code, first)
        for wave, begin in enumerate(SURVEYS, 1):
            if number(f"{kind}/asked", code, 5) == 0 or number(f"{kind}/asked", f"{code}/{wave}", 10) == 0:
                continue
            on = begin + datetime.timedelta(days=number(f"{kind}/on", f"{code}/{wave}", 28))
            answer = min(first + (number(f"{kind}/drift", code, 11) - 5 if wave > 1 else 0), 100)
            yield kind, on, f"{kind}-{code}-{wave}", code, answer, f"{kind.split('_')[0].capitalize()} survey 2017/{wave}", manager


def visits(code, manager):
    """The account manager's scores, one a quarter; one store in ten has none, and one in eight of the others is missing."""
    level = 45 + number("visit/a", code, 26) + number("visit/b", code, 26)
    for quarter, begin in enumerate(QUARTERS, 1):
        if number("visit/none", code, 10) == 0 or number("visit/missing", f"{code}/{quarter}", 8) == 0:
            continue
        on = begin + datetime.timedelta(days=2 + number("visit/on", f"{code}/{quarter}", 86))
        score = min(level + number("visit/score", f"{code}/{quarter}", 11) - 5, 100)
        yield "visit_score", on, f"visit_score-{code}-{quarter}", code, score, f"Visit report {on}", manager


def adopted(code, manager, days):
    """New products that a store was among the first to take up, on days on which it ordered."""
    regular = len({(day.year, day.month) for day in days}) >= ADOPTER_FROM
    if regular and number("adopter", code, 7) == 0:
        for turn in range(1 + number("adopter/products", code, 3)):
            on = days[len(days) * turn // 3 + number("adopter/on", f"{code}/{turn}", len(days) // 3)]
            yield "new_product_adopted", on, f"new_product_adopted-{code}-{turn + 1}", code, "", f"Order of {on}", manager


def listed(kind, entries):
    """Violations or praise, each with an id by its store and day."""
    for code, on, points, evidence in entries:
        of = "serious_violation" if points is None else kind
        yield of, datetime.date.fromisoformat(on), f"{of}-{code}-{on}", code, "" if points is None else points, evidence, "Inspection"


def main():
    """Writes the file, by day."""
    days = days_of_orders()
    # Nobody has visited or asked a store that opened after the surveys.
    stores = {line["code"]: line for line in rows_of(CUSTOMERS) if line["basic.opened_on"] < str(SURVEYS[0])}
    rows = [*listed("violation", VIOLATIONS), *listed("praise", PRAISE)]
    for code, store in stores.items():
        manager = store["network.account_manager"]
        rows += [*surveys(code, manager), *visits(code, manager), *adopted(code, manager, days.get(code, []))]
    for _, on, _, code, *_ in rows:
        assert stores[code]["basic.opened_on"] <= str(on) < str(BUSINESS_DATE), f"{code} is observed on {on}"
    with open(OUTPUT, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(rows, key=lambda row: (row[1], row[2])))


if __name__ == "__main__":
    main()
