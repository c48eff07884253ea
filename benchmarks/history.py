"""A made-up history: what a team's agents did over months, as the records that a store writes.

Sessions take turns as they would: prompts, tool loops, sub-agents, retries, failures, calls that
were cancelled.  The same seed and end make the same history; no name or text is anybody's.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agenttrace_mitm.model import (
    LlmCall,
    Payload,
    Placement,
    Record,
    StoredMessage,
    StoredPrompt,
    StoredSession,
    StoredSpan,
    StoredThread,
    StoredToolCall,
    StoredToolResult,
    StoredTrace,
)
from agenttrace_mitm.model.json import Json

DAY_US = 86_400_000_000
CONTENT_DAYS = 30
"""Bodies are kept as long as the default retention keeps them."""
AT_ONCE = 24
"""Sessions that run at the same time."""
LONG_PROMPTS, LONG_SHARE, LONG_FROM = 750, 0.3, 50_000
"""A session of some 5,000 calls, three in ten while it lasts, in a history of 50,000 or more."""
VERSION_DAYS = 6
"""An agent has another prompt so often."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model: where it is, nano-dollars a token read, read from cache and written, its pace."""

    name: str
    provider: str
    host: str
    dialect: str
    path: str
    prices: tuple[int, int, int]
    tokens_a_second: float


