"""The bindings as far as any user can try them: texts, tables, errors, reading calls."""

from __future__ import annotations

import ctypes
import errno
import os
import posix
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from libct.syscalls import (
    bpf,
    c,
    constants,
    core,
    credentials,
    files,
    filesystems,
    flags,
    keys,
    mounts,
    namespaces,
    pidfds,
    process,
    scheduling,
    scheduling_constants as sched,
    scheduling_flags,
    seccomp,
    settings,
    terminals,
    uts,
    xattrs,
)
from libct.syscalls.numbers import NUMBERS

from .. import prctl
from ..support import CHECKOUT, forked, requires

MODULES = (
    "bpf", "c", "constants", "core", "credentials", "files", "filesystems", "flags", "keys",
    "landlock", "mounts", "namespaces", "numbers", "process", "scheduling", "seccomp",
    "terminals", "uts", "xattrs",
    "landlock_constants", "scheduling_constants", "scheduling_flags", "seccomp_constants",
)  # fmt: skip


# -- numbers


def test_every_machine_has_every_call() -> None:
    def wide(name: str) -> str:
        return {"statfs64": "statfs", "fstatfs64": "fstatfs"}.get(name, name.replace("id32", "id"))

    calls = {
        machine: {wide(name).replace("setgroups32", "setgroups") for name in table}
        for machine, table in NUMBERS.items()
    }
    assert all(names == calls["x86_64"] for names in calls.values())


def test_calls_since_linux_5_0_have_one_number() -> None:
    late = {name for name, number in NUMBERS["x86_64"].items() if number >= 424}
    assert len(late) == 16
    for table in NUMBERS.values():
        assert {name: table[name] for name in late} == {
            name: NUMBERS["x86_64"][name] for name in late
        }
        assert all(number < 424 for name, number in table.items() if name not in late)
        assert len(set(table.values())) == len(table)


@pytest.mark.parametrize(
    ("name", "wide", "expected"),
    [
        ("x86_64", True, "x86_64"),
        ("x86_64", False, "i386"),
        ("i686", False, "i386"),
        ("i586", False, "i386"),
        ("aarch64", True, "aarch64"),
        ("aarch64", False, "arm"),
        ("armv7l", False, "arm"),
        ("armv8l", False, "arm"),
        ("ppc64le", True, "ppc64le"),
        ("riscv64", True, "riscv64"),
        ("s390x", True, "s390x"),
        ("ia64", True, "ia64"),
    ],
)
def test_the_machine_is_the_interpreters(name: str, wide: bool, expected: str) -> None:
    assert core.machine(name, wide=wide) == expected


def test_a_machine_without_a_table_is_refused_when_a_call_is_made() -> None:
    program = (
        "import posix\n"
        "class Name: machine = 'vax'\n"
        "posix.uname = Name\n"
        "from libct.syscalls import mounts\n"
        "try: mounts.pivot_root('.', '.')\n"
        "except OSError as error: print(error.errno, error.strerror)\n"
    )
    code, _, text = run_python(program).partition(" ")
    assert int(code) == errno.ENOSYS
    assert text.endswith("(libct has no table of system calls for vax)\n")


# -- texts


@pytest.mark.parametrize(
    ("value", "table", "expected"),
    [
        (0, flags.MOUNT_NAMES, "0"),
        (constants.MS_NOSUID | constants.MS_RDONLY, flags.MOUNT_NAMES, "MS_RDONLY|MS_NOSUID"),
        (1 << 30 | 1, flags.MOUNT_NAMES, "MS_RDONLY|0x40000000"),
        (1 << 30, flags.MOUNT_NAMES, "0x40000000"),
        (0x70, flags.MOUNT_ATTR_NAMES, "MOUNT_ATTR__ATIME"),
        (0x11, flags.MOUNT_ATTR_NAMES, "MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOATIME"),
        (0xA, flags.UMOUNT_NAMES, "MNT_DETACH|UMOUNT_NOFOLLOW"),
        (0x9000, flags.AT_NAMES, "AT_EMPTY_PATH|AT_RECURSIVE"),
        (1 << 21, flags.Flags("MS_RELATIME"), "MS_RELATIME"),
    ],
)
def test_flags_have_names(value: int, table: flags.Flags, expected: str) -> None:
    assert flags.names(value, table) == expected


