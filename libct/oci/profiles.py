"""Filters of system calls as files: engines' profiles, and the linux.seccomp of a config.json.

An engine's profile is what `--security-opt seccomp=FILE` takes.  It has the fields of
linux.seccomp, and more, by which the engine makes that: archMap instead of
architectures; includes and excludes, which say for which capabilities, machines and
kernels a rule is; names of error numbers.

Documents: config-linux.md, Seccomp; moby's profiles/seccomp/seccomp.go; containers/common's
pkg/seccomp/types.go.
"""

from __future__ import annotations

import errno
import posix

from ..config.number_lists import whole_number
from ..config.seccomp import Seccomp, SeccompRule
from ..errors import ConfigError, Finding
from .bundle import CONFIG_NAME, read_object
from .load_linux import read_seccomp, read_seccomp_arg
from .reader import UINT32, Table, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..seccomp.architectures import Architecture

# What engines call machines (moby's goToNative).
_MACHINES = {
    "X86": "x86",
    "X86_64": "amd64",
    "ARM": "arm",
    "AARCH64": "arm64",
    "MIPS64": "mips64",
    "MIPS64N32": "mips64n32",
    "MIPSEL": "mipsel",
    "MIPSEL64": "mipsel64",
    "MIPSEL64N32": "mips3l64n32",
}


class Circumstances:
    """What decides the conditions of an engine's profile.

    capabilities: of the container's bounding set.
    kernel: "6.1", or longer.
    """

    __slots__ = ("capabilities", "kernel", "machine")

    def __init__(
        self, machine: Architecture, capabilities: Iterable[str] = (), kernel: str = ""
    ) -> None:
        self.machine = machine
        self.capabilities = frozenset(capabilities)
        self.kernel = _version(kernel or posix.uname().release)


class Profile:
    """A filter and where it comes from.

    name: of the file.
    seccomp: None for a configuration without one.
    place: of the filter in the file: "linux.seccomp", or "".
    """

    __slots__ = ("_indexes", "name", "place", "seccomp")

    def __init__(
        self, name: str, seccomp: Seccomp | None, place: str = "", indexes: list[int] | None = None
    ) -> None:
        self.name, self.seccomp, self.place = name, seccomp, place
        self._indexes = indexes  # of its rules, in the file; None: all are there

    def locate(self, text: str) -> str:
        """A text that begins with a place in the filter, with that in the file.

        Places of rules, "syscalls[3]", are those of the file wherever they are in it.
        """
        if self._indexes is not None:
            text, *rest = text.split("syscalls[")
            for part in rest:
                index, bracket, after = part.partition("]")
                text += f"syscalls[{self._indexes[int(index)]}{bracket}{after}"
        return f"{self.place}.{text}" if self.place else text


def read_profile(
    path: str, circumstances: Circumstances, warnings: list[Finding] | None = None
) -> Profile:
    """The profile in a file, or of a bundle that is a directory.

    Raises ConfigError with every mistake and its place in the file.
    """
    if _is_directory(path):
        path = f"{path}/{CONFIG_NAME}"
    name = path.rpartition("/")[2]
    try:
        values = read_object(path, name)
    except FileNotFoundError:
        raise ConfigError([Finding(path, "no such file or directory")]) from None
    findings: list[Finding] = []
    table = Table(values, "", findings)
    if table.has("ociVersion") or table.has("linux"):
        profile = _of_bundle(name, table)
    else:
        profile = _of_engine(name, table, circumstances)
    for finding in findings:
        finding.place = f"{name}: {finding.place}"
    settle(findings, warnings)
    return profile


def _of_bundle(name: str, table: Table) -> Profile:
    linux = table.table("linux")
    inner = linux.table("seccomp") if linux else None
    return Profile(name, read_seccomp(inner) if inner else None, "linux.seccomp")


