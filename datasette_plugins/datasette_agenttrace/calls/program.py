"""A recorded request as a Python program that sends it again, with the key left out.

In the words of the provider's own library where that can say all of it, else with httpx.
"""

import json
import math
import re

from agenttrace_mitm.model import LlmCall
from agenttrace_mitm.model.json import Json, JsonObject

from .curl import INLINE_CHARS, address, key_of, repeated
from .libraries import Library, library_of
from .one import Wire

WIDTH = 88
_GEMINI = re.compile(r"/v\w+/models/([\w.-]+):(streamG|g)enerateContent")


def program(call: LlmCall, wire: Wire) -> str | None:
    """The program; None where the request is no JSON object.

    A long body is read from a file that the page offers.
    """
    if call.method != "POST" or wire.request is None or not wire.request_names:
        return None
    is_long = wire.request_cut or len(wire.request) > INLINE_CHARS
    # A byte order mark is legal in bytes, and no part of what was asked.
    body: JsonObject | None = None if is_long else json.loads(wire.request.lstrip("\ufeff"))
    said = None
    if library := library_of(call):
        headers = _headers(wire)
        if body is not None:
            said = _said(library, *_in_its_words(call, body), headers)
        else:
            said = _said_from_file(library, call, wire.request_names, headers)
    return said or _with_httpx(call, wire, body)


def _in_its_words(call: LlmCall, body: JsonObject) -> tuple[JsonObject, bool]:
    """The arguments that say *body*, and whether the answer is to be streamed."""
    if found := _GEMINI.match(call.path):
        said = {name: value for name, value in body.items() if name != "contents"}
        about = said.pop("generationConfig", {})
        config = {**(about if isinstance(about, dict) else {}), **said}
        arguments = {"model": found[1], "contents": body.get("contents")}
        return arguments | ({"config": config} if config else {}), found[2] == "streamG"
    return body, body.get("stream") is True


def _said(
    library: Library, arguments: JsonObject, streamed: bool, headers: dict[str, str]
) -> str | None:
    """The program in the words of *library*; None where they are not enough."""
    arguments = {n: value for n, value in arguments.items() if not _is_a_function(library, n)}
    more = {name: value for name, value in arguments.items() if name not in library.names}
    given = [f"{n}={_literal(value, 1)}" for n, value in arguments.items() if n in library.names]
    given += [f"extra_body={_literal(more, 1)}"] if more else []
    return _asking(library, library.imports + "\n", given, streamed, headers, fits=not more)


def _said_from_file(
    library: Library, call: LlmCall, names: tuple[str, ...], headers: dict[str, str]
) -> str | None:
    """As `_said`, for a request that is read from a file and says something about *names*."""
    more = [n for n in names if n not in library.names and not _is_a_function(library, n)]
    given = ["**request"]
    streamed = "stream" in names and bool(call.streamed)
    if found := _GEMINI.match(call.path):
        more, streamed = [], found[2] == "streamG"
        config = '{**request.pop("generationConfig", {}), **request}'
        given = [f'model="{found[1]}"', 'contents=request.pop("contents")', f"config={config}"]
    elif more:
        given.insert(0, f"extra_body={{name: request.pop(name) for name in {_literal(more)}}}")
    system, _, own = library.imports.rpartition("\n\n")
    lines = ["import json", *([system] if system else []), "from pathlib import Path", "", own, ""]
    lines.append('request = json.loads(Path("request.json").read_text())')
    lines += [f'del request["{n}"]' for n in names if _is_a_function(library, n)]
    return _asking(library, "\n".join(lines), given, streamed, headers, fits=not more)


def _is_a_function(library: Library, name: str) -> bool:
    """Whether *name* is said by which function is called."""
    return name == "stream" and library.streaming != library.function


def _asking(
    library: Library, before: str, given: list[str], streamed: bool, headers: dict[str, str],
    *, fits: bool,
) -> str | None:  # fmt: skip
    """The program; None where the library cannot say what does not *fit* its names."""
    if not library.takes_more and (headers or not fits):
        return None
    function = library.streaming if streamed else library.function
    given = [*given, f"extra_headers={_literal({**headers}, 1)}"] if headers else given
    lines = "".join(f"    {one},\n" for one in given)
    show = "for piece in answer:\n    print(piece)" if streamed else "print(answer)"
    return f"{before}\nclient = {library.client}\nanswer = client.{function}(\n{lines})\n{show}"


def _headers(wire: Wire) -> dict[str, str]:
    """What the library would not say by itself."""
    own = ("content-type", "accept", "anthropic-version", "x-stainless-helper")
    return {name: said for name, said in repeated(wire) if name.lower() not in own}


def _with_httpx(call: LlmCall, wire: Wire, body: JsonObject | None) -> str:
    head, variable = key_of(call.provider)
    name, _, scheme = head.partition(": ")
    key = f'os.environ["{variable}"]'
    given = [(one, _literal(said)) for one, said in repeated(wire) if one.lower() != "content-type"]
    given.append((name, f'"{scheme}" + {key}' if scheme else key))
    headers = "".join(f"        {_literal(one)}: {said},\n" for one, said in given)
    imports, content = "import os\n\nimport httpx", f"json={_literal(body, 1)}"
    if body is None:
        imports = "import os\nfrom pathlib import Path\n\nimport httpx"
        content = 'content=Path("request.json").read_bytes()'
        headers += '        "content-type": "application/json",\n'
    return (
        f"{imports}\n\nanswer = httpx.post(\n    {_literal(address(call))},\n"
        f"    headers={{\n{headers}    }},\n    {content},\n    timeout=600,\n)\n"
        "print(answer.text)"
    )


def _literal(value: Json, depth: int = 0) -> str:
    """*value* as Python writes it, laid out where it is long."""
    if isinstance(value, str):
        plain = value.replace("\n", "").replace("\t", "").isprintable()
        return json.dumps(value, ensure_ascii=False) if plain else ascii(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'  # JSON has none, but many write them, and read them
    if not isinstance(value, dict | list):
        return repr(value)
    inner = [
        f"{_literal(key)}: {_literal(one, depth + 1)}" for key, one in value.items()
    ] if isinstance(value, dict) else [_literal(one, depth + 1) for one in value]  # fmt: skip
    left, right = "{}" if isinstance(value, dict) else "[]"
    line = left + ", ".join(inner) + right
    if len(line) + 4 * depth <= WIDTH and "\n" not in line:
        return line
    indent = "    " * (depth + 1)
    return f"{left}\n" + "".join(f"{indent}{one},\n" for one in inner) + "    " * depth + right
