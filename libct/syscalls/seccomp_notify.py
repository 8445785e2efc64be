"""Notifications of a seccomp filter: seccomp_unotify(2)."""

from __future__ import annotations

import errno
import fcntl
import posix
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# include/uapi/linux/seccomp.h, _IOWR('!', 0 and 1, ...), which is the same on all machines.
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1

# struct seccomp_notif: id, pid, flags; and in it struct seccomp_data: nr, arch,
# instruction_pointer, args.
_NOTIF = struct.Struct("=QII iIQ6Q")
_RESP = struct.Struct("=QqiI")  # struct seccomp_notif_resp: id, val, error, flags


def notif_recv(fd: int) -> tuple[int, int, int, int, tuple[int, ...]] | None:
    """Wait for a notification: (id, pid, number, architecture, arguments).

    pid is the caller's in our pid namespace, 0 if it is in none that we see.  None: the
    call has been given up, by a signal, before it was received; or no process is left
    under the filter.

    Raises OSError with errno ENOTTY: fd is no listener.
    Source: seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_RECV.
    """
    data = bytearray(_NOTIF.size)
    while True:
        try:
            fcntl.ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, data)
        except InterruptedError:
            continue
        except FileNotFoundError:
            return None
        except OSError as error:
            _fail(error, f"ioctl({fd}, SECCOMP_IOCTL_NOTIF_RECV)")
        break
    number_of_it, pid, _, number, token, _, *arguments = _NOTIF.unpack(data)
    return number_of_it, pid, number, token, tuple(arguments)


def notif_send(fd: int, number: int, value: int = 0, error: int = 0, flags: int = 0) -> None:
    """Answer a notification.

    number: its id.  value: what the call returns; or error, a positive errno.
    flags: SECCOMP_USER_NOTIF_FLAG_CONTINUE has the kernel make the call.

    A call that has been given up meanwhile needs no answer, and its is lost (ENOENT).

    Raises OSError with errno
        EINVAL  value or error with the flag;
        EINPROGRESS  it has been answered already.

    Source: seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_SEND.
    """
    data = _RESP.pack(number, value, -error, flags)
    while True:
        try:
            fcntl.ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, data)
        except InterruptedError:
            continue
        except OSError as problem:
            if problem.errno != errno.ENOENT:
                _fail(problem, f"ioctl({fd}, SECCOMP_IOCTL_NOTIF_SEND)")
        return


def _fail(error: OSError, call: str) -> NoReturn:
    code = error.errno or 0
    raise OSError(code, f"{call}: {posix.strerror(code)}") from None
