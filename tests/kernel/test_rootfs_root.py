"""The root directory of a container: how it is entered, and that nothing of the host is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.errors import StepError
from tests.support import (
    CLONE_NEWNS,
    in_namespaces,
    mount as kernel_mount,
    requires,
    state_root,
    unique,
)

from .rootfs_box import (
    Mounted,
    bind,
    make_config,
    mount,
    mounted,
    mounts_of,
    new_rootfs,
    run_box,
    run_config,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = requires("root", "busybox")

MS_BIND, MS_REC = 0x1000, 0x4000
UNBINDABLE, PRIVATE, SLAVE, SHARED = (1 << bit for bit in (17, 18, 19, 20))


def here() -> dict[str, Mounted]:
    """What is mounted in this process's mount namespace."""
    return mounts_of(os.getpid())


@pytest.mark.parametrize("user", [False, True])
def test_nothing_of_the_host_is_left(rootfs: Path, user: bool) -> None:
    script = """
        cat /proc/self/mountinfo
        readlink /proc/1/root; readlink /proc/1/cwd; echo /proc/1/root/../*
        for at in /proc/self/fd/*; do readlink $at; done
        umount -l / 2>/dev/null; echo /*
    """
    run = run_box(rootfs, script, user=user, full=True, kinds=("NEWNS", "NEWPID"))
    lines = [line for line in run.lines if " - " not in line]
    names = " ".join(f"/{name}" for name in sorted(os.listdir(rootfs)))
    assert lines[:2] == ["/", "/"]
    assert lines[2] == " ".join(f"/proc/1/root/..{name}" for name in names.split())
    # Standard input is the container's own /dev/null; the outputs are the test's file.
    assert lines[3:6] == ["/dev/null", "/memfd:output (deleted)", "/memfd:output (deleted)"]
    assert lines[-1] == names
    points = mounted(run.text)
    assert {point for point in points if not point.startswith("/dev/")} == {"/", "/proc", "/dev"}


def test_a_mount_of_the_rootfs_comes_along(rootfs: Path) -> None:
    def body() -> None:
        kernel_mount("tmpfs", str(rootfs / "mnt"), "tmpfs")
        (rootfs / "mnt/file").write_text("below\n")
        assert run_box(rootfs, "cat /mnt/file").lines == ["below"]

    in_namespaces(CLONE_NEWNS, body)


def test_a_rootfs_that_is_a_mount_point(rootfs: Path, tmp_path: Path) -> None:
    def body() -> None:
        kernel_mount(str(rootfs), str(tmp_path), flags=MS_BIND)
        for propagation in (SHARED, SLAVE):
            kernel_mount("none", str(tmp_path), flags=propagation)
            for wanted in (0, SHARED, SHARED | MS_REC, PRIVATE):
                config = make_config(tmp_path, root_propagation=wanted)
                assert run_config(config, "echo in").lines == ["in"]
                assert set(here()) == before

    def shared() -> None:
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        body()

    before = {*here(), str(tmp_path)}
    in_namespaces(CLONE_NEWNS, body)
    in_namespaces(CLONE_NEWNS, shared)


def test_the_host_s_own_root_without_a_view() -> None:
    mounts = [mount("/tmp", "tmpfs"), mount("/dev/shm", "tmpfs")]
    config = make_config("/", mounts, full=True)
    script = """
        ls /proc | grep -c '^[0-9]'; ls /tmp; echo > /tmp/x && echo wrote; ls -d /usr
    """
    run = run_config(config, "/bin/sh", "-c", script)
    assert int(run.lines[0]) <= 6
    assert run.lines[1:] == ["wrote", "/usr"]


def test_a_rootfs_reached_by_a_link_is_refused(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(rootfs.parent)
    with pytest.raises(libct.ConfigError, match="a symbolic link leads from"):
        run_box(tmp_path / "link/rootfs", "true")


@pytest.mark.usefixtures("nothing_left")
def test_a_rootfs_that_has_gone(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    config = make_config(tmp_path / "rootfs")
    with libct.create(str(state_root()), unique("gone"), config) as container:
        (tmp_path / "rootfs").rmdir()
        with pytest.raises(StepError, match=r"root\.path") as caught:
            container.run(libct.Process(["true"], init=True))
        assert caught.value.place == "root.path"
        # Exchanged for a link behind our back, after it was checked.
        (tmp_path / "rootfs").symlink_to("/")
        with pytest.raises(StepError, match="rootfs"):
            container.run(libct.Process(["true"], init=True))


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (0, {"master"}),
        (SLAVE, {"master"}),
        (SLAVE | MS_REC, {"master"}),
        (PRIVATE, set()),
        (PRIVATE | MS_REC, set()),
        (SHARED, {"shared"}),
        (SHARED | MS_REC, {"shared"}),
        (UNBINDABLE, {"unbindable"}),
        (UNBINDABLE | MS_REC, {"unbindable"}),
    ],
)
def test_propagation_of_the_root(rootfs: Path, wanted: int, seen: set[str]) -> None:
    """And that mounts made inside do not reach the host, whose mounts are all shared."""

    def body() -> None:
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        kernel_mount("tmpfs", str(rootfs / "mnt"), "tmpfs")
        before = here()
        script = "mount -t tmpfs tmpfs /tmp; cat /proc/self/mountinfo"
        found = mounted(run_box(rootfs, script, root_propagation=wanted, full=True).text)
        assert found["/"].propagation == seen
        assert found["/tmp"].fstype == "tmpfs"
        recursive = wanted & MS_REC and wanted & (PRIVATE | UNBINDABLE)
        if not wanted & SHARED:
            assert found["/mnt"].propagation == (seen if recursive else {"master"})
        assert here() == before

    in_namespaces(CLONE_NEWNS, body)


