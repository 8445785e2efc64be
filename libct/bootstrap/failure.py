"""A step that failed, as either side of the talk knows it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Failure(Exception):
    """What is known of a failed step; it crosses the talk as plain values.

    call: the call that failed, or "" where that is not known, or none did.
    problem: the text of the errno, with what the kernel's own log adds; or what
        is wrong.
    """

    def __init__(
        self,
        number: int,
        errno: int | None,
        call: str,
        problem: str,
        path: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(f"{call}: {problem}" if call else problem)
        self.number, self.errno, self.call, self.problem = number, errno, call, problem
        self.path, self.hint = path, hint

    def values(self) -> tuple[Any, ...]:
        return (self.number, self.errno, self.call, self.problem, self.path, self.hint)
