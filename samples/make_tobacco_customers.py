"""Makes tobacco_customers.csv: invented attributes for the stores of tobacco_orders.csv, of which only the code is known.

Every choice follows from a fixed seed by SHA-256, so any Python 3 writes the same bytes. Run it in this folder.
"""

import csv
import datetime
import decimal
import hashlib

SEED = "baremo-tobacco-1"
ORDERS = "tobacco_orders.csv"
OUTPUT = "tobacco_customers.csv"

# How many of the 136 stores have each format and market. Department stores are few: fewer than a cohort of their own needs.
CELLS = {
    ("grocery", "urban"): 22,
    ("grocery", "rural"): 26,
    ("convenience", "urban"): 20,
    ("convenience", "rural"): 8,
    ("supermarket", "urban"): 9,
    ("supermarket", "rural"): 6,
    ("department_store", "urban"): 3,
    ("department_store", "rural"): 1,
    ("tobacco_liquor", "urban"): 12,
    ("tobacco_liquor", "rural"): 6,
    ("entertainment", "urban"): 9,
    ("entertainment", "rural"): 2,
    ("other", "urban"): 6,
    ("other", "rural"): 6,
}

# Shop names: two lucky characters and the format.
FIRST = "兴Xing 金Jin 福Fu 永Yong 和He 顺Shun 德De 恒Heng 盛Sheng 泰Tai 万Wan 隆Long 华Hua 宝Bao 祥Xiang 利Li 东Dong 广Guang"
SECOND = "源yuan 发fa 达da 丰feng 昌chang 康kang 茂mao 旺wang 来lai 通tong 鑫xin 瑞rui 成cheng 庆qing 余yu 海hai"
FORMATS = {
    "grocery": [("食杂店", "Grocery"), ("副食店", "Provisions")],
    "convenience": [("便利店", "Convenience"), ("小卖部", "Corner Shop")],
    "supermarket": [("超市", "Supermarket"), ("生活超市", "Mart")],
    "department_store": [("商场", "Department Store"), ("百货", "Emporium")],
    "tobacco_liquor": [("烟酒商店", "Tobacco & Liquor"), ("名烟名酒", "Fine Tobacco & Spirits")],
    "entertainment": [("茶楼", "Tea House"), ("宾馆", "Hotel"), ("歌厅", "Karaoke")],
    "other": [("报刊亭", "Kiosk"), ("加油站", "Filling Station")],
}
SURNAMES = "王Wang 李Li 张Zhang 刘Liu 陈Chen 杨Yang 黄Huang 赵Zhao 吴Wu 周Zhou 徐Xu 孙Sun 马Ma 朱Zhu 胡Hu 林Lin".split()
GIVEN = "秀英Xiuying 建国Jianguo 丽Li 军Jun 敏Min 志强Zhiqiang 桂芳Guifang 明Ming 玉兰Yulan 海燕Haiyan 勇Yong 晓东Xiaodong".split()

URBAN = ["Chengguan", "Xicheng", "Xinhua", "Dongmen"]
RURAL = ["Qinghe", "Longquan", "Shiqiao"]
STREETS = ["Renmin Road", "Jianshe Road", "Wenhua Street", "Zhongshan Road", "Jiefang Street", "Xinmin Lane"]
SCOPES = {
    "grocery": "cigarettes;daily_goods;food",
    "convenience": "cigarettes;daily_goods;food;liquor",
    "supermarket": "cigarettes;daily_goods;food;liquor",
    "department_store": "cigarettes;cigars;daily_goods;food;liquor",
    "tobacco_liquor": "cigarettes;cigars;liquor",
    "entertainment": "catering;cigarettes;liquor",
    "other": "cigarettes;other_goods",
}
AREAS = {"urban": ["commercial", "residential", "school", "transport_hub", "industrial"], "rural": ["village", "village", "tourist"]}
FLOOR = {
    "grocery": (12, 60),
    "convenience": (40, 140),
    "supermarket": (150, 900),
    "department_store": (1500, 8000),
    "tobacco_liquor": (30, 120),
    "entertainment": (80, 1200),
    "other": (6, 80),
}
# How many of the wholesaler's products a store is offered: what its format has room for.
OFFERED = {
    "grocery": 40,
    "convenience": 60,
    "supermarket": 60,
    "department_store": 80,
    "tobacco_liquor": 80,
    "entertainment": 30,
    "other": 45,
}
# Which share of its need a store buys from us, in percent: from and to; how many of ten stores.
NEEDS = [(82, 104)] * 2 + [(52, 78)] * 4 + [(22, 48)] * 3 + [(6, 18)]
YEAR = "2017"
COLUMNS = [
    "code",
    "name",
    "basic.opened_on",
    "basic.scope_of_business",
    "basic.settlement_method",
    "basic.order_cycle",
    "network.retail_format",
    "network.market",
    "network.nature",
    "network.administrative_area",
    "network.business_area",
    "network.floor_area",
    "network.account_manager",
    "network.order_clerk",
    "network.delivery_route",
    "network.visit_cycle",
    "management.monopoly_licence_number",
    "management.licence_type",
    "management.licence_issued_on",
    "management.licence_effective_on",
    "business.business_status",
    "personal.contact_person",
    "personal.telephone",
    "personal.address",
    "business.estimated_need",
    "business.assortment_offered",
    "business.price_sensitive",
]


