"""Programs in a container that attack what enters it, with all that CAP_SYS_PTRACE lets them reach.

Each is the attack itself: it runs while libct does what it is to be attacked at, many
times (LIBCT_ATTACKS says how many times as often; `tox -e attacks`).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import servers
from libct.config import (
    NEWIPC,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    Capabilities,
    Hook,
    Hooks,
    IDMap,
    Mount,
)
from libct.config.mount_flags import MS_BIND
from libct.config.seccomp import Seccomp, SeccompRule

from ..containers import (
    DEV,
    NULL,
    PATH,
    PROC,
    PTS,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    state_directory,
)
from ..leaks import wait_until
from ..support import copy_of_libct, libct_environment, requires, session_directory, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libct.plan.step import Plan

pytestmark = [
    requires("root", "busybox", "compiler"),
    pytest.mark.usefixtures("nothing_left"),
]

TIMES = int(os.environ.get("LIBCT_ATTACKS", "1"))
SECRET = "libct-secret-of-the-host"

# Looks, at every process that appears, for what it must not have: files of the host below
# its root and its working directory, descriptors, other ids or capabilities than asked for.
WATCHER = r"""
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char last[4096];

static void say(const char *what, const char *pid, const char *more)
{
    char line[1024];
    snprintf(line, sizeof line, "%s %s %s\n", what, pid, more);
    if (strcmp(line, last) == 0)
        return;
    strcpy(last, line);
    write(1, line, strlen(line));
}

static void look(const char *pid, const char *secret)
{
    char path[512], text[4096], more[256], comm[64] = "";
    const char *places[] = {"root", "cwd"};
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    int fd = open(path, O_RDONLY);
    if (fd >= 0) {
        ssize_t n = read(fd, comm, sizeof comm - 1);
        comm[n > 0 ? n - 1 : 0] = 0;
        close(fd);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/%s/%s%s", pid, places[i], secret);
        fd = open(path, O_RDONLY);
        if (fd >= 0) {
            ssize_t n = read(fd, text, sizeof text - 1);
            text[n > 0 ? n : 0] = 0;
            snprintf(more, sizeof more, "%s: %.64s", places[i], text);
            say("SECRET", pid, more);
            close(fd);
        }
    }
    char space[256] = "";
    snprintf(path, sizeof path, "/proc/%s/ns/user", pid);
    if (readlink(path, space, sizeof space - 1) > 0) {
        snprintf(more, sizeof more, "%s %s", comm, space);
        say("USER", pid, more);
    }
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        char link[512], target[256] = "";
        snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
        if (readlink(link, target, sizeof target - 1) < 0)
            continue;
        snprintf(more, sizeof more, "%s %s %s", comm, entry->d_name, target);
        say("FD", pid, more);
    }
    if (directory)
        closedir(directory);
    snprintf(path, sizeof path, "/proc/%s/status", pid);
    fd = open(path, O_RDONLY);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            if (!strncmp(line, "Uid:", 4) || !strncmp(line, "CapBnd:", 7)
                || !strncmp(line, "CapPrm:", 7)) {
                snprintf(more, sizeof more, "%s %s", comm, line);
                say("IS", pid, more);
            }
    }
}

