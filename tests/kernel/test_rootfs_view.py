"""The host's own root as a rootfs: read-only, or below an overlay."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config.mount_flags import MS_BIND, MS_REC
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
    own.add(os.path.realpath(pwd.getpwuid(os.geteuid()).pw_dir))  # whatever HOME says
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


@pytest.mark.parametrize("user", [False, pytest.param(True, marks=requires("user"))])
@pytest.mark.parametrize("overlay", [False, True])
def test_the_way_up_from_the_root_leads_to_the_root(overlay: bool, user: bool) -> None:
    script = "ls -A /; echo --; ls -A /..; echo --; cat /../etc/passwd"
    options = ["--overlay"] if overlay else []
    ran = command("sandbox", *options, "--", "sh", "-c", script, user=user, check=True)
    first, second, text = ran.stdout.split("--\n")
    assert first == second
    assert "usr" in first
    assert text == Path("/etc/passwd").read_text()


def test_sources_may_lead_up_from_the_root(place: Path) -> None:
    """By a path, or by a relative link in the root, which had led into the new root."""
    (place / "up").symlink_to("../" * 20 + str(place / "disk")[1:])
    (place / "disk/file").write_text("host's\n")
    script = f"cat /a/file /b/file; {WRITE.format('/a/new')}; {WRITE.format('/b/other')}"
    binds = [(f"/..{place}/disk", "/a"), (str(place / "up"), "/b")]
    run = run_sandbox(script, overlay=True, bind=binds)
    assert run.lines == ["host's", "host's", "wrote", "wrote"]
    assert sorted(os.listdir(place / "disk")) == ["covered", "file", "new", "other"]


@pytest.mark.parametrize("overlay", [False, True])
@pytest.mark.parametrize("covered", [False, True])
def test_others_that_enter_have_the_same_root(place: Path, overlay: bool, covered: bool) -> None:
    """Also where something is mounted over the caller's own root."""

    def body() -> None:
        if covered:
            kernel_mount("/", "/", flags=MS_BIND | MS_REC)
        with libct.Sandbox(overlay=overlay) as box:
            script = f"ls -A {place}; stat -fc %T /; {WRITE.format(place / 'x')}"
            done = [box.run(["sh", "-c", script], stdout=libct.PIPE, text=True) for _ in range(2)]
        names = "beside\ndisk\nhome\nlink\n"
        if overlay:
            assert done[0].stdout == f"{names}tmpfs\nwrote\n"
            assert done[1].stdout == f"{names}x\ntmpfs\nwrote\n"
        else:
            assert [one.stdout for one in done] == [f"{names}tmpfs\nfailed\n"] * 2
        assert not (place / "x").exists()

    in_namespaces(CLONE_NEWNS, body)


@requires("user")
@pytest.mark.parametrize("overlay", [False, True])
def test_mounts_where_an_ordinary_user_may_not_look(place: Path, overlay: bool) -> None:
    """overlayfs refuses what has such mounts below it: that is bound."""

    def body() -> None:
        for name, mode in (("closed", 0o700), ("passed", 0o711)):
            inner = place / name / "disk"
            inner.mkdir(parents=True)
            (place / name).chmod(mode)
            kernel_mount("tmpfs", str(inner), "tmpfs")
            (inner / "file").write_text(f"{name}\n")
        script = f"cd {place}; cat passed/disk/file; cat closed/disk/file; {WRITE.format('x')}"
        options = ["--overlay"] if overlay else []
        ran = command("sandbox", *options, "--", "sh", "-c", script, user=True)
        assert ran.stderr.count("Permission denied") == 1, ran.stderr
        assert ran.stdout == "passed\n" + ("wrote\n" if overlay else "failed\n")

    in_namespaces(CLONE_NEWNS, body)


@requires("user")
@pytest.mark.parametrize("overlay", [False, True])
def test_a_home_below_what_the_user_may_only_pass(place: Path, overlay: bool) -> None:
    """It is not there at all, and neither are the others': not only covered."""
    for name in ("mine", "other"):
        (place / "home" / name).mkdir()
        (place / "home" / name / "file").write_text("secret\n")
    (place / "home").chmod(0o711)
    program = "import ctypes, os; libc = ctypes.CDLL(None); home = os.environ['HOME']\n"
    program += "while libc.umount2(home.encode(), 2) == 0: pass\n"
    program += "print(os.listdir(home), os.listdir(home + '/..'))"
    options = ["--overlay"] if overlay else []
    words = ["sandbox", "--keep-caps", *options, "--", "/usr/bin/python3", "-ISc", program]
    ran = command(*words, user=True, env={"HOME": str(place / "home/mine")})
    assert (ran.stdout, ran.stderr) == ("[] ['mine']\n", "")


@requires("user")
def test_what_an_ordinary_user_changes_in_an_overlay() -> None:
    """Entries of /usr and /etc, as docs/sandbox.md says; in what is below, the owner may."""
    may = [
        "echo new > /usr/libct-x",
        "mkdir /usr/libct-d",
        "rm /etc/hostname",
        "echo a > /etc/libct-x && mv /etc/libct-x /etc/hosts && grep -x a /etc/hosts",
    ]
    may_not = ["echo new > /usr/lib/libct-x", "echo > /etc/passwd"]
    for line, allowed in [(line, True) for line in may] + [(line, False) for line in may_not]:
        ran = command("sandbox", "--overlay", "--", "sh", "-c", line, user=True)
        assert (ran.returncode == 0) is allowed, (line, ran.stderr)
