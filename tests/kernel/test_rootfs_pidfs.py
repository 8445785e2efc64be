"""A procfs of another pid namespace before Linux 6.17, where those inside do what they can."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

import libct
from libct.errors import StepProblem
from libct.rootfs import pidfs
from libct.syscalls import filesystems
from libct.syscalls.constants import FSCONFIG_SET_FLAG, MNT_DETACH
from libct.syscalls.filesystems import fsconfig_create, fsconfig_set_flag, fsmount, fsopen
from libct.syscalls.mounts import umount2
from libct.syscalls.namespaces import CLONE_NEWNS, setns
from libct.syscalls.pidfds import number_in_proc
from libct.syscalls.process import get_dumpable, pidfd_getfd, pidfd_open, set_dumpable

from ..containers import PATH, shared_rootfs, state_directory
from ..leaks import wait_until
from ..patience import patient
from ..processes import CLONE_NEWPID, CLONE_NEWUSER, in_namespaces
from ..support import requires, session_directory, unique
from .test_attacks import SECRET, TIMES, older_libct, privileged, run_with
from .test_security import suid_dumpable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = requires("root")


@pytest.fixture
def pids() -> Iterator[int]:
    fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


def make(fs: int) -> int:
    fsconfig_create(fs)
    return fsmount(fs)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def children() -> set[str]:
    """Of this process, which may have had others before."""
    threads = Path("/proc/self/task").glob("*/children")
    return {pid for file in threads for pid in file.read_text().split()}


def test_it_is_made(pids: int) -> None:
    before, before_children = descriptors(), children()
    tree = pidfs.made_inside(pids, make)
    try:
        assert str(os.getpid()) in os.listdir(f"/proc/self/fd/{tree}")
    finally:
        os.close(tree)
    assert descriptors() == before
    assert children() <= before_children


def test_by_who_is_in_a_chroot_that_is_no_mount_point(pids: int, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            os.chroot(tmp_path)
            os.close(pidfs.made_inside(pids, make))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_fails_is_told(pids: int) -> None:
    before = descriptors()
    network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with pytest.raises(OSError, match=r"setns\(\d+, CLONE_NEWPID\): Invalid argument"):
        pidfs.made_inside(network, make)
    os.close(network)

    def wrong(fs: int) -> int:
        fsconfig_set_flag(fs, "bogus")
        return fs

    with pytest.raises(OSError, match=r"fsconfig\(\d+, FSCONFIG_SET_FLAG, \"bogus\""):
        pidfs.made_inside(pids, wrong)
    assert descriptors() == before


def test_what_fails_inside_is_told_too(pids: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pidfs, "_open_context", lambda: os._exit(errno.ENODEV))
    with pytest.raises(OSError, match=r'fsopen\("proc"\): No such device'):
        pidfs.made_inside(pids, make)


def test_who_has_rights_over_no_more_than_a_user_namespace() -> None:
    """As an ordinary user has, or root once it has joined one: it takes from who is dumpable."""

    def body() -> list[str]:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        set_dumpable(False)
        fd = os.open("/proc/self/ns/pid_for_children", os.O_RDONLY | os.O_CLOEXEC)
        found = [str(pidfs._is_of_proc(pidfs._opened_inside(fd)))]
        pidfs.set_dumpable = lambda _: None  # type: ignore[attr-defined,assignment]
        try:
            pidfs._opened_inside(fd)
        except StepProblem as problem:
            found += [problem.message, problem.hint]
        return found

    ids = "0 1000 1"
    done, refused, hint = in_namespaces(
        CLONE_NEWUSER | CLONE_NEWPID, body, uid_map=ids, gid_map=ids
    )
    assert done == "True"
    assert re.fullmatch(r"pidfd_getfd\(\d+, 0, 0\): Operation not permitted", refused)
    assert "kernel.yama.ptrace_scope" in hint


# --- what the maker may be made to do by who traces it ---


def played(monkeypatch: pytest.MonkeyPatch, part: Callable[[], object]) -> None:
    """Have the maker play another part; what it opens first has the number of the context."""

    def play() -> NoReturn:
        try:
            part()
        finally:
            os._exit(0)

    monkeypatch.setattr(pidfs, "_open_context", play)
    monkeypatch.setattr(pidfs, "_PATIENCE", 0.5)


def open_what_it_calls_proc() -> None:
    key = b"x'; proc: Unknown parameter 'x"
    fs = fsopen("tmpfs")
    # Its message is left in there.
    filesystems._fsconfig(filesystems._NR_FSCONFIG, fs, FSCONFIG_SET_FLAG, key, None, 0)


def open_it_elsewhere() -> None:
    fsopen("proc")
    fsopen("proc")
    os.close(0)


def have_another_one_open_it() -> None:
    if os.fork() == 0:
        fsopen("proc")
        os._exit(0)
    os.wait()


def create(_: int) -> int:
    raise AssertionError("with our rights, a file system of whatever type it is")


@pytest.mark.parametrize(
    "part",
    [
        lambda: fsopen("tmpfs"),
        open_what_it_calls_proc,
        open_it_elsewhere,
        have_another_one_open_it,  # in another table
        lambda: os.open("/", os.O_RDONLY),
        # It is read from, for what a context would say, and has nothing.
        lambda: ctypes.CDLL(None).eventfd(0, 0),
        lambda: time.sleep(60),
        lambda: os.kill(os.getpid(), signal.SIGSTOP),
        lambda: None,
    ],
    ids=[
        "a tmpfs",
        "a lie",
        "elsewhere",
        "other",
        "a file",
        "an eventfd",
        "waits",
        "stops",
        "ends",
    ],
)
def test_what_else_is_there_is_not_taken(
    pids: int, monkeypatch: pytest.MonkeyPatch, part: Callable[[], object]
) -> None:
    played(monkeypatch, part)
    before, before_children = descriptors(), children()
    began = time.monotonic()
    with pytest.raises(StepProblem, match="kept from that"):
        pidfs.made_inside(pids, create)
    assert time.monotonic() - began < patient(20)
    assert descriptors() == before
    assert children() <= before_children


def test_what_somebody_else_has_the_keeper_stop_with_is_not_used(
    pids: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it has looked at what there is."""

    def keep(report: int, *_: int) -> NoReturn:
        os.dup2(fsopen("tmpfs"), 0)
        os.close(report)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)

    monkeypatch.setattr(pidfs, "_keep", keep)
    before = descriptors()
    with pytest.raises(StepProblem, match="kept from that"):
        pidfs.made_inside(pids, create)
    (left,) = descriptors() - before  # to the end of who has taken it, for close may wait
    os.close(int(left))


