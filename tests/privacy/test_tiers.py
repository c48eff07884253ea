"""What each tier keeps, field by field and part by part."""

import pytest

from agenttrace_mitm.model import (
    LlmCall,
    Payload,
    Record,
    StoredMessage,
    StoredToolCall,
    StoredToolResult,
)
from agenttrace_mitm.model.row import Row
from agenttrace_mitm.privacy import KEEPS, Redactor, keep
from agenttrace_mitm.privacy.tiers import NARROWED

SECRET = "sk-ant-api03-CanaryCanary0123456789"


def record(words="words", **call):
    needed = {"id": "c", "started_us": 1, "provider": "openai", "host": "h", "method": "POST"}
    said = needed | {"path": "/v1/x", "outcome": "ok"} | call
    parts = {
        "user": [{"type": "text", "content": f"asked {words}"}],
        "assistant": [
            {"type": "reasoning", "content": f"thought {words}"},
            {"type": "text", "content": f"answered {words}"},
            {"type": "tool_call", "id": "t1", "name": "read", "arguments": f"argued {words}"},
        ],
        "tool": [{"type": "tool_call_response", "id": "t1", "response": f"gave {words}"}],
    }
    return Record(
        call=LlmCall(**said),
        messages=tuple(
            StoredMessage(
                fingerprint=f"f{n}",
                position=n,
                direction="in",
                role=role,
                content=content,
                text=f"text of {role} {words}",
                size=7,
            )
            for n, (role, content) in enumerate(parts.items())
        ),
        tool_calls=(
            StoredToolCall(tool_call_id="t1", position=0, name="read", arguments=f"argued {words}"),
        ),
        tool_results=(
            StoredToolResult(
                tool_call_id="t1", call_id="b", position=0, at_us=1, result=f"gave {words}"
            ),
        ),
        payload=Payload(request_headers=[["a", words]], request_body=words.encode(), arrivals=[]),
    )


@pytest.mark.parametrize("model", [m for m in Row.__subclasses__() if m is not Record])
def test_every_field_has_a_tier(model):
    """A new field, or a new kind of row, has to say from which tier on it is kept."""
    assert set(KEEPS[model]) == set(model.model_fields)


def test_every_row_of_a_record_has_tiers():
    assert {m for m in Row.__subclasses__() if m is not Record} == set(KEEPS)
    assert set(Record.model_fields) == {
        "call", "messages", "tool_calls", "tool_results", "payload", "placement", "prompt",
        "awaited", "overtaken",
    }  # fmt: skip


@pytest.mark.parametrize("tier", [1, 2, 3])
@pytest.mark.parametrize("name", LlmCall.model_fields)
def test_a_field_is_kept_from_its_tier_on(name, tier):
    """Each field of a call, by the table, and nothing else about it changes."""
    values = {
        "error_message": "e", "end_user": "u", "cwd": "/c", "client_address": "1.2.3.4",
        "notes": ["n"], "tags": {"a": "b"}, "tool_names": ["t"], "model": "m", "process": "p",
    }  # fmt: skip
    before = record(**values).call
    after = keep(record(**values), tier).call
    if name == "privacy_tier":
        assert after.privacy_tier == tier
    elif tier < KEEPS[LlmCall][name]:
        assert getattr(after, name) is None
    elif name not in NARROWED:
        assert getattr(after, name) == getattr(before, name)


def test_tier_1_keeps_no_words():
    """Neither prompts nor replies nor arguments nor results; sizes and fingerprints stay."""
    kept = keep(record("canary"), 1)
    assert "canary" not in kept.model_dump_json()
    assert [m.fingerprint for m in kept.messages] == ["f0", "f1", "f2"]
    assert [m.size for m in kept.messages] == [7, 7, 7]
    assert kept.tool_calls[0].name == "read"
    assert kept.tool_results[0].tool_call_id == "t1"


def test_tier_2_goes_by_author():
    """What the model said is dropped though the client sent it back as history."""
    kept = keep(record("canary"), 2)
    user, assistant, tool = kept.messages
    assert user.content == [{"type": "text", "content": "asked canary"}]
    assert user.text == "asked canary"
    assert [part["type"] for part in assistant.content] == ["reasoning", "text", "tool_call"]
    assert [part.get("withheld") for part in assistant.content] == [14, 15, None]
    assert assistant.text == "read argued canary"
    assert tool.content[0]["response"] == "gave canary"
    assert kept.tool_calls[0].arguments == "argued canary"
    assert kept.tool_results[0].result == "gave canary"
    assert kept.payload is None
    dumped = kept.model_dump_json()
    assert "thought" not in dumped
    assert "answered" not in dumped


def test_a_reply_of_words_only_leaves_its_size_at_tier_2():
    reply = StoredMessage(
        fingerprint="f", position=0, direction="out", role="assistant", size=9, text="some words",
        content=[{"type": "text", "content": "some words"}],
    )  # fmt: skip
    [kept] = keep(record().model_copy(update={"messages": (reply,)}), 2).messages
    assert (kept.content, kept.text, kept.size, kept.fingerprint) == (None, None, 9, "f")


def test_media_and_unknown_parts_are_only_described_at_tier_2():
    """Where a picture came from may tell as much as the picture; unknown parts have no author."""
    content = [
        {"type": "text", "content": "look"},
        {"type": "uri", "modality": "image", "uri": "https://x/canary.png", "sha256": "canary"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "size": 5, "sha256": "c0"},
        {"type": "unknown", "raw": {"deep": "canary"}},
    ]
    message = StoredMessage(
        fingerprint="f", position=0, direction="in", role="user", content=content
    )
    [kept] = keep(record().model_copy(update={"messages": (message,)}), 2).messages
    assert "canary" not in kept.model_dump_json()
    assert kept.content[2] == {
        "type": "blob", "modality": "image", "mime_type": "image/png", "size": 5,
    }  # fmt: skip


def test_tier_3_keeps_everything():
    assert keep(record("all"), 3) == record("all")


def test_parameters_at_tier_1_are_numbers_and_modes():
    """A stop sequence, a schema or a name in the parameters is the caller's own text."""
    params = {
        "temperature": 0.5, "stream": True, "max_tokens": None, "stop": ["canary"],
        "thinking": {"type": "enabled", "budget_tokens": 9}, "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": {"name": "canary"}},
        "tool_choice": {"type": "function", "name": "canary"}, "user": "canary",
    }  # fmt: skip
    kept = keep(record(params=params, path="/v1/x?after=canary"), 1).call
    assert kept.params == {
        "temperature": 0.5, "stream": True, "max_tokens": None,
        "thinking": {"type": "enabled", "budget_tokens": 9}, "reasoning_effort": "high",
        "response_format": {"type": "json_schema"}, "tool_choice": {"type": "function"},
    }  # fmt: skip
    assert kept.path == "/v1/x"


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_no_secret_survives_at_any_tier(tier):
    """A key in every text field, part and byte of a record is gone from what may be stored."""
    texts = {
        name: SECRET
        for name, field in LlmCall.model_fields.items()
        if field.annotation in (str, str | None)
    }
    jsons = {key: [SECRET] for key in ("params", "tags", "usage_raw", "notes", "tool_names")}
    jsons |= {"rate_limit": {SECRET: SECRET}, "usage_detail": {"x": SECRET}}
    kept = keep(record(f"of {SECRET}.", **texts, **jsons), tier)
    clean = Redactor().json(kept.model_dump())
    assert SECRET.encode() not in repr(clean).encode()
