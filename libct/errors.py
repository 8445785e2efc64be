"""The exceptions of libct: one tree, below Error.

A message says, in one line, what was attempted, on what, why it failed and
what to do (docs/architecture.md, Errors).  Nothing below the command line prints.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def printable(text: str, keep: str = "") -> str:
    """What a terminal only shows: control characters, those that change the direction of
    writing and bytes that are no UTF-8 are written out, "\\x1b".

    Names, paths and errors may come from an image, or from a process in a container.
    keep: such characters that stay.
    """
    if text.isprintable():
        return text
    # repr() has the escapes; the codec of that purpose would have to be imported.
    return "".join(one if one.isprintable() or one in keep else repr(one)[1:-1] for one in text)


class Error(Exception):
    """Whatever libct refuses or fails to do; str() is one line for a person."""


def note(error: BaseException, text: str) -> None:
    """Add what went wrong while it was cleaned up after error, which stays the one reported.

    Python shows these after a traceback (PEP 678; add_note() is of 3.11), the
    command line after its own line.
    """
    error.__notes__ = [*notes(error), text]  # type: ignore[attr-defined]


def advise(error: OSError, hint: str) -> None:
    """Say what to do about it, which its errno cannot."""
    error.hint = hint  # type: ignore[attr-defined]


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


class Finding:
    """One thing that is wrong with a configuration.

    place: where, in the words of the runtime-spec ('linux.namespaces[2].path').
    message: what, in one line.
    level: "error", or "warning" for what is suspicious and yet performed.
    """

    __slots__ = ("level", "message", "place")

    def __init__(self, place: str, message: str, level: str = "error") -> None:
        self.place, self.message, self.level = place, message, level

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    def __repr__(self) -> str:
        return f"Finding({self.place!r}, {self.message!r}, {self.level!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Finding) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # a value, compared and not looked up


class ConfigError(Error):
    """The configuration is bad; findings lists every problem with its place."""

    def __init__(self, findings: Iterable[Finding] | str) -> None:
        if isinstance(findings, str):
            findings = [Finding("", findings)]
        self.findings = list(findings)
        super().__init__("; ".join(str(finding) for finding in self.findings))


class Unsupported(ConfigError):
    """The configuration asks for what this version, kernel or host does not have."""


class InvalidID(Error):
    """A container id that is empty, or has other characters than [A-Za-z0-9_+-.]."""


class ContainerExists(Error):
    """There is a container of this id under this root already."""


class ContainerNotFound(Error):
    """There is no container of this id under this root."""


class ContainerDamaged(Error):
    """The state of the container cannot be read; it can still be removed by force."""


class ContainerNotRunning(Error):
    """The operation needs a live container."""


class ContainerRunning(Error):
    """The operation needs a container that has stopped."""


class ContainerPaused(Error):
    """The operation needs a container that is not paused."""


class ContainerNotPaused(Error):
    """Only a paused container can be resumed."""


class CgroupError(Error):
    """A control group could not be made, changed or removed."""


class ServerError(Error):
    """The bootstrap server could not be started, or died."""


class CallError(Error):
    """What was raised by a function that was called in a container, or became of it instead.

    type: the name of the exception's type, "" where the function did not come to raise one.
    message: of the exception.  traceback: its text, as Python prints it.
    usage, ended_by: of the process, as of libct.CompletedProcess, from libct.call(); None and "".
    """

    def __init__(self, type: str, message: str, traceback: str = "") -> None:  # noqa: A002
        super().__init__(f"{type}: {message}" if type else message)
        self.type, self.message, self.traceback = type, message, traceback
        self.usage: Any = None
        self.ended_by = ""

    def __reduce__(self) -> Any:
        return CallError, (self.type, self.message, self.traceback), self.__dict__


class StepProblem(Error):
    """What a performer found wrong that no errno tells; hint: what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class SystemdError(StepProblem):
    """systemd cannot be reached, refused a request, or failed to do it.

    name: of the D-Bus error ("org.freedesktop.systemd1.NoSuchUnit"), or "".
    result: of systemd's job ("failed", "timeout", ...), or "".
    """

    def __init__(self, message: str, hint: str = "", *, name: str = "", result: str = "") -> None:
        super().__init__(message, hint)
        self.name, self.result = name, result


class StepError(Error):
    """A step of a plan failed; everything done before it has been undone.

    number, total: the step's place in the plan, from 1.
    process, phase, op, title: which step it is (libct.plan.step).
    call: the call that failed with its arguments, or "" where no call did.
    path: the path the call was about, or None.
    errno: the error number, or None; strerror: its text, or the problem found.
    place: where the configuration asks for the step, or "".
    hint: what to do about it, or "".
    opening: what runc would say, or "" (libct.bootstrap.phrases).
    traces: the steps that were performed, where that was asked for (Container.traces).
    """

    def __init__(
        self,
        *,
        number: int,
        total: int,
        process: str,
        phase: str,
        op: str,
        title: str,
        call: str = "",
        path: str | None = None,
        errno: int | None = None,
        problem: str = "",
        place: str = "",
        hint: str = "",
        opening: str = "",
    ) -> None:
        self.number, self.total = number, total
        self.process, self.phase, self.op, self.title = process, phase, op, title
        self.call, self.path, self.errno, self.place, self.hint = call, path, errno, place, hint
        self.opening = opening
        self.strerror = problem or (posix.strerror(errno) if errno else "")
        self.traces: list[tuple[int, int, int, str]] = []
        super().__init__(self._text())

    def __reduce__(self) -> Any:
        # It is made by keywords alone, of which its state is.
        state = {**self.__dict__, "errno": self.errno, "strerror": self.strerror}
        return _unpickled, (type(self), state)

    def _text(self) -> str:
        parts = [self.opening] if self.opening else []
        parts.append(f"cannot {self.title}")
        if self.call:
            parts.append(self.call)
        parts.append(self.strerror or "failed")
        text = ": ".join(parts)
        if self.path is not None and self.path not in text:
            text += f": {self.path!r}"
        if self.hint:
            text += f" ({self.hint})"
        return text + self._where()

    def _where(self) -> str:
        origin = f", from {self.place}" if self.place else ""
        return f" [step {self.number} of {self.total}{origin}]"


def _unpickled(kind: type[StepError], state: dict[str, Any]) -> StepError:
    """The same error, in another process; its message is made of its state."""
    made = kind.__new__(kind)
    for name, value in state.items():  # some are no part of __dict__ where it is an OSError
        setattr(made, name, value)
    made.args = (made._text(),)
    return made
