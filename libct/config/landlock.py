"""Landlock rules of a container (landlock(7)): what it may do with files and with TCP."""

from __future__ import annotations

from .record import Record

# It holds a JSON object with the fields of the record.
ANNOTATION = "org.libct.landlock"
PLACE = f'annotations["{ANNOTATION}"]'


class Landlock(Record):
    """None restricts nothing of that kind; a list allows what is in it, and nothing else.

    Paths are the container's.  One of a directory stands for all that is below it.
    """

    read: list[str] | None = None  # open files to read them, list directories
    write: list[str] | None = None  # change, make and remove files; ioctl(2) of devices
    execute: list[str] | None = None
    bind_tcp: list[int] | None = None  # ports
    connect_tcp: list[int] | None = None
    scope: list[str] = []  # "signal", "abstract_unix_socket": nothing of that to the outside
    best_effort: bool = False  # do without what the kernel lacks


def below_written(path: str, above: str) -> str:
    """What is wrong with the path of a rule that leads through a directory of `write`."""
    return (
        f"{path!r} leads through {above!r}, which `write` has: who may write there could put"
        " anything in its place, for the next start or exec"
    )