# What linux.rootfsPropagation has a bind of a shared source be that is asked to be something.
OF_MOUNTS: dict[tuple[int, str], set[str]] = {
    (PRIVATE | MS_REC, ""): set(),
    (PRIVATE | MS_REC, "rshared"): {"shared"},
    (PRIVATE | MS_REC, "shared"): {"shared"},
    (PRIVATE | MS_REC, "runbindable"): {"unbindable"},
    (PRIVATE | MS_REC, "rslave"): set(),  # there is nothing to be a slave of
    (PRIVATE, ""): {"master"},
    (PRIVATE, "rshared"): {"master", "shared"},
    (PRIVATE, "rprivate"): set(),
    (SLAVE, "rprivate"): set(),
    (SLAVE, "runbindable"): {"unbindable"},
    (0, "rshared"): {"master", "shared"},
    (SHARED | MS_REC, "rprivate"): {"shared"},
    (SHARED, "rprivate"): set(),
    (UNBINDABLE | MS_REC, "rshared"): {"unbindable"},
    (UNBINDABLE, "rshared"): {"master", "shared"},
}


@pytest.mark.parametrize("user", [False, True])
def test_a_mount_keeps_its_own_propagation(rootfs: Path, tmp_path: Path, user: bool) -> None:
    """But where all of the root is to be shared, or unbindable."""

    def body() -> None:
        tmp_path.chmod(0o755)
        kernel_mount(str(tmp_path), str(tmp_path), flags=MS_BIND)
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        for (wanted, own), seen in OF_MOUNTS.items():
            options = [own] if own else []
            at = mount("/mnt", "bind", str(tmp_path), "rbind", *options)
            run = run_box(
                rootfs, "cat /proc/self/mountinfo", [at], root_propagation=wanted, user=user
            )
            found = mounted(run.text)["/mnt"].propagation
            assert found == seen, (hex(wanted), own)

    in_namespaces(CLONE_NEWNS, body)


def test_shared_mounts_work_both_ways_where_it_is_asked_for(rootfs: Path, tmp_path: Path) -> None:
    for name in ("of-host", "of-container"):
        (tmp_path / name).mkdir()

    def body() -> None:
        kernel_mount(str(tmp_path), str(tmp_path), flags=MS_BIND)
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        mounts = [mount("/mnt", "bind", str(tmp_path), "rbind", "rshared")]
        wanted = SHARED | MS_REC
        run_box(
            rootfs, "mount -t tmpfs t /mnt/of-container", mounts, root_propagation=wanted, full=True
        )
        assert here()[f"{tmp_path}/of-container"].source == "t"
        with running(make_config(rootfs, mounts, root_propagation=wanted)) as pid:
            kernel_mount("h", str(tmp_path / "of-host"), "tmpfs")
            assert mounts_of(pid)["/mnt/of-host"].source == "h"

    in_namespaces(CLONE_NEWNS, body)


def test_later_mounts_of_the_host_below_a_slave_root(rootfs: Path) -> None:
    def body() -> None:
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        for wanted, place, reaches in (
            (SLAVE | MS_REC, "mnt", True),
            (PRIVATE | MS_REC, "home", False),
        ):
            with running(make_config(rootfs, root_propagation=wanted)) as pid:
                kernel_mount("tmpfs", str(rootfs / place), "tmpfs")
                assert (f"/{place}" in mounts_of(pid)) is reaches

    in_namespaces(CLONE_NEWNS, body)


@pytest.mark.parametrize("user", [False, True])
def test_without_pivot_root(rootfs: Path, user: bool) -> None:
    def body() -> None:
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        before = here()
        for propagation in (0, SHARED):
            run = run_box(
                rootfs,
                "echo /*; cat /proc/self/mountinfo; mount -t proc proc /mnt && ls /mnt/1/exe",
                no_pivot_root=True,
                root_propagation=propagation,
                user=user,
                full=True,
            )
            names = " ".join(f"/{name}" for name in sorted(os.listdir(rootfs)))
            assert run.lines[0] == names
            found = mounted(run.text)
            assert {point for point in found if not point.startswith("/dev/")} == {
                *("/", "/proc", "/dev"),
            }
            assert "/mnt/1/exe" in run.text
            # The host's own are still there.
            assert here() == before

    in_namespaces(CLONE_NEWNS, body)


