"""The user that a process becomes: found in the container's own files, without NSS.

NSS would load libraries that the image chooses (CVE-2019-14271).  The files are
the image's, so only regular ones are read, of a bounded size, and what is no plain
entry is skipped.
A user or group written as a number is that number, whatever entries are called
(CVE-2016-3697); it is read strictly (CVE-2026-30892).

Source: passwd(5), group(5), credentials(7), user_namespaces(7).
"""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..attributes.procfs import open_proc_file
from ..errors import StepProblem
from ..loading.paths import fsdecode, fsencode
from ..rootfs.files import read_regular
from ..rootfs.paths import find_in_root
from ..syscalls.credentials import setgroups, setresgid, setresuid
from ..syscalls.process import set_dumpable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_MOST_BYTES = 1 << 20
_MOST_ID = (1 << 32) - 2  # the number above means "leave as it is" to setresuid(2)


def keep_groups(context: Context) -> None:
    """The supplementary groups stay those of the caller, whatever user the process becomes."""
    context.values["keep groups"] = True


def resolve_user(context: Context, user: str, groups: tuple[int | str, ...]) -> None:
    """Sets "uid", "gid", "groups" (a list) and "home" in context.values; see resolve()."""
    uid, gid, found, home = resolve(context.fds["root"], context.fds["proc"], user, groups)
    context.values.update(uid=uid, gid=gid, groups=found, home=home)


def own_stdio(context: Context) -> None:
    """Descriptors 0 to 2, so that /dev/stdout can be opened again; the group stays.

    The null device is everybody's.  What may not be changed stays as it is:
    not ours (EPERM), read-only (EROFS), or of an id without a mapping (EINVAL).
    """
    uid = context.values["uid"]
    for fd in (0, 1, 2):
        found = posix.fstat(fd)
        null = stat.S_ISCHR(found.st_mode) and found.st_rdev == posix.makedev(1, 3)
        if null or found.st_uid == uid:
            continue
        try:
            posix.fchown(fd, uid, -1)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EROFS, errno.EINVAL):
                raise


def become_user(context: Context) -> None:
    """Groups first: once the user is another, they cannot be changed."""
    uid, gid, groups = (context.values[name] for name in ("uid", "gid", "groups"))
    try:
        if "keep groups" not in context.values:
            setgroups(groups)
    except PermissionError:
        if may_set_groups(context.fds["proc"]):
            raise
        if groups:
            raise StepProblem(
                "the user namespace does not allow supplementary groups (setgroups is denied)",
                "leave process.user.additionalGids empty, or map groups with newgidmap",
            ) from None
    except OSError as error:
        _refuse_unmapped(error, "one of the groups", groups)
        raise
    try:
        setresgid(gid, gid, gid)
    except OSError as error:
        _refuse_unmapped(error, "group", gid)
        raise
    try:
        setresuid(uid, uid, uid)
    except OSError as error:
        _refuse_unmapped(error, "user", uid)
        raise
    set_dumpable(False)  # as it was: a change of ids sets it to fs.suid_dumpable


def may_set_groups(proc: int) -> bool:
    """/proc/self/setgroups says "deny" where an ordinary user wrote the gid map."""
    try:
        fd = open_proc_file(proc, "self/setgroups", posix.O_RDONLY)
    except FileNotFoundError:
        return True  # a kernel without user namespaces
    try:
        return not posix.read(fd, 16).startswith(b"deny")
    finally:
        posix.close(fd)


def _refuse_unmapped(error: OSError, what: str, number: object) -> None:
    if error.errno == errno.EINVAL:
        maps = "linux.uidMappings" if what == "user" else "linux.gidMappings"
        raise StepProblem(
            f"{what} {number} is not mapped in the user namespace", f"add it to {maps}"
        ) from None


