"""Checkpoint and restore with CRIU, on a kernel that it knows: what counts goes on counting."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct as library

from ..commands import CHECKOUT, libct, libct_command, libct_environment
from ..support import requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    requires("root"),
    pytest.mark.skipif(
        os.environ.get("LIBCT_VM") != "debian12", reason="CRIU is tried in the lane debian12 alone"
    ),
]

PORT = "7000"
CLIENT = (
    "import socket\n"
    f"s = socket.create_connection(('127.0.0.1', {PORT}))\n"
    "print(s.makefile().read())"
)
KINDS = ("thread", "timer", "pipe")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Of the counting program: /usr is the host's, the rest a directory of its own."""
    made = tmp_path / "bundle"
    rootfs = made / "rootfs"
    for name in ("usr", "proc", "sys", "dev", "tmp", "data"):
        (rootfs / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            (rootfs / name).symlink_to(f"usr/{name}")
    shutil.copy(CHECKOUT / "tests/counting.py", rootfs / "counting.py")
    libct("spec", "-b", made, check=True)
    text = json.loads((made / "config.json").read_text())
    text["process"]["terminal"] = False
    text["process"]["args"] = ["/usr/bin/python3", "/counting.py", PORT, "/data/lines"]
    text["root"]["readonly"] = False
    text["mounts"].append(
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}
    )
    (made / "config.json").write_text(json.dumps(text))
    return made


