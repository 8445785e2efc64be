"""What a list of device rules means, and the shortest list that means the same.

Rules are applied in order, the last one that matches decides.  Neither version
of control groups has such lists: v1 has a default and a set of exceptions from
it, and the order of those says nothing.  Access turns a list into that form,
and refuses what has none: an exception from an exception.

How exceptions decide is v1's way, which the v2 program follows: where the
default is to deny, one exception alone must allow all that is asked for; where
it is to allow, an exception denies if it names any of what is asked for.
"""

from __future__ import annotations

from . import DEFAULT_RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...config.device import DeviceRule

    # "b" or "c", major, minor; -1 for any.
    Devices = tuple[str, int, int]

# Bits of an access, as in include/uapi/linux/bpf.h: BPF_DEVCG_ACC_*.
BITS = {"m": 1, "r": 2, "w": 4}
ALL = 7

# The letters of each sum of bits, in the kernel's order.
_LETTERS = ("", "m", "r", "rm", "w", "wm", "rw", "rwm")

# The default of an access that no exception is about.
DENY, ALLOW = "deny", "allow"

# Above every number that the kernel has for a device (20 bits at most).
_HIGHEST = 0x7FFFFFFF


class Inexpressible(Exception):
    """A rule that is an exception from an exception; origin: who made the exception."""

    def __init__(self, message: str, origin: int) -> None:
        super().__init__(message)
        self.origin = origin


class Access:
    """A default, and exceptions from it: bits for devices."""

    __slots__ = ("_origins", "default", "exceptions")

    def __init__(self, default: str = DENY) -> None:
        self.default = default
        self.exceptions: dict[Devices, int] = {}
        self._origins: dict[Devices, int] = {}

    def apply(self, rule: DeviceRule, origin: int = -1) -> None:
        """Add a rule, which must be well formed.

        origin: a number for it, which an Inexpressible will name.
        Raises Inexpressible; some of a rule for all devices may be applied then.
        """
        bits = bits_of(rule.permissions)
        if rule.type != "a":
            self._apply((rule.type, rule.major, rule.minor), bits, rule.allow, origin)
        elif bits == ALL and rule.major == rule.minor == -1:
            self.default = ALLOW if rule.allow else DENY
            self.exceptions.clear()
        else:
            for type_ in "bc":
                self._apply((type_, rule.major, rule.minor), bits, rule.allow, origin)

    def apply_defaults(self) -> None:
        """Add the rules of every container; raises as apply does."""
        if self.default == DENY:  # they all allow
            for devices, bits in _DEFAULTS:
                self.exceptions[devices] = self.exceptions.get(devices, 0) | bits
        elif self.exceptions:
            for devices, bits in _DEFAULTS:
                self._apply(devices, bits, True, -1)

    def _apply(self, devices: Devices, bits: int, allow: bool, origin: int) -> None:
        if (self.default == ALLOW) != allow:
            self.exceptions[devices] = self.exceptions.get(devices, 0) | bits
            self._origins[devices] = origin
            return
        for other, present in list(self.exceptions.items()):
            if not bits & present or not _overlap(devices, other):
                continue
            if not _covers(devices, other):
                verb, was = ("allow", "denied") if allow else ("deny", "allowed")
                raise Inexpressible(
                    f"cannot {verb} {text_of(devices, bits)} when {text_of(other, present)} has"
                    f" been {was}: control groups have no exceptions from exceptions",
                    self._origins[other],
                )
            self.exceptions[other] = present & ~bits
            if not self.exceptions[other]:
                del self.exceptions[other]

    def allows(self, type_: str, major: int, minor: int, permissions: str) -> bool:
        """Whether an access is allowed."""
        wanted = bits_of(permissions)
        matching = [
            bits
            for devices, bits in self.exceptions.items()
            if _covers(devices, (type_, major, minor))
        ]
        if self.default == DENY:
            return any(wanted & bits == wanted for bits in matching)
        return not any(wanted & bits for bits in matching)

    def minimal(self) -> list[tuple[Devices, int]]:
        """The exceptions without those that another one includes."""
        wide = [item for item in self.exceptions.items() if -1 in item[0]]
        return [
            (devices, bits)
            for devices, bits in self.exceptions.items()
            if not any(
                bits & present == bits and other != devices and _covers(other, devices)
                for other, present in wide
            )
        ]

    def texts(self) -> tuple[str, ...]:
        """The minimal exceptions as the kernel writes them: "c 1:3 rwm", "b *:* m"."""
        return tuple(text_of(devices, bits) for devices, bits in self.minimal())


def resolve(
    rules: Iterable[DeviceRule],
) -> tuple[tuple[str, tuple[str, ...]] | None, list[tuple[int, str]]]:
    """A configuration's rules with DEFAULT_RULES as (default, exceptions), and problems.

    Problems are (index of the rule, what is wrong); with any, there is no result.
    """
    access = Access()
    problems = []
    for index, rule in enumerate(rules):
        wrong = _malformed(rule)
        if wrong:
            problems.append((index, wrong))
            continue
        try:
            access.apply(rule, index)
        except Inexpressible as error:
            problems.append((index, str(error)))
    try:
        access.apply_defaults()
    except Inexpressible as error:
        problems.append((error.origin, f"{error} (every container is allowed that device)"))
    return (None if problems else (access.default, access.texts())), problems


def _malformed(rule: DeviceRule) -> str:
    if rule.type not in ("a", "b", "c"):
        return f"type must be a, b or c, is {rule.type!r}"
    if not rule.permissions or set(rule.permissions) - set(BITS):
        return f"access must be of the letters r, w and m, is {rule.permissions!r}"
    for name, number in (("major", rule.major), ("minor", rule.minor)):
        if not -1 <= number <= _HIGHEST:
            return f"no device has the {name} number {number}"
    return ""


def parse_text(text: str) -> tuple[Devices, int]:
    """Undo text_of."""
    type_, numbers, permissions = text.split(" ")
    major, minor = (-1 if word == "*" else int(word) for word in numbers.split(":"))
    return (type_, major, minor), bits_of(permissions)


def text_of(devices: Devices, bits: int) -> str:
    type_, major, minor = devices
    first = "*" if major == -1 else major
    return f"{type_} {first}:{'*' if minor == -1 else minor} {_LETTERS[bits]}"


def bits_of(permissions: str) -> int:
    bits = 0
    for letter in permissions:
        bits |= BITS[letter]
    return bits


# DEFAULT_RULES as exceptions: most containers get these and no others.
_DEFAULTS = tuple(
    ((rule.type, rule.major, rule.minor), bits_of(rule.permissions)) for rule in DEFAULT_RULES
)


def _covers(wide: Devices, narrow: Devices) -> bool:
    """Whether all of the narrow devices are among the wide."""
    return wide[0] == narrow[0] and wide[1] in (-1, narrow[1]) and wide[2] in (-1, narrow[2])


def _overlap(one: Devices, other: Devices) -> bool:
    """Whether some device is among both."""
    return (
        one[0] == other[0]
        and (one[1] == other[1] or -1 in (one[1], other[1]))
        and (one[2] == other[2] or -1 in (one[2], other[2]))
    )
