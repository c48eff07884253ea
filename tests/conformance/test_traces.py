"""Some recorded runs through the proxy, disturbed: answers, rows and places are what they are."""

from pathlib import Path

import pytest

from tests.traces.runs import retries, runs, scores

from . import proxied, traces

FEW = runs()[::80]
KILL_EVERY = 15
needs_corpus = pytest.mark.skipif(not FEW, reason="the recorded runs are not here")


@needs_corpus
@pytest.mark.parametrize("disturbance", proxied.DISTURBANCES)
async def test_what_goes_wrong_on_the_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturbance: str
) -> None:
    """Replies that end late, attempts that fail, a recorder that is killed."""
    monkeypatch.setattr(proxied, "KILL_EVERY", KILL_EVERY)
    settings = await proxied.through_proxy(tmp_path, FEW, disturbance, one_process=False)
    db = proxied.with_corpus_ids(settings.database)
    assert traces.report(*scores(db, FEW), retries(db))
    [[failed]] = db.execute("select count(*) from llm_calls where id like '%-failed'")
    assert (failed > 0) == (disturbance == "retried")
    if disturbance == "shuffled":  # else the test would say nothing
        late = """
            select count(*) from llm_calls c join llm_calls p on p.id = c.continues_call_id
            where c.started_us < p.ended_us
        """
        assert db.execute(late).fetchone()[0] > 0
    db.close()
