"""Files in memory, by the function that Python itself has for them: memfd_create(2)."""

from __future__ import annotations

import errno
import posix

_CLOEXEC, _NOEXEC_SEAL = 0x1, 0x8  # linux/memfd.h; the second since Linux 6.3


def data_file(name: str) -> int:
    """A new file that cannot be executed, close-on-exec; name: what /proc shows of it.

    A host may refuse files that could be (vm.memfd_noexec).
    """
    try:
        return posix.memfd_create(name, _CLOEXEC | _NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return posix.memfd_create(name, _CLOEXEC)
