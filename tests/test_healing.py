"""A fix in an adapter heals whole records: messages, tool calls, search, media; all else stays."""

import base64
import json
import re
import sqlite3
import struct

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Reply
from agenttrace_mitm.providers.openai_chat import OpenAIChat
from agenttrace_mitm.recorder.assembly import Assembly
from agenttrace_mitm.reprocess import reprocess
from agenttrace_mitm.store.descriptions import CALL_COLUMNS
from agenttrace_mitm.store.healed_tools import OPEN_OR_OURS
from agenttrace_mitm.store.opening import APPLICATION_ID
from agenttrace_mitm.store.revise import problems

from . import corpus_cases as corpus
from . import socket_cases
from .providers.test_gemini_grpc import exchange as grpc_exchange
from .support.dialects import TWINS, exchange
from .support.recording import Recording
from .test_payload import UPLOADS, uploaded

TABLES = (
    "llm_calls",
    "messages",
    "messages_fts",
    "call_messages",
    "tool_calls",
    "payloads",
    "media",
    "spans",
    "traces",
    "threads",
    "sessions",
    "rollup_hour",
)
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 3, 2) + bytes(range(100))
).decode()
ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How is the weather in Lisbon and in Porto?"},
]
MADE = [
    {"id": f"call_{city}", "type": "function"}
    | {"function": {"name": "get_weather", "arguments": json.dumps({"city": city})}}
    for city in ("Lisbon", "Porto")
]
CALLING = {"role": "assistant", "content": "I will look.", "tool_calls": MADE}
RESULTS = [
    {"role": "tool", "tool_call_id": "call_Lisbon", "content": "sun"},
    {"role": "tool", "tool_call_id": "call_Porto", "content": "rain"},
]
SAID = {"role": "assistant", "content": "Sun in Lisbon, rain in Porto."}
KEY = b"k" * 32
WORDS = "select distinct {0} from llm_calls where {0} is not null"


def answer(message, id_):
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    spent = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return {"id": id_, "model": "gpt-5.5", "choices": [choice], "usage": spent}


def chat(id_, messages, reply, step=0, **more):
    """One exchange with OpenAI, *step* seconds after the first."""
    body = json.dumps({"model": "gpt-5.5", "messages": messages, **more}).encode()
    said = json.dumps(answer(reply, f"chatcmpl-{id_}")).encode()
    one = exchange("openai", "/v1/chat/completions", [said], body, id_=id_)
    late = step * 1_000_000
    return replace(one, started_us=one.started_us + late, ended_us=one.ended_us + late)


def talk():
    """A question, two tool calls, their results, and the answer."""
    yield chat("1", ASKED, CALLING)
    yield chat("2", [*ASKED, CALLING, *RESULTS], SAID, step=1)
    yield chat(
        "3",
        [*ASKED, CALLING, *RESULTS, SAID, {"role": "user", "content": "And in Faro?"}],
        {"role": "assistant", "content": "Fog, I am afraid."},
        step=2,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data.db"


def keep(path, exchanges, tier=3):
    """*exchanges* as they are recorded, in a database file."""
    recording = Recording(tier)
    for one in exchanges:
        recording.take(one)
    recording.db.commit()
    into = sqlite3.connect(path)
    recording.db.backup(into)
    into.execute(f"pragma application_id = {APPLICATION_ID}")
    into.commit()
    into.close()
    return path


def rows(path, sql, *values):
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in db.execute(sql, values)]
    finally:
        db.close()


def dump(path):
    return {name: sorted(map(repr, rows(path, f"select * from {name}"))) for name in TABLES}


def again(path, **said):
    return reprocess(path, path.with_name("prices.json"), KEY, **said)


def changes_nothing(path):
    before = dump(path)
    told = again(path)
    assert (told.changed, dict(told.rows)) == (0, {})
    assert dump(path) == before
    return told.read


def losing(change):
    """A bug in the adapter: *change* is made to every reply it reads."""
    right = OpenAIChat.read_reply

    def wrong(self, body, route):
        return change(right(self, body, route))

    return wrong


def without_parts(keeps):
    def change(reply: Reply) -> Reply:
        return replace(
            reply,
            messages=tuple(
                replace(one, parts=tuple(p for n, p in enumerate(one.parts) if keeps(n, p)))
                for one in reply.messages
            ),
        )

    return change


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_an_unchanged_talk_stays_as_it_is(path, tier):
    assert changes_nothing(keep(path, talk(), tier)) == (3 if tier == 3 else 0)


def test_every_dialect_is_read_again_to_the_same_rows(path):
    both = [
        one.exchange(streamed=streamed, id_=f"{n}-{streamed}")
        for n, one in enumerate(TWINS)
        for streamed in (True, False)
    ]
    assert changes_nothing(keep(path, both)) == len(both)


def test_dialects_under_a_name_of_the_users_are_read_again_alike(path):
    both = [
        replace(one.exchange(streamed=True, id_=str(n)), provider="acme", speaks=one.provider)
        for n, one in enumerate(TWINS)
    ]
    assert changes_nothing(keep(path, both)) == len(both)


