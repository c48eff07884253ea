"""Questions people ask first, as SQL they can read, run and change.

The hook gives them to every database with our schema; `metadata.yml` repeats them for one called
`data`, written by `described.py` from here.  No `/` between integers and no `strftime`: the same
text is meant to run on other engines one day.
"""

from .calls import CONVERSATION, CUT_BY_LENGTH, DRIFT, ERRORS, SLOWEST
from .query import CannedQuery
from .spend import CALLS_PER_CLIENT, COST_PER_DAY, TOKENS_PER_AGENT, UNPRICED
from .tools import LARGE_RESULTS, PROMPTS, REPEATED_TOOLS, TOOL_CALLS, TOOL_LOOPS, UNUSED_TOOLS
from .waste import BROKEN_CACHES, CANCELLED, RETRIES

__all__ = [
    "BROKEN_CACHES",
    "CALLS_PER_CLIENT",
    "CANCELLED",
    "CANNED_QUERIES",
    "CONVERSATION",
    "COST_PER_DAY",
    "CUT_BY_LENGTH",
    "DRIFT",
    "ERRORS",
    "LARGE_RESULTS",
    "PROMPTS",
    "REPEATED_TOOLS",
    "RETRIES",
    "SLOWEST",
    "TOKENS_PER_AGENT",
    "TOOL_CALLS",
    "TOOL_LOOPS",
    "UNPRICED",
    "UNUSED_TOOLS",
    "CannedQuery",
    "questions",
]

CANNED_QUERIES = (
    COST_PER_DAY,
    SLOWEST,
    ERRORS,
    CUT_BY_LENGTH,
    UNPRICED,
    TOKENS_PER_AGENT,
    CALLS_PER_CLIENT,
    TOOL_CALLS,
    CONVERSATION,
    DRIFT,
    RETRIES,
    CANCELLED,
    BROKEN_CACHES,
    REPEATED_TOOLS,
    TOOL_LOOPS,
    LARGE_RESULTS,
    UNUSED_TOOLS,
    PROMPTS,
)


def questions() -> str:
    """`docs/questions.md`: each question, the page that answers it, and the query."""
    return "\n".join(_section(query) for query in CANNED_QUERIES)


def _section(query: CannedQuery) -> str:
    page = f"Page: `/-/agenttrace/{query.page}`. " if query.page else ""
    told = f"{page}Saved query: `{query.name}`. {query.description}"
    return f"## {query.question}\n\n{told}\n\n```sql\n{query.sql}```\n"
