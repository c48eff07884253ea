"""The prompts of agents in versions: what each was told and offered, and how it fared with that.

A version is a system prompt with a set of tools; numbers go by first sight, per agent.  Goes in:
`StoredPrompt` of a call that brings a new one.  Goes out: versions with the figures of their
calls, and how two of them differ.
"""

import difflib
import functools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from ..errors import StoreError
from ..model import Json, StoredPrompt
from . import rollups
from .payloads import pack, unpack

MOST_OF_AN_AGENT = 1_000
"""Versions of one agent that are kept: a program that writes its data into the system prompt has a
new one with every call."""

TABLES = {
    "prompts": "system prompts and tool sets of agents, each version once",
}
COLUMNS = {
    "prompts": {
        "prompt_id": "keyed hash of agent, system prompt and tools; llm_calls.prompt_id",
        "agent_id": "who was told",
        "first_seen_us": "when it was first sent, microseconds, UTC: versions count from here",
        "system_print": "keyed hash of the system prompt; empty without one",
        "tools_print": "keyed hash of the tools in order of names; empty without",
        "system": "the system prompt; dates, folders, ids and the like are words in brackets",
        "tools": "JSON list of the tools as they were offered, in order of names: a byte for the"
        " form, then as it is or zstd. The agent's page and `prompts show` read it",
        "system_chars": "characters of the system prompt",
        "tools_chars": "bytes of the tools as JSON",
        "n_tools": "how many tools",
        "privacy_tier": "tier under which the words were stored; 0 when they were let go",
        "tool_sizes": "JSON list of name and characters of each tool that has a name",
    },
}

_TABLE = """
create table prompts (
    prompt_id text primary key,
    agent_id text not null,
    first_seen_us integer not null,
    system_print text not null,
    tools_print text not null,
    system text,
    tools text,
    system_chars integer not null,
    tools_chars integer not null,
    n_tools integer not null,
    privacy_tier integer not null
)
"""
INSERT_PROMPT = f"""
insert into prompts (prompt_id, agent_id, first_seen_us, system_print, tools_print, system, tools,
    system_chars, tools_chars, n_tools, privacy_tier, tool_sizes)
select :prompt_id, :agent_id, :at_us, :system_print, :tools_print, :system, :tools,
    :system_chars, :tools_chars, :n_tools, :privacy_tier, :tool_sizes
where (select count(*) from prompts where agent_id = :agent_id) < {MOST_OF_AN_AGENT}
    or exists (select 1 from prompts where prompt_id = :prompt_id)
on conflict (prompt_id) do update set
    first_seen_us = min(prompts.first_seen_us, excluded.first_seen_us),
    system = case when excluded.privacy_tier > prompts.privacy_tier
        then excluded.system else prompts.system end,
    tools = case when excluded.privacy_tier > prompts.privacy_tier
        then excluded.tools else prompts.tools end,
    tool_sizes = case when excluded.privacy_tier > prompts.privacy_tier
        then excluded.tool_sizes else prompts.tool_sizes end,
    privacy_tier = max(prompts.privacy_tier, excluded.privacy_tier)
"""
# The agent's calls are found by llm_calls' index on agent and time.
_VERSIONS = """
with numbered as (
    select *, row_number() over w as version,
           lag(system_print) over w <> system_print as new_system,
           lag(tools_print) over w <> tools_print as new_tools
    from prompts where {agents}
    window w as (partition by agent_id order by first_seen_us, prompt_id)
),
called as materialized (
    select prompt_id, started_us, outcome, tokens_in, tokens_out, cost_nano_usd,
           case when outcome = 'ok' then latency_ms end as took_ms
    from llm_calls
    where prompt_id is not null and outcome <> 'in_flight' and started_us >= :since_us
      and {agents}
),
summed as (
    select prompt_id, count(*) as calls, sum(outcome in ('error', 'interrupted')) as failed,
           max(started_us) as last_seen_us, sum(tokens_in) as tokens_in,
           sum(tokens_out) as tokens_out, sum(cost_nano_usd) as cost_nano_usd
    from called group by prompt_id
),
ranked as (
    select prompt_id, took_ms, row_number() over (partition by prompt_id order by took_ms) as rank,
           count(*) over (partition by prompt_id) as answered
    from called where took_ms is not null
),
timed as (
    select prompt_id, min(case when rank * 100 >= answered * 50 then took_ms end) as p50_ms,
           min(case when rank * 100 >= answered * 95 then took_ms end) as p95_ms
    from ranked group by prompt_id
)
select n.prompt_id, n.agent_id, n.version, n.first_seen_us, s.last_seen_us,
       coalesce(s.calls, 0), coalesce(s.failed, 0), s.tokens_in, s.tokens_out, s.cost_nano_usd,
       t.p50_ms, t.p95_ms, n.system_chars, n.tools_chars, n.n_tools,
       case when n.new_system and n.new_tools then 'system, tools'
            when n.new_system then 'system' when n.new_tools then 'tools' else '' end
from numbered n left join summed s using (prompt_id) left join timed t using (prompt_id)
order by n.agent_id, n.version desc
"""
_SHOWN = """
select prompt_id, agent_id, version, first_seen_us, system, tools
from (
    select *, row_number() over (partition by agent_id order by first_seen_us, prompt_id)
           as version
    from prompts
    where agent_id in (select agent_id from prompts where substr(prompt_id, 1, :n) = :id)
)
where substr(prompt_id, 1, :n) = :id
"""