def test_grpc_is_read_again_with_the_status_that_its_trailers_had(path):
    """Trailers are not stored; what they said of the end is in the columns."""
    failed = (("grpc-status", "8"), ("grpc-message", "out%20of%20quota, 100%25"))
    calls = [
        grpc_exchange(),
        grpc_exchange(body=b"", trailers=failed),
        grpc_exchange(trailers=failed),
        grpc_exchange(until=40, trailers=()),
    ]
    named = [replace(one, id=str(n)) for n, one in enumerate(calls)]
    assert changes_nothing(keep(path, named)) == 4


@pytest.mark.skipif(corpus.corpus_folder() is None, reason="the corpus is not here")
def test_recorded_traffic_is_read_again_to_the_same_rows(path):
    """Every record of the corpus, in the order of the file, ten seconds apart."""
    found = (
        corpus.exchange(record, at_us=1_795_200_000_000_000 + n * 10_000_000)
        for n, record in enumerate(corpus.records())
    )
    assert changes_nothing(keep(path, found)) > 5_000
    for column in ("operation", "kind", "outcome", "finish_reason", "usage_source", "billing",
                   "unpriced_reason", "history", "continues_how", "source"):  # fmt: skip
        said = re.findall(r"\w+", CALL_COLUMNS[column])
        used = {
            str(value).partition(":")[0]
            for row in rows(path, WORDS.format(column))
            for value in row.values()
        }
        assert used <= set(said), column


@pytest.mark.skipif(corpus.corpus_folder() is None, reason="the corpus is not here")
def test_turns_of_sockets_are_read_again_to_the_same_rows(path):
    found = []
    for session in socket_cases.sessions():
        assembly = Assembly()
        for frame in socket_cases.frames(session):
            found += assembly.turns(frame)
            assembly.add(frame)
    assert changes_nothing(keep(path, found)) == len(found) > 20


def test_secrets_leave_no_trace_of_change(path):
    """Prints were taken before redaction: they stay, and so does every row."""
    secret = "sk-ant-api03-" + "Ab3" * 30
    asked = [{"role": "user", "content": f"My key is {secret}, keep it."}]
    reply = {"role": "assistant", "content": f"You said {secret}."}
    estimated = chat("2", asked, reply)
    silent = answer(reply, "chatcmpl-2") | {"usage": None}
    estimated = replace(estimated, response=Body.of(json.dumps(silent).encode()))
    assert changes_nothing(keep(path, [chat("1", asked, reply), estimated])) == 2


BUGS = {
    "a tool call": without_parts(lambda n, part: getattr(part, "id", "") != "call_Lisbon"),
    "all tool calls": without_parts(lambda n, part: not hasattr(part, "arguments")),
    "text": without_parts(lambda n, part: not hasattr(part, "text")),
    "all of it": lambda reply: replace(reply, messages=()),
}


@pytest.mark.parametrize("lost", BUGS)
def test_what_an_adapter_lost_of_a_reply_comes_back(path, tmp_path, monkeypatch, lost):
    """The healed database says what one says that was recorded without the bug."""
    right = keep(tmp_path / "right.db", talk())
    with monkeypatch.context() as bug:
        bug.setattr(OpenAIChat, "read_reply", losing(BUGS[lost]))
        keep(path, talk())
    dry = again(path, dry_run=True)
    told = again(path)
    assert (dry.changed, dry.columns, dry.rows) == (told.changed, told.columns, told.rows)
    assert told.changed > 0
    changes_nothing(path)
    assert problems(path) == []
    assert_says_the_same(path, right)


MESSAGES = """
    select u.call_id, u.direction, u.position, u.choice, m.fingerprint, m.role, m.content, m.text,
           m.size, m.privacy_tier
    from call_messages u join messages m on m.id = u.message_id
    order by 1, 2, 3, 4
"""
TOOLS = """
    select t.call_id, t.position, t.tool_call_id, t.name, t.arguments, t.calls_inside, t.result,
           t.is_error, t.fingerprint, t.prompts, t.answered_by_call_id, t.started_us,
           t.ended_us, s.name as span, s.ended_us as span_ended_us, s.outcome, s.parent_span_id
    from tool_calls t left join spans s on s.span_id = t.span_id
    order by 1, 2
"""
FOUND = "select rowid, text from messages_fts where messages_fts match ?"


def assert_says_the_same(path, right):
    told = "id, n_messages, n_tool_calls, tool_names, reply_chars, request_chain, turn_print"
    calls = f"select {told}, reply_print from llm_calls order by id"
    assert rows(path, calls) == rows(right, calls)
    out = f"select * from ({MESSAGES}) where direction = 'out'"
    assert rows(path, out) == rows(right, out)
    assert rows(path, TOOLS) == rows(right, TOOLS)
    for word in ("look", "Lisbon", "Fog"):
        assert len(rows(path, FOUND, word)) >= len(rows(right, FOUND, word)) > 0


