"""Session keyrings: three operations of keyctl(2).  Document: keyrings(7)."""

from __future__ import annotations

import ctypes

from .core import bind_syscall, cstring, fail, number
from .flags import quote

# include/uapi/linux/keyctl.h
KEY_SPEC_SESSION_KEYRING = -3
KEYCTL_JOIN_SESSION_KEYRING = 1
KEYCTL_SETPERM = 5
KEYCTL_DESCRIBE = 6

# include/linux/key.h: rights of the possessor (bits 24 to 29), of the key's
# user (16 to 21), of its group (8 to 13) and of others (0 to 5).
KEY_POS_ALL = 0x3F000000
KEY_USR_VIEW = 0x010000
KEY_USR_READ = 0x020000
KEY_USR_WRITE = 0x040000
KEY_USR_SEARCH = 0x080000
KEY_USR_LINK = 0x100000
KEY_USR_SETATTR = 0x200000
KEY_OTH_SEARCH = 0x000008

_NR_KEYCTL = number("keyctl")
_keyctl_name = bind_syscall(ctypes.c_int, ctypes.c_char_p)
_keyctl_buffer = bind_syscall(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_keyctl_number = bind_syscall(ctypes.c_int, ctypes.c_int, ctypes.c_uint)


def keyctl_join_session_keyring(name: str | None = None) -> int:
    """Have this process use the session keyring of that name; return its number.

    It is made if there is none that we may join.  None: a new one without name.

    Raises OSError with errno
        EACCES  one has the name, and gives no right to search it;
        EDQUOT  /proc/sys/kernel/keys/maxkeys, for our user;
        EPERM   name begins with ".";
        ENOSYS  the kernel has no keys, or a seccomp filter hides them.

    Source: keyctl(2), KEYCTL_JOIN_SESSION_KEYRING.
    """
    encoded = None if name is None else cstring(name)
    key: int = _keyctl_name(_NR_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, encoded)
    if key == -1:
        fail(f"keyctl(KEYCTL_JOIN_SESSION_KEYRING, {quote(name)})")
    return key


def keyctl_describe(key: int) -> str:
    """A key as "type;uid;gid;permissions in hexadecimal;name".

    Raises OSError with errno
        EACCES  no right to view it;
        ENOKEY  no such key; EKEYEXPIRED, EKEYREVOKED  no longer.

    Source: keyctl(2), KEYCTL_DESCRIBE.
    """
    size = 256
    while True:
        buffer = ctypes.create_string_buffer(size)
        needed: int = _keyctl_buffer(_NR_KEYCTL, KEYCTL_DESCRIBE, key, buffer, size)
        if needed == -1:
            fail(f"keyctl(KEYCTL_DESCRIBE, {key})")
        if needed <= size:
            return buffer.value.decode("utf-8", "surrogateescape")
        size = needed  # a name of up to 4095 bytes


def keyctl_setperm(key: int, permissions: int) -> None:
    """Set the rights to a key, KEY_* bits.

    Raises OSError with errno
        EACCES  no right to change it: neither its user nor CAP_SYS_ADMIN;
        EINVAL  an unknown bit;
        ENOKEY  no such key; EKEYEXPIRED, EKEYREVOKED  no longer.

    Source: keyctl(2), KEYCTL_SETPERM.
    """
    if _keyctl_number(_NR_KEYCTL, KEYCTL_SETPERM, key, permissions) == -1:
        fail(f"keyctl(KEYCTL_SETPERM, {key}, {permissions:#x})")
