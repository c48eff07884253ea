"""Where a call belongs: messages recognised again, conversations continued.

Takes what was understood of an exchange; gives messages with keyed fingerprints, and the call
that this one continues.  Knows nothing of storage: what is already there is asked through `Known`.
"""

from .content import plain_text, render
from .fingerprints import Fingerprinter, Placed
from .known import Known, MadeTool, Seen, style_of

__all__ = [
    "Fingerprinter",
    "Known",
    "MadeTool",
    "Placed",
    "Seen",
    "plain_text",
    "render",
    "style_of",
]