def _of_engine(name: str, table: Table, circumstances: Circumstances) -> Profile:
    if not table.has("defaultAction") and not table.has("syscalls"):
        table.problem("defaultAction", "missing: neither a profile nor a config.json")
        return Profile(name, None)
    table.require("defaultAction")
    rules, indexes = [], []
    for index, rule in enumerate(table.tables("syscalls")):
        found = _rule(rule)
        if _applies(rule, circumstances):
            rules.append(found)
            indexes.append(index)
    seccomp = Seccomp(
        table.string("defaultAction"),
        default_errno_ret=_error_number(table, "defaultErrno", "defaultErrnoRet"),
        architectures=_architectures(table, circumstances.machine),
        flags=table.strings("flags") if table.has("flags") else None,
        syscalls=rules,
        listener_path=table.string("listenerPath"),
        listener_metadata=table.string("listenerMetadata"),
    )
    return Profile(name, seccomp, indexes=indexes)


def _rule(rule: Table) -> SeccompRule:
    rule.require("action")
    names = rule.strings("names")
    if rule.has("name"):  # of Docker 1.10 to 17
        if names:
            rule.problem("name", "cannot be used together with names")
        names = [rule.string("name")]
    elif not names:
        rule.problem("names", "missing: no system call is named")
    return SeccompRule(
        names,
        rule.string("action"),
        _error_number(rule, "errno", "errnoRet"),
        [read_seccomp_arg(condition) for condition in rule.tables("args")],
    )


def _error_number(table: Table, by_name: str, by_number: str) -> int | None:
    """A name, or digits, of containers/common, or the number that all have; the name counts."""
    number = table.optional_number(by_number, UINT32)
    name = table.string(by_name)
    if not name:
        return number
    given = whole_number(name, UINT32[1])
    if given is not None:
        return given
    found: int | None = getattr(errno, name, None) if name.startswith("E") else None
    if found is None:
        table.problem(by_name, f"unknown error: {name!r}")
        return None
    return found


def _architectures(table: Table, machine: Architecture) -> list[str]:
    if table.has("archMap") and table.has("architectures"):
        table.problem("archMap", "cannot be used together with architectures")
    found = table.strings("architectures")
    for entry in table.tables("archMap"):
        entry.require("architecture")
        name, others = entry.string("architecture"), entry.strings("subArchitectures")
        if name == machine.spec_name:
            found += [name, *others]
    return found


def _applies(rule: Table, circumstances: Circumstances) -> bool:
    """Whether a rule is for these circumstances: all that it includes, nothing that it excludes."""
    includes, excludes = rule.table("includes"), rule.table("excludes")
    applies = True
    if excludes:
        machines, capabilities, kernel = _conditions(excludes, circumstances)
        applies = not (True in machines or True in capabilities or kernel)
    if includes:
        machines, capabilities, kernel = _conditions(includes, circumstances)
        if (machines and True not in machines) or False in capabilities or kernel is False:
            return False
    return applies


def _conditions(
    table: Table, circumstances: Circumstances
) -> tuple[list[bool], list[bool], bool | None]:
    """Of each machine and each capability that is named, whether it is there; of the kernel."""
    name = circumstances.machine.name
    machine = _MACHINES.get(name, name.lower())
    kernel = None
    text = table.string("minKernel")
    if text:
        try:
            kernel = circumstances.kernel >= _version(text)
        except ConfigError:
            table.problem("minKernel", f"not a version like 4.8: {text!r}")
    return (
        [one == machine for one in table.strings("arches")],
        [one in circumstances.capabilities for one in table.strings("caps")],
        kernel,
    )


def _version(text: str) -> tuple[int, int]:
    """The first two numbers of a kernel's version."""
    major, _, rest = text.partition(".")
    minor = ""
    for character in rest:
        if not (character.isascii() and character.isdecimal()):
            break
        minor += character
    if not (major.isascii() and major.isdecimal() and minor):
        raise ConfigError([Finding("--kernel", f"not a version like 6.1: {text!r}")])
    return int(major), int(minor)


def _is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False  # what is wrong with it is said when it is read