def test_what_an_adapter_lost_of_a_request_comes_back(path, tmp_path, monkeypatch):
    """The system prompt was missed: positions move, conversations stay together."""
    right = keep(tmp_path / "right.db", talk())
    read = OpenAIChat.read_request

    def without_system(self, body, route):
        ask = read(self, body, route)
        return replace(ask, messages=tuple(m for m in ask.messages if m.role != "system"))

    with monkeypatch.context() as bug:
        bug.setattr(OpenAIChat, "read_request", without_system)
        keep(path, talk())
    placed = "select thread_id, trace_id, session_id, continues_call_id from llm_calls order by id"
    before = rows(path, placed)
    dry = again(path, dry_run=True)
    told = again(path)
    assert (dry.changed, dry.rows) == (told.changed, told.rows)
    assert told.changed == 3
    changes_nothing(path)
    assert rows(path, placed) == before
    assert rows(path, MESSAGES) == rows(right, MESSAGES)
    chains = "select n_messages, request_chain, turn_print from llm_calls order by id"
    assert rows(path, chains) == rows(right, chains)


def test_a_message_that_others_share_is_not_rewritten_under_them(path, monkeypatch):
    """Two replies were misread alike, and only one of them is kept in bytes."""
    told = [chat("1", ASKED, SAID), chat("2", ASKED, SAID)]
    with monkeypatch.context() as bug:
        bug.setattr(OpenAIChat, "read_reply", losing(BUGS["text"]))
        keep(path, told)
    db = sqlite3.connect(path)
    db.execute("delete from payloads where call_id = '1'")
    db.commit()
    again(path)
    texts = f"select call_id, text from ({MESSAGES}) where direction = 'out'"
    assert [row["text"] for row in rows(path, texts)] == [None, SAID["content"]]


def test_results_stay_where_the_tool_call_is_the_same(path, monkeypatch):
    """A name was misread; the row, its id, its result and its span are the same ones."""

    def renamed(reply):
        return replace(
            reply,
            messages=tuple(
                replace(
                    one,
                    parts=tuple(
                        replace(p, name="wrong") if hasattr(p, "arguments") else p
                        for p in one.parts
                    ),
                )
                for one in reply.messages
            ),
        )

    with monkeypatch.context() as bug:
        bug.setattr(OpenAIChat, "read_reply", losing(renamed))
        keep(path, talk())
    kept = "select id, result, answered_by_call_id, span_id from tool_calls order by id"
    before = rows(path, kept)
    assert [row["result"] for row in before] == ["sun", "rain"]
    again(path)
    assert rows(path, kept) == before
    assert {row["name"] for row in rows(path, "select name from tool_calls")} == {"get_weather"}
    spans = rows(path, "select name from spans where kind = 'tool'")
    assert {row["name"] for row in spans} == {"get_weather"}


def test_media_that_were_not_recognised_are_set_aside(path, monkeypatch):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    one = chat("1", [{"role": "user", "content": [image]}], SAID)
    with monkeypatch.context() as bug:
        bug.setattr("agenttrace_mitm.payload.set_aside", lambda body: (body, ()))
        keep(path, [one])
    assert rows(path, "select * from media") == []
    told = again(path)
    assert dict(told.rows) == {"media": 1, "payloads": 1}
    [medium] = rows(path, "select mime_type, width, height from media")
    assert medium == {"mime_type": "image/png", "width": 3, "height": 2}
    changes_nothing(path)


@pytest.mark.parametrize("name", UPLOADS)
def test_forms_are_read_again_with_their_files(path, name):
    target, files = UPLOADS[name]
    assert changes_nothing(keep(path, [uploaded(target, *files)])) == 1


def test_a_file_with_a_secret_in_it_keeps_the_size_it_had(path):
    secret = b"x" * 200 + b" sk-ant-api03-" + b"Ab3" * 30
    sent = uploaded("/v1/audio/transcriptions", ("file", "a.txt", "text/plain", secret))
    assert changes_nothing(keep(path, [sent])) == 1


def test_files_of_forms_from_before_become_media(path, monkeypatch):
    target, files = UPLOADS["transcription"]
    with monkeypatch.context() as bug:
        bug.setattr("agenttrace_mitm.payload.files_in", lambda data, said: ())
        keep(path, [uploaded(target, *files)])
    assert dict(again(path).rows) == {"media": 1, "payloads": 1}
    [medium] = rows(path, "select mime_type, duration_ms from media")
    assert medium == {"mime_type": "audio/wav", "duration_ms": 500}
    changes_nothing(path)


def test_the_tool_call_of_a_result_is_found_by_an_index(path):
    """Reading a large database again takes as long as it is large, not the square of it."""
    keep(path, talk())
    where = dict.fromkeys(("tool_call_id", "call_id", "thread_id", "at_us"), "x")
    db = sqlite3.connect(path)
    plan = [row[3] for row in db.execute(f"explain query plan {OPEN_OR_OURS}", where)]
    assert not [step for step in plan if step.startswith("SCAN")], plan


def test_a_message_whose_medium_is_gone_stays_as_it_was_read(path):
    """Without the medium its size and hash cannot be told again."""
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    keep(path, [chat("1", [{"role": "user", "content": [image]}], SAID)])
    db = sqlite3.connect(path)
    assert db.execute("update media set data = null").rowcount == 1
    db.commit()
    changes_nothing(path)
