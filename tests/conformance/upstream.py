"""A server under the real host names that answers a request with the record it belongs to.

The replaying client names the record in the header `x-corpus-record`.
"""

import asyncio
import ssl
from collections.abc import Mapping

from agenttrace_mitm.demo.server import Answer, Request
from agenttrace_mitm.demo.server import serve as serve_answers
from tests import corpus_cases as corpus

RECORD_HEADER = "x-corpus-record"
PIECES = 7


async def serve(
    context: ssl.SSLContext, records: Mapping[str, corpus.Record]
) -> tuple[asyncio.Server, int]:
    """Listen on a free loopback port and answer with *records*, by id."""

    def answer(request: Request) -> Answer:
        record = records[request.headers[RECORD_HEADER]]
        body = corpus.response_bytes(record)
        step = len(body) // (PIECES if record["streamed"] else 1) + 1
        pieces = tuple(body[start : start + step] for start in range(0, len(body), step))
        headers = tuple(corpus.response_headers(record))
        if record["status"] in (204, 304):
            headers = tuple((k, v) for k, v in headers if k.lower() != "content-length")
        return Answer(record["status"], headers, pieces)

    return await serve_answers(context, answer)
