"""A wall clock that a test moves: seconds to add stand in the file `FAKE_CLOCK`.

Python runs this before anything else in processes that have our folder in PYTHONPATH.  Only
`time.time` and `time.time_ns` are moved; certificates are judged by the real time.
"""

import os
import time

_FILE = os.environ["FAKE_CLOCK"]
_LOOK_EVERY_S = 0.05
_time_ns = time.time_ns
_state = [0.0, 0]  # when it was read last, nanoseconds to add


def _added() -> int:
    now = time.monotonic()
    if now - _state[0] > _LOOK_EVERY_S:
        _state[0] = now
        try:
            with open(_FILE) as file:  # noqa: PTH123 - pathlib is slow to import, for every process
                _state[1] = int(file.read()) * 1_000_000_000
        except (OSError, ValueError):
            pass  # it is being written
    return int(_state[1])


time.time_ns = lambda: _time_ns() + _added()
time.time = lambda: time.time_ns() / 1e9
