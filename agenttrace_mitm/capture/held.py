"""The frames of one exchange, as capture keeps them until the recorder has them safe."""

from collections import deque

from ..frames import Ended


class Held:
    """The frames of one exchange, kept until the recorder has it safe."""

    __slots__ = (
        "bodies",
        "body_bytes",
        "dropped",
        "ended",
        "frames",
        "id",
        "keeps_tail",
        "later",
        "messages",
        "request_cut",
        "response_cut",
        "sent",
        "size",
        "stripped",
        "tail",
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
        self.keeps_tail = False
        self.tail: deque[bytes] = deque()  # what came last of a response that was cut
        self.tail_bytes = 0