def number(purpose, key, below):
    """A whole number from 0 to below − 1 that depends on the seed, the purpose and the key alone."""
    digest = hashlib.sha256(f"{SEED}/{purpose}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def pick(purpose, key, items):
    """One of the items."""
    return items[number(purpose, key, len(items))]


def split(word):
    """The Chinese characters of a word and its spelling: 金Jin."""
    cut = next(i for i, letter in enumerate(word) if letter.isascii())
    return word[:cut], word[cut:]


def amounts():
    """What each store bought in the year, by its code, in order."""
    sums = {}
    with open(ORDERS, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            counts = line["ordered_at"].startswith(YEAR)
            sums[line["customer_code"]] = sums.get(line["customer_code"], 0) + (decimal.Decimal(line["amount"]) if counts else 0)
    return dict(sorted(sums.items()))


def names():
    """Every pair of lucky characters, shuffled by the seed: no shop's name comes twice."""
    pairs = [(split(a), split(b)) for a in FIRST.split() for b in SECOND.split()]
    return sorted(pairs, key=lambda pair: number("name", pair[0][1] + pair[1][1], 2**64))


def need(code, amount):
    """What a store needs in a year, from whomever it buys it; of one store in five it isn't known."""
    if number("need_known", code, 5) == 0:
        return ""
    low, high = pick("need", code, NEEDS)
    return (amount * 100 / (low + number("share", code, high - low + 1))).quantize(decimal.Decimal(1), decimal.ROUND_HALF_UP)


def customer(code, amount, cell, pair, opened=None):
    """One row. The day on which it became a customer is by chance where it isn't given."""
    retail_format, market = cell
    (chinese_1, latin_1), (chinese_2, latin_2) = pair
    chinese_kind, latin_kind = pick("kind", code, FORMATS[retail_format])
    opened = opened or datetime.date(2005, 1, 1) + datetime.timedelta(days=number("opened", code, 4383))   # to 2016-12-31
    area = pick("area", code, URBAN if market == "urban" else RURAL)
    low, high = FLOOR[retail_format]
    route = (URBAN + RURAL).index(area) * 2 + 1 + number("route", code, 2)
    large = retail_format in ("supermarket", "department_store")
    surname, given = split(pick("surname", code, SURNAMES)), split(pick("given", code, GIVEN))
    licence = f"3702{opened.year % 100:02}{number('licence', code, 10**6):06}"
    return [
        code,
        f"{latin_1}{latin_2} {latin_kind} {chinese_1}{chinese_2}{chinese_kind}",
        opened,
        SCOPES[retail_format],
        pick("settlement", code, ["electronic", "electronic", "electronic", "bank_transfer", "card", "cash"]),
        7 if market == "urban" else 14,
        retail_format,
        market,
        pick("nature", code, ["company", "chain_store"]) if large else pick("nature", code, ["sole_trader"] * 5 + ["company"]),
        area,
        pick("business_area", code, AREAS[market]),
        low + number("floor", code, high - low + 1),
        f"AM{(route + 1) // 2:02}",
        f"OC{(route + 3) // 4:02}",
        f"R{route:02}",
        7 if large else pick("visit", code, [7, 14, 14, 28]),
        licence,
        "retail_branch" if large and number("branch", code, 3) == 0 else "retail",
        opened - datetime.timedelta(days=10 + number("issued", code, 20)),
        opened,
        "operating",
        f"{given[1]} {surname[1]} {surname[0]}{given[0]}",
        f"000-{number('telephone', code, 10**8):08}",
        f"{1 + number('house', code, 180)} {pick('street', code, STREETS)}, {area}",
        need(code, amount),
        OFFERED[retail_format],
        pick("price_sensitive", code, ["true", "false", "false", ""]),
    ]


def main():
    """Writes the file."""
    cells = [cell for cell, count in CELLS.items() for _ in range(count)]
    stores = amounts()
    assert len(stores) == len(cells), "the cells must add up to the number of stores"
    dealt = dict(zip(sorted(stores, key=lambda code: number("cell", code, 2**64)), cells))
    with open(OUTPUT, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(customer(code, amount, dealt[code], pair) for (code, amount), pair in zip(stores.items(), names()))


if __name__ == "__main__":
    main()