@pytest.mark.parametrize(
    "table",
    [
        value
        for name, value in vars(flags).items()
        if name.endswith("_NAMES") and isinstance(value, tuple)
    ],
)
def test_every_name_of_a_table_can_be_printed(table: flags.Table) -> None:
    assert table
    for value, name in table:
        assert flags.names(value, table) == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (os.O_RDONLY, "O_RDONLY"),
        (os.O_RDWR | os.O_CLOEXEC, "O_RDWR|O_CLOEXEC"),
        (os.O_WRONLY | os.O_SYNC, "O_WRONLY|O_SYNC"),
        (os.O_WRONLY | os.O_DSYNC, "O_WRONLY|O_DSYNC"),
        (os.O_RDWR | os.O_TMPFILE, "O_RDWR|O_TMPFILE"),
        (os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, "O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_PATH"),
    ],
)
def test_open_flags_have_names(value: int, expected: str) -> None:
    assert flags.open_names(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "NULL"),
        ("", '""'),
        ("/proc", '"/proc"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\tb\nc\rd\ve\f", '"a\\tb\\nc\\rd\\ve\\f"'),
        ("\1x", '"\\1x"'),
        ("\x011", '"\\0011"'),
        (b"\xff8", '"\\3778"'),
        (b"\x1f9", '"\\379"'),
        ("ä", '"\\303\\244"'),
        ("\udcff", '"\\377"'),
    ],
)
def test_strings_are_quoted_as_strace_does(text: str | bytes | None, expected: str) -> None:
    assert flags.quote(text) == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o755, "0755"), (0o44, "044"), (0, "000"), (0o1777, "01777")]
)
def test_modes_are_printed_as_strace_does(mode: int, expected: str) -> None:
    assert flags.octal(mode) == expected


def test_values_have_names() -> None:
    assert flags.fsconfig_name(constants.FSCONFIG_CMD_CREATE) == "FSCONFIG_CMD_CREATE"
    assert flags.fsconfig_name(99) == "0x63"
    assert flags.capability_name(21) == "CAP_SYS_ADMIN"
    assert flags.capability_name(63) == "63"
    assert flags.rlimit_name(7) == "RLIMIT_NOFILE"
    assert scheduling_flags.policy_name(6) == "SCHED_DEADLINE"
    assert scheduling_flags.ioprio_class_name(3) == "IOPRIO_CLASS_IDLE"
    assert scheduling_flags.ioprio_who_name(1) == "IOPRIO_WHO_PROCESS"
    assert scheduling_flags.mempolicy_name(0x8002) == "MPOL_BIND|MPOL_F_STATIC_NODES"
    assert flags.dirfd_name(constants.AT_FDCWD) == "AT_FDCWD"
    assert flags.dirfd_name(7) == "7"


# Calls that fail for any user, with the arguments that strace has to show.
FAILING = (
    "mounts.mount('a\\n', '/none', 'tmpfs', 3, 'size=1k')",
    "mounts.mount(None, '/none', None, constants.MS_REC | constants.MS_PRIVATE)",
    "mounts.umount2('/none', constants.MNT_DETACH | constants.UMOUNT_NOFOLLOW)",
    "mounts.pivot_root('/none', '/none/old')",
    "mounts.open_tree(constants.AT_FDCWD, '/none', constants.AT_RECURSIVE | 1)",
    "mounts.move_mount(77, '', constants.AT_FDCWD, '/none', constants.MOVE_MOUNT_F_EMPTY_PATH)",
    "filesystems.fsopen('no-such-type')",
    "filesystems.fspick(constants.AT_FDCWD, '/none', constants.FSPICK_SYMLINK_NOFOLLOW)",
    "filesystems.fsconfig_set_string(77, 'size', '1')",
    "filesystems.fsconfig_set_flag(77, 'ro')",
    "filesystems.fsconfig_set_fd(77, 'key', 5)",
    "filesystems.fsconfig_create(77)",
    "filesystems.fsconfig_reconfigure(77)",
    "filesystems.fsmount(77, constants.MOUNT_ATTR_RDONLY)",
    "files.openat2('/none', os.O_PATH, resolve=constants.RESOLVE_NO_XDEV)",
    "files.openat2('none', os.O_CREAT | os.O_WRONLY, dirfd=77, mode=0o640)",
    "files.close_range(5, 4)",
    "files.execveat(files.ExecArguments('', [''], []), 77, constants.AT_EMPTY_PATH)",
    "namespaces.setns(77, constants.CLONE_NEWNET)",
    "process.pidfd_getfd(77, 3)",
    "process.pidfd_send_signal(77, 0)",
    "terminals.unlock(77)",
    "terminals.set_controlling(77)",
    "xattrs.getxattr('/none', 'user.x')",
    "xattrs.getxattr(77, 'user.x')",
    "xattrs.fsetxattr(77, 'user.x', b'one', xattrs.XATTR_CREATE)",
    "xattrs.fremovexattr(77, 'user.x')",
)


