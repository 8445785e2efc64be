"""The names of a UTS namespace: sethostname(2), setdomainname(2).  posix.uname reads them."""

from __future__ import annotations

from ..loading.paths import fsencode
from .c import (
    c_char_p,
    c_int,
    c_size_t,
)
from .core import bind, fail
from .flags import quote

_sethostname = bind("sethostname", c_int, c_char_p, c_size_t)
_setdomainname = bind("setdomainname", c_int, c_char_p, c_size_t)


def sethostname(name: str | bytes) -> None:
    """Set the host name of this UTS namespace, at most 64 bytes.

    Raises OSError with errno
        EINVAL  longer;
        EPERM   no CAP_SYS_ADMIN in the user namespace that owns it.

    Source: sethostname(2).
    """
    encoded = fsencode(name)
    if _sethostname(encoded, len(encoded)) == -1:
        fail(f"sethostname({quote(name)}, {len(encoded)})")


def setdomainname(name: str | bytes) -> None:
    """Set the NIS domain name of this UTS namespace, at most 64 bytes.

    Raises OSError with errno
        EINVAL  longer;
        EPERM   no CAP_SYS_ADMIN in the user namespace that owns it.

    Source: setdomainname(2).
    """
    encoded = fsencode(name)
    if _setdomainname(encoded, len(encoded)) == -1:
        fail(f"setdomainname({quote(name)}, {len(encoded)})")
