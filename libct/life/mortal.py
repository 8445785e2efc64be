"""Mortal containers: those that end with the process that has made them (bootstrap/reaper.py).

Whatever ends that leaves a record, and perhaps an empty control group.  So the record says
whose it is, and marks in the root tell which records to look at, without reading all:

    <root>/:<id>    a link that leads nowhere; its text is the owner and the id

No id has a colon.  A mark is there before the container's directory is, and goes after that,
by another name then (Directory.remove).  Who comes next removes what is left of those whose
owner has ended.
"""

from __future__ import annotations

import posix

from ..errors import ContainerNotFound, Error
from .directory import MARK, Directory
from .proc import boot_id, is_same, marks_of, of_this_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .record import Record

_UNKNOWN = "-"  # in the place of a boot
_swept: set[tuple[int, str]] = set()  # by which process, in which root: a forked copy has its own


def own_container(directory: Directory, record: Record, *, made: bool = False) -> None:
    """Have a container be this process's.  made: its directory is there, and not to be made yet."""
    pid = posix.getpid()
    if (pid, directory.root) not in _swept:
        _swept.add((pid, directory.root))
        sweep(directory.root)
    record.mortal, record.boot = [pid, *marks_of(pid), _pid_namespace()], boot_id()
    add_mark(directory, record, made=made)


def add_mark(directory: Directory, record: Record, *, made: bool) -> None:
    """Before the container's directory is made; and after that, should another's be there still."""
    text = " ".join([*map(str, record.mortal), record.boot or _UNKNOWN, directory.id])
    try:
        directory.add_mark(text)
    except FileExistsError:
        path = f"{directory.root}/{directory.mark}"
        if made and posix.readlink(path) != text:
            posix.unlink(path)
            directory.add_mark(text)


def is_left(record: Record) -> bool:
    """Whether a container has been left behind by its owner."""
    return bool(record.mortal) and _has_ended(record.mortal, record.boot)


def sweep(root: str) -> None:
    """Remove what is left of the containers whose owners have ended."""
    try:
        marks = [name for name in posix.listdir(root) if name.startswith(MARK)]
    except OSError:
        return
    for name in marks:
        try:
            _remove_left(root, name)
        except (Error, OSError, ValueError):
            continue  # others are about it, or it is theirs: `list` does without


def _remove_left(root: str, name: str) -> None:
    *numbers, boot, container_id = posix.readlink(f"{root}/{name}").split(" ")
    owner = list(map(int, numbers))
    if len(owner) != 4 or not _has_ended(owner, "" if boot == _UNKNOWN else boot):
        return
    directory = Directory(root, container_id)
    try:
        record = directory.read()
    except ContainerNotFound:
        _remove_empty(directory)
        posix.unlink(f"{root}/{name}")
        return
    if record.mortal != owner:
        posix.unlink(f"{root}/{name}")  # the id is another container's now
        return
    from .ending import destroy
    from .holdings import Holdings

    destroy(Holdings(directory, record), force=True)


def _remove_empty(directory: Directory) -> None:
    """What has no record: its owner was killed before it was there, or after it was removed."""
    try:
        held = directory.try_lock()
    except ContainerNotFound:
        return
    if held is None:
        raise Error("it is another's, who is about to write its record")
    with held:
        if not directory.has_record():
            directory.remove()


def _has_ended(owner: list[int], boot: str) -> bool:
    """False, too, of one that has another pid namespace: its number means nothing here."""
    *process, namespace = owner
    if not of_this_boot(boot):
        return True
    return namespace == _pid_namespace() and not is_same(*process)


def _pid_namespace() -> int:
    return posix.stat("/proc/self/ns/pid").st_ino
