"""What `alerts check` costs a cron job: a rule of each type, on a large database.

The clock stands just after the last recorded call, so that every window has calls in it.  Beside
the time that passed stands the processor time, which other programs on the machine change little.
"""

import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from . import pages
from .instance import PYTHON
from .report import Row

WITHIN = "<= 0.3"

RULES = """\
rules:
  - {name: down, type: agent_down, params: {duration_minutes: 10}}
  - {name: errors, type: error_rate, params: {per: agent}}
  - {name: day, type: budget, params: {limit_usd: 20, period: day, per: agent}}
  - {name: month, type: budget, params: {limit_usd: 2000, period: month}}
  - {name: slow, type: latency, params: {threshold_ms: 20000, per: model}}
  - {name: limited, type: rate_limited, params: {threshold_percent: 2}}
  - {name: cache, type: cache_hit_drop, params: {per: agent}}
  - {name: unpriced, type: unpriced}
  - {name: quiet, type: no_traffic, params: {duration_minutes: 90}}
  - {name: anomaly, type: cost_anomaly, params: {per: agent}}
  - {name: loop, type: loop}
  - {name: blind, type: blind_spot}
  - {name: recorder, type: recorder_unhealthy}
  - name: many
    type: sql
    params:
      query: >-
        select agent_id as subject, count(*) || ' calls in an hour' as message from llm_calls
        where started_us >= :now_us - 3600000000 group by 1 having count(*) > 1000
"""


def run(rounds: int, calls: int, cache: Path | None) -> list[Row]:
    """The command and an interpreter that does nothing, *rounds* times in turns."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=cache) as name:
        home = Path(name)
        file = home / "data.db"
        shutil.copy(pages.database(cache or home, calls, rows), file)
        environ = _environ(home, _newest_us(file))
        (home / "rules.yml").write_text(RULES)
        ours = [PYTHON, "-m", "agenttrace_mitm", "alerts"]
        _timed([*ours, "apply", str(home / "rules.yml")], environ)
        _timed([*ours, "check"], environ)  # what fires from now on is known
        found = [
            (_timed([*ours, "check"], environ), _timed([PYTHON, "-c", "pass"], environ))
            for _ in range(rounds)
        ]
    checks, nothing = zip(*found, strict=True)
    wall = [check[0] - bare[0] for check, bare in found]
    worked = [check[1] - bare[1] for check, bare in found]
    return [
        *rows,
        Row("rules", RULES.count("name: ")),
        Row.of("`alerts check`, s", [took for took, _ in checks]),
        Row.of("an interpreter, s", [took for took, _ in nothing]),
        Row.of("beyond the interpreter, s", wall, WITHIN),
        Row.of("beyond the interpreter, processor time, s", worked),
    ]


def _newest_us(file: Path) -> int:
    db = sqlite3.connect(file)
    newest = int(db.execute("select max(started_us) from llm_calls").fetchone()[0])
    db.close()
    return newest


def _environ(home: Path, newest_us: int) -> dict[str, str]:
    clock = home / "clock"
    clock.write_text(str(newest_us // 1_000_000 + 60 - int(time.time())))
    fake = str(Path(__file__).parent / "fakeclock")
    path = os.pathsep.join(filter(None, (fake, os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "AGENTTRACE_HOME": str(home),
        "PYTHONPATH": path,
        "FAKE_CLOCK": str(clock),
    }


def _timed(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Seconds that passed, and of processor time; 1 says that something fires."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
