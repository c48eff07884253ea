"""What measures how long pages take runs while no other browser test does."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.web import FULL


@pytest.fixture(autouse=True)
def _turn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """One test marked `alone`, or any number of others; workers of one run share a folder."""
    if not FULL:
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    folder = tmp_path_factory.getbasetemp().parent
    with contextlib.ExitStack() as turn:
        # Whoever waits for a turn lets nobody in before them.
        with _locked(folder / "browser-queue.lock", fcntl.LOCK_EX):
            kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            turn.enter_context(_locked(folder / "browser-turn.lock", kind))
        yield


@contextlib.contextmanager
def _locked(file: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
