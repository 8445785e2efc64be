"""The user namespace of an ordinary user's container whose configuration says nothing of it.

As with crun: the user is whom the process is to be, and all other ids are those
that /etc/subuid and /etc/subgid give him (subuid(5)).
"""

from __future__ import annotations

import posix

from ..config.namespace import NEWUSER, IDMap, Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Ranges = list[tuple[int, int]]  # (first, count)


def add_automatic_maps(fields: dict[str, Any], user: str) -> None:
    """The namespace and the maps that a configuration lacks.

    fields: of its Config.  user: of its process, "uid:gid".
    """
    from ..life.host import host

    spaces = [space for space in fields["namespaces"] if space.type == NEWUSER]
    if spaces and spaces[0].path:
        return
    if not spaces:
        fields["namespaces"].append(Namespace(NEWUSER))
    facts = host()
    uid, _, gid = user.partition(":")
    for field, own, inside, file in (
        ("uid_mappings", facts.euid, uid, "/etc/subuid"),
        ("gid_mappings", facts.egid, gid, "/etc/subgid"),
    ):
        if not fields[field]:
            fields[field] = mappings(own, int(inside or 0), subordinate(file, own))


def subordinate(file: str, own: int) -> Ranges:
    """What /etc/subuid or /etc/subgid gives the user, but for own, his own id."""
    from ..life.host import host

    facts = host()
    if facts.euid != 0 and not (facts.newuidmap and facts.newgidmap):
        return []  # he may map his own alone
    return disjoint(parse_ranges(_read(file), user_name(), facts.euid), own)


def mappings(own: int, inside: int, ranges: Ranges) -> list[IDMap]:
    """own as inside, and ranges as all other ids from 0 on.

    With too few of them below inside, own is 0.
    """
    if inside > sum(count for _, count in ranges):
        inside = 0
    found: list[IDMap] = []
    rest, at = list(ranges), 0
    while rest or at <= inside:
        if at == inside:
            found.append(IDMap(at, own, 1))
            at += 1
            continue
        first, count = rest.pop(0)
        used = min(count, inside - at) if at < inside else count
        found.append(IDMap(at, first, used))
        at += used
        if used < count:
            rest.insert(0, (first + used, count - used))
    return found


def disjoint(ranges: Ranges, own: int) -> Ranges:
    """The ranges without what an earlier one has, and without the user's own id."""
    found: Ranges = []
    for first, count in ranges:
        pieces = [(first, first + count)]
        for taken, size in [(own, 1), *found]:
            pieces = [
                (start, end)
                for low, high in pieces
                for start, end in ((low, min(high, taken)), (max(low, taken + size), high))
                if start < end
            ]
        found += [(start, end - start) for start, end in pieces]
    return found


def user_name() -> str:
    """ "" for one without an account."""
    import pwd

    try:
        return pwd.getpwuid(posix.geteuid()).pw_name
    except KeyError:
        return ""


def parse_ranges(text: str, user: str, uid: int) -> Ranges:
    """Those of a user, by name or number; uid: also of /etc/subgid (subgid(5))."""
    found = []
    for line in text.splitlines():
        owner, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if owner in (user, str(uid)) and owner and _is_number(first) and _is_number(count):
            found.append((int(first), int(count)))
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
