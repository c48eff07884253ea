"""`sql`: any read-only query; each row that it finds fires.

The query may use `:now_us`.  The column `subject` names what a row is about, the column `message`
what is wrong with it; without them it is the first column, and the row.
"""

import json

from pydantic import Field

from ..rule_type import At, Params, Question, Row, RuleType, Verdict


class Sql(Params):
    """Its settings."""

    query: str = Field(min_length=1, description="one select; each row fires")


def ask(p: Sql, at: At) -> Question:
    """The user's own query."""
    return Question(p.query, {"now_us": at.now_us})


def judge(row: Row, p: Sql, at: At) -> Verdict:
    """That there is a row is the finding."""
    told = row.get("message")
    return Verdict(True, str(told) if told else json.dumps(dict(row), default=str)[:500])


RULE = RuleType(
    name="sql",
    summary="A query of your own finds a row.",
    params=Sql,
    ask=ask,
    judge=judge,
    gone="the query no longer finds it",
    example={
        "query": "select agent_id as subject, 'more than 100 calls in an hour' as message"
        " from llm_calls where started_us >= :now_us - 3600000000 group by 1 having count(*) > 100"
    },
)