int main(int argc, char **argv)
{
    char own[32];
    int highest = argc > 2 ? atoi(argv[2]) : 0;
    write(1, "READY\n", 6);
    for (;;) {
        DIR *directory = opendir("/proc");
        struct dirent *entry;
        while ((entry = readdir(directory))) {
            int pid = atoi(entry->d_name);
            if (pid > 1 && pid != getpid() && pid > highest) {
                strcpy(own, entry->d_name);
                look(own, argv[1]);
            }
        }
        closedir(directory);
    }
}
"""


# Takes copies of what each process that appears has open (pidfd_getfd(2)), and keeps them;
# looks for a socket among them, and takes what the process has open that it leads to.
# "cloned": says by the pipes that step `number` has cloned.  "random": says anything.
# "fill": leaves no room in them.  "keep": that is all.
THIEF = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *what;

static int take(int process, int fd)
{
    return syscall(SYS_pidfd_getfd, process, fd, 0);
}

/* To whoever has made the socket: SO_PEERPIDFD, Linux 6.5. */
static void follow(int fd, int pid)
{
    int peer = -1, copy;
    socklen_t size = sizeof peer;
    dprintf(1, "SOCKET %d\n", pid);
    if (getsockopt(fd, SOL_SOCKET, 77, &peer, &size) == 0)
        for (int n = 0; n < 64; n++)
            if ((copy = take(peer, n)) >= 0) {
                dprintf(1, "HOST %d\n", n);
                close(copy);
            }
}

static int newest(void)
{
    char text[128] = "";
    int fd = open("/proc/loadavg", O_RDONLY);
    read(fd, text, sizeof text - 1);
    close(fd);
    return atoi(strrchr(text, ' ') + 1);
}

static void speak(int pid, int fd, long number)
{
    unsigned char text[64], noise[4096];
    char path[64];
    int size = 8;
    /* Whichever end it is, it can be opened for the other direction. */
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    int end = open(path, O_WRONLY | O_NONBLOCK);
    if (end < 0)
        return;
    if (!strcmp(what, "cloned")) {
        text[size++] = 's';
        *(uint32_t *)(text + size) = 6, size += 4;
        memcpy(text + size, "cloned", 6), size += 6;
        text[size++] = 'i';
        *(int64_t *)(text + size) = number, size += 8;
        *(uint64_t *)text = size - 8;
        write(end, text, size);
    }
    for (int i = 0; i < sizeof noise; i++)
        noise[i] = rand();
    if (!strcmp(what, "random"))
        write(end, noise, 1 + rand() % 300);
    while (!strcmp(what, "fill") && write(end, noise, sizeof noise) > 0)
        ;
    close(end);
}

int main(int argc, char **argv)
{
    what = argv[1];
    signal(SIGPIPE, SIG_IGN);
    int taken = 0, kept = 0;
    write(1, "READY\n", 6);
    for (int pid = getpid() + 1;; pid++) {
        int process, ahead = 0, tries = 0;  /* some may have ended before they were seen */
        while ((process = syscall(SYS_pidfd_open, pid + ahead, 0)) < 0) {
            ahead = (ahead + 1) % 16;
            if (++tries % 4096 == 0 && newest() > pid + 15)
                pid = newest(), ahead = 0;
        }
        pid += ahead;
        for (int fd = 0; fd < 24; fd++) {
            int copy = take(process, fd);
            struct stat found;
            if (copy < 0 || fstat(copy, &found))
                continue;
            if (S_ISSOCK(found.st_mode))
                follow(copy, pid);
            if (S_ISFIFO(found.st_mode)) {
                taken++;
                speak(pid, fd, atol(argv[2]));
            }
            if (++kept > 400)  /* no more than it may have open */
                close(copy);
        }
        dprintf(1, "TAKEN %d\n", taken);
        close(process);
    }
}
"""