@requires("strace")
def test_errors_show_the_call_as_strace_does(tmp_path: Any) -> None:
    log = tmp_path / "log"
    body = "".join(
        f"try: {call}\nexcept OSError as error: print(error.strerror)\n" for call in FAILING
    )
    names = ", ".join(MODULES)
    program = f"import os\nfrom libct.syscalls import {names}\n{body}"
    texts = run_python(program, "strace", "-s", "4096", "-o", str(log)).splitlines()
    assert len(texts) == len(FAILING)
    # With musl O_LARGEFILE is a bit on every machine; it says nothing to a reader.
    traced = log.read_text(encoding="latin-1").replace("|O_LARGEFILE", "").splitlines()
    missing = []
    for text in texts:
        call = text[: text.rindex("): ")].rstrip("]})")
        start, _, rest = call.partition("...")
        if not any(line.startswith(start) and rest in line for line in traced):
            name = call.partition("(")[0] + "("
            missing.append((call, [line for line in traced if line.startswith(name)][-3:]))
    assert missing == []


def test_extended_attributes(tmp_path: Any) -> None:
    with open(tmp_path / "file", "w+b") as file:
        fd = file.fileno()
        try:
            xattrs.fsetxattr(fd, "user.x", b"a\0b", xattrs.XATTR_CREATE)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            pytest.skip(f"{tmp_path} is on a file system without extended attributes")
        for place in (fd, file.name):
            assert xattrs.getxattr(place, "user.x") == b"a\0b"
        with pytest.raises(FileExistsError):
            xattrs.fsetxattr(fd, "user.x", b"c", xattrs.XATTR_CREATE)
        xattrs.fsetxattr(fd, "user.x", b"")
        assert xattrs.getxattr(fd, "user.x") == b""
        (tmp_path / "link").symlink_to("file")
        for gone in (str(tmp_path / "link"), fd):
            if gone == fd:
                xattrs.fremovexattr(fd, "user.x")
                xattrs.fremovexattr(fd, "user.x")  # there is none any more
            assert xattrs.getxattr(gone, "user.x") is None
        xattrs.fsetxattr(fd, "user.x", b"four")
        with pytest.raises(OSError, match="getxattr") as caught:
            xattrs.getxattr(fd, "user.x", most=3)
        assert caught.value.errno == errno.ERANGE


# -- errors


def test_an_error_names_call_and_path_and_is_of_pythons_class() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        filesystems.statfs("/none")
    assert caught.value.strerror == 'statfs("/none"): No such file or directory'
    assert caught.value.filename == "/none"


def test_a_missing_call_names_the_kernel_that_has_it() -> None:
    with pytest.raises(
        OSError, match=r"^\[Errno 38\] openat2\(\): .* \(Linux has it since 99\.6\)$"
    ):
        core.fail("openat2()", code=errno.ENOSYS, since="99.6")


@pytest.mark.parametrize(
    ("release", "since", "hidden"),
    [
        ("6.18.44-fc", "5.6", True),
        ("5.10.0-23-amd64", "5.6", True),
        ("5.6", "5.6", True),
        ("5.4.0", "5.6", False),
        ("4.19.0", "5.6", False),
        ("odd", "5.6", False),
    ],
)
def test_a_missing_call_of_a_newer_kernel_is_hidden(
    monkeypatch: pytest.MonkeyPatch, release: str, since: str, hidden: bool
) -> None:
    monkeypatch.setattr(posix, "uname", lambda: SimpleNamespace(release=release))
    with pytest.raises(OSError, match="Linux has it since") as caught:
        core.fail("call()", code=errno.ENOSYS, since=since)
    assert (f"this is {release}: a seccomp filter hides it" in str(caught.value)) == hidden


