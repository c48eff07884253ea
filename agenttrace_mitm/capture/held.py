"""The frames of one exchange, as capture keeps them until the recorder has them safe."""

from ..frames import Ended
from .tails import Fields, Tail


class Held:
    """The frames of one exchange, kept until the recorder has it safe."""

    __slots__ = (
        "bodies",
        "body_bytes",
        "dropped",
        "ended",
        "frames",
        "id",
        "later",
        "messages",
        "request_cut",
        "request_headers",
        "request_tail",
        "response_bytes",
        "response_cut",
        "response_headers",
        "response_tail",
        "sent",
        "size",
        "stripped",
        "tail_bytes",
    )

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.frames: list[bytes] = []
        self.bodies: list[int] = []  # which frames are pieces of bodies
        self.sent = 0
        self.size = 0
        self.body_bytes = 0
        self.dropped = 0
        self.messages = 0  # of a WebSocket, so far
        self.later: list[tuple[int, int, int]] = []  # number, frame, size of those not of its setup
        self.request_cut = False
        self.response_cut = False
        self.ended: Ended | None = None
        self.stripped = False  # its bodies had to make room
        # What the bodies are, asked only when one is large; None: their ends are of no use.
        self.request_headers: Fields | None = None
        self.response_headers: Fields | None = None
        self.request_tail: Tail | None = None  # what came last of a body that was cut
        self.response_tail: Tail | None = None
        self.response_bytes = 0  # of those kept
        self.tail_bytes = 0
