"""Fail when a test was skipped that the list does not allow.

Each line of the list is the beginning of a test's name, as `module::name`, and after `#` why it
may be skipped.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def main(report: str, allowed: str) -> int:
    """The exit code."""
    lines = (line.partition("#")[0].strip() for line in Path(allowed).read_text().splitlines())
    names = tuple(line for line in lines if line)
    skipped = {
        f"{case.get('classname')}::{case.get('name')}": skip.get("message")
        for case in ET.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it just now
        for skip in case.iter("skipped")
    }
    refused = {name: why for name, why in skipped.items() if not name.startswith(names)}
    for name, why in refused.items():
        print(f"skipped, but not in {allowed}: {name} ({why})")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