# Whether what a process has open leads to the file system that it is of: with CAP_DAC_READ_SEARCH
# any file is the way to all others there.
FINDER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    union { struct file_handle handle; char room[sizeof(struct file_handle) + MAX_HANDLE_SZ]; } u;
    int pid = atoi(argv[1]), process = syscall(SYS_pidfd_open, pid, 0), mount;
    for (int fd = 3; fd < 64; fd++) {
        int copy = syscall(SYS_pidfd_getfd, process, fd, 0);
        if (copy < 0)
            continue;
        printf("TAKEN %d\n", fd);
        u.handle.handle_bytes = MAX_HANDLE_SZ;
        if (name_to_handle_at(copy, "", &u.handle, &mount, AT_EMPTY_PATH))
            continue;
        if (open_by_handle_at(copy, &u.handle, O_PATH) >= 0)
            printf("FOUND %d\n", fd);
    }
    printf("DONE\n");
    return 0;
}
"""


@pytest.fixture(scope="module")
def watcher() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir=session_directory()))
    for name, source in (("watcher", WATCHER), ("thief", THIEF), ("finder", FINDER)):
        (directory / f"{name}.c").write_text(source)
        compiler = ["cc", "-O2", "-static", "-w", "-o"]
        subprocess.run([*compiler, directory / name, directory / f"{name}.c"], check=True)
    yield directory / "watcher"
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def secret() -> Iterator[Path]:
    """A file that only root of the host may read."""
    path = Path(tempfile.mkdtemp(dir=session_directory())) / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    yield path
    shutil.rmtree(path.parent)


def privileged(watcher: Path, **changes: Any) -> Any:
    """A container whose processes may trace one another, with the watcher below /attack."""
    names = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"]
    capabilities = Capabilities(bounding=names, effective=names, permitted=names)
    mounts = [PROC, DEV, PTS, Mount("/attack", str(watcher.parent), "bind", MS_BIND)]
    return make_config(capabilities=capabilities, mounts=mounts, devices=[NULL], **changes)


FINDING = ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]


def finding(watcher: Path, **changes: Any) -> Any:
    """The same, whose processes may also open files by their handles."""
    config = privileged(watcher, **changes)
    config.capabilities = Capabilities(bounding=FINDING, effective=FINDING, permitted=FINDING)
    return config


def found_by(output: str) -> list[str]:
    """What leads to a file system, of what the finder has taken."""
    *taken, last = output.splitlines()
    assert last == "DONE"
    assert sum(line.startswith("TAKEN") for line in taken) >= 2  # by these it waits
    return [line for line in taken if not line.startswith("TAKEN")]


def test_the_finder_finds_the_file_system_of_a_file(tmp_path: Path, watcher: Path) -> None:
    """The attack works where there is anything."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "file").touch()
    files = [os.open(fifo, os.O_RDWR), os.open(tmp_path / "file", os.O_RDONLY), *os.pipe()]
    try:
        with libct.create(state_directory(), unique(), finding(watcher)) as container:
            words = ["sleep", "60"]
            container.run(libct.Process(words, init=True, env=[PATH], extra_files=files))
            output = run_in(container, "/attack/finder", "1").output
        assert found_by(output) == ["FOUND 3", "FOUND 4"]
    finally:
        for fd in files:
            os.close(fd)


@pytest.mark.parametrize("timed", [False, True], ids=["lined up", "timed"])
def test_what_waits_for_its_start_leads_to_no_file_system(watcher: Path, timed: bool) -> None:
    """Not what `exec` has brought, either."""
    with libct.create(state_directory(), unique(), finding(watcher)) as container:
        container.trace = timed
        process = libct.Process(["true"], init=True, env=[PATH])
        container.start(process)
        assert found_by(run_in(container, "/attack/finder", "1").output) == []
        container.exec()
        assert process.wait(30).success


@pytest.mark.parametrize("timed", [False, True], ids=["lined up", "timed"])
def test_what_waits_for_its_start_in_a_pod_leads_to_no_file_system(
    watcher: Path, timed: bool
) -> None:
    with libct.create(state_directory(), unique(), finding(watcher)) as pod:
        pod.run(libct.Process(["sleep", "600"], init=True, env=[PATH]))
        member_config = pod_member(pod.state()["pid"])
        with libct.create(state_directory(), unique(), member_config) as member:
            member.trace = timed
            process = libct.Process(["true"], init=True, env=[PATH])
            member.start(process)
            status = Path(f"/proc/{process.pid}/status").read_text()
            (inside,) = re.findall(r"^NSpid:.*\t(\d+)$", status, re.MULTILINE)
            assert found_by(run_in(pod, "/attack/finder", inside).output) == []
            member.exec()
            assert process.wait(30).success