OLD_PROMPTS = """
select prompt_id from prompts
where first_seen_us < :before_us and privacy_tier > 0
  and prompt_id not in (
      select prompt_id from rollup_session where day > :before_us / 86400000000
  )
  and prompt_id not in (
      select prompt_id from llm_calls
      where started_us >= :before_us and started_us < (:before_us / 86400000000 + 1) * 86400000000
        and prompt_id is not null
  )
  and prompt_id not in (
      select prompt_id from llm_calls
      where outcome = 'in_flight' and started_us > 0 and prompt_id is not null
  )
"""
LET_GO = """
update prompts set system = null, tools = null, tool_sizes = null, privacy_tier = 0
where prompt_id = :id
  and not exists (select 1 from llm_calls c where c.rowid > :seen and c.prompt_id = :id)
"""
"""Retention: the words of prompts that no call since *before_us* was made with.

The first asks the sums of days, and the calls of the day that *before_us* falls into; the second
looks only at calls that came after.
"""

OLD_UNUSED = """
select prompt_id from prompts
where first_seen_us < :before_us
  and prompt_id not in (
      select prompt_id from rollup_session where day >= :before_us / 86400000000
  )
  and prompt_id not in (
      select prompt_id from llm_calls
      where outcome = 'in_flight' and started_us > 0 and prompt_id is not null
  )
  and not exists (
      select 1 from llm_calls c indexed by idx_llm_calls_agent_id_started_us
      where c.agent_id = prompts.agent_id and c.started_us < :before_us
        and c.prompt_id = prompts.prompt_id
  )
limit 100
"""
REMOVE = """
delete from prompts where prompt_id = :id
  and not exists (select 1 from llm_calls c where c.rowid > :seen and c.prompt_id = :id)
"""
"""Retention: prompts of which no call is left, where those from before the day of *before_us* go.

The first asks the sums of days, and the calls that stay although they are older.
"""

VERSIONS_SINCE = """
select cast(unixepoch(applied_at) as integer) * 1000000
from _sqlite_migrations where name = 'm061_prompts'
"""
"""Since when calls are told which version they were made with."""

UNUSED = "prompt_id not in (select prompt_id from llm_calls where prompt_id is not null)"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an agent's prompt, and how the calls with it fared.

    `failed` calls are those that ended with an error or were cut short; latencies are of answered
    calls.  `last_seen_us` and sums are None where no call counts; `changed` says what is new
    since the version before: system, tools, both, or nothing for the first.
    """

    prompt_id: str
    agent_id: str
    version: int
    first_seen_us: int
    last_seen_us: int | None
    calls: int
    failed: int
    tokens_in: int | None
    tokens_out: int | None
    cost_nano_usd: int | None
    p50_ms: float | None
    p95_ms: float | None
    system_chars: int
    tools_chars: int
    n_tools: int
    changed: str

    @property
    def error_rate(self) -> float | None:
        """The share of its calls that failed; None without calls."""
        return self.failed / self.calls if self.calls else None


@dataclass(frozen=True)
class Wording:
    """What a version says; `system` is None where its words are not kept."""

    prompt_id: str
    agent_id: str
    version: int
    first_seen_us: int
    system: str | None
    packed_tools: bytes | str | None

    @functools.cached_property
    def tools(self) -> list[Json]:
        """The tools as they were offered; empty where they are not kept."""
        return tools_of(self.packed_tools)

    @property
    def text(self) -> str:
        """System prompt and tools as lines, the same for the same version."""
        lines = [self.system] if self.system else []
        for tool in self.tools:
            encoded = msgspec.json.encode(tool, order="deterministic")
            lines.append(msgspec.json.format(encoded, indent=2).decode())
        return "\n\n".join(lines)

    @property
    def is_kept(self) -> bool:
        """False at tier 1, and once content was let go."""
        return self.system is not None or self.packed_tools is not None


def create(db: sqlite3.Connection) -> None:
    """The table, empty: `traces rebuild` fills it from stored calls."""
    db.execute(_TABLE)
    db.execute("create index prompts_of_agent on prompts (agent_id, first_seen_us)")
    # What stood there were the clients' own ids.
    db.execute("update llm_calls set prompt_id = null where prompt_id is not null")
    rollups.rebuild(db)  # sums by prompt have counted those


def write_prompt(db: sqlite3.Connection, prompt: StoredPrompt, at_us: int, tier: int) -> None:
    """The row of *prompt*, inside the caller's transaction."""
    db.execute(INSERT_PROMPT, prompt_values(prompt, at_us, tier))


