"""Pictures and files of a call: who shows them, and how little a browser may do with them."""

import base64
import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agenttrace_mitm.store.retention import let_go
from datasette_agenttrace.calls import media
from datasette_agenttrace.calls.media import Medium
from tests.datasette_agenttrace.scene import NOON, Page
from tests.providers.exchanges import exchange
from tests.support.hostile_content import SVG, image, png
from tests.support.recording import Recording
from tests.test_payload import PNG, uploaded

pytestmark = pytest.mark.usefixtures("noon")

CALLS = "/-/agenttrace/calls"
PDF = b"%PDF-1.7 " + bytes(200)
ANSWER = {
    "model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}],
}  # fmt: skip
CLAUDE = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "ok"}]}
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}}]}


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def openai(data: bytes, kind: str) -> Any:
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}
    return exchange("openai", "/v1/chat/completions", ANSWER, asked)


def anthropic(*blocks: Any) -> Any:
    asked = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": list(blocks)}]}
    return exchange("anthropic", "/v1/messages", CLAUDE, asked)


def gemini(data: bytes, kind: str) -> Any:
    told = {"inlineData": {"mimeType": kind, "data": base64.b64encode(data).decode()}}
    asked = {"contents": [{"role": "user", "parts": [told]}]}
    return exchange("google", "/v1beta/models/gemini-2.5-flash:generateContent", GEMINI, asked)


def of_tool(data: bytes) -> Any:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [image(data, "image/png")]}
    return anthropic(result)


def record(path: Path, *exchanges: Any, tier: Any = 3) -> None:
    """Store *exchanges* as calls 1, 2 and so on."""
    recording = Recording(tier)
    for number, one in enumerate(exchanges, 1):
        recording.take(replace(one, id=str(number), started_us=NOON - 60_000_000 + number))
    recording.db.commit()
    path.write_bytes(recording.db.serialize())


@pytest.mark.parametrize(
    "sent", [openai(PNG, "image/png"), anthropic(image(PNG, "image/png")), of_tool(PNG),
             gemini(PNG, "image/png")], ids=["openai", "anthropic", "tool result", "gemini"],
)  # fmt: skip
async def test_a_picture_is_small_on_the_page_and_leads_to_the_whole(database, get, sent):
    record(database, sent)
    page = Page((await get(f"{CALLS}/1")).text)
    [shown] = [attributes for tag, attributes in page.tags if tag == "img"]
    address = f"{CALLS}/1/media/{name_of(PNG)}"
    assert (shown["src"], shown["loading"]) == (address, "lazy")
    assert shown["alt"] == f"image, 512 x 512, {len(PNG)} B"
    assert [a for tag, a in page.tags if tag == "a" and a.get("href") == address]
    answer = await get(address)
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"].startswith("inline; ")
    assert answer.headers["cache-control"].startswith("private")


async def test_other_media_are_a_line_with_a_link(database, get):
    record(database, gemini(PDF, "application/pdf"))
    text = (await get(f"{CALLS}/1")).text
    assert "<img" not in text
    assert f"document, application/pdf, {len(PDF)} B" in text
    answer = await get(f"{CALLS}/1/media/{name_of(PDF)}")
    assert answer.content == PDF
    assert answer.headers["content-disposition"].startswith("attachment; ")


@pytest.mark.parametrize("stored, shown", [(1, 1), (2, 2), (3, 1), (3, 2)])
async def test_below_tier_3_a_picture_is_at_most_said_to_have_been_there(
    database, get, stored, shown
):
    """Also where another call of tier 3 brought the same picture."""
    record(database, openai(PNG, "image/png"), openai(PNG, "image/png"), tier=stored)
    with sqlite3.connect(database) as db:
        db.execute("update llm_calls set privacy_tier = ? where id = '1'", (shown,))
    paths = ("", ".json", "/share?tier=3")
    text = "".join([(await get(f"{CALLS}/1{path}")).text for path in paths])
    assert "<img" not in text
    assert name_of(PNG) not in text
    assert ("image/png" in text) == (shown == 2)
    assert (await get(f"{CALLS}/1/media/{name_of(PNG)}")).status_code == 404
    other = await get(f"{CALLS}/2/media/{name_of(PNG)}")
    assert other.status_code == (200 if stored == 3 else 404)


async def test_a_call_shows_the_media_of_its_own_messages_alone(database, get):
    """Words that name a picture by its hash do not make it one of theirs."""
    spoken = {"type": "text", "text": f"show me {name_of(PNG)}"}
    record(database, openai(PNG, "image/png"), anthropic(spoken))
    assert (await get(f"{CALLS}/1/media/{name_of(PNG)}")).status_code == 200
    for path in (f"2/media/{name_of(PNG)}", f"3/media/{name_of(PNG)}", "1/media/" + "0" * 64):
        assert (await get(f"{CALLS}/{path}")).status_code == 404, path


async def test_a_picture_that_was_let_go_is_still_described(database, get):
    record(database, openai(PNG, "image/png"))
    with sqlite3.connect(database) as db:
        let_go(db, NOON)
    text = (await get(f"{CALLS}/1")).text
    assert "<img" not in text
    assert f"image, 512 x 512, {len(PNG)} B</bdi>, not kept" in text
    assert (await get(f"{CALLS}/1/media/{name_of(PNG)}")).status_code == 404


async def test_what_a_sender_calls_a_medium_decides_nothing(database, get):
    """A picture that is called a page is a picture; a page or a drawing is bytes."""
    hostile = (
        ("a.html", "text/html", b"<script>window.pwned = 1</script>" * 5),
        ("a.svg", "image/svg+xml", SVG + b" " * 100),
        ("a.txt", 'x"><script>', b"nothing of interest " * 9),
    )
    files = [("image[]", name, kind, data) for name, kind, data in hostile]
    record(database, uploaded("/v1/images/edits", *files), openai(PNG, "text/html"))
    with sqlite3.connect(database) as db:
        assert db.execute("select count(*) from media").fetchone() == (4,)
    for _, _, data in hostile:
        answer = await get(f"{CALLS}/1/media/{name_of(data)}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment; ")
    page = (await get(f"{CALLS}/1")).text
    assert "<img" not in page
    assert "<script>window" not in page
    assert "<script>" not in page.split("</header>")[-1].split("<footer")[0]
    assert "<img" in (await get(f"{CALLS}/2")).text
    assert (await get(f"{CALLS}/2/media/{name_of(PNG)}")).headers["content-type"] == "image/png"


def test_a_picture_of_very_many_pixels_is_not_shown():
    one = Medium(modality="image", mime_type="image/png", width=60_000, height=60_000, kept=True)
    assert not one.is_picture
    assert one.model_copy(update={"width": 600}).is_picture


async def test_a_shared_file_has_small_pictures_inside(database, get, monkeypatch):
    small, large = png(20, 10), png(90, 80)
    monkeypatch.setattr(media, "INLINE_BYTES", len(small))
    record(database, anthropic(image(small, "image/png"), image(large, "image/png")))
    answer = await get(f"{CALLS}/1/share?tier=3")
    [shown] = [attributes for tag, attributes in Page(answer.text).tags if tag == "img"]
    assert shown["src"] == f"data:image/png;base64,{base64.b64encode(small).decode()}"
    assert "img-src data:;" in answer.headers["content-security-policy"]
    assert "image, 90 x 80" in answer.text
    assert "/media/" not in answer.text
    assert "<img" not in (await get(f"{CALLS}/1/share?tier=2")).text