def test_a_hook_finds_no_file_system_by_the_process_that_it_is_run_for(
    tmp_path: Path, watcher: Path
) -> None:
    config = finding(watcher)
    config.mounts.append(Mount("/mnt", str(tmp_path), "bind", MS_BIND))
    script = "exec 9<&0; /attack/finder 1 >/mnt/output && /attack/finder $$ >/mnt/own"
    look = ["sh", "-c", script]
    config.hooks = Hooks(start_container=[Hook("/bin/sh", look)])
    with libct.create(state_directory(), unique(), config) as container:
        process = libct.Process(["true"], init=True, env=[PATH])
        container.run(process)
        assert process.wait(30).success
    assert found_by((tmp_path / "output").read_text()) == []
    # Nor by what it has itself: the state.
    assert "TAKEN 9" in (tmp_path / "own").read_text()
    assert "FOUND 9" not in (tmp_path / "own").read_text()


def memory_of(pid: int) -> bytes:
    """All that can be read of a process's memory, as a tracer could."""
    found = b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            start, end = (int(one, 16) for one in line.split()[0].split("-"))
            if line.split()[1].startswith("rw"):
                memory.seek(start)
                found += memory.read(end - start) or b""
    return found


@pytest.mark.parametrize("given", ["by its configuration", "to a further process", "to a pod's"])
@pytest.mark.usefixtures("one_server")
def test_what_enters_where_it_may_be_traced_knows_no_other_container(
    watcher: Path, given: str
) -> None:
    """What enters is cloned by the server, and has its memory until it executes its command."""
    word = "LIBCT_SECRET_OF_ANOTHER"

    def served() -> int:
        assert servers._servers
        return servers._servers[0].pid

    with running(make_config(), "sleep", "60") as plain:
        assert run_in(plain, "true", env=[PATH, f"{word}={word}"]).state.success
        warm = served()
        assert word.encode() in memory_of(warm)  # before another start needs the room
        config = privileged(watcher)
        tracing = config.capabilities
        if given == "to a further process":
            config.capabilities = None
        with running(config) as container:
            if given == "to a pod's":
                pid = container.state()["pid"]
                spaces = (NEWNS, (NEWPID, f"/proc/{pid}/ns/pid"))
                assert run(make_config(namespaces=spaces), "true").state.success
            else:
                asked = None if config.capabilities else tracing
                assert run_in(container, "true", capabilities=asked).state.success
                first = served()
                assert run_in(container, "true").state.success
                assert served() == first  # which knows this one alone
            assert served() != warm
            assert word.encode() not in memory_of(served())
            assert run_in(plain, "true", env=[PATH, f"{word}={word}"]).state.success
            warm = served()
            loaded = libct.load(state_directory(), container.id)
            if given != "to a pod's":
                assert run_in(loaded, "true").state.success
                assert served() != warm


@pytest.mark.usefixtures("one_server")
def test_elsewhere_the_same_server_goes_on() -> None:
    names = ["CAP_SYS_PTRACE"]
    tracing = Capabilities(bounding=names, effective=names, permitted=names)
    apart = make_config(namespaces=(*USUAL, NEWUSER), capabilities=tracing)
    with running(make_config()) as plain, running(apart) as container:
        assert run_in(plain, "true").state.success
        assert servers._servers
        warm = servers._servers[0].pid
        assert run_in(container, "true").state.success
        assert run_in(plain, "true").state.success
        assert servers._servers[0].pid == warm


def lines_of(output: Path, what: str) -> list[list[str]]:
    lines = [line.split(" ", 2) for line in output.read_text(errors="replace").splitlines()]
    return [line[1:] for line in lines if line[0] == what and len(line) == 3]


# Loaded without no_new_privs, which takes CAP_SYS_ADMIN.
FILTER = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["reboot"], "SCMP_ACT_ERRNO")])


