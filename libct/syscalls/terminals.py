"""Pseudoterminals: the ioctls of pty(7) and tty_ioctl(4).

The numbers are those of asm-generic/ioctls.h; powerpc has its own for some.
"""

from __future__ import annotations

import fcntl
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_POWERPC = os.uname().machine.startswith("ppc")

# include/uapi/asm-generic/ioctls.h, arch/powerpc/include/uapi/asm/ioctls.h.
# Where _IO and _IOR encode the direction in other bits, powerpc differs.
TIOCSCTTY = 0x540E
TIOCSWINSZ = 0x80087467 if _POWERPC else 0x5414
TIOCGWINSZ = 0x40087468 if _POWERPC else 0x5413
TIOCSPTLCK = 0x80045431 if _POWERPC else 0x40045431
TIOCGPTPEER = 0x20005441 if _POWERPC else 0x5441


def unlock(master: int) -> None:
    """Let the other side of a new pseudoterminal be opened.

    Raises OSError with errno ENOTTY: not the master of a pseudoterminal.
    Source: ioctl_tty(2), TIOCSPTLCK.
    """
    try:
        fcntl.ioctl(master, TIOCSPTLCK, bytes(4))  # int 0
    except OSError as error:
        _fail(error, f"ioctl({master}, TIOCSPTLCK, [0])")


def open_peer(master: int, flags: int = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC) -> int:
    """Open the other side of a pseudoterminal, not by its path; the caller's descriptor.

    The path might lead elsewhere: another devpts, or a link in an image.

    Raises OSError with errno
        EIO     still locked;
        ENOTTY  not the master of a pseudoterminal.

    Source: ioctl_tty(2), TIOCGPTPEER.
    """
    try:
        return fcntl.ioctl(master, TIOCGPTPEER, flags)
    except OSError as error:
        _fail(error, f"ioctl({master}, TIOCGPTPEER, {flags:#x})")


def set_controlling(terminal: int) -> None:
    """Make terminal, borrowed, the controlling one of our session, which we lead.

    Raises OSError with errno EPERM: we lead no session, or it has a terminal,
    or the terminal has another session.

    Source: ioctl_tty(2), TIOCSCTTY.
    """
    try:
        fcntl.ioctl(terminal, TIOCSCTTY, 0)
    except OSError as error:
        _fail(error, f"ioctl({terminal}, TIOCSCTTY, 0)")


def set_window_size(terminal: int, rows: int, columns: int) -> None:
    """Set the size in characters; the processes in the foreground get SIGWINCH.

    Raises OSError with errno ENOTTY: no terminal.
    Source: ioctl_tty(2), TIOCSWINSZ.
    """
    try:
        fcntl.ioctl(terminal, TIOCSWINSZ, _words(rows, columns, 0, 0))
    except OSError as error:
        _fail(error, f"ioctl({terminal}, TIOCSWINSZ, {{ws_row={rows}, ws_col={columns}}})")


def get_window_size(terminal: int) -> tuple[int, int]:
    """The size in characters, (rows, columns).

    Raises OSError with errno ENOTTY: no terminal.
    Source: ioctl_tty(2), TIOCGWINSZ.
    """
    try:
        answer = fcntl.ioctl(terminal, TIOCGWINSZ, bytes(8))
    except OSError as error:
        _fail(error, f"ioctl({terminal}, TIOCGWINSZ)")
    return int.from_bytes(answer[:2], sys.byteorder), int.from_bytes(answer[2:4], sys.byteorder)


def _words(*values: int) -> bytes:
    """struct winsize: unsigned shorts; OverflowError for what does not fit in."""
    return b"".join(value.to_bytes(2, sys.byteorder) for value in values)


def _fail(error: OSError, call: str) -> NoReturn:
    raise OSError(error.errno, f"{call}: {error.strerror}") from None
