"""A TLS server under the real host names that answers a request with the record it belongs to.

The replaying client names the record in the header `x-corpus-record`.
"""

import asyncio
import ssl
from collections.abc import Mapping

from tests import corpus_cases as corpus

RECORD_HEADER = "x-corpus-record"
PIECES = 7


async def serve(context: ssl.SSLContext, records: Mapping[str, corpus.Record]) -> asyncio.Server:
    """Listen on a free loopback port and answer with *records*, by id."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = dict(_field(line) for line in head.split("\r\n")[1:] if line)
                await reader.readexactly(int(fields.get("content-length") or 0))
                await _answer(writer, records[fields[RECORD_HEADER]])
        except (asyncio.IncompleteReadError, OSError):
            pass  # the connection ended
        finally:
            writer.close()

    return await asyncio.start_server(connection, "127.0.0.1", 0, ssl=context, limit=2**20)


async def _answer(writer: asyncio.StreamWriter, record: corpus.Record) -> None:
    headers = corpus.response_headers(record)
    body = corpus.response_bytes(record)
    status = record["status"]
    if status in (204, 304):
        headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    writer.write(f"HTTP/1.1 {status} .\r\n{head}\r\n".encode("utf-8", "surrogatepass"))
    if record["method"] == "HEAD":
        return
    step = len(body) // (PIECES if record["streamed"] else 1) + 1
    for start in range(0, len(body), step):
        writer.write(body[start : start + step])
        await writer.drain()


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
