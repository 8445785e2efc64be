"""The user that a process becomes."""

from __future__ import annotations

from .step import Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config

# crun's annotation, for files that only a group of the caller's may reach; with
# the value "1".
KEEP_GROUPS = "run.oci.keep_original_groups"


def group_steps(config: Config) -> list[Step]:
    """Before a user namespace is entered, where groups would be given up."""
    if f"{KEEP_GROUPS}=1" not in config.labels:
        return []
    return [keep_groups(why=f"annotations.{KEEP_GROUPS}")]


@operation("security.users", "keep the caller's supplementary groups")
def keep_groups() -> list[str]:
    return []


@operation("security.users", "look up the user {0!r}")
def resolve_user(user: str, groups: tuple[int | str, ...]) -> list[str]:
    # /etc/group is read only where a name asks for it; HOME is always looked up.
    return ['openat2("/etc/passwd", O_PATH, RESOLVE_IN_ROOT)']


@operation("security.users", "make the standard streams the user's")
def own_stdio() -> list[str]:
    return []


@operation("security.users", "become the user")
def become_user() -> list[str]:
    return ["setgroups()", "setresgid()", "setresuid()", "prctl(PR_SET_DUMPABLE)"]
