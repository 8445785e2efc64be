"""What went wrong in the making of a sandbox, in the words of who has asked for it.

A sandbox is a container by a configuration that its caller has never seen: what is told of a
mount or a limit is told by the option that it comes from.
"""

from __future__ import annotations

from errno import EACCES, ENOENT

from ..errors import ConfigError, Error, Finding, StepError, notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Places of a configuration, and the options that they come from.
ORIGINS = {
    "linux.resources.cpu": "cpus",
    "linux.resources.memory": "memory",
    "linux.resources.pids": "pids",
    "linux.seccomp": "seccomp",
    "process.args": "args",
    "process.cwd": "cwd",
    "process.env": "env",
    "process.rlimits": "rlimits",
    "process.user": "user",
}


class SandboxError(StepError):
    """A sandbox could not be made; place is the option that asked for what failed, or ""."""

    def _where(self) -> str:
        return f" [from {self.place}]" if self.place else ""

    def __str__(self) -> str:
        return self._text()  # also of those that are OSErrors


class CommandNotFound(SandboxError, FileNotFoundError):  # type: ignore[misc]  # strerror
    """There is no such command in the sandbox: a FileNotFoundError, as subprocess raises."""

    exit_status = 127  # of `libct sandbox`, as a shell has it


class CommandNotExecutable(SandboxError, PermissionError):  # type: ignore[misc]  # the same
    """The command may not be executed: a PermissionError, as subprocess raises."""

    exit_status = 126


def explained(error: Error, origins: Mapping[str, str]) -> Error:
    """The same error, by options.

    origins: place -> option; a place stands for those below it, too.
    """
    if isinstance(error, ConfigError):
        return type(error)(
            Finding(_option(one.place, origins), one.message, one.level) for one in error.findings
        )
    if not isinstance(error, StepError):
        return error
    kind, errno = SandboxError, error.errno
    if isinstance(error, SandboxError):
        kind = type(error)
    elif error.op == "find_command":
        denied = errno == EACCES or "permission denied" in error.strerror
        kind, errno = (CommandNotExecutable, EACCES) if denied else (CommandNotFound, ENOENT)
    option, hint = _option(error.place, origins), error.hint
    if option == "--proc":
        hint = hint.replace("proc=none", "--proc none")
    elif option == "proc":
        hint = f"{hint}; proc=none goes without" if hint else "proc=none goes without"
    found = kind(
        number=error.number,
        total=error.total,
        process=error.process,
        phase=error.phase,
        op=error.op,
        title=error.title,
        call=error.call,
        path=error.path,
        errno=errno,
        problem=error.strerror,
        place=option,
        hint=hint,
        opening="",  # as runc has it, by config.json
    )
    if isinstance(found, OSError):  # whose constructor has its own idea of these
        found.errno, found.strerror, found.filename = errno, error.strerror, error.path
    found.traces = error.traces
    if notes(error):
        found.__notes__ = notes(error)  # type: ignore[attr-defined]
    return found


class Explaining:
    """A context in which libct's errors become those of explained()."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._origins = origins

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Error):
            told = explained(error, self._origins)
            if told is not error:
                raise told from error.__cause__


def _option(place: str, origins: Mapping[str, str]) -> str:
    for known, option in {**ORIGINS, **origins}.items():
        if place == known or (place.startswith(known) and place[len(known)] in ".["):
            return option
    return "" if place.startswith(("mounts", "linux.", "process.", "root.")) else place
