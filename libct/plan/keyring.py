"""A session keyring for the container, apart from the caller's (session-keyring(7), keyctl(2))."""

from __future__ import annotations

from ..syscalls.constants import KEY_OTH_SEARCH, KEY_USR_SEARCH
from .calls import quote
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..security import keyring
else:
    keyring = Performers("security.keyring")


def keyring_steps(container_id: str, *, new: bool, user_namespace: bool = False) -> list[Step]:
    """new: for the first process, which makes the keyring; another process joins it by name.

    user_namespace: the container has one.
    """
    permission = 0
    if new:
        # The keyring belongs to the user that the namespace was made by, and
        # who searches it in there may be another, to the kernel.
        permission = KEY_OTH_SEARCH if user_namespace else KEY_USR_SEARCH
    return [join_session_keyring(f"_ses.{container_id}", permission)]


@operation(keyring.join_session_keyring, "join the session keyring {0}")
def join_session_keyring(name: str, permission: int) -> list[str]:
    calls = [f"keyctl(KEYCTL_JOIN_SESSION_KEYRING, {quote(name)})"]
    if permission:
        added = "KEY_USR_SEARCH" if permission == KEY_USR_SEARCH else "KEY_OTH_SEARCH"
        calls += ["keyctl(KEYCTL_DESCRIBE)", f"keyctl(KEYCTL_SETPERM, {added})"]
    return calls
