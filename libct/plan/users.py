"""The user that a process becomes."""

from __future__ import annotations

from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..security import users
else:
    users = Performers("security.users")

# crun's annotation, for files that only a group of the caller's may reach; with
# the value "1".
KEEP_GROUPS = "run.oci.keep_original_groups"


def group_steps(config: Config) -> list[Step]:
    """Before a user namespace is entered, where groups would be given up."""
    if f"{KEEP_GROUPS}=1" not in config.labels:
        return []
    return [keep_groups(why=f"annotations.{KEEP_GROUPS}")]


@operation(users.keep_groups, "keep the caller's supplementary groups")
def keep_groups() -> list[str]:
    return []


def _look_up(user: str, groups: tuple[int | str, ...]) -> str:
    return f"look up the user {user!r}" if user else "look up the default user"


@operation(users.resolve_user, _look_up)
def resolve_user(user: str, groups: tuple[int | str, ...]) -> list[str]:
    # HOME is always looked up.
    files = ["passwd", "group"] if _names_groups(user, groups) else ["passwd"]
    return [f'openat2("/etc/{name}", O_PATH, RESOLVE_IN_ROOT)' for name in files]


def _names_groups(user: str, groups: tuple[int | str, ...]) -> bool:
    """Whether one of the groups is given by name, or asked for by that of the user."""
    person, _, group = user.partition(":")
    names = [one for one in (group or person, *groups) if isinstance(one, str)]
    return any(name and not (name.isascii() and name.isdigit()) for name in names)


@operation(users.own_stdio, "give the standard streams to the user")
def own_stdio() -> list[str]:
    return []


@operation(users.become_user, "become the user")
def become_user() -> list[str]:
    return ["setgroups()", "setresgid()", "setresuid()", "prctl(PR_SET_DUMPABLE)"]