@pytest.mark.parametrize("user", [False, True])
def test_without_pivot_root_no_unmasked_proc_can_be_mounted(rootfs: Path, user: bool) -> None:
    """The kernel gives a new proc or sysfs to who has a whole one in his mount namespace."""
    script = """
        for at in proc sysfs; do
            unshare -Urmpnf mount -t $at $at /mnt 2>/dev/null && echo new $at
        done; echo end
    """
    kinds = ("NEWNS", "NEWPID", "NEWNET")
    fields: dict[str, Any] = {"no_pivot_root": True, "user": user, "full": True, "kinds": kinds}
    masked = [mount("/sys", "sysfs")]
    paths = ["/proc/version", "/sys/kernel"]
    whole = run_box(rootfs, script, masked, **fields)
    assert whole.lines == ["new proc", "new sysfs", "end"]
    assert run_box(rootfs, script, masked, mask_paths=paths, **fields).lines == ["end"]
    assert run_box(rootfs, script, mask_paths=paths[:1], **fields).lines == ["end"]


def test_a_rootfs_on_another_file_system_does_not_get_onto_the_host_s_root(rootfs: Path) -> None:
    def body() -> None:
        kernel_mount(str(rootfs.parent), str(rootfs.parent), flags=MS_BIND)
        kernel_mount("none", "/", flags=SHARED | MS_REC)
        before = Path("/proc/self/mountinfo").read_text()
        for fields in ({"no_pivot_root": True}, {"rootfs_view": "overlay"}, {}):
            run = run_box(rootfs, "echo in", root_propagation=SHARED | MS_REC, **fields)
            assert run.lines == ["in"]
            assert Path("/proc/self/mountinfo").read_text() == before

    in_namespaces(CLONE_NEWNS, body)


@pytest.mark.usefixtures("nothing_left")
def test_without_a_mount_namespace(rootfs: Path) -> None:
    def body() -> None:
        before = here()
        config = make_config(rootfs, base=False, kinds=["NEWPID"])
        run = run_config(config, "echo /*; echo /dev/*; pwd", cwd="/made/here")
        assert run.lines == [
            " ".join(f"/{name}" for name in sorted(os.listdir(rootfs))),
            "/dev/*",
            "/made/here",
        ]
        assert here() == before

    assert os.listdir(rootfs / "dev") == []
    in_namespaces(CLONE_NEWNS, body)  # where nobody else mounts anything
    assert os.listdir(rootfs / "dev") == []


def test_a_read_only_root(rootfs: Path) -> None:
    script = """
        for at in / /etc /mnt /dev /tmp; do (echo > $at/x) 2>&1 | sed 's/.*: //'; done; pwd
    """
    config = make_config(rootfs, [mount("/tmp", "tmpfs")], readonlyfs=True)
    run = run_config(config, script, cwd="/new/directory")
    assert run.lines == ["Read-only file system"] * 3 + ["/new/directory"]
    assert (rootfs / "new/directory").is_dir()
    user = run_box(rootfs, "(echo > /tmp/x) 2>&1 | sed 's/.*: //'", readonlyfs=True, user=True)
    assert user.lines == ["Read-only file system"]


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of the host that may be written to, and is not below /tmp."""
    path = Path(tempfile.mkdtemp(prefix=unique(), dir="/var/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def test_links_of_the_image_do_not_lead_to_the_host(outside: Path) -> None:
    """CVE-2026-41579 and its kin: whatever the image makes of its directories."""
    for link in (str(outside), "/../../../.." + str(outside), "../" * 12 + str(outside)[1:]):
        with new_rootfs() as rootfs:
            for name in ("dev", "etc", "tmp", "run", "mnt"):
                moved = rootfs / name
                if moved.is_dir() and any(moved.iterdir()):
                    moved.rename(rootfs / f"{name}-moved")
                else:
                    moved.rmdir()
                # No device is made where a mount of the configuration's gets to.
                moved.symlink_to(f"{link}-dev" if name == "dev" else link)
            mounts = [
                mount("/proc", "proc"),
                mount("/tmp/inner", "tmpfs"),
                mount("/run", "tmpfs", "tmpfs", "tmpcopyup", "ro"),
                bind("/etc/file", rootfs / "bin/busybox"),
                bind("/mnt/directory", rootfs / "bin"),
            ]
            config = make_config(
                rootfs,
                base=False,
                devices=[libct.Device("/dev/null", "c", 1, 3), libct.Device("/dev/p", "p")],
                mask_paths=["/tmp/inner", "/proc/version"],
                readonly_paths=["/mnt", "/dev/p"],
            )
            config.mounts = mounts
            run = run_config(
                config, "readlink -f /dev/null; cat /proc/version | wc -c", cwd="/run/cwd"
            )
            assert run.lines == [f"{outside}-dev/null", "0"]
            assert list(outside.iterdir()) == []
            assert not os.path.lexists(f"{outside}-dev")
            assert (rootfs / str(outside)[1:]).is_dir()


def test_the_working_directory_is_made_inside(tmp_path: Path) -> None:
    with new_rootfs() as rootfs:
        (rootfs / "cwd").symlink_to(f"/../..{tmp_path}/made")
        assert run_config(make_config(rootfs), "pwd -P", cwd="/cwd").lines == [f"{tmp_path}/made"]
        assert not (tmp_path / "made").exists()
