"""What the tests of container engines share: a program that starts libct, an image, a place."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .bundles import busybox_rootfs
from .commands import run, session_directory
from .leaks import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# The image that image_archive() makes: a busybox_rootfs().
IMAGE = "docker.io/library/box:latest"
# A command that says when it has trapped SIGTERM, and ends by that.
# Says which filter it is under, and whether the engine's default profile forbids unshare(2).
FILTERED = "grep -h Seccomp: /proc/self/status; unshare -U true 2>/dev/null && echo made"
FORBIDDEN, ALLOWED = ["Seccomp:", "2"], ["Seccomp:", "0", "made"]

POLITE = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
# Says which filter it is under, and whether that forbids unshare(2), as engines' defaults do.
FILTERED = "grep -h Seccomp: /proc/self/status; unshare -U true 2>/dev/null && echo made"
FORBIDDEN, ALLOWED = ["Seccomp:", "2"], ["Seccomp:", "0", "made"]

# Process 1 of a Private, which waits for what the engine leaves to it.  Engines have files in
# /run and /etc whose places cannot be chosen.
_FIRST_PROCESS = """
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/etc /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work overlay /etc
ip link set lo up
echo ready
sleep infinity &
wait $!
"""


def runtime_program(path: Path, python: str, checkout: Path, *, log: Path | None = None) -> None:
    """Write a program for engines to run, which is the libct of a checkout.

    log: a file that gets a line with the arguments of each call.
    """
    note = f'echo "$*" >>{log}\n' if log else ""
    path.write_text(f'#!/bin/sh\n{note}exec {python} -I -S {checkout}/libct/__main__.py "$@"\n')
    path.chmod(0o755)


def rootfs_archive(directory: Path) -> Path:
    """A busybox_rootfs() as a tar archive in directory."""
    rootfs = busybox_rootfs(directory)
    archive = directory / "rootfs.tar"
    subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
    shutil.rmtree(rootfs)
    return archive


def image_archive(directory: Path) -> Path:
    """IMAGE in the form of `docker save`, in directory."""
    layer = rootfs_archive(directory)
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    machine = platform.machine()
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "image.json", "RepoTags": [IMAGE], "Layers": [layer.name]}]
    files = {"image.json": image, "manifest.json": manifest}
    for file, value in files.items():
        (directory / file).write_text(json.dumps(value))
    archive = directory / "image.tar"
    subprocess.run(["tar", "-C", directory, "-cf", archive, *files, layer.name], check=True)
    return archive


def remove_groups(name: str) -> None:
    """Remove the control groups of this path, with those below, from each hierarchy."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, source = line.partition(" - ")
        if source.split()[0] in ("cgroup", "cgroup2"):
            group = os.path.join(place.split()[4], name)
            for directory, _, _ in os.walk(group, topdown=False):
                os.rmdir(directory)


def processes(*names: str) -> Iterator[str]:
    """Processes that have all of the names in their command lines."""
    for entry in os.listdir("/proc"):
        try:
            line = Path(f"/proc/{entry}/cmdline").read_text(errors="replace")
        except OSError:
            continue  # no process, or it is gone
        if all(name in line for name in names):
            yield f"{entry} {line}"


class Client:
    """The command line of an engine.

    environment: added to that of its commands.
    user: they are the ordinary user's.
    directory: where they work; None for that of the tests.
    """

    environment: Mapping[str, str]
    user = False
    directory: Path | None = None

    def command(self, *args: str | os.PathLike[str]) -> list[str]:
        """The command line that __call__ runs."""
        raise NotImplementedError

    def __call__(
        self,
        *args: str | os.PathLike[str],
        input: str = "",  # noqa: A002  # as subprocess.run() has it
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        return run(
            self.command(*args),
            user=self.user,
            env=self.environment,
            cwd=self.directory,
            input=input,
            check=check,
        )

    def output(self, *args: str | os.PathLike[str], input: str = "") -> str:  # noqa: A002
        """What a command that must succeed prints."""
        return self(*args, input=input, check=True).stdout

    def inspect(self, name: str, template: str) -> str:
        """A Go template over what the engine knows of a container."""
        return self.output("inspect", "--format", template, name).rstrip("\n")


class Private:
    """A directory, and mount, network and process id namespaces for the daemons of an engine.

    They see the host's files, but have /run and /etc to themselves.  close()
    ends all that runs there, and removes the directory.
    """

    def __init__(self, name: str) -> None:
        self.place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=session_directory()))
        command = ["setpriv", "--pdeathsig", "KILL"]  # if the tests are killed, so is all of it
        command += ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        command += ["--propagation", "private", "sh", "-ec", _FIRST_PROCESS]
        self._unshare = self._popen(command, "first")
        try:
            self._wait(self._unshare, "first", lambda: self._log("first") == "ready\n")
        except BaseException:
            self._unshare.kill()  # its child goes with it
            self._unshare.wait()
            raise
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self.first = int(children.read_text())  # as the host numbers it
        self._daemons: list[subprocess.Popen[bytes]] = []

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line that runs another one in the namespaces."""
        return ["nsenter", "--target", str(self.first), "--mount", "--net", "--pid", *words]

    def start(self, words: Sequence[str], ready: Callable[[], bool]) -> None:
        """Start a daemon, and return when it is ready."""
        daemon = self._popen(self.command(words), words[0])
        self._daemons.append(daemon)
        self._wait(daemon, words[0], ready)

    def close(self) -> None:
        os.kill(self.first, signal.SIGKILL)  # and with it all that is in its namespace
        for process in (*self._daemons, self._unshare):
            process.wait()
        shutil.rmtree(self.place)

    def _popen(self, command: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        with open(self.place / f"{log}.log", "wb") as file:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # the keys of a terminal are not for it
            )

    def _wait(self, process: subprocess.Popen[bytes], log: str, ready: Callable[[], bool]) -> None:
        wait_until(lambda: process.poll() is not None or ready(), patience=60)
        if process.poll() is not None or not ready():
            pytest.fail(f"{process.args!r} did not get ready:\n{self._log(log)}")

    def _log(self, name: str) -> str:
        return (self.place / f"{name}.log").read_text(errors="replace")
