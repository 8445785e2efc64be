"""The user that a process becomes."""

from __future__ import annotations

from .step import operation


@operation("security.users", "look up the user {0!r}")
def resolve_user(user: str, groups: tuple[int | str, ...]) -> list[str]:
    # /etc/group is read only where a name asks for it; HOME is always looked up.
    return ['openat2("/etc/passwd", O_NONBLOCK|O_CLOEXEC, RESOLVE_IN_ROOT)']


@operation("security.users", "make the standard streams the user's")
def own_stdio() -> list[str]:
    return []


@operation("security.users", "become the user")
def become_user() -> list[str]:
    return ["setgroups()", "setresgid()", "setresuid()"]
