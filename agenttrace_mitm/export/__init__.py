"""Calls as files for other programs: a format is a file here and a line in `FORMATS`.

A format turns an open export into pieces of a file, one call at a time, so that the size of the
database does not matter.
"""

from . import csv_file, har, json_file, jsonl, parquet
from .format import Format

FORMATS: tuple[Format, ...] = (
    csv_file.FORMAT,
    json_file.FORMAT,
    jsonl.FORMAT,
    har.FORMAT,
    parquet.FORMAT,
)
BY_NAME = {one.name: one for one in FORMATS}

__all__ = ["BY_NAME", "FORMATS", "Format"]
