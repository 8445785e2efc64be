"""What CRIU's log says of a failure."""

from __future__ import annotations

from ..errors import printable
from ..loading.paths import join

_LINES = 3  # of errors that are shown, the last ones
_LONGEST = 200  # characters of a line
_READ = 1 << 16  # bytes of the log, from its end


def last_errors(directory: str, name: str) -> str:
    """For the end of a message: the path, and the last lines about errors; "" without a log."""
    path = join(directory, name)
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - _READ))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    wrong = [line for line in lines if "Error" in line] or [line for line in lines if line.strip()]
    shown = " | ".join(printable(line.strip()[:_LONGEST]) for line in wrong[-_LINES:])
    return f"; CRIU's log {path} says: {shown}" if shown else f"; CRIU's log is {path}"
