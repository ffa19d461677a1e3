"""Makes tobacco_invented_customers.csv and tobacco_invented_orders.csv: ten stores that don't exist, of kinds that the real orders lack.

Each is there for an outcome that no real store has. Every choice that isn't listed follows from a fixed seed by SHA-256, so any Python 3
writes the same bytes. Run it in this folder.
"""

import csv
import datetime
import decimal

from make_tobacco_customers import COLUMNS, amounts, customer, names, number

CUSTOMERS = "tobacco_invented_customers.csv"
ORDERS = "tobacco_invented_orders.csv"
YEAR = 2017
LAST_DAY = datetime.date(YEAR, 12, 31)

# Code: format, market, units of the year, orders of the year, percent of the orders that are bought under promotion.
STORES = {
    "X01": ("department_store", "rural", 420, 48, 0),
    "X02": ("department_store", "rural", 90, 24, 0),
    "X03": ("department_store", "rural", 20, 10, 0),
    "X04": ("department_store", "urban", 40, 12, 0),
    "X05": ("department_store", "urban", 12, 6, 0),
    "X06": ("department_store", "urban", 5, 1, 0),              # opened in December
    "X07": ("convenience", "rural", 252, 36, 70),               # buys what is on offer
    "X08": ("entertainment", "rural", 60, 20, 0),
    "X09": ("entertainment", "rural", 33, 12, 0),
    "X10": ("other", "urban", 300, 40, 0),
}
NEWCOMER = "X06"
OPENED = datetime.date(YEAR, 12, 18)
# Products of the real orders: code, name, category, manufacturer, package, price of a unit.
PRODUCTS = [
    ("1102416", "CIGARETTES", "CIGARETTES", "539", "CTN", "3.84"),
    ("918046", "CIGARETTES", "CIGARETTES", "469", "971838  PK", "4.59"),
]
PROMOTION = decimal.Decimal("0.90")     # the share of the price that is paid under promotion
HEADER = [
    "order_id", "customer_code", "ordered_at", "product_code", "product_name", "category", "manufacturer", "package_size",
    "quantity", "amount", "discount", "promotion_amount",
]


def orders(code, units, count, promoted):
    """One line an order, spread evenly over the year; what doesn't divide goes to the first orders."""
    for turn in range(count):
        on = LAST_DAY - datetime.timedelta(days=365 * (count - 1 - turn) // count + number("invented/day", f"{code}/{turn}", 3))
        quantity = units // count + (1 if turn < units % count else 0)
        product = PRODUCTS[number("invented/product", f"{code}/{turn}", len(PRODUCTS))]
        full = quantity * decimal.Decimal(product[-1])
        is_promoted = number("invented/promotion", f"{code}/{turn}", 100) < promoted
        paid = (full * PROMOTION).quantize(decimal.Decimal("0.01")) if is_promoted else full
        at = f"{on} {9 + number('invented/hour', f'{code}/{turn}', 9):02}:00:00"
        yield [f"{code}-{turn + 1}", code, at, *product[:-1], quantity, paid, full - paid, paid if is_promoted else 0]


def main():
    """Writes both files."""
    made = {code: list(orders(code, *plan)) for code, (_, _, *plan) in STORES.items()}
    unused = names()[len(amounts()):]
    with open(ORDERS, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(sorted((row for rows in made.values() for row in rows), key=lambda row: (row[2], row[0])))
    with open(CUSTOMERS, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (code, (retail_format, market, *_)), pair in zip(STORES.items(), unused):
            bought = sum(row[9] for row in made[code])
            opened = OPENED if code == NEWCOMER else None
            writer.writerow(customer(code, bought, (retail_format, market), pair, opened))


if __name__ == "__main__":
    main()
