"""What parts the parts of a multipart body, by its content type."""

import re

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)


def boundary_of(content_type: str) -> bytes:
    """The line before each part, without what ends it; empty where the type names none."""
    found = _BOUNDARY.search(content_type)
    return b"--" + (found[1] or found[2]).encode("utf-8", "replace") if found else b""