@pytest.mark.parametrize("seccomp", [None, FILTER], ids=["", "filtered"])
@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_what_execs_into_a_container_shows_nothing_of_the_host(
    tmp_path: Path, watcher: Path, secret: Path, user: str, seccomp: Seccomp | None
) -> None:
    """CVE-2016-9962 and its kin: the process is the command in all but its memory."""
    output = tmp_path / "output"
    config = privileged(watcher, seccomp=seccomp)
    with (
        output.open("wb") as file,
        open("/dev/null", "r+b") as null,
        libct.create(state_directory(), unique(), config) as container,
    ):
        container.run(libct.Process(["sleep", "600"], init=True, env=[PATH]))
        attack = libct.Process(
            ["/attack/watcher", str(secret)], env=[PATH], stdin=null, stdout=file, stderr=null
        )
        container.run(attack)
        assert wait_until(lambda: "READY" in output.read_text())
        for _ in range(60 * TIMES):
            streams: Any = {"stdin": null, "stdout": null, "stderr": null}
            process = libct.Process(["true"], env=[PATH], user=user, capabilities=FEW, **streams)
            container.run(process)
            assert process.wait(30).success
    assert lines_of(output, "SECRET") == []
    seen = lines_of(output, "IS")
    assert len({pid for pid, _ in seen}) > 5  # it has seen some of them in time
    for _, text in seen:
        key, *values = text.partition(" ")[2].split()
        if key == "Uid:":
            assert values == [user.partition(":")[0] or "0"] * 4, text
        if key in ("CapBnd:", "CapPrm:"):  # (execve takes the permitted ones from other users)
            assert values in ALLOWED[key], text
    descriptors = {text.split(" ", 2)[1:][1] for _, text in lines_of(output, "FD")}
    # The standard ones; and the way to the runtime, which takes nothing but numbers.
    assert {one for one in descriptors if not one.startswith(("/dev/", "pipe:", "socket:"))} <= {
        str(output)
    }


def pod_member(pid: int, *more: str, **changes: Any) -> Any:
    """A container that shares the pid namespace of another one's first process.

    more: namespaces that it makes.
    """
    spaces = [NEWNS, NEWUTS, NEWIPC, (NEWPID, f"/proc/{pid}/ns/pid"), *more]
    changes.setdefault("mounts", [PROC, DEV, PTS])
    return make_config(namespaces=spaces, devices=[NULL], **changes)


FEW = Capabilities(bounding=["CAP_KILL"], effective=["CAP_KILL"], permitted=["CAP_KILL"])
_KILL, _NONE = ["0000000000000020"], ["0000000000000000"]
ALLOWED = {"CapBnd:": [_KILL], "CapPrm:": [_KILL, _NONE]}


@contextlib.contextmanager
def watched_pod(watcher: Path, secret: Path, output: Path) -> Iterator[int]:
    """The number of the first process of a pod where the watcher runs, and writes to output."""
    with (
        output.open("wb") as file,
        open("/dev/null", "r+b") as null,
        libct.create(state_directory(), unique(), privileged(watcher)) as pod,
    ):
        streams: Any = {"stdin": null, "stdout": null, "stderr": null}
        pod.run(libct.Process(["sleep", "600"], init=True, env=[PATH], **streams))
        attack = libct.Process(
            ["/attack/watcher", str(secret)], env=[PATH], stdin=null, stdout=file, stderr=null
        )
        pod.run(attack)
        assert wait_until(lambda: "READY" in output.read_text())
        yield pod.state()["pid"]


def start_often(config: Any, *, held: bool = False) -> None:
    with open("/dev/null", "r+b") as null:
        streams: Any = {"stdin": null, "stdout": null, "stderr": null}
        for _ in range(40 * TIMES):
            with libct.create(state_directory(), unique(), config) as member:
                process = libct.Process(["true"], env=[PATH], init=True, **streams)
                if held:
                    member.start(process)
                    member.exec()
                else:
                    member.run(process)
                assert process.wait(30).success