@pytest.mark.parametrize(("release", "hidden"), [("5.5.9-1", ""), ("5.6.0+", "5.6.0+"), ("x", "")])
def test_a_version_of_the_kernel(
    release: str, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.uname()
    told = os.uname_result((found[0], found[1], release, found[3], found[4]))
    monkeypatch.setattr("posix.uname", lambda: told)
    text = f", and this is {hidden}: a seccomp filter hides it" if hidden else ""
    assert core._hidden("5.6") == text


def test_details_of_the_kernel_are_shown() -> None:
    with pytest.raises(OSError, match=r"call\(\): Invalid argument \(tmpfs: Bad value\)$"):
        core.fail("call()", code=errno.EINVAL, since="5.2", detail="tmpfs: Bad value")


@pytest.mark.parametrize(
    "call",
    [
        lambda: mounts.mount("a\0", "/none"),
        lambda: mounts.mount("a", "/none", None, 0, "ro\0"),
        lambda: files.openat2("/none\0"),
        lambda: files.ExecArguments("/bin/true", ["a\0b"], []),
        lambda: keys.keyctl_join_session_keyring("a\0"),
    ],
)
def test_a_nul_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="embedded NUL in '"):
        call()


def test_mount_data_that_the_kernel_would_cut_off_is_refused() -> None:
    with pytest.raises(OSError, match="Argument list too long") as caught:
        mounts.mount("none", "/none", "tmpfs", 0, "x" * os.sysconf("SC_PAGE_SIZE"))
    assert caught.value.errno == errno.E2BIG


@pytest.mark.parametrize("value", [-2, 1 << 32, (1 << 32) + 1])
def test_what_is_no_id_is_refused(value: int) -> None:
    for call in (credentials.setresuid, credentials.setresgid):
        with pytest.raises(OverflowError, match="not a user or group id"):
            call(value, value, value)
    with pytest.raises(OverflowError, match="not a user or group id"):
        credentials.setgroups([value])


def test_a_limit_of_minus_one_is_no_limit_by_accident() -> None:
    with pytest.raises(OverflowError, match="not a limit: -1"):
        process.prlimit(0, resource.RLIMIT_NOFILE, 10, -1)


def test_names_that_are_too_long_are_refused() -> None:
    for call in (uts.sethostname, uts.setdomainname):
        with pytest.raises(OSError, match=r'domainname\("x+", 65\)|hostname\("x+", 65\)'):
            call("x" * 65)


# -- calls that any user may make


def test_statfs_and_fstatfs() -> None:
    fd = os.open("/proc", os.O_PATH)
    try:
        for record in (filesystems.statfs("/proc"), filesystems.fstatfs(fd)):
            assert record.type == constants.PROC_SUPER_MAGIC
    finally:
        os.close(fd)
    ours, theirs = filesystems.statfs("/"), os.statvfs("/")
    assert (ours.bsize, ours.blocks, ours.files) == (
        theirs.f_bsize,
        theirs.f_blocks,
        theirs.f_files,
    )
    assert ours.namelen == theirs.f_namemax
    assert ours.flags & constants.ST_RDONLY == theirs.f_flag & os.ST_RDONLY


def test_openat2_resolves_inside_its_root(tmp_path: Any) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/file").write_text("inside")
    (tmp_path / "link").symlink_to("/../../etc/file")
    root = os.open(tmp_path, os.O_PATH)
    try:
        fd = files.openat2("/link", dirfd=root, resolve=constants.RESOLVE_IN_ROOT)
        assert os.read(fd, 99) == b"inside"
        assert not os.get_inheritable(fd)
        os.close(fd)
        with pytest.raises(OSError, match=rf"RESOLVE_NO_SYMLINKS.*{os.strerror(errno.ELOOP)}"):
            files.openat2("link", dirfd=root, resolve=constants.RESOLVE_NO_SYMLINKS)
        with pytest.raises(OSError, match="ross-device"):
            files.openat2("../x", dirfd=root, resolve=constants.RESOLVE_BENEATH)
        made = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(files.openat2("new", made, dirfd=root, mode=0o600))
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    finally:
        os.close(root)


