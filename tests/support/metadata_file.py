"""The text of `metadata.yml`, made of the plugin's descriptions and canned queries.

    scripts/metadata

prints nothing and writes the file.
"""

import sys
from typing import Any

import yaml

from datasette_agenttrace import described

HEADER = """\
# For `datasette DB --plugins-dir datasette_plugins -m metadata.yml` with a database called `data`.
# Made by `scripts/metadata`; to a database of any other name the plugin gives the same by itself.
"""


class Dumper(yaml.SafeDumper):
    """Writes SQL as a block that can be read, and nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        """Every value is written out."""
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> Any:
    """A string; a block when it has lines."""
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, _string)


def text() -> str:
    """What the file has to say."""
    return HEADER + yaml.dump(described.metadata(), Dumper=Dumper, sort_keys=False, width=100)


if __name__ == "__main__":
    sys.stdout.write(text())