def resolve(
    root: int, proc: int, user: str, additional_groups: tuple[int | str, ...] = ()
) -> tuple[int, int, list[int], str]:
    """(uid, gid, supplementary groups, home directory) of a user in the container.

    root, proc: descriptors of its root directory, and of the host's /proc; borrowed.
    user: "" (root), "uid", "uid:gid", "name", "name:group", "uid:group" or "name:gid".
        Without a group it is that of the user's entry in /etc/passwd, or 0.  A
        name without a group also brings the groups that list it as a member;
        a number does not, it says nothing about who is meant.
    additional_groups: numbers and names.

    The home directory is that of the first entry with the uid, or "/".  A number
    needs no entry, so whatever is in the place of /etc/passwd refuses none.
    StepProblem: a name or a group is not there, or a number is out of range.
    """
    person, _, group = user.partition(":")
    if ":" in group:
        raise StepProblem(f"not a user: {user!r}", "write it as user, or as user:group")
    uid = 0 if person == "" else _number(person)
    entry: list[bytes] | None = None
    users: list[list[bytes]] = []
    try:
        users = _entries(root, proc, "/etc/passwd", 7)
    except StepProblem:
        if uid is None:
            raise
    if uid is None:
        entry = _find(users, person)
        uid = _id_of(entry, 2) if entry else None
        if entry is None or uid is None:
            raise StepProblem(f"no user {person!r} in the container's /etc/passwd", _HINT)
    by_uid = next((one for one in users if _id_of(one, 2) == uid), None)
    groups: list[int] = []
    gid: int | None = 0
    if group:
        gid = _group(root, proc, group)
    elif entry is not None:
        gid = _id_of(entry, 3)
        groups = _groups_of(root, proc, person)
    elif person and by_uid is not None:
        gid = _id_of(by_uid, 3)
    for one in additional_groups:
        groups.append(_group(root, proc, one))
    home = fsdecode(by_uid[5]) if by_uid is not None else ""
    return uid, gid or 0, list(dict.fromkeys(groups)), home or "/"


_HINT = "name one that is there, or write the number"


def _number(text: str) -> int | None:
    """The id that text is, or None if it is a name.  Only ASCII digits make a number."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > 10 or int(digits) > _MOST_ID:
        raise StepProblem(f"not an id: {text} is above {_MOST_ID}")
    return int(digits)


def _group(root: int, proc: int, group: int | str) -> int:
    """The number of a group that is given by number or by name."""
    if isinstance(group, int):
        if not 0 <= group <= _MOST_ID:
            raise StepProblem(f"not a group id: {group}")
        return group
    number = _number(group)
    if number is None:
        entry = _find(_entries(root, proc, "/etc/group", 4), group)
        number = _id_of(entry, 2) if entry else None
    if number is None:
        raise StepProblem(f"no group {group!r} in the container's /etc/group", _HINT)
    return number


def _groups_of(root: int, proc: int, name: str) -> list[int]:
    """The groups that list name as a member."""
    wanted = fsencode(name)
    found = []
    for entry in _entries(root, proc, "/etc/group", 4):
        number = _id_of(entry, 2)
        if number is not None and wanted in entry[3].split(b","):
            found.append(number)
    return found


def _find(entries: list[list[bytes]], name: str) -> list[bytes] | None:
    wanted = fsencode(name)
    return next((entry for entry in entries if entry[0] == wanted), None)


def _id_of(entry: list[bytes], index: int) -> int | None:
    """The id in a field, or None where there is no valid one."""
    try:
        return _number(entry[index].decode("ascii"))
    except (UnicodeDecodeError, StepProblem):
        return None


def _entries(root: int, proc: int, path: str, fields: int) -> list[list[bytes]]:
    """The lines of a file like passwd(5) that have a name and this many fields."""
    split = [line.split(b":") for line in _read(root, proc, path).split(b"\n")]
    return [entry for entry in split if len(entry) == fields and entry[0]]


def _read(root: int, proc: int, path: str) -> bytes:
    """The contents of a file of the container; none where it does not exist."""
    place = find_in_root(root, path)
    if place < 0:
        return b""
    try:
        text = read_regular(proc, place, _MOST_BYTES + 1)
    finally:
        posix.close(place)
    if text is None:
        raise StepProblem(f"the container's {path} is not a regular file")
    if len(text) > _MOST_BYTES:
        raise StepProblem(f"the container's {path} is larger than {_MOST_BYTES} bytes")
    return text