def assert_nothing_of_the_host(output: Path, uid: str = "0") -> set[str]:
    """In what the watcher has seen of processes with FEW; the files that they had open."""
    assert lines_of(output, "SECRET") == []
    seen = [text for _, text in lines_of(output, "IS")]
    assert len(seen) > 5  # it has seen some of them in time
    for text in seen:
        comm, _, line = text.partition(" ")
        key, *values = line.split()
        if key == "Uid:":
            assert values == [uid] * 4, text
        if key in ("CapBnd:", "CapPrm:") and comm != MAKER:
            assert values in ALLOWED[key], text
    descriptors = {text.split(" ", 2)[2] for _, text in lines_of(output, "FD")}
    kinds = ("/dev/", "pipe:", "socket:")
    # "/null": the container's own /dev/null, when its mounts have just gone with its end.
    return {one for one in descriptors if not one.startswith(kinds)} - {str(output), "/null"}


MAKER = "libct:maker"  # what opens a procfs in there before Linux 6.17; rootfs/pidfs.py


@pytest.mark.parametrize("seccomp", [None, FILTER], ids=["", "filtered"])
@pytest.mark.parametrize("held", [False, True], ids=["run", "created"])
def test_what_starts_in_a_shared_pid_namespace_shows_nothing_of_the_host(
    tmp_path: Path, watcher: Path, secret: Path, held: bool, seccomp: Seccomp | None
) -> None:
    output = tmp_path / "output"
    hooks = Hooks(create_container=[Hook("/bin/true")])
    with watched_pod(watcher, secret, output) as pid:
        member = pod_member(pid, capabilities=FEW, hooks=hooks, seccomp=seccomp)
        start_often(member, held=held)
    assert assert_nothing_of_the_host(output) == set()


@pytest.mark.parametrize("held", [False, True], ids=["run", "created"])
def test_with_a_new_user_namespace_it_shows_nothing_either(
    tmp_path: Path, watcher: Path, secret: Path, held: bool
) -> None:
    """The stage joins the pid namespace early then, and forks nothing from there on."""
    output = tmp_path / "output"
    maps = [IDMap(0, 100000, 65536)]
    changes: Any = {"capabilities": FEW, "uid_mappings": maps, "gid_mappings": maps}
    hooks = Hooks(create_runtime=[Hook("/bin/true")])
    with watched_pod(watcher, secret, output) as pid:
        config = pod_member(pid, NEWUSER, mounts=[DEV, PTS], hooks=hooks, **changes)
        start_often(config, held=held)
        config = pod_member(pid, NEWUSER, **changes)
        with pytest.raises(libct.Error, match=r"mount proc .*FSCONFIG_CMD_CREATE.*needs a new pid"):
            start_often(config)
        config.hooks = Hooks(create_container=[Hook("/bin/true")])
        with pytest.raises(libct.Error, match=r"hooks\.createContainer: cannot run where"):
            start_often(config)
    assert assert_nothing_of_the_host(output, uid="100000") == set()


def older_libct(directory: Path) -> Path:
    """A copy of libct for which the kernel is older than Linux 6.17."""
    copy = copy_of_libct(directory / "copy/libct")
    file = copy / "rootfs/filesystems.py"
    text = file.read_text()
    assert text.count('fsconfig_set_fd(fs, "pidns", pids)') == 1
    file.write_text(text.replace('"pidns", pids', '"no such option", pids'))
    return copy


