"""The start of a created container: what is said to the process that waits, and its answer.

    exec.fifo  ->  messenger  -> START  ->   the process
    exec.fifo  <-  messenger  <- ANSWER <-   that waits

GO is the word that releases it.  Its answer is one byte: that it is about to execute its command
(EXECUTES), or could not come to that (FAILED).  Messages follow (message.py), each a length
(2 bytes) and what that counts; zeros fill up what is not needed (messenger.py):
    ("traced", traces, number, start)  before execve, which is step `number`, where steps are timed
    ("failed", number, errno, call, problem, path, hint, [])
All of it together is no more than the smallest pipe holds.  So nobody who answers waits for
somebody to read, which who starts the container does at the end.
"""

from __future__ import annotations

from .message import Garbled, checked, decode, encode_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .failure import Failure

START, ANSWER = "start", "answer"  # the descriptors of the process that waits, by name

# The first byte of an absolute path, and used as that (waiting.py).
GO = b"/"
EXECUTES, FAILED = b"1", b"2"

LARGEST = 4096  # bytes of an answer: a pipe holds at least a page
_LENGTH = 2  # bytes, little-endian
_MOST_TRACED, _MOST_FAILED = 1000, 3000  # bytes of the messages


def traced(records: list[Any], current: tuple[int, int]) -> bytes:
    """The traces that there is room for: the first ones."""
    return _framed(encode_within(("traced", records, *current), _MOST_TRACED))


def failed(failure: Failure) -> bytes:
    return _framed(encode_within(("failed", *failure.values(), []), _MOST_FAILED))


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(_LENGTH, "little") + body


class Answer:
    """What has come of a start.

    executes: the process was about to execute its command.
    failed, traced: the values of these messages, or none.  Either may be somebody else's:
        they are of the right types, and no more is known of them.
    """

    __slots__ = ("executes", "failed", "traced")

    def __init__(self, said: bytes) -> None:
        """said: all that is in exec.fifo at the end.  Garbled, if that is no answer."""
        self.executes = said[:1] == EXECUTES
        self.failed: tuple[Any, ...] = ()
        self.traced: tuple[Any, ...] = ()
        if said[:1] not in (EXECUTES, FAILED):
            raise Garbled
        rest = said[1:LARGEST]
        while size := int.from_bytes(rest[:_LENGTH], "little"):
            body, rest = rest[_LENGTH : _LENGTH + size], rest[_LENGTH + size :]
            kind, *values = checked(decode(body))
            if kind == "traced" and not self.traced:
                self.traced = tuple(values)
            elif kind == "failed" and not self.failed:
                self.failed = tuple(values)
            else:
                raise Garbled
        if not self.executes and not self.failed:
            raise Garbled


def is_none(said: bytes) -> bool:
    """Whether the process has ended before it was let go, or answered: so the word is there still.

    A messenger that hears nothing passes a zero on.
    """
    return said[:1] in (b"", GO, b"\0")
