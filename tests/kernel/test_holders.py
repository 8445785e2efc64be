"""Who holds the lock of a container, and what a removal by force makes of that."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.life.directory import Directory

from ..containers import state_directory
from ..ownership import USUAL, existing, hierarchies, on_both, path_of, started
from ..support import (
    CLONE_NEWNS,
    busybox_rootfs,
    in_namespaces,
    libct,
    make_bundle,
    mount,
    requires,
    session_directory,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


@contextlib.contextmanager
def holding(path: str, *fds: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock on a directory, and has these descriptors."""
    process = subprocess.Popen(
        ["flock", path, "sleep", "1000"], start_new_session=True, pass_fds=fds
    )
    try:
        assert wait_until(lambda: Directory(*os.path.split(path)).locked())
        yield process
        assert process.poll() is None
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.mark.parametrize("kind", ["plain", "overlay", "tmpfs"])
def test_who_holds_a_lock_is_told(kind: str, tmp_path: Path) -> None:
    """Whatever the numbers are that stat(2) and /proc/locks have for the file system."""

    def body() -> None:
        root = tmp_path
        if kind != "plain":
            mount("tmpfs", str(tmp_path), "tmpfs")
        if kind == "overlay":
            for name in ("lower", "upper", "work", "root"):
                os.mkdir(tmp_path / name)
            root = tmp_path / "root"
            data = ",".join(f"{name}dir={tmp_path}/{name}" for name in ("lower", "upper", "work"))
            mount("overlay", str(root), "overlay", data=data)
        for name in ("one", "other"):
            os.mkdir(root / name)
        one, other = (Directory(str(root), name) for name in ("one", "other"))
        opened = os.open(one.path, os.O_RDONLY)
        # Who has it open, and holds another lock, does not hold this one; nor does who waits.
        with holding(other.path, opened):
            os.close(opened)
            assert one.holders() == set()
            with holding(one.path) as holder:
                waiting = subprocess.Popen(["flock", one.path, "true"])
                time.sleep(0.1)
                assert one.holders() == {holder.pid}
                waiting.kill()
                waiting.wait()

    in_namespaces(CLONE_NEWNS, body)


@on_both
def test_who_holds_the_lock_and_is_in_the_groups_is_told(on: Any, tmp_path: Path) -> None:
    """It is not killed; and the error says who it is."""
    bundle = make_bundle(
        tmp_path,
        rootfs=busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory()))),
        args=["sleep", "1000"],
        linux={"cgroupsPath": f"/{unique()}/g", "namespaces": USUAL},
    )

    def body() -> None:
        with started(bundle) as one:
            directory = f"{state_directory()}/{one}"
            with holding(directory) as holder:
                for top in hierarchies():
                    Path(top, path_of(bundle), "cgroup.procs").write_text(str(holder.pid))
                done = libct("delete", "--force", one)
                assert done.returncode == 1
                assert f"process {holder.pid} in it holds the container's lock" in done.stderr
                assert "delete the container again" in done.stderr
                assert holder.poll() is None
            libct("delete", "--force", one, check=True)
        assert existing(path_of(bundle)) == []

    on(body)