def run_with(copy: Path, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a Python script, which finds these tests, with a copy of libct."""
    first = f"""
import os, sys
sys.path[:0] = [{str(copy.parent)!r}, {os.getcwd()!r}]
import libct
assert libct.__file__.startswith({str(copy.parent)!r})
"""
    return subprocess.run(
        [sys.executable, "-c", first + script],
        env={**libct_environment(), "LIBCT_ATTACKS": str(TIMES)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_what_mounts_proc_there_before_linux_6_17_has_nothing_of_the_host(
    tmp_path: Path, watcher: Path, secret: Path
) -> None:
    """It is inside for a moment, with rights over nothing but namespaces of its own."""
    output = tmp_path / "output"
    with watched_pod(watcher, secret, output) as pid:
        script = f"""
from tests.kernel import test_attacks
test_attacks.state_directory = lambda: {state_directory()!r}
test_attacks.start_often(
    test_attacks.make_config(
        {str(shared_rootfs())!r},
        namespaces=["NEWNS", ("NEWPID", "/proc/{pid}/ns/pid")],
        capabilities=test_attacks.FEW,
    )
)
"""
        done = run_with(older_libct(tmp_path), script, 60 * TIMES)
        assert done.returncode == 0, done.stderr
    others = assert_nothing_of_the_host(output)
    assert others <= {"anon_inode:[fscontext]"}  # the maker's, as it opens it
    makers = {one: text.split(" ")[1] for one, text in lines_of(output, "USER") if MAKER in text}
    assert len(makers) > 5
    assert os.readlink("/proc/self/ns/user") not in makers.values()
    sockets: dict[str, set[str]] = {}
    for one, text in lines_of(output, "FD"):
        comm, _, target = text.split(" ", 2)
        if comm == MAKER and target not in others:
            sockets.setdefault(one, set()).add(target)
    assert all(len(found) == 1 for found in sockets.values()), sockets
    assert all(target.startswith("socket:") for found in sockets.values() for target in found)


@pytest.mark.parametrize("older", [False, True], ids=["with pidns=", "before Linux 6.17"])
def test_a_pods_second_container_sees_the_pods_processes_only(tmp_path: Path, older: bool) -> None:
    copy = older_libct(tmp_path) if older else copy_of_libct(tmp_path / "copy/libct")
    script = f"""
from libct.config.mount_flags import MS_I_VERSION
from tests.containers import make_config, run_in, running
from tests.kernel.test_attacks import DEV, PROC, pod_member
with running(make_config(), "sleep", "600") as pod:
    config = pod_member(pod.state()["pid"])
    by_mount = libct.Mount("/srv", "proc", "proc", MS_I_VERSION)  # mount(2) has that flag alone
    config.mounts = [PROC, DEV, by_mount]
    with libct.create({state_directory()!r}, {unique()!r}, config) as member:
        look = "echo $$ /proc/[0-9]*; echo /srv/[0-9]*; readlink /proc/self/ns/pid"
        print(run_in(member, "sh", "-c", look, init=True).output, end="")
        print(os.readlink(f"/proc/{{pod.state()['pid']}}/ns/pid"))
"""
    done = run_with(copy, script)
    assert done.returncode == 0, done.stderr
    processes, others, own, pods = done.stdout.splitlines()
    number, *shown = processes.split()
    assert set(shown) == {"/proc/1", f"/proc/{number}"}
    assert set(others.split()) == {"/srv/1", f"/srv/{number}"}
    assert own == pods


def test_random_bytes_in_the_fifo_of_a_created_container() -> None:
    """Whoever could trace the process that waits could write there."""
    chance = random.Random(7)
    for _ in range(40 * TIMES):
        with libct.create(state_directory(), unique(), make_config()) as container:
            process = libct.Process(["sh", "-c", "exit 42"], init=True, env=[PATH])
            container.start(process)
            path = f"{state_directory()}/{container.id}/exec.fifo"
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stop = threading.Event()

            def write(fifo: int = fifo, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    with contextlib.suppress(OSError):
                        os.write(fifo, chance.randbytes(chance.randrange(1, 300)))
                    time.sleep(0.0005)
                os.close(fifo)

            writer = threading.Thread(target=write)
            timer = threading.Timer(0.05, stop.set)  # the end of the fifo is when nobody has it
            writer.start()
            timer.start()
            try:
                container.exec()
            except libct.Error:
                pass  # whatever the bytes said
            finally:
                timer.join()
                writer.join()
            # With another word than the runtime's there is nothing to execute: 1.
            assert process.wait(30).status in (42, 137, 1)


# What comes of it.  Who may trace a process that waits can also let it go, or say another
# word to it, with which there is no program.
AS_SAID = re.compile(
    r"exec /bin/sleep: no such file or directory|"
    r"^ran$|^was ended$|says what cannot be understood|process ended unexpectedly"
    r"|already running container|a container that has stopped|process is already dead"
)
WHAT = ["keep", "cloned", "random", "fill"]


@contextlib.contextmanager
def thief(watcher: Path, output: Path, what: str, number: int) -> Iterator[libct.Container]:
    """A container with a program that takes what others have open."""
    with (
        output.open("wb") as file,
        open("/dev/null", "r+b") as null,
        libct.create(state_directory(), unique(), privileged(watcher)) as container,
    ):
        streams: Any = {"env": [PATH], "stdin": null, "stderr": null}
        container.run(libct.Process(["sleep", "600"], init=True, stdout=null, **streams))
        words = ["/attack/thief", what, str(number)]
        container.run(libct.Process(words, stdout=file, **streams))
        assert wait_until(lambda: "READY" in output.read_text())
        yield container


def has_taken(output: Path) -> bool:
    return any(not line.endswith(" 0") for line in output.read_text().splitlines()[1:])


def goes_on(outcomes: list[str], rounds: int, output: Path) -> bool:
    """It is to be fast enough in some of them."""
    return len(outcomes) < rounds * TIMES or (not has_taken(output) and len(outcomes) < 500)


def look_at(output: Path) -> None:
    """It has taken something, and found nothing that leads outside."""
    assert {line.partition(" ")[0] for line in output.read_text().splitlines()} <= {
        "READY",
        "TAKEN",
    }
    assert has_taken(output)


def outcome(begin: Callable[[], Any]) -> str:
    """How a start ends, which is to happen within seconds; with its process, which is our own."""
    ended: list[str] = []

    def body() -> None:
        try:
            process = begin()
            assert process.pid != os.getpid()
            name = Path(f"/proc/{process.pid}/comm").read_text()
            ended.append("ran" if name == "sleep\n" else "was ended")
            process.signal(signal.SIGKILL)
            process.wait(30)
        except libct.Error as error:
            ended.append(f"failed: {error}")
        except BaseException as error:
            ended.append(f"wrong: {error!r}")
            raise

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(20)
    assert ended, "it waits for ever"
    return ended[0]


def step_of(steps: Plan, op: str) -> int:
    return next(number for number, step in enumerate(steps, 1) if step.op == op)


@pytest.mark.parametrize("what", WHAT)
def test_who_takes_the_talk_of_what_execs(
    tmp_path: Path, watcher: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "output"
    config = make_config()
    with running(config) as other, monkeypatch.context() as patched:
        patched.setenv("LIBCT_FORK", "1")  # as where somebody may trace
        assert run_in(other, "true").state.success
        assert other.plan is not None
        number = step_of(other.plan, "clone_command")
    with thief(watcher, output, what, number) as container:
        outcomes: list[str] = []
        while goes_on(outcomes, 40, output):
            words = ["sleep", "600"]
            process = libct.Process(words, env=[PATH], capabilities=config.capabilities)

            def begin(process: libct.Process = process) -> libct.Process:
                container.run(process)
                return process

            outcomes.append(outcome(begin))
    look_at(output)
    if what == "keep":
        assert set(outcomes) == {"ran"}
    assert [one for one in outcomes if not AS_SAID.search(one)] == []


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("held", [False, True], ids=["run", "created"])
def test_who_takes_the_talk_of_what_starts_in_a_pod(
    tmp_path: Path, watcher: Path, what: str, held: bool
) -> None:
    output = tmp_path / "output"
    with thief(watcher, output, what, 1) as pod:
        config = pod_member(pod.state()["pid"])
        outcomes: list[str] = []
        while goes_on(outcomes, 20, output):
            process = libct.Process(["sleep", "600"], env=[PATH], init=True)
            with libct.create(state_directory(), unique(), config) as member:

                def begin(
                    member: libct.Container = member, process: libct.Process = process
                ) -> libct.Process:
                    if held:
                        member.start(process)
                        member.exec()
                    else:
                        member.run(process)
                    return process

                outcomes.append(outcome(begin))
    look_at(output)
    if what == "keep":
        assert set(outcomes) == {"ran"}
    assert [one for one in outcomes if not AS_SAID.search(one)] == []
