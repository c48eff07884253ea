"""Styles and scripts: asked for once, and again once they are others."""

import os
import re
from pathlib import Path

import pytest

from datasette_agenttrace import assets

LASTING = "private, max-age=31536000, immutable"
PAGES = (
    "/-/agenttrace", "/-/agenttrace/costs", "/-/agenttrace/calls", "/data/llm_calls", "/nowhere",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
async def test_what_pages_are_made_of_may_be_kept(recorded, get, page):
    """All but the scripts that Datasette names by no content."""
    parts = re.findall(r'(?:src|href)="(/-/[^"]*\.(?:css|js)[^"]*)"', (await get(page)).text)
    assert len(parts) > 1
    lasting = {part: (await get(part)).headers.get("cache-control") for part in parts}
    others = {part for part, said in lasting.items() if said != LASTING}
    assert others <= {"/-/static/table.js"}


async def test_only_the_content_of_the_address_may_be_kept(database, serve, get):
    known = assets.address(serve(database), "live.js")
    path, _, version = known.partition("?")
    assert (await get(known)).headers["cache-control"] == LASTING
    for other in ("", "?", f"?{version}0", f"?v={version}", "?0123456789"):
        answer = await get(path + other)
        assert answer.status_code == 200
        assert "cache-control" not in answer.headers
    answer = await get(f"/-/agenttrace/static/../gate.py?{version}")
    assert answer.status_code == 404
    assert answer.headers.get("cache-control") != LASTING


async def test_strangers_keep_nothing(database, serve):
    client = serve(database)
    answer = await client.client.get(assets.address(client, "agenttrace.css"))
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["/etc/hostname", "../gate.py", "x" * 300, "vendor", "a\0b", ""])
async def test_nothing_but_our_files_is_looked_at(database, serve, monkeypatch, name):
    served, looked = serve(database), []
    monkeypatch.setattr(assets, "_hash", looked.append)
    assert not assets.is_kept(served, f"/-/agenttrace/static/{name}", "0123456789")
    assert looked == []


@pytest.mark.parametrize("name", ["/etc/hostname", "x" * 300])
async def test_strangers_do_not_learn_what_there_is(database, serve, name):
    answer = await serve(database).client.get(f"/-/agenttrace/static/{name}?0123456789")
    assert answer.status_code == 401


async def test_another_content_has_another_address(database, serve, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    served, file = serve(database), tmp_path / "live.js"
    file.write_text("one")
    first = assets.address(served, "live.js")
    file.write_text("two")
    os.utime(file, (1, 1))
    assert assets.address(served, "live.js") != first
    file.write_text("one")
    assert assets.address(served, "live.js") == first