def test_close_range_closes_or_marks() -> None:
    def body() -> list[bool | None]:
        base = 100
        for fd in range(base, base + 4):
            os.dup2(0, fd)
        files.close_range(base, base + 1)
        files.close_range(base + 2, base + 2, constants.CLOSE_RANGE_CLOEXEC)
        return [_inheritable(fd) for fd in range(base, base + 4)]

    assert forked(body) == [None, None, False, True]


def test_all_but_some_descriptors_are_closed() -> None:
    def body() -> list[int]:
        for fd in range(100, 120):
            os.dup2(0, fd)
        files.close_all_but(103, [50, 103, 115, 110, 111, 115])
        return [fd for fd in range(100, 120) if _inheritable(fd) is not None]

    assert forked(body) == [100, 101, 102, 103, 110, 111, 115]


def _inheritable(fd: int) -> bool | None:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return None


def test_execve_gives_arguments_and_environment() -> None:
    arguments = files.ExecArguments(
        "/bin/sh", ["sh", "-c", 'printf "%s" "$0:$A:$#:$1"', "zero", "\udcff"], ["A=1 2"]
    )
    assert _output(lambda: files.execve(arguments)) == b"zero:1 2:1:\xff"


def test_execveat_runs_a_descriptor() -> None:
    def body() -> None:
        fd = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
        arguments = files.ExecArguments("", ["sh", "-c", "echo by descriptor"], [])
        files.execveat(arguments, fd, constants.AT_EMPTY_PATH)

    assert _output(body) == b"by descriptor\n"


def test_execve_that_fails_returns_with_an_error(tmp_path: Any) -> None:
    with pytest.raises(
        PermissionError, match=r'execve\("/.*", \.\.\.\): Permission denied'
    ) as caught:
        files.execve(files.ExecArguments(str(tmp_path), ["x"], []))
    assert caught.value.filename == str(tmp_path)