class Counting:
    """A container that counts."""

    def __init__(self, bundle: Path, root: Path) -> None:
        self.bundle, self.root, self.name = bundle, root, unique()

    def command(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = libct(*map(str, words), root=self.root, timeout=200)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def start(self) -> None:
        with open(self.bundle / "out", "w") as out:
            subprocess.run(
                libct_command("run", "-d", "-b", self.bundle, self.name, root=self.root),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=True,
                env=libct_environment(),
            )

        def listens() -> bool:
            return "listening" in (self.bundle / "out").read_text()

        wait_until(listens)

    def checkpoint(self, images: Path, *options: object) -> None:
        self.command("checkpoint", "--image-path", images, *options, self.name)

    def restore(self, images: Path, *options: object, check: bool = True) -> str:
        words = ["restore", "-d", "-b", self.bundle, "--image-path", images, *options]
        with open(self.bundle / "out", "a+") as out:
            done = subprocess.run(
                libct_command(*map(str, words), self.name, root=self.root),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
                env=libct_environment(),
            )
            out.seek(0)
            said = out.read()
        assert done.returncode == 0 or not check, said
        return said

    def status(self) -> str:
        return str(json.loads(self.command("state", self.name).stdout)["status"])

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(
            self.command("exec", self.name, "/usr/bin/python3", "-c", CLIENT).stdout
        )
        return found

    def goes_on_from(self, before: dict[str, int]) -> dict[str, int]:
        """That all counts are those of then, and more; the latest ones."""
        first = self.counts()
        assert first["connections"] == before["connections"] + 1
        for kind in KINDS:
            assert first[kind] >= before[kind]
        deadline = time.monotonic() + 60
        while True:
            now = self.counts()
            if all(now[kind] > first[kind] for kind in KINDS):
                break
            assert time.monotonic() < deadline, (first, now)
        # One that is being written just now may be there in part.
        lines = (self.bundle / "rootfs/data/lines").read_text().splitlines(keepends=True)
        lines = [line.strip() for line in lines if line.endswith("\n")]
        assert lines == [str(number) for number in range(1, len(lines) + 1)]
        return now

    def delete(self) -> None:
        self.command("delete", "-f", self.name)


@pytest.fixture
def counting(bundle: Path, tmp_path: Path) -> Iterator[Counting]:
    container = Counting(bundle, tmp_path / "root")
    container.start()
    yield container
    container.delete()


def test_it_goes_on_in_a_new_container_twice(counting: Counting, tmp_path: Path) -> None:
    before = counting.counts()
    for number in range(2):
        images = tmp_path / f"images{number}"
        counting.checkpoint(images)
        listed = counting.command("list", "-q").stdout.split()
        assert counting.name not in listed
        counting.name = unique()
        counting.restore(images, "--pid-file", tmp_path / "pid")
        assert counting.status() == "running"
        state = json.loads(counting.command("state", counting.name).stdout)
        assert int((tmp_path / "pid").read_text()) == state["pid"]
        before = counting.goes_on_from(before)
        assert not (counting.root / counting.name / "criu-root").exists()


def test_it_runs_on_where_it_is_left_running(counting: Counting, tmp_path: Path) -> None:
    """And from the files another one goes on, in another root, once the first has gone."""
    before = counting.counts()
    images = tmp_path / "images"
    counting.checkpoint(images, "--leave-running", "--work-path", tmp_path / "work")
    assert counting.status() == "running"
    assert (tmp_path / "work/dump.log").exists()
    counting.goes_on_from(before)
    counting.delete()
    (counting.bundle / "rootfs/data/lines").unlink()  # it was written to since
    counting.root, counting.name = tmp_path / "elsewhere", unique()
    said = counting.restore(images, check=False)
    # The file is another one than that of then, which CRIU tells.
    assert "lines" in said
    assert counting.command("list", "-q").stdout.split() == []


def test_another_root_and_the_memory_written_ahead(counting: Counting, tmp_path: Path) -> None:
    before = counting.counts()
    counting.checkpoint(tmp_path / "first", "--pre-dump")
    assert counting.status() == "running"
    counting.checkpoint(tmp_path / "second", "--parent-path", "../first")
    counting.root, counting.name = tmp_path / "elsewhere", unique()
    counting.restore(tmp_path / "second")
    counting.goes_on_from(before)


def test_a_restore_that_is_killed_is_tried_again(counting: Counting, tmp_path: Path) -> None:
    before = counting.counts()
    images = tmp_path / "images"
    counting.checkpoint(images)
    for seconds in (0.5, 1.0, 2.0):
        counting.name = unique()
        words = ["restore", "-d", "-b", str(counting.bundle), "--image-path", str(images)]
        started = subprocess.Popen(
            libct_command(*words, counting.name, root=counting.root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=libct_environment(),
        )
        time.sleep(seconds)
        started.kill()
        started.wait()
        counting.delete()
        assert not (counting.root / counting.name).exists()
        mounted = Path("/proc/self/mountinfo").read_text()
        assert "criu-root" not in mounted
    counting.name = unique()
    counting.restore(images)
    counting.goes_on_from(before)


def test_by_the_library(counting: Counting, tmp_path: Path) -> None:
    """As in docs/checkpoint.md: the first process is the caller's child, and tells how it ended."""
    before = counting.counts()
    images = tmp_path / "images"
    container = library.load(str(counting.root), counting.name)
    container.checkpoint(str(images))
    assert container.status() == "stopped"
    container.destroy()
    config, process = library.from_bundle(str(counting.bundle))
    assert process is not None
    with open(counting.bundle / "out", "a") as out:
        process.stdin = os.open("/dev/null", os.O_RDONLY)
        process.stdout = process.stderr = out
        counting.name = unique()
        made = library.restore(str(counting.root), counting.name, config, process, str(images))
        os.close(process.stdin)
    assert made.state()["pid"] == process.pid
    counting.goes_on_from(before)
    made.signal(signal.SIGKILL)
    assert process.wait(60).signal == signal.SIGKILL
    assert made.status() == "stopped"
    assert made.state()["annotations"]["libct.exit-status"] == "137"


def test_what_criu_cannot_do_leaves_the_container_alone(counting: Counting, tmp_path: Path) -> None:
    """An open TCP connection, without --tcp-established."""
    before = counting.counts()
    hold = CLIENT.replace("print(s.makefile().read())", "import time; time.sleep(1000)")
    counting.command("exec", "-d", counting.name, "/usr/bin/python3", "-c", hold)

    def connected() -> bool:
        return counting.counts()["connections"] > before["connections"] + 1

    wait_until(connected)
    done = counting.command(
        "checkpoint", "--image-path", tmp_path / "images", counting.name, check=False
    )
    if done.returncode:  # who holds it is of another session, or the connection is open
        assert f"{tmp_path}/images/dump.log" in done.stderr
        assert "Error" in done.stderr
        assert counting.status() == "running"
