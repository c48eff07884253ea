"""Calls at a known noon, a page as a browser reads it, and a name that would run."""

from html.parser import HTMLParser

from agenttrace_mitm.model import LlmCall, Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace.asking import DAY_US

TODAY = 20_777  # 2026-11-20
NOON = TODAY * DAY_US + DAY_US // 2
COSTS = "/-/agenttrace/costs"
HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


def call(number: int, days_ago: int = 0, **said) -> LlmCall:
    given = {
        "id": f"call-{number}", "started_us": NOON - days_ago * DAY_US + number, "kind": "llm",
        "provider": "openai", "host": "api.openai.com", "method": "POST", "path": "/v1/responses",
        "model": "m1", "outcome": "ok", "billing": "metered", "latency_ms": 100.0 * number,
    }  # fmt: skip
    return LlmCall(**(given | said))


CALLS = (
    call(1, cost_nano_usd=1_500_000, tokens_in=100, tokens_out=10, cache_read_tokens=40),
    call(2, cost_nano_usd=2_000_000, tokens_in=200, tokens_out=20, billing=None, agent_id="a"),
    call(3, cost_nano_usd=9_000_000, billing="subscription", tokens_in=7, kind="auxiliary"),
    call(4, model="m2", response_model="m2-real", tokens_in=5, unpriced_reason="unknown_model"),
    call(5, outcome="error", status_code=429, unpriced_reason="no_usage"),
    call(6, outcome="interrupted", cost_nano_usd=500_000, tokens_out=3),
    call(7, outcome="in_flight", latency_ms=None),
    call(8, outcome="cancelled", cost_nano_usd=250_000),
    call(9, duplicate_of="call-1", latency_ms=5.0),
    call(10, kind="count", cost_nano_usd=10**9),
    call(11, kind="admin", cost_nano_usd=10**9),
    call(12, kind="telemetry"),
    call(13, days_ago=3, provider="mistral", model="m3", cost_nano_usd=4_000_000, agent_id="b"),
    call(14, days_ago=6, cost_nano_usd=1_000_000),
    call(15, days_ago=7, cost_nano_usd=64_000_000),
)


def fill(path, *calls):
    db = open_database(path)
    for one in calls:
        write_record(db.conn, Record(call=one))
    db.close()


class Page(HTMLParser):
    """What a browser would run or fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[dict] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
