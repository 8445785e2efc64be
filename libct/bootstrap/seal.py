"""An interpreter that the container cannot overwrite (CVE-2019-5736).

A process that enters a container can be made to execute /proc/self/exe, or be
looked at by it, and its executable is then the host's.  So the server is
executed from a read-only view of the interpreter: an overlay mount without an
upper layer, attached nowhere, or else a sealed copy in memory.
"""

from __future__ import annotations

import fcntl
import posix

from ..loading.paths import is_directory, split
from ..syscalls.filesystems import (
    fsconfig_create,
    fsconfig_set_string,
    fsmount,
    fsopen,
)

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_ALLOW_SEALING, _MFD_CLOEXEC, _MFD_EXEC = 0x2, 0x1, 0x10  # linux/memfd.h
# An overlay without an upper layer has two lower ones; any other directory will do.
_SECOND_LAYERS = ("/run", "/tmp", "/var", "/etc", "/dev")


def sealed_interpreter(path: str) -> int:
    """A descriptor to execute the interpreter at path by; close-on-exec, the caller's.

    path: without links.

    An ordinary user gets the file itself where nobody but root may write it:
    his containers map no id that could.
    """
    if posix.geteuid() != 0 and _only_root_writes(path):
        return posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return _through_overlay(path)
    except OSError:
        # No overlay in the kernel, no right to mount, or a path it cannot take.
        return _copy_in_memory(path)


def _only_root_writes(path: str) -> bool:
    found = posix.stat(path)
    return found.st_uid == 0 and not found.st_mode & 0o022 and not posix.access(path, posix.W_OK)


def _through_overlay(path: str) -> int:
    directory, name = split(path)
    apart = (
        other
        for other in _SECOND_LAYERS
        if is_directory(other) and not (directory + "/").startswith(other + "/")
    )
    layers = [_escaped(directory), next(apart, "")]
    fs = fsopen("overlay")
    try:
        fsconfig_set_string(fs, "lowerdir", ":".join(layers))
        fsconfig_create(fs)
        mount = fsmount(fs, 0)
    finally:
        posix.close(fs)
    try:
        return posix.open(name, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=mount)
    finally:
        posix.close(mount)


def _escaped(layer: str) -> str:
    return layer.replace("\\", "\\\\").replace(":", "\\:")


def _copy_in_memory(path: str) -> int:
    try:
        copy = posix.memfd_create(
            "libct-interpreter", _MFD_CLOEXEC | _MFD_ALLOW_SEALING | _MFD_EXEC
        )
    except OSError:
        # MFD_EXEC is of Linux 6.3; before it every memfd can be executed.
        copy = posix.memfd_create("libct-interpreter", _MFD_CLOEXEC | _MFD_ALLOW_SEALING)
    try:
        original = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            while posix.sendfile(copy, original, None, 1 << 24):
                pass
        finally:
            posix.close(original)
        posix.fchmod(copy, 0o555)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        return copy
    except BaseException:
        posix.close(copy)
        raise