def _output(body: Any) -> bytes:
    """What the program that body becomes, in a child, writes to its standard output."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, 1)
            body()
        finally:
            os._exit(99)
    os.close(writer)
    with open(reader, "rb") as file:
        output = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return output


def test_clone3_is_a_fork_with_a_pidfd() -> None:
    def body() -> Any:
        pid, pidfd = namespaces.clone3(constants.CLONE_PIDFD, 17)
        if pid == 0:
            os._exit(7 if pidfd == -1 else 8)
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        assert result is not None
        return result.si_pid == pid, result.si_status, os.get_inheritable(pidfd)

    assert forked(body) == (True, 7, False)


def test_clone3_runs_the_functions_of_fork() -> None:
    def body() -> list[str]:
        calls: list[str] = []
        os.register_at_fork(
            before=lambda: calls.append("before"),
            after_in_parent=lambda: calls.append("parent"),
            after_in_child=lambda: calls.append("child"),
        )
        pid, pidfd = namespaces.clone3(0, 17)
        if pid == 0:
            os._exit(0 if calls == ["before", "child"] else 1)
        assert pidfd == -1
        assert os.waitpid(pid, 0) == (pid, 0)
        with pytest.raises(OSError, match=r"clone3\(\{flags=CLONE_FS\|CLONE_NEWNS, exit"):
            namespaces.clone3(constants.CLONE_FS | constants.CLONE_NEWNS)
        return calls

    assert forked(body) == ["before", "parent", "before", "parent"]


def test_clone3_makes_a_sibling_with_clone_parent() -> None:
    def body() -> tuple[int, int]:
        reader, writer = os.pipe()
        middle = os.fork()
        if middle == 0:
            pid, _ = namespaces.clone3(constants.CLONE_PARENT)
            if pid:
                os.write(writer, str(pid).encode())
            os._exit(5 if pid == 0 else 0)
        assert os.waitpid(middle, 0)[1] == 0
        sibling = int(os.read(reader, 99))
        pid, status = os.waitpid(sibling, 0)
        return pid - sibling, os.WEXITSTATUS(status)

    assert forked(body) == (0, 5)


def test_namespaces_have_flags() -> None:
    assert namespaces.NAMESPACE_FLAGS["NEWNS"] == constants.CLONE_NEWNS
    assert len(namespaces.NAMESPACE_FLAGS) == len(set(namespaces.NAMESPACE_FLAGS.values())) == 8


def test_prctl_getters_and_setters() -> None:
    def body() -> None:
        process.set_name("a name that is too long")
        assert prctl.get_name() == b"a name that is "
        process.set_name(b"\xff")
        assert prctl.get_name() == b"\xff"
        process.set_pdeathsig(9)
        assert prctl.get_pdeathsig() == 9
        process.set_pdeathsig(0)
        assert prctl.get_pdeathsig() == 0
        process.set_dumpable(False)
        assert process.get_dumpable() == 0
        process.set_dumpable(True)
        assert process.get_dumpable() == 1
        process.set_keepcaps(True)
        assert prctl.get_keepcaps()
        process.set_keepcaps(False)
        assert not prctl.get_keepcaps()
        settings.set_child_subreaper(True)
        assert prctl.get_child_subreaper()
        assert not prctl.get_no_new_privs()
        process.set_no_new_privs()
        assert prctl.get_no_new_privs()
        process.cap_ambient_clear_all()
        assert not prctl.cap_ambient_is_set(0)
        assert settings.get_securebits() == 0

    forked(body)


def test_personality_gives_the_former_one() -> None:
    def body() -> list[int]:
        former = settings.personality()
        settings.personality(constants.PER_LINUX32)
        return [former, settings.personality(), settings.personality(former) - 8]

    assert forked(body) == [0, 8, 0]


def test_prlimit_agrees_with_resource() -> None:
    names = {name for name in dir(resource) if name.startswith("RLIMIT_")} - {"RLIMIT_OFILE"}
    assert names <= set(constants.RLIMITS)
    for name, number in constants.RLIMITS.items():
        ours = tuple(
            -1 if limit == constants.RLIM_INFINITY else limit
            for limit in process.prlimit(0, number)
        )
        assert ours == resource.getrlimit(number), name
    for name in names:
        assert constants.RLIMITS[name] == getattr(resource, name)


def test_prlimit_sets_and_gives_the_former_limits() -> None:
    def body() -> None:
        soft, hard = process.prlimit(0, resource.RLIMIT_NOFILE)
        assert process.prlimit(0, resource.RLIMIT_NOFILE, 17, hard) == (soft, hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 17
        process.prlimit(0, resource.RLIMIT_CORE, 0, 0)
        text = r"prlimit64\(0, RLIMIT_CORE, \{rlim_cur=2, rlim_max=1\}.*Invalid argument"
        with pytest.raises(OSError, match=text):
            process.prlimit(0, resource.RLIMIT_CORE, 2, 1)

    forked(body)


def test_pidfds() -> None:
    def body() -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(reader, 1)
            os._exit(0)
        fd = process.pidfd_open(pid)
        assert not os.get_inheritable(fd)
        process.pidfd_send_signal(fd, 0)
        process.pidfd_send_signal(fd, 9)
        assert os.waitpid(pid, 0)[1] == 9
        with pytest.raises(ProcessLookupError, match=rf"pidfd_send_signal\({fd}, 0, NULL, 0\)"):
            process.pidfd_send_signal(fd, 0)
        with pytest.raises(ProcessLookupError, match=rf"pidfd_open\({pid}, 0\)"):
            process.pidfd_open(pid)
        os.close(writer)

    forked(body)


def test_a_pidfd_of_a_child_is_of_one_that_nobody_has_waited_for() -> None:
    """Of one that ends without SIGCHLD, too, as first processes may."""

    def body() -> None:
        for exit_signal in (0, 17):
            pid, pidfd = namespaces.clone3(constants.CLONE_PIDFD, exit_signal)
            if pid == 0:
                os._exit(7)
            os.close(pidfds.open_child(pid))
            ended = pidfds.wait(pidfd)
            assert ended is not None
            assert (ended.si_pid, ended.si_status) == (pid, 7)
            assert pidfds.wait(pidfd) is None
            with pytest.raises(ProcessLookupError, match="process already finished"):
                pidfds.open_child(pid)
            os.close(pidfd)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ProcessLookupError):  # by then it may be another's number
            pidfds.open_child(os.getppid())
        assert os.listdir("/proc/self/fd") == before

    forked(body)


def test_pidfd_getfd_duplicates_a_childs_descriptor() -> None:
    def body() -> bytes:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            file = os.memfd_create("theirs")
            os.write(file, b"theirs")
            os.dup2(file, 100)
            os.write(writer, b".")
            signal.pause()
        os.read(reader, 1)
        try:
            fd = process.pidfd_getfd(process.pidfd_open(pid), 100)
            assert not os.get_inheritable(fd)
            return os.pread(fd, 99, 0)
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)

    assert forked(body) == b"theirs"


def test_capabilities_agree_with_proc() -> None:
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t") for line in file if line.startswith("Cap"))
    effective, permitted, inheritable = credentials.capget()
    assert [f"{mask:016x}" for mask in (effective, permitted, inheritable)] == [
        status[name] for name in ("CapEff", "CapPrm", "CapInh")
    ]
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    bounding = sum(process.capbset_read(n) << n for n in range(last + 1))
    assert f"{bounding:016x}" == status["CapBnd"]


def test_capabilities_can_be_given_up() -> None:
    def body() -> tuple[int, int, int]:
        credentials.capset(0, 0, 0)
        with pytest.raises(PermissionError, match=r"capset\(.*\{effective=CAP_KILL,"):
            credentials.capset(1 << 5, 1 << 5, 0)
        return credentials.capget()

    assert forked(body) == (0, 0, 0)


def test_the_schedulers_parameters_can_be_read_and_lowered() -> None:
    def body() -> tuple[int, int, int]:
        scheduling.sched_setattr(
            sched.SCHED_BATCH,
            nice=19,
            flags=sched.SCHED_FLAG_RESET_ON_FORK,
        )
        attr = scheduling.sched_getattr()
        assert attr.size >= 48
        with pytest.raises(OSError, match=r"sched_setattr\(0, \{sched_policy=99, sched_flags=0"):
            scheduling.sched_setattr(99)
        text = r"sched_policy=SCHED_DEADLINE, .*sched_runtime=1, sched_deadline=2, sched_period=3"
        with pytest.raises(OSError, match=text):
            scheduling.sched_setattr(sched.SCHED_DEADLINE, runtime=1, deadline=2, period=3)
        return attr.policy, attr.nice, attr.flags

    assert forked(body) == (
        sched.SCHED_BATCH,
        19,
        sched.SCHED_FLAG_RESET_ON_FORK,
    )


def test_disk_priorities_can_be_read_and_lowered() -> None:
    def body() -> int:
        value = sched.IOPRIO_CLASS_BE << sched.IOPRIO_CLASS_SHIFT | 7
        scheduling.ioprio_set(sched.IOPRIO_WHO_PROCESS, 0, value)
        text = r"ioprio_set\(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE\(7, 0\)\): Invalid"
        with pytest.raises(OSError, match=text):
            scheduling.ioprio_set(sched.IOPRIO_WHO_PROCESS, 0, 7 << 13)
        return scheduling.ioprio_get(sched.IOPRIO_WHO_PROCESS, 0) - value

    assert forked(body) == 0


def test_memory_policies_can_be_set_and_read() -> None:
    def body() -> None:
        if not os.path.exists("/proc/self/numa_maps"):  # no CONFIG_NUMA
            with pytest.raises(OSError, match=r"get_mempolicy\(\): Function not implemented"):
                scheduling.get_mempolicy()
            return
        assert scheduling.get_mempolicy() == (sched.MPOL_DEFAULT, [])
        scheduling.set_mempolicy(sched.MPOL_BIND, [0])
        assert scheduling.get_mempolicy() == (sched.MPOL_BIND, [0])
        with pytest.raises(OSError, match=r"set_mempolicy\(MPOL_BIND, \[1000\], 1025\): Invalid"):
            scheduling.set_mempolicy(sched.MPOL_BIND, [1000])
        scheduling.set_mempolicy(sched.MPOL_DEFAULT)
        assert scheduling.get_mempolicy() == (sched.MPOL_DEFAULT, [])

    forked(body)


def test_pseudoterminals() -> None:
    def body() -> None:
        master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        with pytest.raises(
            OSError, match=rf"ioctl\({master}, TIOCGPTPEER, .*{os.strerror(errno.EIO)}"
        ):
            terminals.open_peer(master)
        terminals.unlock(master)
        peer = terminals.open_peer(master)
        assert os.ttyname(peer).startswith("/dev/pts/")
        assert not os.get_inheritable(peer)
        terminals.set_window_size(master, 24, 80)
        assert terminals.get_window_size(peer) == (24, 80)
        assert os.get_terminal_size(peer) == (80, 24)
        with pytest.raises(OverflowError):
            terminals.set_window_size(master, 65536, 80)
        os.setsid()
        terminals.set_controlling(peer)
        assert os.tcgetpgrp(peer) == os.getpgrp()

    forked(body)


def test_a_seccomp_filter_can_hide_a_call() -> None:
    def body() -> None:
        # Whatever the call: its number in the accumulator, pidfd_open gives ENOSYS.
        number = NUMBERS[core.machine()]["pidfd_open"]
        program = b"".join(
            code.to_bytes(2, sys.byteorder) + bytes(jumps) + value.to_bytes(4, sys.byteorder)
            for code, jumps, value in (
                (0x20, (0, 0), 0),  # load the number
                (0x15, (0, 1), number),  # is it another: skip the next
                (0x06, (0, 0), 0x00050000 | errno.ENOSYS),  # SECCOMP_RET_ERRNO
                (0x06, (0, 0), 0x7FFF0000),  # SECCOMP_RET_ALLOW
            )
        )
        process.set_no_new_privs()
        assert seccomp.seccomp_set_mode_filter(seccomp.Filter(program)) == 0
        with pytest.raises(OSError, match=r"pidfd_open\(1, 0\): .* \(Linux has it since 5\.3,"):
            process.pidfd_open(1)
        text = r"seccomp\(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, \{len=0\}\): Invalid"
        with pytest.raises(OSError, match=text):
            seccomp.seccomp_set_mode_filter(seccomp.Filter(b""), 2)

    forked(body)


def test_bpf_instructions_are_encoded() -> None:
    encoded = bpf.instruction(
        bpf.BPF_LDX | bpf.BPF_MEM | bpf.BPF_W, dst=2, src=1, offset=-2, immediate=-1
    )
    registers = 0x12 if sys.byteorder == "little" else 0x21
    assert encoded == (
        bytes([0x61, registers])
        + (-2).to_bytes(2, sys.byteorder, signed=True)
        + (-1).to_bytes(4, sys.byteorder, signed=True)
    )


# -- the modules


def run_python(program: str, *before: str) -> str:
    command = [*before, sys.executable, "-S", "-c", program]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def test_prototypes_are_not_shared() -> None:
    first, second = core.bind("syscall", ctypes.c_long), core.bind("syscall", ctypes.c_int)
    assert first is not second
    assert (first.restype, second.restype) == (ctypes.c_long, ctypes.c_int)


def test_constants_and_names_need_no_ctypes() -> None:
    program = "import sys, libct.syscalls.flags as f\nprint('_ctypes' in sys.modules)"
    assert run_python(program) == "False\n"


def test_the_modules_load_nothing_slow() -> None:
    imports = "".join(f"import libct.syscalls.{name}\n" for name in MODULES)
    program = f"import os, sys, _ctypes, errno, fcntl, libct\nbefore = set(sys.modules)\n{imports}"
    program += "print(*sorted(set(sys.modules) - before))"
    loaded = run_python(program).split()
    found = {name.rpartition(".")[2] for name in loaded}
    assert found == {*MODULES, "syscalls", "loading", "paths"}


def test_types_are_those_of_ctypes() -> None:
    own = {name: kind for name, kind in vars(c).items() if name.startswith("c_")}
    assert len(own) > 12
    for name, kind in own.items():
        theirs = getattr(ctypes, name)
        assert ctypes.sizeof(kind) == ctypes.sizeof(theirs)
        if name[2:5] in ("int", "uin", "lon", "ulo"):
            assert kind(-1).value == theirs(-1).value
        assert issubclass(kind, ctypes.c_int.__mro__[1])
    assert bytes(c.create_string_buffer(b"ab")) == bytes(ctypes.create_string_buffer(b"ab"))
    assert bytes(c.create_string_buffer(3)) == bytes(ctypes.create_string_buffer(3))


def test_a_python_with_another_ctypes() -> None:
    """Python 3.14 has POINTER in ctypes alone."""
    program = (
        "import _ctypes, os, sys\n"
        "whole = __import__('ctypes')\n"
        "del _ctypes.POINTER\n"
        "import libct.syscalls.c as c, libct.syscalls.process as process\n"
        "assert c.c_int is whole.c_int and c.POINTER is whole.POINTER\n"
        "assert c.function('getpid')() == c.locked_function('getpid')() == os.getpid()\n"
        "print(process.prlimit(0, 7)[0] > 0)\n"
    )
    assert run_python(program) == "True\n"