@pytest.mark.parametrize("then", ["ends", "stays"])
def test_nothing_is_kept_of_what_else_it_opens(
    pids: int, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """And it is killed where it does not end by itself."""
    page = mmap.mmap(-1, 4096)

    def open_more() -> None:
        fsopen("proc")
        os.pipe()
        page[:4] = os.getpid().to_bytes(4, "little")
        if then == "stays":
            time.sleep(60)

    kept = []

    def take(keeper: int, fd: int) -> int:
        kept.append(os.listdir(f"/proc/{number_in_proc(keeper)}/fd"))
        return pidfd_getfd(keeper, fd)

    played(monkeypatch, open_more)
    monkeypatch.setattr(pidfs, "pidfd_getfd", take)
    os.close(pidfs.made_inside(pids, make))
    assert kept == [["0"]]
    assert wait_until(lambda: not os.path.exists(f"/proc/{int.from_bytes(page[:4], 'little')}"))


def test_the_file_system_itself_is_looked_at(pids: int) -> None:
    before = descriptors()

    def other(_: int) -> int:
        fs = fsopen("tmpfs")
        try:
            return make(fs)
        finally:
            os.close(fs)

    with pytest.raises(StepProblem, match="is not a procfs"):
        pidfs.made_inside(pids, other)
    assert descriptors() == before


def seen_by_the_maker(
    pids: int, monkeypatch: pytest.MonkeyPatch, *looks: tuple[str, Callable[[], object]]
) -> list[str]:
    page = mmap.mmap(-1, 4096)

    def look() -> None:
        found = []
        for what, call in looks:
            try:
                found.append(f"{what}: {call()}")
            except OSError as error:
                found.append(f"{what}: {errno.errorcode[error.errno or 0]}")
        page.write("; ".join(found).encode())

    played(monkeypatch, look)
    with pytest.raises(StepProblem):
        pidfs.made_inside(pids, make)
    return page[:].rstrip(b"\0").decode().split("; ")


def test_a_maker_finds_an_empty_root_and_no_way_out(
    pids: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a descriptor of its mount namespace, which others could open for it."""
    assert seen_by_the_maker(
        pids,
        monkeypatch,
        ("root", lambda: os.listdir("/")),
        ("write", lambda: os.mkdir("/x")),
        ("again", lambda: setns(pidfd_open(os.getpid()), CLONE_NEWNS)),
        ("root", lambda: os.listdir("/")),
        ("above", lambda: os.listdir("..")),
        ("uncover", lambda: umount2("/", MNT_DETACH)),
        ("host", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
    ) == [
        *("root: []", "write: EROFS", "again: None", "root: []", "above: []"),
        *("uncover: EINVAL", "host: EACCES"),
    ]


@requires("suid_dumpable")
@pytest.mark.parametrize("value", [0, 1])
def test_a_maker_has_no_descriptor_no_session_of_ours_and_is_not_dumpable(
    pids: int, monkeypatch: pytest.MonkeyPatch, value: int
) -> None:
    with suid_dumpable(value):
        first, session, dumpable = seen_by_the_maker(
            pids,
            monkeypatch,
            ("open", lambda: [fd for fd in range(1024) if is_open(fd)]),
            ("session", lambda: os.getsid(0)),
            ("dumpable", get_dumpable),
        )
    assert first == "open: []"
    assert session not in (f"session: {os.getsid(0)}", "session: 0")
    assert dumpable == "dumpable: 0"


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# --- and what it has been robbed of ---

# Takes copies of what each process that appears has open, asks each socket for the process
# that it leads to, and takes what that one has; and reads a file of the host wherever a
# directory is the way.
ROBBER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *secret;

static void look(int fd, const char *whose)
{
    char path[4096], text[65] = "", link[64], target[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    readlink(link, target, sizeof target - 1);
    dprintf(1, "%s %s\n", whose, target);
    struct stat status;
    if (fstat(fd, &status) || !S_ISDIR(status.st_mode))
        return;
    strcpy(path, secret + 1);
    for (int i = 0; i < 12; i++) {
        int file = openat(fd, path, O_RDONLY);
        if (file >= 0 && read(file, text, 64) > 0)
            dprintf(1, "SECRET %s\n", text);
        memmove(path + 3, path, strlen(path) + 1);
        memcpy(path, "../", 3);
    }
}

int main(int argc, char **argv)
{
    secret = argv[1];
    write(1, "READY\n", 6);
    for (int pid = getpid() + 1;; pid++) {
        int process, ahead = 0;  /* some may have ended before they were seen */
        while ((process = syscall(SYS_pidfd_open, pid + ahead, 0)) < 0)
            ahead = (ahead + 1) % 16;
        pid += ahead;
        char name[64] = "", comm[64] = "";
        snprintf(name, sizeof name, "/proc/%d/comm", pid);
        int file = open(name, O_RDONLY);
        if (file >= 0)
            read(file, comm, sizeof comm - 1), close(file);
        if (strncmp(comm, "libct:maker", 11)) {
            close(process);
            continue;
        }
        write(1, "SEEN\n", 5);
        for (int more = 1; more;) {
            more = 0;
            for (int fd = 0; fd < 16; fd++) {
                int copy = syscall(SYS_pidfd_getfd, process, fd, 0), peer = -1;
                socklen_t size = sizeof peer;
                if (copy < 0)
                    continue;
                more = 1;
                look(copy, "MAKER");
                if (!getsockopt(copy, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &peer, &size)) {
                    write(1, "PEER\n", 5);
                    for (int n = 0; n < 64; n++) {
                        int theirs = syscall(SYS_pidfd_getfd, peer, n, 0);
                        if (theirs >= 0)
                            look(theirs, "PEER"), close(theirs);
                    }
                    close(peer);
                }
                close(copy);
            }
        }
        close(process);
    }
}
"""


@requires("busybox", "compiler")
def test_who_robs_it_gets_nothing_that_leads_to_the_host(tmp_path: Path) -> None:
    """pidfd_getfd(2) of a pidfd asks for no pid namespace in common, as all else does."""
    room = Path(tempfile.mkdtemp(dir=session_directory()))
    secret, output = room / "secret", tmp_path / "output"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    attack = room / "attack"
    attack.mkdir()
    (attack / "robber.c").write_text(ROBBER)
    compiler = ["cc", "-O2", "-static", "-w", "-o"]
    subprocess.run([*compiler, attack / "robber", attack / "robber.c"], check=True)
    with (
        output.open("wb") as file,
        open("/dev/null", "r+b") as null,
        libct.create(state_directory(), unique(), privileged(attack / "robber")) as pod,
    ):
        streams: Any = {"env": [PATH], "stdin": null, "stderr": null}
        pod.run(libct.Process(["sleep", "600"], init=True, stdout=null, **streams))
        pod.run(libct.Process(["/attack/robber", str(secret)], stdout=file, **streams))
        assert wait_until(lambda: "READY" in output.read_text())
        script = f"""
from tests.kernel import test_attacks
test_attacks.state_directory = lambda: {state_directory()!r}
test_attacks.start_often(
    test_attacks.make_config(
        {str(shared_rootfs())!r},
        namespaces=["NEWNS", ("NEWPID", "/proc/{pod.state()["pid"]}/ns/pid")],
        capabilities=test_attacks.FEW,
    )
)
"""
        done = run_with(older_libct(tmp_path), script, 60 * TIMES)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(room)
    said = output.read_text(errors="replace").splitlines()
    assert said.count("SEEN") > 5
    assert set(said) <= {"READY", "SEEN", "MAKER anon_inode:[fscontext]"}
