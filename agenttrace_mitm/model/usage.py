"""What a call read, wrote and cost, in comparable units.

Token counts are inclusive: `input_tokens` is everything the model read, cached or not;
`output_tokens` everything it generated, reasoning included.  The other counts are subsets.
None means "not reported", which is not zero.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from .json import Json

UsageSource = Literal["reported", "partial", "estimated", "none"]


class Usage(msgspec.Struct, frozen=True):
    """Token counts of one call, normalized; `raw` is the provider's own object, untouched.

    `detail` holds the further splits and meters (`cache_write_5m`, `input_audio`, `web_searches`,
    `billed_input_tokens`, `rerank_searches`, ...), each a number.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    detail: Mapping[str, int | float] = msgspec.field(default_factory=dict)
    raw: Json = None
    source: UsageSource = "none"


class Cost(msgspec.Struct, frozen=True):
    """An exact price in nano-dollars, split by kind, and the data it came from."""

    nano_usd: int
    detail: Mapping[str, int] = msgspec.field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()


class Unpriced(msgspec.Struct, frozen=True):
    """No price, and why: `unknown_model`, `no_usage`, `unpriced_unit:<unit>`, ..."""

    reason: str
