"""File names and paths: what is needed of os and os.path, which are not loaded for it.

Loading os, with what it builds on, takes 2 ms, a twentieth of the time in which
a container is run.  posix has all of its system calls; these functions are those
that Python has in os alone.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCODING = sys.getfilesystemencoding()


def fsencode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(_ENCODING, "surrogateescape")


def fsdecode(data: bytes) -> str:
    return data.decode(_ENCODING, "surrogateescape")


def environment(name: str) -> str:
    """A variable of the environment, as os.environ has it; "" where it is not set."""
    return fsdecode(_environment().get(fsencode(name), b""))


def own_environment() -> list[bytes]:
    """All of it, NAME=VALUE, as a program has it that is executed by this one."""
    return [name + b"=" + value for name, value in list(_environment().items())]


def _environment() -> Mapping[bytes, bytes]:
    # A host program changes os.environ, which posix.environ knows nothing of.
    loaded = sys.modules.get("os")
    return posix.environ if loaded is None else loaded.environb


def join(directory: str, path: str) -> str:
    if path.startswith("/") or not directory:
        return path
    return f"{directory}{path}" if directory.endswith("/") else f"{directory}/{path}"


def split(path: str) -> tuple[str, str]:
    """What is before the last slash, and what is after it."""
    start = path.rfind("/") + 1
    directory, name = path[:start], path[start:]
    return directory.rstrip("/") or directory, name


def contents(path: str, most: int) -> bytes:
    """What a file begins with: all of it, or so many bytes.

    A FIFO that nobody has open for writing is empty, and not waited for; of others, a
    shell's <(command) among them, all that comes is read (fifo(7)).
    """
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        posix.set_blocking(fd, True)
        return beginning(fd, most)
    except OSError as error:
        error.filename = path
        raise
    finally:
        posix.close(fd)


def beginning(fd: int, most: int) -> bytes:
    """What comes next of a file: all of it, or so many bytes."""
    pieces = []
    while most and (piece := posix.read(fd, most)):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def rest(fd: int) -> bytes:
    """All that is left to be read of a file; those of /proc come in pieces of a page."""
    pieces = []
    while piece := posix.read(fd, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def normal(path: str) -> str:
    """Without what is superfluous in it, as os.path.normpath() has it."""
    root = "/" * path.startswith("/")
    if root and path[-1] != "/" and "//" not in path and "/." not in path:
        return path  # as most are
    if path.startswith("//") and not path.startswith("///"):
        root = "//"  # of which POSIX leaves the meaning open
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", ".") or (part == ".." and root and not parts):
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return root + "/".join(parts) or "."


def absolute(path: str) -> str:
    if not path.startswith("/"):
        path = join(posix.getcwd(), path)
    return normal(path)


def is_plain_path(path: object) -> bool:
    """Whether it is the absolute path of a file, without ".." in it."""
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        return False
    return ".." not in path.split("/")


def real(path: str) -> str:
    """Without symbolic links, as the kernel follows them; absolute(path) of what is not there."""
    try:
        fd = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
        try:
            return posix.readlink(f"/proc/self/fd/{fd}")
        finally:
            posix.close(fd)
    except OSError:
        return absolute(path)


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True


def is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000  # S_IFMT, S_IFDIR
    except (OSError, ValueError):
        return False
