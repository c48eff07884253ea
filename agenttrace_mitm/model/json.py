"""The type of decoded JSON, the one place where `Any` is allowed."""

from typing import Any

type Json = Any
type JsonObject = dict[str, Any]
