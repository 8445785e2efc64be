"""The bindings' structures, constants and numbers against the kernel's own headers.

A C program prints what the compiler makes of them.  Constants that are newer
than Linux 5.10 may be missing from the headers of this machine.
"""

from __future__ import annotations

import ctypes
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from libct.syscalls import (
    bpf,
    constants,
    credentials,
    files,
    filesystems,
    keys,
    landlock,
    mounts,
    namespaces,
    process,
    scheduling,
    seccomp,
    terminals,
)
from libct.syscalls.core import machine
from libct.syscalls.numbers import NUMBERS

from ..support import no_skip, requires

if TYPE_CHECKING:
    from pathlib import Path

LINUX_HEADERS = (
    "stddef.h", "stdio.h", "linux/bpf.h", "linux/bpf_common.h", "linux/capability.h",
    "linux/close_range.h", "linux/fcntl.h", "linux/filter.h", "linux/inotify.h", "linux/ioprio.h",
    "linux/keyctl.h", "linux/landlock.h", "linux/magic.h", "linux/mempolicy.h",
    "linux/mount.h", "linux/openat2.h",
    "linux/personality.h", "linux/pidfd.h", "linux/prctl.h", "linux/resource.h",
    "linux/sched.h", "linux/sched/types.h", "linux/seccomp.h", "linux/securebits.h",
    "asm/ioctls.h", "asm/statfs.h", "asm/termios.h", "asm/unistd.h",
)  # fmt: skip
# Names that linux/mount.h and linux/fs.h do not give, in headers that exclude those.
LIBC_HEADERS = (
    "stdio.h",
    "fcntl.h",
    "sys/eventfd.h",
    "sys/mount.h",
    "sys/statvfs.h",
    "sys/resource.h",
    "sched.h",
)

# Not in any header that programs see, or newer than Linux 5.10.
OURS = {"PER_QUERY", "RLIM_INFINITY", "SCHED_OTHER"}
INTERNAL = {
    "KEY_OTH_SEARCH", "KEY_POS_ALL", "KEY_USR_LINK", "KEY_USR_READ", "KEY_USR_SEARCH",
    "KEY_USR_SETATTR", "KEY_USR_VIEW", "KEY_USR_WRITE", "MQUEUE_MAGIC", "SCHED_ISO",
}  # fmt: skip
NEWER = {
    "CLOSE_RANGE_CLOEXEC", "IOPRIO_WHO_PGRP", "IOPRIO_WHO_PROCESS", "IOPRIO_WHO_USER",
    "LANDLOCK_ACCESS_FS_IOCTL_DEV", "LANDLOCK_ACCESS_FS_TRUNCATE", "LANDLOCK_ACCESS_NET_BIND_TCP",
    "LANDLOCK_ACCESS_NET_CONNECT_TCP", "LANDLOCK_RULE_NET_PORT",
    "LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET", "LANDLOCK_SCOPE_SIGNAL",
    "MOUNT_ATTR_NOSYMFOLLOW", "MOVE_MOUNT_BENEATH", "MOVE_MOUNT_SET_GROUP",
    "MPOL_F_NUMA_BALANCING", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE", "PIDFD_NONBLOCK",
    "PIDFD_THREAD", "PID_FS_MAGIC", "RESOLVE_CACHED", "SCHED_EXT",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "ST_NOSYMFOLLOW",
}  # fmt: skip
# Members of enumerations, which #ifdef does not see.
ENUMERATIONS = (
    "BPF_CGROUP_", "BPF_DEVCG_", "BPF_PROG_", "FSCONFIG_", "IOPRIO_CLASS_", "IOPRIO_WHO_",
    "LANDLOCK_RULE_", "MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE",
    "MPOL_LOCAL", "PER_",
)  # fmt: skip