def prompt_values(prompt: StoredPrompt, at_us: int, tier: int) -> dict[str, object]:
    """The parameters of `INSERT_PROMPT`."""
    return prompt.__dict__ | _stored(prompt.tools) | {"at_us": at_us, "privacy_tier": tier}


def pack_tools(db: sqlite3.Connection) -> None:
    """Tools as zstd, and beside them what queries ask of them."""
    db.execute("alter table prompts add column tool_sizes text")
    there = db.execute("select prompt_id, tools from prompts where tools is not null").fetchall()
    packed = [_stored(tools_of(tools)) | {"prompt_id": id_} for id_, tools in there]
    db.executemany(
        "update prompts set tools = :tools, tool_sizes = :tool_sizes where prompt_id = :prompt_id",
        packed,
    )


def tools_of(stored: bytes | str | None) -> list[Json]:
    """The tools that a row of `prompts` holds; empty where it holds none.

    Raises `ValueError` when they are damaged.
    """
    if stored is None:
        return []
    text = stored if isinstance(stored, str) else unpack(stored) or b""
    try:
        found: list[Json] = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged: {error}") from error
    return found


def _stored(tools: Json) -> dict[str, bytes | str | None]:
    if tools is None:
        return {"tools": None, "tool_sizes": None}
    encoded = msgspec.json.encode(tools)
    sizes = msgspec.json.encode(list(_sizes(tools))).decode()
    return {"tools": pack(encoded), "tool_sizes": sizes}


def _sizes(tools: Json) -> Iterator[tuple[str, int]]:
    """Name and characters of each tool, whatever the dialect wraps them in."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        if isinstance(declared, list):
            yield from _sizes(declared)
            continue
        for wrapped in (tool.get("function"), tool.get("toolSpec"), tool):
            name = wrapped.get("name") if isinstance(wrapped, dict) else None
            if isinstance(name, str):
                yield name, len(msgspec.json.encode(tool).decode())
                break


def versions(db: sqlite3.Connection, agent: str | None = None, since_us: int = 0) -> list[Version]:
    """The versions of *agent*, or of all, the latest first, with their calls since *since_us*."""
    sql = _VERSIONS.format(agents="true" if agent is None else "agent_id = :agent")
    rows = db.execute(sql, {"agent": agent, "since_us": since_us})
    return [Version(*row) for row in rows]


def wording(db: sqlite3.Connection, id_: str) -> Wording:
    """The version whose id begins with *id_*.  Raises `StoreError` when it is not just one."""
    found = db.execute(_SHOWN, {"id": id_, "n": len(id_)}).fetchall() if id_ else []
    if len(found) != 1:
        problem = (
            f"{len(found)} prompts begin with {id_}" if found else f"There is no prompt {id_!r}"
        )
        raise StoreError(problem, "See agenttrace-mitm prompts list")
    return Wording(*found[0])


def difference(before: Wording, after: Wording) -> str:
    """How *after* differs from *before*, as a unified diff; empty when it does not.

    Raises `StoreError` where the words of one are not kept.
    """
    for one in (before, after):
        if not one.is_kept:
            problem = f"The words of prompt {one.prompt_id[:12]} are not kept"
            raise StoreError(problem, "Privacy tier 1 keeps none, and retention lets old ones go")
    told = difflib.unified_diff(
        before.text.splitlines(),
        after.text.splitlines(),
        _title(before),
        _title(after),
        lineterm="",
    )
    return "\n".join(told)


def _title(one: Wording) -> str:
    return f"{one.agent_id} version {one.version}"
