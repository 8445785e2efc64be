"""Debian's Docker with libct as its runtime, in namespaces of its own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from .commands import DOCKER
from .containerd import Containerd
from .engines import IMAGE, POLITE, Client, image_archive, remove_groups
from .leaks import wait_until
from .names import unique

if TYPE_CHECKING:
    pass


class Docker(Client):
    """Commands of docker for a daemon of their own; close() ends it and all that it runs."""

    def __init__(self) -> None:
        self.containerd = Containerd()
        self.private = self.containerd.private
        self.place = self.private.place
        self.parent = unique("docker")  # of the containers' control groups
        self.host = f"unix://{self.place}/docker.sock"
        self.environment = {"DOCKER_CONFIG": str(self.place / "client")}
        settings = self.place / "daemon.json"
        settings.write_text(
            json.dumps(
                {
                    "hosts": [self.host],
                    "containerd": self.containerd.address,
                    "containerd-namespace": unique("moby"),
                    "data-root": str(self.place / "data"),
                    "exec-root": str(self.place / "exec"),
                    "pidfile": str(self.place / "docker.pid"),
                    "storage-driver": "overlay2",
                    "runtimes": {"libct": {"path": str(self.containerd.runtime)}},
                    "default-runtime": "libct",
                    "cgroup-parent": f"/{self.parent}",
                    "exec-opts": ["native.cgroupdriver=cgroupfs"],
                    "iptables": False,
                    "ip6tables": False,
                    "oom-score-adjust": 0,  # a lower one takes CAP_SYS_RESOURCE
                }
            )
        )
        try:
            self.private.start(
                ["dockerd", "--config-file", str(settings)],
                lambda: self("version").returncode == 0,
            )
        except BaseException:
            self.containerd.close()
            raise

    def load_image(self) -> None:
        """Load IMAGE, which is a busybox_rootfs()."""
        self("load", "--input", image_archive(self.place), check=True)

    def command(self, *args: str | os.PathLike[str]) -> list[str]:
        return [DOCKER, "--host", self.host, *(os.fspath(arg) for arg in args)]

    def run_polite(self, *options: str) -> str:
        """The name of a running container of POLITE, which has said that it is ready."""
        name = unique()
        self("run", "--detach", "--name", name, *options, IMAGE, "sh", "-c", POLITE, check=True)
        assert wait_until(lambda: self.output("logs", name) == "ready\n")
        return name

    def clear(self) -> None:
        """Remove all containers, and wait until their shims are gone."""
        containers = self.output("ps", "--all", "--quiet").split()
        if containers:
            self("rm", "--force", *containers, check=True)
        assert wait_until(lambda: not list(self.containerd.shims()))

    def close(self) -> None:
        try:
            self.clear()
        finally:
            self.containerd.close()
            remove_groups(self.parent)
