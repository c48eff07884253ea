"""`scripts/fuzz`: a coverage-guided fuzzer on decoders and adapters.

Inputs that found something new are kept in the folder `.fuzz`; so is the input of a crash, whose
name the fuzzer prints.  `scripts/fuzz FILE` runs that input once.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agenttrace_mitm.wire", "agenttrace_mitm.providers"]):
    from tests.fuzz import targets

FOLDER = Path(".fuzz")


def main() -> None:
    """Fuzz for as long as was asked."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("inputs", nargs="*", type=Path, help="run these inputs once")
    told = parser.parse_args()
    if told.inputs:
        for path in told.inputs:
            targets.run(path.read_bytes())
        return
    FOLDER.mkdir(exist_ok=True)
    for seed in targets.seeds():
        (FOLDER / f"seed-{hashlib.sha1(seed).hexdigest()}").write_bytes(seed)
    options = [
        f"-max_total_time={round(told.minutes * 60)}",
        f"-artifact_prefix={FOLDER}/crash-",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(FOLDER)], targets.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
