"""Session keyrings: four operations of keyctl(2).  Document: keyrings(7)."""

from __future__ import annotations

from .c import (
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_void_p,
    create_string_buffer,
)
from .constants import (
    KEY_OTH_SEARCH as KEY_OTH_SEARCH,
    KEY_POS_ALL as KEY_POS_ALL,
    KEY_SPEC_SESSION_KEYRING as KEY_SPEC_SESSION_KEYRING,
    KEY_USR_LINK as KEY_USR_LINK,
    KEY_USR_READ as KEY_USR_READ,
    KEY_USR_SEARCH as KEY_USR_SEARCH,
    KEY_USR_SETATTR as KEY_USR_SETATTR,
    KEY_USR_VIEW as KEY_USR_VIEW,
    KEY_USR_WRITE as KEY_USR_WRITE,
    KEYCTL_DESCRIBE as KEYCTL_DESCRIBE,
    KEYCTL_GET_KEYRING_ID as KEYCTL_GET_KEYRING_ID,
    KEYCTL_JOIN_SESSION_KEYRING as KEYCTL_JOIN_SESSION_KEYRING,
    KEYCTL_SETPERM as KEYCTL_SETPERM,
)
from .core import bind_syscall, cstring, fail, number
from .flags import quote

_NR_KEYCTL = number("keyctl")
_keyctl_name = bind_syscall(c_int, c_char_p)
_keyctl_buffer = bind_syscall(c_int, c_int, c_void_p, c_size_t)
_keyctl_number = bind_syscall(c_int, c_int, c_uint)


def keyctl_get_keyring_id(keyring: int) -> int:
    """The number of a keyring that is named by what it is to us (KEY_SPEC_*).

    A thread without a session keyring has that of its user then.

    Raises OSError with errno
        EDQUOT  the user's is to be made, and /proc/sys/kernel/keys/maxkeys reached;
        EKEYREVOKED, EKEYEXPIRED  the keyring is no longer usable;
        ENOSYS  the kernel has no keys, or a seccomp filter hides them.

    Source: KEYCTL_GET_KEYRING_ID(2const).
    """
    key: int = _keyctl_number(_NR_KEYCTL, KEYCTL_GET_KEYRING_ID, keyring, 0)
    if key == -1:
        fail(f"keyctl(KEYCTL_GET_KEYRING_ID, {keyring}, 0)")
    return key


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
        buffer = create_string_buffer(size)
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