_ANTHROPIC = ("anthropic", "api.anthropic.com", "anthropic.messages", "/v1/messages")
_RESPONSES = ("openai", "api.openai.com", "openai.responses", "/v1/responses")
_GEMINI = ("google", "generativelanguage.googleapis.com", "google.generate", "/v1beta/models")
_MISTRAL = ("mistral", "api.mistral.ai", "openai.chat", "/v1/chat/completions")
_COHERE = ("cohere", "api.cohere.com", "cohere.chat", "/v2/chat")
MODELS = (
    Model("claude-sonnet-4-5", *_ANTHROPIC, (3000, 300, 15000), 70),
    Model("claude-opus-4-5", *_ANTHROPIC, (5000, 500, 25000), 45),
    Model("claude-haiku-4-5", *_ANTHROPIC, (1000, 100, 5000), 140),
    Model("gpt-5.1", *_RESPONSES, (1250, 125, 10000), 80),
    Model("gpt-5-mini", *_RESPONSES, (250, 25, 2000), 120),
    Model("gemini-2.5-pro", *_GEMINI, (1250, 125, 10000), 90),
    Model("mistral-large-2512", *_MISTRAL, (500, 500, 1500), 60),
    Model("command-a-03-2025", *_COHERE, (2500, 2500, 10000), 55),
    Model("ft:gpt-4.1:acme::new", *_RESPONSES, (0, 0, 0), 60),
)
PROJECTS = ("payments", "search", "website", "data-lake")
WORK = ("coder", "reviewer", "researcher", "triage", "eval", "planner")
AGENTS = tuple(f"{work}-{project}" for project in PROJECTS for work in WORK)
CALLS_OTHERS = {"planner": ("coder", "researcher"), "coder": ("reviewer",)}
TOOLS = ("read_file", "run_tests", "search", "edit_file", "query_db", "fetch_page", "plan")
FAILURES = (
    (429, "rate_limit_error", "Number of requests has exceeded your rate limit"),
    (529, "overloaded_error", "Overloaded"),
    (500, "server_error", "The server had an error while processing your request"),
    (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
)
WORDS = """
the build cache fails on a second run because compiler version key test file module import error
path token agent request reply stream tool result prompt model latency cost session trace span
index query plan table column
"""
_HEADERS = (("content-type", "application/json"), ("user-agent", "python-httpx/0.28"))


@dataclass(slots=True)
class _Thread:
    """A conversation under way."""

    id: str
    agent: str
    model: Model
    parent: tuple[str, str] | None = None  # thread and tool span that it is work of
    before: LlmCall | None = None
    position: int = 0
    open_tools: list[StoredToolCall] = field(default_factory=list)
    open_since: int = 0


@dataclass(slots=True)
class _Session:
    """What one run of a program still has to do."""

    id: str
    project: str
    thread: _Thread
    prompts: int
    trace: str = ""
    turns: int = 0
    below: list[_Thread] = field(default_factory=list)  # those that wait for a sub-agent
    failed: LlmCall | None = None
    long: bool = False


class History:
    """*calls* calls in the *days* before *end_us*, in order of time."""

    def __init__(self, calls: int, days: int, end_us: int, seed: int = 11) -> None:
        self._calls, self._days, self._end_us = calls, days, end_us
        self._draw = random.Random(seed)
        words = WORDS.split()
        self._texts = [
            " ".join(self._draw.choices(words, k=self._draw.randint(12, 60))) for _ in range(3000)
        ]
        self._number = 0
        self._prompts: set[str] = set()

    def records(self) -> Iterator[Record]:
        """Each call with all that hangs on it."""
        running: list[_Session] = []
        first_us, step = self._end_us - self._days * DAY_US, self._days * DAY_US / self._calls
        for number in range(self._calls):
            self._number = number
            while len(running) < AT_ONCE:
                running.append(self._session())
            if number == self._calls * 7 // 10 and self._calls >= LONG_FROM:
                running.insert(0, self._session(LONG_PROMPTS))
            session = self._draw.choice(running)
            if running[0].long and self._draw.random() < LONG_SHARE:
                session = running[0]
            yield self._turn(session, int(first_us + number * step))
            if session.turns <= 0 and session.prompts <= 0 and not session.failed:
                running.remove(session)

    # -------------------------------------------------------------- who and where

    def _session(self, prompts: int = 0) -> _Session:
        project = self._draw.choice(PROJECTS)
        work = self._draw.choice(WORK)
        return _Session(
            id=f"session-{self._hex(8)}",
            project=project,
            thread=self._thread(f"{work}-{project}"),
            prompts=prompts or self._draw.randint(1, 6),
            long=prompts > 0,
        )

    def _thread(self, agent: str, parent: tuple[str, str] | None = None) -> _Thread:
        # An agent has its model, a cheaper one for every third conversation.
        chosen = AGENTS.index(agent) % 5 + (self._draw.random() < 0.3) * (AGENTS.index(agent) % 4)
        if self._draw.random() < 0.02:
            chosen = len(MODELS) - 1
        return _Thread(self._hex(32), agent, MODELS[chosen], parent)

    def _turn(self, session: _Session, at: int) -> Record:
        thread, spans = session.thread, []
        opening = session.turns <= 0 and not session.failed and not session.below
        if opening:
            session.prompts -= 1
            session.turns, session.trace = self._draw.randint(1, 12), self._hex(32)
            thread.open_tools = []
        retried, session.failed = session.failed, None
        call = self._call(session, at, retried)
        answered = () if call.outcome == "error" else tuple(thread.open_tools)
        results = tuple(self._result(one, thread, call) for one in answered)
        spans += [
            self._tool_span(session, tool, result, call)
            for tool, result in zip(answered, results, strict=True)
        ]
        tools = self._tools(call) if call.outcome == "ok" else ()
        record = Record(
            call=call,
            messages=self._messages(thread, call, opening or not thread.before, results),
            tool_calls=tools,
            tool_results=results,
            payload=self._payload(call) if at > self._end_us - CONTENT_DAYS * DAY_US else None,
            placement=self._placement(session, call, spans, opening),
            prompt=self._prompt(call),
        )
        self._go_on(session, record)
        return record

    def _go_on(self, session: _Session, record: Record) -> None:
        """What comes after this call."""
        thread, call = session.thread, record.call
        session.turns -= 1
        if call.outcome == "error":
            if call.status_code != 400 and call.attempt < 3:
                session.failed = call
            return
        thread.before, thread.open_tools = call, list(record.tool_calls)
        thread.open_since = call.ended_us or call.started_us
        thread.position += len(record.messages)
        work, _, project = thread.agent.partition("-")
        others = CALLS_OTHERS.get(work)
        if thread.open_tools and others and self._draw.random() < 0.3:
            tool = thread.open_tools[0].span_id or ""
            session.below.append(thread)
            other = f"{self._draw.choice(others)}-{project}"
            session.thread = self._thread(other, (thread.id, tool))
            session.turns += 2
        elif session.below and not thread.open_tools:
            session.thread = session.below.pop()

    # -------------------------------------------------------------- the call

    def _call(self, session: _Session, at: int, retried: LlmCall | None) -> LlmCall:
        draw, thread = self._draw, session.thread
        model, before = thread.model, thread.before
        call_id = _call_id(at, self._number)
        operation = retried.operation_id if retried else call_id
        span = (operation or "")[-12:].rjust(16, "0")
        base: dict[str, Any] = {
            "id": call_id, "started_us": at, "provider": model.provider, "dialect": model.dialect,
            "operation": "chat", "kind": "auxiliary" if draw.random() < 0.06 else "llm",
            "billing": "metered", "host": model.host, "method": "POST", "path": model.path,
            "model": model.name, "streamed": draw.random() < 0.8, "agent_id": thread.agent,
            "project": session.project, "session_id": session.id, "trace_id": session.trace,
            "thread_id": thread.id, "span_id": span, "operation_id": operation,
            "attempt": retried.attempt + 1 if retried else 1, "client": "anthropic-python",
            "user_agent": "python-httpx/0.28", "pid": 4242, "process": "python3",
            "prompt_id": f"{thread.agent}@{at // DAY_US // VERSION_DAYS}",
            "continues_call_id": before.id if before else None,
            "continues_how": "prefix" if before else None,
            "request_chain": self._hex(16), "n_messages": thread.position + 1,
            "params": {"max_tokens": 4096}, "tags": {"env": "bench"},
        }  # fmt: skip
        chance = draw.random()
        if chance < 0.03:
            return LlmCall(**base, **self._failure(at))
        return LlmCall(**base, **self._answer(at, model, before is not None, chance < 0.04))

    def _failure(self, at: int) -> dict[str, Any]:
        status, error, words = self._draw.choices(FAILURES, (5, 3, 2, 2))[0]
        took = self._draw.uniform(80, 900)
        return {
            "outcome": "error", "status_code": status, "error_type": error, "error_message": words,
            "ended_us": at + int(took * 1000), "latency_ms": round(took, 3),
            "unpriced_reason": "error", "request_bytes": 20_000, "response_bytes": 120,
        }  # fmt: skip

    def _answer(self, at: int, model: Model, goes_on: bool, cancelled: bool) -> dict[str, Any]:
        draw = self._draw
        tokens_in, tokens_out = int(draw.lognormvariate(8.6, 1.1)) + 50, draw.randint(5, 1500)
        cached = int(tokens_in * 0.7) if goes_on else 0
        written = int(tokens_in * 0.2) if model.provider == "anthropic" else None
        ttft = draw.lognormvariate(6.3, 0.4)
        latency = ttft + 1000 * tokens_out / model.tokens_a_second * draw.uniform(0.8, 1.4)
        fresh, read, out = model.prices
        cost = (tokens_in - cached) * fresh + cached * read + tokens_out * out
        limit = {"limit": 4000, "remaining": draw.randint(10, 3999), "reset_s": 12.5}
        return {
            "outcome": "cancelled" if cancelled else "ok", "status_code": 200,
            "response_model": model.name, "ended_us": at + int(latency * 1000),
            "latency_ms": round(latency, 3), "ttfb_ms": round(ttft * 0.8, 3),
            "ttft_ms": round(ttft, 3), "tokens_in": tokens_in, "tokens_out": tokens_out,
            "tokens_total": tokens_in + tokens_out, "cache_read_tokens": cached,
            "cache_write_tokens": written, "usage_source": "reported",
            "usage_raw": {"input_tokens": tokens_in, "output_tokens": tokens_out},
            "cost_nano_usd": cost or None, "unpriced_reason": None if cost else "unknown_model",
            "cost_detail": {"input": cost} if cost else None, "price_source": "bench",
            "request_bytes": tokens_in * 4, "response_bytes": tokens_out * 5,
            "chunks": tokens_out // 3 + 1, "response_id": f"msg_{self._hex(20)}",
            "rate_limit": {"requests": limit} if draw.random() < 0.5 else None,
            "n_tool_calls": int(draw.random() < 0.55), "reply_chars": tokens_out * 4,
        }  # fmt: skip

    # -------------------------------------------------------------- what hangs on it

    def _messages(
        self,
        thread: _Thread,
        call: LlmCall,
        opening: bool,
        results: tuple[StoredToolResult, ...],
    ) -> tuple[StoredMessage, ...]:
        role = "user" if opening or not results else "tool"
        found = [self._message(thread.position, "in", role)]
        if call.outcome != "error":
            found.append(self._message(thread.position + 1, "out", "assistant"))
        return tuple(found)

    def _message(self, position: int, direction: str, role: str) -> StoredMessage:
        text = f"{self._draw.choice(self._texts)} case{self._number}"
        return StoredMessage(
            fingerprint=self._hex(16), position=position, direction=direction, role=role,
            content=[{"type": "text", "content": text}], text=text, size=len(text),
        )  # fmt: skip

    def _prompt(self, call: LlmCall) -> StoredPrompt | None:
        """The version of the agent's prompt, when it is first seen."""
        prompt_id = call.prompt_id or ""
        if prompt_id in self._prompts:
            return None
        self._prompts.add(prompt_id)
        first = len(self._prompts)
        system = "\n".join(self._texts[first : first + 20])
        tools: list[Json] = [{"name": name, "description": self._texts[first]} for name in TOOLS]
        return StoredPrompt(
            prompt_id=prompt_id, agent_id=call.agent_id or "", system_print=f"{first:016x}",
            tools_print=f"{first:016x}", system=system, tools=tools, system_chars=len(system),
            tools_chars=len(json.dumps(tools)), n_tools=len(tools),
        )  # fmt: skip

    def _tools(self, call: LlmCall) -> tuple[StoredToolCall, ...]:
        return tuple(
            StoredToolCall(
                tool_call_id=f"toolu_{self._hex(20)}", position=place,
                name=self._draw.choice(TOOLS), fingerprint=self._hex(16), span_id=self._hex(16),
                arguments=json.dumps({"path": "src/build.py", "limit": self._number}),
            )
            for place in range(call.n_tool_calls)
        )  # fmt: skip

    def _result(self, tool: StoredToolCall, thread: _Thread, call: LlmCall) -> StoredToolResult:
        return StoredToolResult(
            tool_call_id=tool.tool_call_id, call_id=thread.before.id if thread.before else "",
            position=tool.position, at_us=max(call.started_us, thread.open_since),
            result=self._draw.choice(self._texts), is_error=self._draw.random() < 0.05,
        )  # fmt: skip

    def _payload(self, call: LlmCall) -> Payload:
        body = json.dumps({"model": call.model, "input": self._draw.choice(self._texts)}).encode()
        return Payload(
            request_headers=_HEADERS, response_headers=_HEADERS, request_body=body,
            response_body=body, arrivals=[[call.started_us, len(body)]],
        )  # fmt: skip

    # -------------------------------------------------------------- where it belongs

    def _placement(
        self, session: _Session, call: LlmCall, spans: list[StoredSpan], opening: bool
    ) -> Placement:
        thread = session.thread
        times = {"started_us": call.started_us, "ended_us": call.ended_us or call.started_us}
        root = f"{thread.id[:8]}{session.trace[:8]}"
        placed = {"trace_id": session.trace, "session_id": session.id, "thread_id": thread.id}
        own = {"agent_id": thread.agent, **placed}
        outcome = "ok" if call.outcome == "ok" else "error"
        above = thread.parent[1] if thread.parent else None
        agent = StoredSpan(
            span_id=root, kind="agent", name=thread.agent, parent_span_id=above,
            outcome=outcome, **own, **times,
        )  # fmt: skip
        llm = StoredSpan(
            span_id=call.span_id or "", kind="llm", name=f"chat {call.model}",
            parent_span_id=root, call_id=call.operation_id, outcome=outcome, **own, **times,
        )  # fmt: skip
        return Placement(
            session=StoredSession(
                session_id=session.id, agent_id=thread.agent, client=call.client, pid=call.pid,
                process=call.process, how="header", **times,
            ),
            trace=StoredTrace(
                **placed, call_id=call.id, agent_id=thread.agent, root_span_id=root,
                name=self._texts[int(session.trace[:6], 16) % len(self._texts)],
                how="text", **times,
            ),
            thread=StoredThread(
                thread_id=thread.id, session_id=session.id, agent_id=thread.agent,
                parent_thread_id=thread.parent[0] if thread.parent else None,
                parent_span_id=above, **times,
            ),
            spans=(agent, llm, *spans),
        )  # fmt: skip

    def _tool_span(
        self, session: _Session, tool: StoredToolCall, result: StoredToolResult, call: LlmCall
    ) -> StoredSpan:
        thread = session.thread
        before = thread.before
        assert before
        return StoredSpan(
            span_id=tool.span_id or "", trace_id=before.trace_id or "", kind="tool",
            parent_span_id=before.span_id, name=tool.name, call_id=before.id,
            thread_id=thread.id, session_id=session.id, agent_id=thread.agent,
            outcome="error" if result.is_error else "ok", how="id",
            started_us=thread.open_since,
            ended_us=max(call.started_us, thread.open_since),
        )  # fmt: skip

    def _hex(self, digits: int) -> str:
        return f"{self._draw.getrandbits(4 * digits):0{digits}x}"


def _call_id(at: int, number: int) -> str:
    millis = f"{at // 1000:012x}"
    return f"{millis[:8]}-{millis[8:]}-7{number % 4096:03x}-8000-{number:012x}"
