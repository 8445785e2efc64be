"""Debian's podman with libct as its runtime, in storage of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import (
    CHECKOUT,
    give_to_user,
    session_directory,
    user_checkout,
    user_python,
)
from .engines import POLITE, Client, processes, remove_groups, rootfs_archive, runtime_program
from .leaks import wait_until
from .names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

# Limits that a root without CAP_SYS_RESOURCE may set; podman's own are higher.
LIMITS = 'default_ulimits = ["nofile=1024:4096", "nproc=1000:1000"]'

_CONFIGURATION = f"""
[containers]
{LIMITS}
netns = "none"
log_driver = "k8s-file"
%(containers)s
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime_supports_json = ["libct"]
"""
IMAGE = "box"

# Makes a call that podman's default profile forbids, and has no other reason to say EPERM.
FORBIDDEN_CALL = """
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    syscall(SYS_vmsplice, -1, 0, 0, 0);
    perror("vmsplice");
    return 0;
}
"""


def called_under_profiles(podman: Podman) -> list[list[str]]:
    """What the forbidden call says, and the filter, by default and without a profile.

    The same for `run` and for `exec`.
    """
    volume = ["--volume", f"{forbidden_call()}:/call:ro"]
    script = "/call/call 2>&1; grep -h Seccomp: /proc/self/status"
    found = []
    for options in ([], ["--security-opt", "seccomp=unconfined"]):
        name, box = unique(), [*volume, *options, IMAGE]
        podman("run", "--detach", "--name", name, *box, "sleep", "60", check=True)
        first = podman("run", "--rm", *box, "sh", "-c", script)
        further = podman("exec", name, "sh", "-c", script)
        assert first.stdout == further.stdout
        found.append(first.stdout.splitlines())
        podman("rm", "--force", "--time", "0", name, check=True)
    return found


def forbidden_call() -> Path:
    """The directory of that program, call, which anybody may execute."""
    place = Path(tempfile.mkdtemp(prefix="call-", dir=session_directory()))
    (place / "call.c").write_text(FORBIDDEN_CALL)
    subprocess.run(["cc", "-static", "-o", place / "call", place / "call.c"], check=True)
    place.chmod(0o755)
    return place


class Podman(Client):
    """Commands of podman, all on one storage; close() removes that and all that is in it.

    user: as the ordinary user.  configuration: more lines for [containers].
    image: a busybox_rootfs(), as localhost/box.
    """

    def __init__(self, *, user: bool = False, configuration: str = "") -> None:
        self.user = user
        self.place = Path(tempfile.mkdtemp(prefix="podman-", dir=session_directory()))
        self.directory = self.place  # where conmon makes a file when memory has run out
        self.parent = unique("podman")  # of the containers' control groups
        self.runtime = self.place / "libct"
        python, checkout = (user_python(), user_checkout()) if user else (sys.executable, CHECKOUT)
        runtime_program(self.runtime, python, checkout)
        settings = self.place / "containers.conf"
        settings.write_text(_CONFIGURATION % {"containers": configuration})
        archive = rootfs_archive(self.place)
        if user:
            give_to_user(self.place)
        self.environment = {"CONTAINERS_CONF": str(settings)}
        if user:
            # Not that of other tests: podman leaves files in it.
            runtime_directory = self.place / "xdg"
            runtime_directory.mkdir(mode=0o700)
            give_to_user(runtime_directory)
            self.environment["XDG_RUNTIME_DIR"] = str(runtime_directory)
        self("import", "--quiet", archive, IMAGE, check=True)

    def command(self, *args: str | os.PathLike[str]) -> list[str]:
        command = ["podman", "--runtime", str(self.runtime), "--storage-driver", "overlay"]
        for option, name in (("root", "storage"), ("runroot", "run"), ("tmpdir", "tmp")):
            command += [f"--{option}", str(self.place / name)]
        words = [os.fspath(arg) for arg in args]
        if words[0] in ("run", "create") or words[:2] == ["pod", "create"]:
            # A name of its own for the control groups, which are looked for when a test ends.
            at = 2 if words[0] == "pod" else 1
            words[at:at] = [] if self.user else ["--cgroup-parent", f"/{self.parent}"]
        return command + words

    def run_polite(self) -> str:
        """The name of a running container of POLITE, which has said that it is ready."""
        name = unique()
        self("run", "--detach", "--name", name, IMAGE, "sh", "-c", POLITE, check=True)
        assert wait_until(lambda: self.output("logs", name) == "ready\n")
        return name

    def clear(self) -> None:
        """Remove all containers and pods, and wait until their monitors are gone.

        A monitor ends with a `podman container cleanup`, which fails when the container has
        been removed before; and a command of podman's that fails leaves the storage mounted
        on itself.  The next one that succeeds unmounts it, so one runs when all others are over.
        """
        pods = []
        if self.output("ps", "--all", "--quiet"):  # infra containers of pods are listed, too
            pods = self.output("pod", "ps", "--quiet", "--no-trunc").split()
            self("pod", "rm", "--all", "--force", "--time", "0")
            self("rm", "--all", "--force", "--time", "0")
        over = wait_until(lambda: not list(self.processes()), patience=60)
        left = self.output("ps", "--all")
        assert left.count("\n") == 1, f"podman cannot remove\n{left}"
        assert over, list(self.processes())
        for pod in pods:
            # In hierarchies that podman does not know it leaves them, with any runtime.
            remove_groups(f"{self.parent}/{pod}")

    def processes(self) -> Iterator[str]:
        """Processes whose command line names the storage: of conmon, podman and libct."""
        return processes(str(self.place))

    def close(self) -> None:
        self.clear()
        pause = self.place / "tmp/pause.pid"
        if pause.exists():  # the process that keeps an ordinary user's namespaces
            os.kill(int(pause.read_text()), signal.SIGKILL)
        remove_groups(self.parent)
        if self.user and os.geteuid() != 0:
            self("unshare", "rm", "-rf", self.place / "storage")  # has files of subordinate ids
        shutil.rmtree(self.place)
