"""A server under the real host names that answers a request with the record it belongs to.

The replaying client names the record in the header `x-corpus-record`, and in others whether this
attempt fails, with which status, and how many seconds after its last byte the answer ends.
"""

import asyncio
import ssl
from collections.abc import Mapping

from agenttrace_mitm.demo.server import Answer, Request
from agenttrace_mitm.demo.server import serve as serve_answers
from tests import corpus_cases as corpus
from tests.traces.disturbed import FAILED

RECORD_HEADER = "x-corpus-record"
FAILS_HEADER = "x-corpus-fails"
LATE_HEADER = "x-corpus-late"
PIECES = 7


async def serve(
    context: ssl.SSLContext, records: Mapping[str, corpus.Record]
) -> tuple[asyncio.Server, int]:
    """Listen on a free loopback port and answer with *records*, by id."""

    def answer(request: Request) -> Answer:
        if fails := request.headers.get(FAILS_HEADER):
            length = ("content-length", str(len(FAILED)))
            return Answer(int(fails), (("content-type", "application/json"), length), (FAILED,))
        record = records[request.headers[RECORD_HEADER]]
        body = corpus.response_bytes(record)
        step = len(body) // (PIECES if record["streamed"] else 1) + 1
        pieces = tuple(body[start : start + step] for start in range(0, len(body), step))
        headers = tuple(corpus.response_headers(record))
        late_s = float(request.headers.get(LATE_HEADER) or 0)
        if record["status"] in (204, 304) or late_s:
            headers = tuple((k, v) for k, v in headers if k.lower() != "content-length")
        return Answer(record["status"], headers, pieces, ends_after_s=late_s)

    return await serve_answers(context, answer)