# Class, the C type, and the names of the fields in C where they differ from ours.
STRUCTURES: list[tuple[type[ctypes.Structure], str, dict[str, str]]] = [
    (namespaces.CloneArgs, "struct clone_args", {}),
    (files.OpenHow, "struct open_how", {}),
    (mounts.MountAttr, "struct mount_attr", {}),
    (process.Rlimit64, "struct rlimit64", {"soft": "rlim_cur", "hard": "rlim_max"}),
    (credentials.CapHeader, "struct __user_cap_header_struct", {}),
    (credentials.CapData, "struct __user_cap_data_struct", {}),
    (seccomp.SockFprog, "struct sock_fprog", {}),
    (landlock.PathBeneathAttr, "struct landlock_path_beneath_attr", {}),
    (
        scheduling.SchedAttr,
        "struct sched_attr",
        {name: f"sched_{name}" for name, *_ in scheduling.SchedAttr._fields_ if name != "size"},
    ),
    (
        filesystems.StatFS,
        "struct statfs" if ctypes.sizeof(ctypes.c_void_p) == 8 else "struct statfs64",
        {name: f"f_{name.lstrip('_')}" for name, *_ in filesystems.StatFS._fields_},
    ),
    (bpf.Instruction, "struct bpf_insn", {"_registers": "", "offset": "off", "immediate": "imm"}),
]
# The beginnings of a union, which the kernel measures by their last fields.
UNION_PARTS: list[tuple[type[ctypes.Structure], dict[str, str]]] = [
    (bpf.ProgLoadAttr, {}),
    (bpf.ProgAttachAttr, {}),
    (bpf.ProgQueryAttr, {name: f"query.{name}" for name, *_ in bpf.ProgQueryAttr._fields_}),
    (bpf.GetFdByIdAttr, {}),
]


def run_c(directory: Path, headers: tuple[str, ...], body: str) -> dict[str, int]:
    """Compile and run a program that prints lines of a name and a number."""
    includes = "".join(f"#include <{header}>\n" for header in headers)
    source = f"#define _GNU_SOURCE\n{includes}int main(void) {{\n{body}\nreturn 0;\n}}\n"
    program = str(directory / "program")
    command = ["cc", "-w", "-x", "c", "-o", program, "-"]
    compiled = subprocess.run(command, input=source, text=True, stderr=subprocess.PIPE)
    assert compiled.returncode == 0, compiled.stderr
    output = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {
        name: int(value)
        for name, value in (line.rsplit(" ", 1) for line in output.split("\n") if line)
    }


def show(label: str, expression: str) -> str:
    return f'printf("%s %lld\\n", "{label}", (long long)({expression}));'


def guarded(name: str) -> str:
    return f"#ifdef {name}\n{show(name, name)}\n#endif"


def our_constants() -> dict[str, int]:
    """Every constant of the bindings, with those of the tables."""
    found: dict[str, int] = {}
    for module in (constants, bpf, keys, landlock, seccomp, terminals):
        for name, value in vars(module).items():
            if name.isupper() and type(value) is int and not name.startswith("_"):
                found[name] = value
    return {**found, **constants.RLIMITS, **constants.CAPABILITIES}


def signed(value: int) -> int:
    """A number as the compiler sees it where a macro is an int: CLONE_IO, magic numbers."""
    return ctypes.c_int32(value).value if 0x80000000 <= value <= 0xFFFFFFFF else value


@requires("compiler")
def test_constants_are_those_of_the_headers(tmp_path: Path) -> None:
    ours = our_constants()
    members = [name for name in ours if name.startswith(ENUMERATIONS)]
    present = [name for name in members if name not in NEWER | OURS | INTERNAL]
    body = [guarded(name) for name in ours] + [show(name, name) for name in present]
    theirs = run_c(tmp_path, LINUX_HEADERS, "\n".join(body))
    for name in set(members) & NEWER:
        try:
            theirs.update(run_c(tmp_path, LINUX_HEADERS, show(name, name)))
        except AssertionError:
            continue
    body = [guarded(name) for name in ours if name not in theirs]
    # glibc's enumerations of these are macros too, by "#define ST_RDONLY ST_RDONLY".
    theirs.update(run_c(tmp_path, LIBC_HEADERS, "\n".join(body)))
    assert set(ours) - set(theirs) <= NEWER | OURS | INTERNAL
    different = {
        name: (ours[name], value)
        for name, value in theirs.items()
        if signed(ours[name]) != signed(value) and name not in OURS
    }
    assert different == {}


