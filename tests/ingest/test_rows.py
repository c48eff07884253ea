"""The rows that a batch with everything in it has always become, to the last field."""

import json
from pathlib import Path

import pytest

from agenttrace_mitm.ingest.events import read

from .test_events import Recorder, hand_over
from .varied import ITEMS, NOW, rows

EXPECTED = Path(__file__).with_name("varied_rows.json")


@pytest.mark.parametrize("tier", [1, 3])
async def test_a_varied_batch_becomes_the_same_rows(tmp_path: Path, tier: int) -> None:
    """Sent twice, as by a client that missed the first answer."""
    expected = json.loads(EXPECTED.read_text())
    async with Recorder(tmp_path, tier) as recorder:
        for _ in range(2):
            batch = read(ITEMS, NOW)
            await hand_over(batch, recorder.socket)
    assert [one.model_dump() for one in batch.results] == expected["results"]
    assert rows(tmp_path / "data.db") == expected[str(tier)]
