"""Which names are those of credentials: of header fields and of query and form parameters.

Capture asks before it hands a request over, redaction before it stores what a body says.
"""

from functools import lru_cache

HEADERS = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "auth",
        "token",
    )
)
HEADER_ENDINGS = ("-key", "-token", "-auth", "_key", "_token", "apikey")
HEADER_PARTS = ("secret", "password", "authorization")
# They end like a key and are none: some repeat a request safely or name what a cache holds, one
# is a handshake's nonce.
NOT_SECRET = frozenset(
    (
        *("idempotency-key", "x-idempotency-key", "sec-websocket-key"),
        *("cache-key", "x-cache-key", "surrogate-key", "x-surrogate-key"),
    )
)

PARAMETERS = frozenset(
    (
        *("auth", "authorization", "code", "ek", "jwt", "key"),
        *("password", "secret", "sig", "signature", "token"),
    )
)
PARAMETER_ENDINGS = (
    *("_auth", "_key", "_password", "_secret", "_signature", "_token"),
    *("apikey", "accesskey", "accesstoken", "authtoken", "clientsecret"),
)
PLACES_IN_LISTS = (
    *("cache", "continuation", "cursor", "group", "idempotency", "next", "order", "page"),
    *("partition", "prompt_cache", "sort", "start"),
)
"""What a parameter begins with that ends like a secret, and says how to page or to sort."""


@lru_cache(maxsize=1024)  # the same few names come with every call
def is_credential_header(name: str) -> bool:
    """Whether the header field *name* (lower case) carries a credential."""
    if name in NOT_SECRET:
        return False
    return (
        name in HEADERS
        or name.endswith(HEADER_ENDINGS)
        or any(part in name for part in HEADER_PARTS)
    )


@lru_cache(maxsize=1024)
def is_credential_parameter(name: str) -> bool:
    """Whether the query or form parameter *name* carries a credential."""
    name = name.lower().replace("-", "_")
    if name in PARAMETERS:
        return True
    return name.endswith(PARAMETER_ENDINGS) and not name.startswith(PLACES_IN_LISTS)