@requires("compiler")
@pytest.mark.parametrize(
    ("structure", "c_type", "renamed"), STRUCTURES, ids=lambda value: getattr(value, "__name__", "")
)
def test_structures_are_those_of_the_headers(
    tmp_path: Path, structure: Any, c_type: str, renamed: dict[str, str]
) -> None:
    ours = {"": ctypes.sizeof(structure)}
    body = [show("", f"sizeof({c_type})")]
    for field in structure._fields_:
        name = renamed.get(field[0], field[0])
        if name:
            ours[name] = getattr(structure, field[0]).offset
            body.append(show(name, f"offsetof({c_type}, {name})"))
    assert run_c(tmp_path, LINUX_HEADERS, "\n".join(body)) == ours


@requires("compiler")
@pytest.mark.parametrize(
    ("structure", "renamed"), UNION_PARTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_parts_of_bpf_attr_are_those_of_the_headers(
    tmp_path: Path, structure: Any, renamed: dict[str, str]
) -> None:
    ours: dict[str, int] = {}
    body = []
    for name, *_ in structure._fields_:
        field, theirs = getattr(structure, name), renamed.get(name, name)
        ours[f"{name} offset"], ours[f"{name} size"] = field.offset, field.size
        body.append(show(f"{name} offset", f"offsetof(union bpf_attr, {theirs})"))
        body.append(show(f"{name} size", f"sizeof(((union bpf_attr *)0)->{theirs})"))
    assert run_c(tmp_path, LINUX_HEADERS, "\n".join(body)) == ours


def numbers_of(directory: Path, header: str, names: list[str]) -> dict[str, int]:
    body = "\n".join(f"#ifdef __NR_{name}\n{show(name, '__NR_' + name)}\n#endif" for name in names)
    return run_c(directory, ("stdio.h", header), body)


@requires("compiler")
def test_numbers_of_this_machine_are_those_of_the_headers(tmp_path: Path) -> None:
    ours = NUMBERS[machine()]
    theirs = numbers_of(tmp_path, "asm/unistd.h", list(ours))
    assert set(ours) - set(theirs) <= {"mount_setattr"}  # newer than Linux 5.10
    assert theirs == {name: ours[name] for name in theirs}


@requires("compiler")
def test_generic_numbers_are_those_of_the_headers(tmp_path: Path) -> None:
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        pytest.skip("asm-generic/unistd.h gives 32-bit machines other names")
    theirs = numbers_of(tmp_path, "asm-generic/unistd.h", list(NUMBERS["aarch64"]))
    assert len(theirs) > 25
    for name in ("aarch64", "riscv64"):
        assert {**NUMBERS[name], **theirs} == NUMBERS[name]


# include/uapi/linux/audit.h: AUDIT_ARCH_*
SECCOMP_MACHINES = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "riscv64": 0xC00000F3,
    "ppc64le": 0xC0000015,
    "s390x": 0x80000016,
    "arm": 0x40000028,
    "i386": 0x40000003,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_libseccomp(name: str) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        (pytest.fail if no_skip() else pytest.skip)(f"this machine lacks: {error}")
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    token = SECCOMP_MACHINES[name]
    # A negative number is a call that this libseccomp does not know.
    theirs = {call: resolve(token, call.encode()) for call in NUMBERS[name]}
    known = {call: value for call, value in theirs.items() if value >= 0}
    assert set(theirs) - set(known) <= {"close_range", "mount_setattr", "openat2", "pidfd_getfd"}
    assert known == {call: NUMBERS[name][call] for call in known}
