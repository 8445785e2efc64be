"""Debian's containerd with libct as its runtime, and ctr, in namespaces of their own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .commands import CHECKOUT
from .engines import (
    IMAGE,
    POLITE,
    Client,
    Private,
    image_archive,
    processes,
    remove_groups,
    runtime_program,
)
from .leaks import wait_until
from .names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

# Plugins that are not used here; "opt" would make directories in /opt.
_CONFIGURATION = """
version = 2
root = "{place}/root"
state = "{place}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{place}/containerd.sock"
"""


class Containerd(Client):
    """Commands of ctr for a daemon of their own; close() ends it and all that it runs."""

    def __init__(self) -> None:
        self.private = Private("containerd")
        self.place = self.private.place
        # It is also the control group that those of the containers are in.
        self.namespace = unique("containerd")
        self.address = str(self.place / "containerd.sock")
        self.calls = self.place / "calls"
        self.runtime = self.place / "libct"
        runtime_program(self.runtime, sys.executable, CHECKOUT, log=self.calls)
        self.environment = {
            "CONTAINERD_ADDRESS": self.address,
            "CONTAINERD_NAMESPACE": self.namespace,
            "CONTAINERD_SNAPSHOTTER": "overlayfs",
        }
        configuration = self.place / "containerd.toml"
        configuration.write_text(_CONFIGURATION.format(place=self.place))
        try:
            self.private.start(
                ["containerd", "--config", str(configuration)],
                lambda: os.path.exists(self.address) and self("version").returncode == 0,
            )
        except BaseException:
            self.private.close()
            raise

    def load_image(self) -> None:
        """Load IMAGE, which is a busybox_rootfs()."""
        self("images", "import", image_archive(self.place), check=True)

    def command(self, *args: str | os.PathLike[str]) -> list[str]:
        words = [os.fspath(arg) for arg in args]
        if words[0] == "run":
            words[1:1] = ["--runc-binary", str(self.runtime)]
        return self.private.command(["ctr", *words])

    def run_polite(self) -> str:
        """The name of a running container of POLITE, which has said that it is ready."""
        name = unique()
        log = self.place / f"{name}.log"
        command = [IMAGE, name, "sh", "-c", POLITE]
        self("run", "--detach", "--log-uri", f"file://{log}", *command, check=True)
        assert wait_until(lambda: log.read_text() == "ready\n")
        return name

    def status(self, name: str) -> str:
        """What `ctr tasks ls` has about a container: RUNNING and the like; "" if it has nothing."""
        rows = [line.split() for line in self.output("tasks", "ls").splitlines()]
        return next((row[2] for row in rows if row[0] == name), "")

    def clear(self) -> None:
        """Remove all containers, and wait until their shims are gone."""
        for task in self.output("tasks", "ls", "--quiet").split():
            self("tasks", "delete", "--force", task)
        for container in self.output("containers", "ls", "--quiet").split():
            self("containers", "rm", container, check=True)
        assert wait_until(lambda: not list(self.shims())), list(self.shims())

    def shims(self) -> Iterator[str]:
        return processes("containerd-shim", str(self.place))

    def close(self) -> None:
        try:
            self.clear()
        finally:
            self.private.close()
            remove_groups(self.namespace)
