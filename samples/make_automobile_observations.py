"""Makes automobile_observations.csv: what might have been seen of the made-up technicians of the automobile sample, month by month.

Days, and how far a mark lies from a technician's own level, follow from a fixed seed by SHA-256, so any Python 3 writes the same bytes.
Run it in this folder.
"""

import csv
import datetime
import hashlib

SEED = "baremo-automobile-observations-1"
OUTPUT = "automobile_observations.csv"
MONTHS = [datetime.date(2026, 7, 1), datetime.date(2026, 8, 1), datetime.date(2026, 9, 1)]

# Each technician's usual mark, and his faults in each month: absent, left early, came late to a job, missed a job out of town.
TECHNICIANS = {
    "T101": (95, [(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)]),
    "T102": (84, [(0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 2, 0)]),
    "T103": (72, [(1, 0, 2, 0), (0, 0, 1, 0), (1, 0, 1, 0)]),
    "T201": (93, [(0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0)]),
    "T202": (86, [(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 1)]),
    "T203": (58, [(2, 1, 3, 0), (1, 2, 2, 0), (2, 0, 4, 0)]),
    "T301": (88, [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0)]),
    "T302": (66, [(0, 2, 1, 0), (0, 0, 3, 1), (1, 0, 2, 0)]),
}
FAULTS = ["absence", "early_leave", "late_arrival", "missed_job_out_of_town"]
# How many marks of each kind a technician gets in a month. The manager gives one, at its end.
MARKS = {"attitude_mark": 4, "solution_mark": 4, "dedication_mark": 4, "on_site_mark": 6, "later_mark": 3}
SPREAD = 4      # a mark lies at most this far from the usual one
COLUMNS = ["kind", "on", "id", "employee", "value", "evidence", "reported_by"]


def number(purpose, key, below):
    """A whole number from 0 to below − 1 that depends on the seed, the purpose and the key alone."""
    digest = hashlib.sha256(f"{SEED}/{purpose}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def observed(technician, level, month, faults):
    """A month's rows of one technician."""
    def row(kind, turn, value, evidence, reported_by):
        name = f"{kind}-{technician}-{month:%Y-%m}-{turn}"
        on = month + datetime.timedelta(days=number("day", name, 28))
        return kind, on, name, technician, value, evidence, reported_by

    def mark(kind, turn):
        return min(level + number(kind, f"{technician}/{month}/{turn}", 2 * SPREAD + 1) - SPREAD, 100)

    for kind, count in zip(FAULTS, faults):
        for turn in range(1, count + 1):
            yield row(kind, turn, "", f"Attendance {month:%Y-%m}", "Workshop office")
    for kind, count in MARKS.items():
        for turn in range(1, count + 1):
            yield row(kind, turn, mark(kind, turn), f"Feedback form {month:%Y-%m}/{turn}", "Call centre")
    kind, on, *rest = row("manager_mark", 1, mark("manager_mark", 1), f"Month of {month:%Y-%m}", "Service manager")
    yield (kind, month + datetime.timedelta(days=27), *rest)


def main():
    """Writes the file, by day."""
    rows = [
        row
        for technician, (level, months) in TECHNICIANS.items()
        for month, faults in zip(MONTHS, months)
        for row in observed(technician, level, month, faults)
    ]
    with open(OUTPUT, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(rows, key=lambda row: (row[1], row[2])))


if __name__ == "__main__":
    main()
