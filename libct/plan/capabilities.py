"""The capabilities of a process: its five sets, and no_new_privs (capabilities(7), prctl(2)).

The order around the change of user (users.py) is the point:

    bounding_steps      the bounding set, which needs CAP_SETPCAP; and keep the
                        permitted set when the user changes
    become_user         clears the effective and the ambient set
    capability_steps    what is to remain, then the ambient set, which may hold
                        only what is permitted and inheritable
    last_steps          without what had to remain to load a filter of system calls

What cannot be granted is left out of the plan, and is a warning: the runtime-spec
asks not to fail for it (config.md, POSIX process, capabilities).
"""

from __future__ import annotations

from ..config.namespace import NEWUSER
from ..errors import Finding
from ..syscalls.constants import CAPABILITIES
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Capabilities, Config
    from ..life.process import Process
    from ..security import capabilities
else:
    capabilities = Performers("security.capabilities")

_EVERY = sum(1 << number for number in CAPABILITIES.values())
_FIELDS = ("bounding", "permitted", "effective", "inheritable", "ambient")


class Masks:
    """The sets as bits, 1 << CAP_*."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted")

    def __init__(self) -> None:
        self.bounding = self.effective = self.permitted = self.inheritable = self.ambient = 0


class Grantable:
    """What a process has to give its capabilities from, as bits: by default in a user
    namespace of its own, where it begins with all (user_namespaces(7)).

    permitted, inheritable, bounding: its own sets, before anything is dropped.
    ambient: none where its secure bits forbid to raise them.
    """

    __slots__ = ("ambient", "bounding", "inheritable", "permitted")

    def __init__(
        self,
        *,
        permitted: int = _EVERY,
        inheritable: int = 0,
        bounding: int = _EVERY,
        ambient: int = _EVERY,
    ) -> None:
        self.permitted, self.inheritable = permitted, inheritable
        self.bounding, self.ambient = bounding, ambient


def capability_masks(
    capabilities: Capabilities | None, grantable: Grantable | None = None
) -> Masks:
    """What is granted of the sets.  None is a process without any capability, as for runc."""
    if capabilities is None:
        return Masks()
    masks, most = _asked(capabilities), grantable or Grantable()
    masks.bounding &= most.bounding
    masks.permitted &= most.permitted
    masks.effective &= masks.permitted
    # capabilities(7), Programmatically adjusting capability sets: no CAP_SETPCAP is
    # effective by then, and the bounding set is the new one already.
    masks.inheritable &= most.inheritable | most.permitted & masks.bounding
    masks.ambient &= masks.permitted & masks.inheritable & most.ambient
    return masks


def capability_findings(
    config: Config, process: Process | None, runtime: Callable[[], Grantable]
) -> list[Finding]:
    """A warning for each capability that cannot be granted here, with its place.

    What no host would grant is found by the rules of config/.
    runtime: gives what libct's own process has; asked where that matters.
    """
    capabilities = (process and process.capabilities) or config.capabilities
    if capabilities is None:
        return []
    apart = any(space.type == NEWUSER for space in config.namespaces)
    most = Grantable() if apart else runtime()
    asked, granted = _asked(capabilities), capability_masks(capabilities, most)
    asked.effective &= asked.permitted
    asked.ambient &= asked.permitted & asked.inheritable
    found: dict[str, Finding] = {}
    for field in _FIELDS:
        for index, name in enumerate(getattr(capabilities, field)):
            bit = _bit(name)
            if not bit & getattr(asked, field) & ~getattr(granted, field) or name in found:
                continue
            if field == "ambient":
                why = "the secure bits of libct's process forbid ambient capabilities"
            elif field == "inheritable" and bit & most.permitted & most.bounding:
                why = "it is not in process.capabilities.bounding"
            else:
                why = "libct itself does not have it"
            message = f"{name} cannot be granted, left out: {why}"
            place = f"process.capabilities.{field}[{index}]"
            found[name] = Finding(place, message, "warning")
    return list(found.values())


def _asked(capabilities: Capabilities) -> Masks:
    """The sets as bits; names that no kernel of ours knows are left out."""
    masks = Masks()
    for field in _FIELDS:
        for name in getattr(capabilities, field):
            setattr(masks, field, getattr(masks, field) | _bit(name))
    return masks


def _bit(name: str) -> int:
    number = CAPABILITIES.get(name)
    return 0 if number is None else 1 << number


def bounding_steps(masks: Masks) -> list[Step]:
    place = "process.capabilities"
    return [
        drop_bounding(masks.bounding, why=f"{place}.bounding"),
        keep_capabilities(1, why=place),
    ]


def capability_steps(masks: Masks, more: int = 0) -> list[Step]:
    """more: capabilities to be had besides, as bits, until last_steps()."""
    place = "process.capabilities"
    had = masks.effective | more, masks.permitted | more, masks.inheritable
    return [
        keep_capabilities(0, why=place),
        set_capabilities(*had, why=place),
        raise_ambient(masks.ambient, why=f"{place}.ambient"),
    ]


def last_steps(masks: Masks, more: int) -> list[Step]:
    """Give up what capability_steps() has left besides; the ambient set stays as it is."""
    if not more & ~(masks.effective & masks.permitted):
        return []
    sets = masks.effective, masks.permitted, masks.inheritable
    return [set_capabilities(*sets, why="process.capabilities")]


@operation(capabilities.drop_bounding, "drop capabilities from the bounding set")
def drop_bounding(keep: int) -> list[str]:
    return [f"prctl(PR_CAPBSET_DROP, {name})" for name in _names(~keep)]


@operation(capabilities.keep_capabilities, "set the keep-capabilities flag to {0}")
def keep_capabilities(on: int) -> list[str]:
    return [f"prctl(PR_SET_KEEPCAPS, {on})"]


@operation(capabilities.set_capabilities, "set the capabilities")
def set_capabilities(effective: int, permitted: int, inheritable: int) -> list[str]:
    sets = (
        f"effective={_set_text(effective)}, permitted={_set_text(permitted)}, "
        f"inheritable={_set_text(inheritable)}"
    )
    return [f"capset({{version=_LINUX_CAPABILITY_VERSION_3, pid=0}}, {{{sets}}})"]


def _set_text(mask: int) -> str:
    """As strace has it: 1<<CAP_CHOWN|1<<CAP_KILL."""
    return "|".join(f"1<<{name}" for name in _names(mask)) or "0"


def _names(mask: int) -> list[str]:
    return [name for name, number in CAPABILITIES.items() if mask >> number & 1]


@operation(capabilities.raise_ambient, "set the ambient capabilities")
def raise_ambient(mask: int) -> list[str]:
    return ["prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)"] + [
        f"prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {name}, 0, 0)" for name in _names(mask)
    ]


@operation(capabilities.no_new_privileges, "forbid gaining privileges")
def no_new_privileges() -> list[str]:
    return ["prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)"]
