"""history.py DATABASE: gives the flows of a box that is not running a believable past, as flows.mjs describes it.

Through the schema's own constraints: each run is recorded, started and ended, as the daemon does it.
"""

import json
import random
import sqlite3
import sys
import time

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000
DAYS_KEPT = 89
RUNS_KEPT = 150
AGENT = "site"

random.seed(7)
database = sqlite3.connect(sys.argv[1])
pasts = json.load(sys.stdin)
# An older SQLite takes NULL for text that is no JSON. There a run has its flow's definition on record, as if it changed.
(takes_null,) = database.execute("SELECT json_valid(NULL) IS NULL").fetchone()


def run(flow, definition, at, duration, ending):
    """Records a run that started at a time and took a while, both in milliseconds."""
    row = database.execute(
        "INSERT INTO data_flow_runs (data_flow_id, agent, heartbeat_id, scheduled_at, configuration, created_at,"
        " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            flow,
            AGENT,
            f"msg_{random.getrandbits(64):016x}",
            at - random.choice([0, 40, 900]),
            None if takes_null else definition,
            at,
            at,
        ),
    ).lastrowid
    database.execute("UPDATE data_flow_runs SET status = 'in_progress', started_at = ? WHERE id = ?", (at, row))
    status, kind, message, code, output = ending
    database.execute(
        "UPDATE data_flow_runs SET status = ?, ended_at = ?, duration_ms = ?, error_kind = ?, error_message = ?,"
        " exit_code = ?, output = ?, updated_at = ? WHERE id = ?",
        (status, at + duration, duration, kind, message, code, output, at + duration, row),
    )


def ending(failed, interrupted, past):
    if failed:
        return ("failed", "exit_status", past.get("error", "exited with status 1"), 3, past.get("tail", "no answer\n"))
    if interrupted:
        return ("failed", "interrupted", "the daemon ended while it ran", None, "")
    return ("success", None, None, 0, f"sent {random.randint(3, 900)} readings\n")


def fill(flow, interval, definition, past):
    step = interval * 1000
    median = past["median_ms"]
    rare = past.get("rare", 0)
    gap = range(NOW - 13 * 3_600_000, NOW - 10 * 3_600_000) if past.get("gap") else range(0)
    # Not due for a while yet, unless it is to be.
    last = NOW - int(step * random.uniform(0.2, 0.7))
    if past.get("open"):
        last = NOW - step - 60_000
    if "late_s" in past:
        last = NOW - step - past["late_s"] * 1000
    times = [
        at
        for at in (last - step * number for number in range(RUNS_KEPT))
        if at not in gap and at > NOW - DAYS_KEPT * DAY
    ]
    failing = past.get("failing", 0)
    for number, at in reversed(list(enumerate(times))):
        duration = min(int(median * random.lognormvariate(0, 0.35)), step // 5)
        by_chance = number > failing
        failed = number < failing or by_chance and rare and random.random() < 1 / rare
        run(flow, definition, at, duration, ending(failed, by_chance and random.random() < 0.004, past))
    fill_days(flow, step, median, rare, gap, times[0], past)
    database.execute(
        "UPDATE data_flows SET last_run_at = ?, last_run_status = ?, consecutive_failures = ?, next_run_at = ?,"
        " created_at = ? WHERE id = ?",
        (last, "failed" if failing else "success", failing, last + step, NOW - 200 * DAY, flow),
    )


def fill_days(flow, step, median, rare, gap, last, past):
    """The long view, a day at a time: what the runs amounted to when they were still on record."""
    for day in range((NOW - DAYS_KEPT * DAY) // DAY, NOW // DAY + 1):
        begin, end = day * DAY, min((day + 1) * DAY, last + 1)
        runs = max((end - 1 - last) // step - (begin - 1 - last) // step, 0)
        runs -= len(range(max(gap.start, begin), min(gap.stop, end), step)) if gap else 0
        failed = int(runs / rare + random.random()) if rare else 0
        if day == last // DAY:
            failed = min(runs, failed + past.get("failing", 0))
        if runs <= 0:
            continue
        database.execute(
            "INSERT OR REPLACE INTO flow_days VALUES (?, ?, ?, ?, 0, ?, ?)",
            (flow, day, runs - failed, failed, runs * median, int(median * random.uniform(1.5, 3))),
        )


with database:
    for flow, name, interval, definition in database.execute(
        "SELECT id, name, run_interval, configuration FROM data_flows ORDER BY id"
    ).fetchall():
        fill(flow, interval, definition, pasts[name])
    database.execute(
        "INSERT OR REPLACE INTO agents (name, last_heartbeat_at) VALUES ('weather', ?)", (NOW - 6 * 3_600_000,)
    )
