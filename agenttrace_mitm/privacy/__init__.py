"""What may be kept: tiers, redaction of secrets, and the headers that are stored.

A record comes in as it was understood; what leaves may be written to disk.  `keep` applies the
table of `tiers`, `Redactor` takes keys and tokens out of whatever is left, at every tier,
`scattered` shows it those that came in pieces, `without_grant` knows those of OAuth by name, and
`keep_headers` is the list of headers that a stored exchange may have.
"""

from .grants import is_grant, without_grant
from .headers import keep_headers
from .redaction import CLEAN, Redactor
from .scattered import scattered
from .tiers import KEEPS, Tier, keep, keep_event

__all__ = [
    "CLEAN",
    "KEEPS",
    "Redactor",
    "Tier",
    "is_grant",
    "keep",
    "keep_event",
    "keep_headers",
    "scattered",
    "without_grant",
]
