"""`loop`: an agent does the same again and again: one tool call, or nearly the same prompt.

Numbers, ids and spaces do not make a prompt another one.  The prompt itself is not kept as
evidence, only the calls that sent it.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator

from pydantic import Field

from ...store.counting import MODEL_CALLS
from .. import words
from ..moments import MINUTE_US
from ..rule_type import At, Params, Question, Row, RuleType, Verdict, filters

_VARYING = re.compile(r"0x[0-9a-f]+|[0-9a-f-]*\d[0-9a-f-]*|\W+")
COMPARED = 2_000
SHORTEST = 12  # "yes", "go on" and the like are not a loop


class Loop(Params):
    """Its settings."""

    window_minutes: int = Field(10, ge=1, description="calls of the last minutes")
    repeats: int = Field(5, ge=2, description="fires when the same came so often")


def ask(p: Loop, at: At) -> Question:
    """Tool calls and prompts of each thread; one that has no thread is a thread by itself."""
    # "cross join": the window comes first, whatever SQLite believes of its size.
    clauses, given = filters(p)
    sql = f"""
        with recent as (
            select id, coalesce(session_id, thread_id, agent_id, '') as subject
            from llm_calls
            where started_us >= :since_us and started_us < :now_us and {MODEL_CALLS}{clauses}
        ),
        done as (
            select subject, 'tool' as what, t.name as name,
                   coalesce(nullif(t.fingerprint, ''), t.name || coalesce(t.arguments, ''))
                       as same,
                   recent.id
            from recent cross join tool_calls t on t.call_id = recent.id
            union all
            select subject, 'prompt', '', substr(m.text, 1, {COMPARED}), recent.id
            from recent cross join call_messages c
                on c.call_id = recent.id and c.direction = 'in'
            cross join messages m on m.id = c.message_id
            where m.role = 'user' and m.text is not null
        )
        select subject, json_group_array(json_array(what, name, same, id)) as steps
        from done group by subject
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, given | {"since_us": since_us, "now_us": at.now_us})


def judge(row: Row, p: Loop, at: At) -> Verdict:
    """The most frequent step decides."""
    same: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key, call in _steps(row["steps"]):
        same[key].append(call)
    if not same:
        return Verdict(False, "nothing to compare")
    (what, name, _), repeated = max(same.items(), key=lambda item: len(item[1]))
    step = f"the tool call {name}" if what == "tool" else "nearly the same prompt"
    evidence = {"subject": row["subject"], "step": step, "times": len(repeated)}
    told = f"{step} came {len(repeated)} times in {words.minutes(p.window_minutes)}"
    newest = tuple(dict.fromkeys(sorted(repeated, reverse=True)))[:10]
    fires = len(repeated) >= p.repeats
    return Verdict(fires, told, len(repeated), evidence=evidence, calls=newest)


def _steps(steps: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    for what, name, same, call in json.loads(steps):
        key = _VARYING.sub(" ", same.lower()).strip() if what == "prompt" else same
        if what == "tool" or len(key) >= SHORTEST:
            yield (what, name, key), call


RULE = RuleType(
    name="loop",
    summary="A session repeats the same tool call, or nearly the same prompt.",
    params=Loop,
    ask=ask,
    judge=judge,
    gone="no calls in the window",
    example={"window_minutes": 10, "repeats": 8},
)
