"""Linux 5.10 and 5.11 have no mount_setattr(2): here a filter answers it with ENOSYS."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from libct.config import MountIDMapping
from libct.config.namespace import IDMap
from libct.errors import StepError
from libct.sandbox.config import sandbox
from libct.syscalls.mounts import mount_setattr
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter
from tests.support import CLONE_NEWNS, in_namespaces, mount as kernel_mount, requires

from .rootfs_box import (
    bind,
    make_config,
    mount,
    mounted,
    run_box,
    run_config,
    run_prepared,
)
from .test_rootfs_mounts import check_locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = requires("root", "busybox")

MOUNT_SETATTR = 442  # on all architectures but alpha
ENOSYS = 38


def without_mount_setattr(body: Callable[[], Any]) -> Any:
    """Run body in a child that has not got the call, and its containers neither."""

    def filtered() -> Any:
        instructions = (
            (0x20, 0, 0, 0),  # BPF_LD|BPF_W|BPF_ABS: seccomp_data.nr
            (0x15, 0, 1, MOUNT_SETATTR),  # BPF_JMP|BPF_JEQ|BPF_K
            (0x06, 0, 0, 0x0005_0000 | ENOSYS),  # SECCOMP_RET_ERRNO
            (0x06, 0, 0, 0x7FFF_0000),  # SECCOMP_RET_ALLOW
        )
        program = b"".join(struct.pack("=HBBI", *one) for one in instructions)
        seccomp_set_mode_filter(Filter(program))
        with pytest.raises(OSError, match="not implemented"):
            mount_setattr("/", attr_set=1)
        return body()

    return in_namespaces(CLONE_NEWNS, filtered)


@pytest.mark.parametrize("user", [False, True])
def test_attributes_of_mounts(rootfs: Path, tmp_path: Path, user: bool) -> None:
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(path.stat().st_mode | 0o055)
    (tmp_path / "sub").mkdir()

    def body() -> None:
        # MS_NOSUID, MS_NODEV, MS_STRICTATIME
        kernel_mount("tmpfs", str(tmp_path / "sub"), "tmpfs", 2 | 4 | 1 << 24)
        source = tmp_path / "sub"
        base = [mount("/mnt", "tmpfs")]
        kept = ["private", "shared", "slave"]  # what says nothing of attributes
        options = ["ro", "noexec", "nosymfollow", *kept]
        mounts = [bind(f"/mnt/{name}", source, name) for name in options]
        mounts += [bind("/mnt/plain", source), mount("/mnt/new", "tmpfs", "tmpfs", "ro", "noexec")]
        if not user:  # and what the source has
            mounts += [bind("/mnt/suid", source, "suid"), bind("/mnt/noatime", source, "noatime")]
            mounts += [bind("/mnt/relatime", source, "relatime")]
        fields: dict[str, Any] = {
            "readonly_paths": ["/proc/sys", "/etc"],
            "mask_paths": ["/proc/tty", "/proc/version"],
            "readonlyfs": True,
            "user": user,
        }
        run = run_box(
            rootfs, "cat /proc/self/mountinfo; cat /proc/version", base + mounts, **fields
        )
        assert run.status == 0, run.text
        found = mounted(run.text)
        for name in options:
            seen = found[f"/mnt/{name}"]
            locked = {"nosuid", "nodev"} if user or name in kept else set()
            assert seen.options & {"nosuid", "nodev"} == locked, name
            assert not {"relatime", "noatime"} & seen.options, name
            assert name in seen.options | seen.propagation or name in ("private", "slave"), name
        assert {"rw", "nosuid", "nodev"} <= found["/mnt/plain"].options
        assert {"ro", "noexec"} <= found["/mnt/new"].options
        if not user:
            assert not found["/mnt/suid"].options & {"nosuid", "nodev"}
            assert found["/mnt/noatime"].options & {"nosuid", "nodev", "noatime"} == {"noatime"}
            assert found["/mnt/relatime"].options & {"nosuid", "relatime"} == {"relatime"}
        for point in ("/", "/proc/sys", "/etc", "/proc/tty"):
            assert "ro" in found[point].options, point
        assert "rw" in found["/proc"].options

    without_mount_setattr(body)


def test_what_a_user_namespace_has_locked_stays_with_a_warning(rootfs: Path) -> None:
    without_mount_setattr(lambda: check_locked(rootfs))


def test_what_cannot_be_done_without_it_is_refused(rootfs: Path) -> None:
    def body() -> None:
        with pytest.raises(StepError, match=r"need Linux 5\.12"):
            run_box(rootfs, "true", [mount("/mnt", "bind", "/etc", "rbind", "rro")])
        maps = [IDMap(0, 1000, 1)]
        mapping = MountIDMapping(uid_mappings=maps, gid_mappings=maps)
        with pytest.raises(StepError, match=r"5\.12") as caught:
            run_box(rootfs, "true", [bind("/mnt", "/etc", id_mapping=mapping)])
        assert caught.value.errno == ENOSYS

    without_mount_setattr(body)


def test_a_view_is_read_only_all_the_same(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "one/two").mkdir(parents=True)

    def body() -> None:
        kernel_mount("tmpfs", str(tmp_path / "one"), "tmpfs", 8)  # MS_NOEXEC
        (tmp_path / "one/two").mkdir()
        kernel_mount("tmpfs", str(tmp_path / "one/two"), "tmpfs")
        kernel_mount(str(tmp_path / "one"), str(rootfs / "mnt"), flags=0x1000 | 0x4000)
        config = make_config(rootfs, rootfs_view="read-only", readonlyfs=True)
        found = mounted(run_config(config, "cat /proc/self/mountinfo").text)
        for point in ("/", "/etc", "/mnt", "/mnt/two"):
            assert "ro" in found[point].options, point
        assert "noexec" in found["/mnt"].options

    without_mount_setattr(body)


def test_a_sandbox(tmp_path: Path) -> None:
    def body() -> None:
        for overlay in (False, True):
            config, process = sandbox(["/bin/sh", "-c", "echo > /etc/x; echo $?"], overlay=overlay)
            assert run_prepared(config, process).lines[-1] == ("0" if overlay else "2")

    without_mount_setattr(body)
