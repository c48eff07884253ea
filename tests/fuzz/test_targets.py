"""The targets of `scripts/fuzz` hold for the inputs that it begins with."""

import pytest

from . import targets


@pytest.mark.parametrize("nth", range(len(targets.TARGETS)))
def test_the_seeds_are_no_findings(nth):
    inputs = [seed for seed in targets.seeds() if seed[0] == nth]
    assert inputs
    for data in inputs:
        targets.run(data)
        targets.run(data[:-9])
