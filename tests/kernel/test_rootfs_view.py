"""The host's own root as a rootfs: read-only, or below an overlay."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.sandbox.config import sandbox
from tests.support import (
    CLONE_NEWNS,
    in_namespaces,
    libct as command,
    mount as kernel_mount,
    requires,
    unique,
)

from .rootfs_box import Outcome, make_config, mounted, new_rootfs, run_config, run_prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = requires("root", "overlay")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of the host's with a home in it, and secrets in that."""
    path = Path(tempfile.mkdtemp(prefix=unique(), dir="/var/tmp"))
    path.chmod(0o755)
    (path / "beside").write_text("beside\n")
    (path / "home").mkdir()
    (path / "home/secret").write_text("secret\n")
    (path / "link").symlink_to("beside")
    (path / "disk").mkdir()
    (path / "disk/covered").write_text("covered\n")
    monkeypatch.setenv("HOME", str(path / "home"))
    monkeypatch.chdir("/")
    yield path
    shutil.rmtree(path)


def run_sandbox(script: str, **options: Any) -> Outcome:
    return run_prepared(*sandbox(["/bin/sh", "-c", script], **options))


WRITE = "(echo new > {}) 2>/dev/null && echo wrote || echo failed"


def test_all_is_read_only_but_what_is_its_own(place: Path) -> None:
    paths = [
        "/x",
        "/etc/x",
        "/usr/x",
        f"{place}/x",
        f"{place}/beside",
        "/tmp/x",
        "$HOME/x",
        "/dev/x",
    ]
    script = "; ".join(WRITE.format(path) for path in paths)
    run = run_sandbox(
        f"{script}; cat {place}/link; ls -A $HOME /sys/fs | head -3; cat /proc/self/mountinfo"
    )
    assert run.lines[:8] == ["failed"] * 5 + ["wrote"] * 3
    assert run.lines[8] == "beside"
    found = mounted(run.text)
    assert found["/"].fstype == "tmpfs"
    assert "ro" in found["/"].options
    own = {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/tmp", "/run", f"{place}/home"}
    others = {point for point in found if not point.startswith("/proc/")} - own
    assert {"/", "/sys"} <= others
    for point in others:
        assert "ro" in found[point].options, point


@pytest.mark.parametrize("overlay", [False, True])
def test_what_is_covered_is_not_there_at_all(place: Path, overlay: bool) -> None:
    """With all rights in there: unmounting shows nothing of the host's."""
    points = ("/dev", "/tmp", "/run", str(place / "home"), "/proc", "/sys")
    program = f"""
import ctypes, os
libc = ctypes.CDLL(None)
for point in {points}:
    while libc.umount2(point.encode(), 2) == 0:
        pass
    print(os.listdir(point))
"""
    command = ["/usr/bin/python3", "-ISc", program]
    config, process = sandbox(command, keep_caps=True, overlay=overlay)
    assert run_prepared(config, process).lines == ["[]"] * len(points)


def test_an_overlay_takes_the_writes_and_goes(place: Path) -> None:
    paths = ["/x", "/etc/libct-x", "/usr/libct-x", f"{place}/x", f"{place}/beside", "$HOME/x"]
    script = "; ".join(WRITE.format(path) for path in paths)
    more = f"cd {place}; rm link; rm -r disk/*; ls; cat beside; echo > /etc/hostname"
    run = run_sandbox(f"{script}; {more}; stat -c %a /tmp / /etc", overlay=True)
    assert run.lines[:6] == ["wrote"] * 6
    assert run.lines[6:] == [
        *("beside", "disk", "home", "x", "new", "1777"),
        *modes("/", "/etc"),
    ]
    for path in ("/x", "/etc/libct-x", "/usr/libct-x", place / "x", place / "home/x"):
        assert not os.path.exists(path)
    assert (place / "beside").read_text() == "beside\n"
    assert (place / "disk/covered").exists()


def modes(*paths: str) -> list[str]:
    return [f"{os.stat(path).st_mode & 0o7777:o}" for path in paths]


@pytest.mark.parametrize("overlay", [False, True])
def test_other_file_systems_come_along(place: Path, overlay: bool) -> None:
    def body() -> None:
        kernel_mount("tmpfs", str(place / "disk"), "tmpfs")
        (place / "disk/file").write_text("on disk\n")
        (place / "disk/inner").mkdir()
        kernel_mount("tmpfs", str(place / "disk/inner"), "tmpfs")
        (place / "disk/inner/file").write_text("inner\n")
        (place / "hosts").touch()
        kernel_mount("/etc/hostname", str(place / "hosts"), flags=0x1000)
        (place / "big").write_bytes(bytes(2 << 20))
        paths = ["disk/file", "disk/inner/file", "big", "beside", "disk/../y"]
        script = "; ".join(WRITE.format(path) for path in paths)
        run = run_sandbox(
            f"cd {place}; cat disk/file disk/inner/file hosts; {script}; ls -A home",
            overlay=overlay,
        )
        assert run.lines[:2] == ["on disk", "inner"]
        assert run.lines[2] == Path("/etc/hostname").read_text().strip()
        wrote = "wrote" if overlay else "failed"
        assert run.lines[3:] == ["failed"] * 3 + [wrote] * 2
        assert (place / "disk/file").read_text() == "on disk\n"

    in_namespaces(CLONE_NEWNS, body)


@pytest.mark.parametrize("overlay", [False, True])
def test_shared_paths_below_tmp_and_home(place: Path, overlay: bool) -> None:
    with tempfile.TemporaryDirectory(prefix=unique(), dir="/tmp") as tmp:
        Path(tmp, "file").write_text("host's\n")
        script = f"""
            cat {tmp}/file {place}/home/secret; {WRITE.format(f"{tmp}/made")}
            {WRITE.format(f"{place}/home/secret")}; cat /new/file; {WRITE.format("/new/other")}
        """
        run = run_sandbox(
            script,
            overlay=overlay,
            rw=[tmp],
            ro=[str(place / "home/secret")],
            bind=[(tmp, "/new")],
        )
        assert run.lines == ["host's", "secret", "wrote", "failed", "host's", "wrote"]
        assert sorted(os.listdir(tmp)) == ["file", "made", "other"]


@pytest.mark.parametrize("kind", ["read-only", "overlay"])
def test_a_view_of_another_directory(kind: str) -> None:
    with new_rootfs() as rootfs:
        (rootfs / "etc/sub:dir,x").mkdir()
        (rootfs / "etc/sub:dir,x/file").write_text("odd\n")
        (rootfs / "odd:name,\\x").mkdir()
        os.mkfifo(rootfs / "fifo")
        os.chown(rootfs / "home", 1000, 1000)
        (rootfs / "home").chmod(0o2750)
        config = make_config(rootfs, rootfs_view=kind, full=True)
        script = f"""
            {WRITE.format("/etc/new")}; cat '/etc/sub:dir,x/file'; ls /dev | wc -l
            stat -c '%a %u' /home; ls -d /odd*; test -p /fifo && readlink /usr/bin
        """
        run = run_config(config, script)
        first = "wrote" if kind == "overlay" else "failed"
        assert run.lines[0] == first
        assert run.lines[1] == "odd"
        assert run.lines[3:] == ["2750 1000", "/odd:name,\\x", "../bin"]
        assert not (rootfs / "etc/new").exists()
        assert os.listdir(rootfs / "dev") == []


@requires("user")
@pytest.mark.parametrize("overlay", [False, True])
def test_an_ordinary_user_s(overlay: bool) -> None:
    """In a user namespace, where what is mounted below / can be neither cloned alone nor undone."""
    new = "/etc/libct-new"
    script = f"id -u; (echo new > {new}) 2>/dev/null && cat {new}; echo > ~/x && echo ok; ls /"
    options = ["--overlay"] if overlay else []
    ran = command("sandbox", *options, "--", "sh", "-c", script, user=True)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[1:-1][: 2 if overlay else 1] == (["new", "ok"] if overlay else ["ok"])
    assert "usr" in lines
    assert not os.path.exists("/etc/libct-new")


def test_root_in_a_user_namespace_has_the_view_too(place: Path) -> None:
    for kind in ("read-only", "overlay"):
        config, process = sandbox(
            ["/bin/sh", "-c", f"cat {place}/beside; umount -l /proc; ls /proc"]
        )
        config.rootfs_view = kind
        config.readonlyfs = kind == "read-only"
        config.namespaces.append(libct.Namespace("NEWUSER"))
        config.uid_mappings = config.gid_mappings = [libct.IDMap(0, 0, 65_536)]
        assert run_prepared(config, process).lines[0] == "beside"
