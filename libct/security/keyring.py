"""A session keyring for the container, apart from the caller's (session-keyring(7), keyctl(2))."""

from __future__ import annotations

import errno

from ..syscalls import keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def join_session_keyring(context: Context, name: str, permission: int) -> None:
    """permission: KEY_*_SEARCH to add to those of the keyring, or 0.

    Search permission lets a process that joins later see the keys.

    ENOSYS is a kernel without keyrings.  EPERM comes from a seccomp filter on
    us, as Docker's: it holds for the container too, which then can reach no
    keyring at all.  Neither leaves anything to protect.
    """
    try:
        keys.keyctl_join_session_keyring(name)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return
        if error.errno == errno.EDQUOT:
            hint = "the quota of keys is used up: see /proc/sys/kernel/keys, or set no_new_keyring"
            error.hint = hint  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise
    if permission:
        # By the name for "ours": joining says 0 where it was ours already.
        keyring = keys.KEY_SPEC_SESSION_KEYRING
        # "keyring;UID;GID;PERMISSIONS;NAME", the permissions in hexadecimal.
        fields = keys.keyctl_describe(keyring).split(";")
        keys.keyctl_setperm(keyring, int(fields[3], 16) | permission)
