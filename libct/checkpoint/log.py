"""What CRIU's log says of a failure."""

from __future__ import annotations

from ..errors import printable
from ..loading.paths import join

_TAIL = 4096  # bytes, with the last line
_LINES = 3  # of errors that are shown, the last ones
_LONGEST = 200  # characters of a line
_READ = 1 << 16  # bytes of the log, from its end


def last_errors(directory: str, name: str) -> str:
    """For the end of a message: the path, and the last lines about errors; "" without a log."""
    path = join(directory, name)
    lines = _end(path, _READ)
    if lines is None:
        return ""
    wrong = [line for line in lines if "Error" in line] or [line for line in lines if line.strip()]
    shown = " | ".join(printable(line.strip()[:_LONGEST]) for line in wrong[-_LINES:])
    return f"; CRIU's log {path} says: {shown}" if shown else f"; CRIU's log is {path}"


def last_line(directory: str, name: str) -> str:
    """The latest whole line, "" where there is none."""
    lines = _end(join(directory, name), _TAIL) or []
    said = [line.strip() for line in lines if line.endswith("\n") and line.strip()]
    return printable(said[-1][:_LONGEST]) if said else ""


def _end(path: str, most: int) -> list[str] | None:
    """Lines of the last bytes, with their ends; None without a file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - most))
            return file.read().decode("utf-8", "replace").splitlines(keepends=True)
    except OSError:
        return None
