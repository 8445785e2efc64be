"""Whether a bundle's command can be executed, as far as its rootfs tells before it is mounted."""

from __future__ import annotations

import errno
import os
import stat

from ..config.mount import destination_inside
from ..rootfs.files import read_regular
from ..rootfs.paths import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..life.process import Process

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HEAD = 1 << 16  # bytes: where the headers of an ELF file are
_MOST_LINKS = 8  # scripts that name scripts


def find_command(config: Config, process: Process) -> tuple[str, str]:
    """Why the command cannot be executed, and which mount may bring it; "" for neither.

    Only the rootfs is looked at: what mounts put over it is not there yet.
    """
    name = process.args[0]
    search = _DEFAULT_PATH
    for variable in process.env:
        if variable.startswith("PATH="):
            search = variable[5:]
    if "/" in name:
        candidates = [os.path.join(process.cwd, name)]
        missing = f'exec: "{name}": no such file or directory'
    else:
        candidates = [f"{at}/{name}" for at in search.split(":") if at.startswith("/")]
        missing = f'exec: "{name}": executable file not found in $PATH'
    root, proc = (os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (config.rootfs, "/proc"))
    try:
        problem = missing
        for candidate in candidates:
            found = _why_not_executable(root, proc, candidate, _MOST_LINKS)
            if not found:
                return "", ""
            if found != "missing":
                problem = f'exec: "{name}": {found}'
                break
    finally:
        os.close(root)
        os.close(proc)
    for index, mount in enumerate(config.mounts):
        place = destination_inside(config.rootfs, mount.destination)
        if any(_is_below(path, place) for path in candidates):
            return problem, f"mounts[{index}]"
    return problem, ""


def _is_below(path: str, directory: str) -> bool:
    return os.path.normpath(path).startswith(os.path.normpath(directory).rstrip("/") + "/")


def _why_not_executable(root: int, proc: int, path: str, links: int) -> str:
    """Why a file below root cannot be executed: "missing", or a text; "" if it can."""
    try:
        place = open_in_root(root, path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "missing"
        return (error.strerror or str(error)).lower()
    try:
        found = os.fstat(place)
        if stat.S_ISDIR(found.st_mode):
            return "is a directory"
        if not (stat.S_ISREG(found.st_mode) and found.st_mode & 0o111):
            return "permission denied"
        try:
            needed = interpreter_of(read_regular(proc, place, _HEAD) or b"")
        except PermissionError:
            return ""  # it may be executed, as far as its mode tells, and not read
    finally:
        os.close(place)
    if not needed or not links:
        return ""
    if _why_not_executable(root, proc, needed, links - 1):
        return f"no such file or directory: it needs {needed!r}, which the rootfs does not have"
    return ""


def interpreter_of(head: bytes) -> str:
    """What a script or an ELF file of this beginning needs to be executed; "" for nothing."""
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split(None, 1)
        return os.fsdecode(words[0]) if words and words[0].startswith(b"/") else ""
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return ""
    wide = head[4] == 2
    little = head[5] == 1

    def number(start: int, size: int) -> int:
        return int.from_bytes(head[start : start + size], "little" if little else "big")

    # elf(5): e_phoff, e_phentsize, e_phnum; of each header p_type, p_offset, p_filesz.
    table = number(32, 8) if wide else number(28, 4)
    size, count = (number(54, 2), number(56, 2)) if wide else (number(42, 2), number(44, 2))
    for at in range(table, table + size * count, size or 1):
        if number(at, 4) == 3:  # PT_INTERP
            start, length = (
                (number(at + 8, 8), number(at + 32, 8))
                if wide
                else (number(at + 4, 4), number(at + 16, 4))
            )
            return os.fsdecode(head[start : start + length].rstrip(b"\0"))
    return ""
