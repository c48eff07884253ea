"""Metrics for Prometheus: a strict reading of the format, and figures that agree with the rows."""

import re

from agenttrace_mitm import health
from datasette_agenttrace import metrics
from tests.datasette_agenttrace.scene import call, fill

METRICS = "/-/agenttrace/metrics"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (-?[0-9.e+-]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def read(text: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Samples by name and labels; fails on whatever the format or its conventions forbid."""
    assert text.endswith("\n")
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    helped = typed = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped, words = line[7:].split(" ", 1)
            assert words
            assert helped not in found, "a metric's samples stand together"
        elif line.startswith("# TYPE "):
            typed, kind = line[7:].split(" ")
            assert typed == helped
            assert (kind == "counter") == typed.endswith("_total")
            assert kind in ("counter", "gauge")
            found[typed] = {}
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert name == typed
            key = frozenset(LABEL.findall(labels or ""))
            assert key not in found[name], "a sample is told once"
            found[name][key] = float(value)
    assert all(found.values()), "a metric has samples"
    return found


async def test_totals_agree_with_the_rows(database, headers, serve):
    """By provider; money in dollars, tokens by direction."""
    fill(
        database,
        call(1, cost_nano_usd=1_500_000, tokens_in=100, tokens_out=10),
        call(2, outcome="error", tokens_in=5, unpriced_reason="no_usage"),
        call(3, provider="mistral", cost_nano_usd=2_000_000_000),
        call(4, outcome="in_flight", latency_ms=None),
    )
    answer = await serve(database).client.get(METRICS, headers=headers)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = read(answer.text)
    openai, mistral = (frozenset({("provider", name)}) for name in ("openai", "mistral"))
    assert found["agenttrace_calls_total"] == {openai: 2, mistral: 1}
    assert found["agenttrace_failed_calls_total"][openai] == 1
    assert found["agenttrace_spend_usd_total"] == {openai: 0.0015, mistral: 2}
    assert found["agenttrace_tokens_total"][openai | {("direction", "in")}] == 105
    assert found["agenttrace_database_bytes"][frozenset()] > 0
    assert "agenttrace_held_calls" not in found, "nobody said so: absent, not 0"


async def test_what_the_processes_say_is_added_up(database, headers, home, serve):
    """Workers of the proxy together; restarts by process; old news are none."""
    run = home / "run"
    health.say(run, "capture-1", {"held_calls": 2, "dropped_bytes": 10})
    health.say(run, "capture-2", {"held_calls": 3, "dropped_bytes": 0})
    health.say(run, "recorder", {"lag_seconds": 0.25, "spool_bytes": 7})
    parts = {"recorder": {"up": 1.0, "restarts": 3}, 'we"b\\\n': {"up": 0.0, "restarts": 0}}
    health.say(run, "supervisor", {}, parts)
    (health.folder(run) / "broken.json").write_text("{")
    (health.folder(run) / "old.json").write_text(
        '{"at_us": 1, "figures": {"held_calls": 99}, "parts": {}}'
    )
    found = read((await serve(database).client.get(METRICS, headers=headers)).text)
    nothing: frozenset[tuple[str, str]] = frozenset()
    assert found["agenttrace_held_calls"] == {nothing: 5}
    assert found["agenttrace_dropped_bytes_total"] == {nothing: 10}
    assert found["agenttrace_recorder_lag_seconds"] == {nothing: 0.25}
    restarts = found["agenttrace_process_restarts_total"]
    assert restarts[frozenset({("process", "recorder")})] == 3
    assert restarts[frozenset({("process", r"we\"b\\\n")})] == 0


async def test_strangers_get_none(database, serve, headers):
    """They tell who works how much."""
    assert (await serve(database).client.get(METRICS)).status_code == 401


async def test_the_overview_says_how_recording_fares(database, headers, home, serve):
    """And says as well when nothing records."""
    served = serve(database)
    fill(database, call(1))
    page = (await served.client.get("/-/agenttrace", headers=headers)).text
    assert "Nothing records into this database now" in page
    health.say(home / "run", "recorder", {"lag_seconds": 1.5, "committed_calls": 1200})
    health.say(home / "run", "supervisor", {}, {"recorder": {"up": 1.0, "restarts": 1}})
    page = (await served.client.get("/-/agenttrace", headers=headers)).text
    assert "1 of 1 processes up, 1 restart." in page
    assert "1.2k calls recorded" in page
    assert "lag 1.5\N{NO-BREAK SPACE}s" in page
    said = (await served.client.get("/-/agenttrace/overview.json", headers=headers)).json()
    assert said["fares"]["held_calls"] is None


async def test_a_trouble_is_said_where_people_look(database, headers, home, serve):
    """On top of the Overview, before there are calls too, and as figures to alert on."""
    health.say(
        home / "run", "recorder", {"lag_seconds": 70, "spooled_calls": 93, "spool_bytes": 7},
        trouble="the disk is full",
    )  # fmt: skip
    served = serve(database)
    for calls in (0, 1):
        fill(database, *(call(n) for n in range(calls)))
        page = (await served.client.get("/-/agenttrace", headers=headers)).text
        assert "The disk is full: 93 calls wait in the spool." in page
        assert "Nothing to report" not in page
    assert "93 calls wait, lag 70.0\N{NO-BREAK SPACE}s" in page
    found = read((await served.client.get(METRICS, headers=headers)).text)
    nothing: frozenset[tuple[str, str]] = frozenset()
    assert found["agenttrace_recording_troubles"] == {nothing: 1}
    assert found["agenttrace_spooled_calls"] == {nothing: 93}
    assert found["agenttrace_recorder_lag_seconds"] == {nothing: 70}
    health.say(home / "run", "recorder", {"lag_seconds": 0})
    found = read((await served.client.get(METRICS, headers=headers)).text)
    assert found["agenttrace_recording_troubles"] == {nothing: 0}
    page = (await served.client.get("/-/agenttrace", headers=headers)).text
    assert "in trouble" not in page


def test_every_metric_is_documented():
    """With the same words."""
    from tests.test_docs import DOCS

    text = (DOCS / "metrics.md").read_text()
    for metric in metrics.ALL:
        assert f"| `{metric.name}` | {metric.kind} | {metric.help} |" in text
