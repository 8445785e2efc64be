"""What plans say about system calls is what is called, in that order.

Only for the operations of libct.rootfs, of which these configurations use all.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import libct
from libct.config import MountIDMapping
from libct.config.validate import facts_of_host
from libct.plan.calls import IF_THERE
from tests.operations import declared
from tests.support import CHECKOUT, missing, requires, state_root, unique

from .rootfs_box import PATH, bind, make_config, mount, new_rootfs

pytestmark = requires("root", "busybox", "strace")

CALLS = (
    "mount,umount2,pivot_root,open_tree,move_mount,mount_setattr,fsopen,fsconfig,fsmount,fspick,"
    "openat,openat2,mknodat,symlinkat,fchownat,chdir,fchdir,chroot,ioctl,sendmsg,fstatfs,clone3,setns,"
    "write"
)
# Operation -> what no log but that of the process which performs it has.
CALLED_ELSEWHERE = {
    "open_idmapped": "MOUNT_ATTR_IDMAP",
    "make_idmapped": "MOUNT_ATTR_IDMAP",
    "lend_sources": ", CLONE_NEWNS)",
}
MAPS = [libct.IDMap(0, 100_000, 65_536)]
SHARED = 1 << 20
FLAG = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\bTIOC[A-Z]+\b")


def everything(rootfs: Path) -> libct.Config:
    layers = ":".join(f"{rootfs}/{name}" for name in ("bin", "home", "mnt", "root", "usr", "var"))
    assert len(layers) > 255
    mounts = [
        mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"),
        mount("/two", "cgroup2", "cgroup", "ro"),
        bind("/new/file", "/etc/hostname", "ro", "nosuid", "noatime"),
        mount("/new/tree", "bind", "/etc", "rbind", "rro", "rnosuid", "rslave"),
        bind("/cleared", "/etc", "exec", "suid", "private"),
        mount("/run", "tmpfs", "tmpfs", "ro", "size=64k", "mode=700"),
        mount("/etc", "tmpfs", "tmpfs", "tmpcopyup", "nosuid"),
        mount("/long", "overlay", "overlay", "nodev", f"lowerdir={layers}"),
        mount("/tmp", "tmpfs", "tmpfs", "sync", "nodiratime", "shared"),
        mount("/tmp", "none", "", "remount", "noexec", "size=128k"),
        bind("/mapped", "/etc", id_mapping=MountIDMapping(False, "", MAPS, MAPS)),
        mount("/own", "tmpfs", "tmpfs", id_mapping=MountIDMapping(False, "", MAPS, MAPS)),
    ]
    return make_config(
        rootfs,
        mounts,
        kinds=("NEWNS", "NEWPID", "NEWUTS", "NEWIPC", "NEWNET", "NEWCGROUP"),
        devices=[
            *libct.ALLOWED_DEVICES,
            libct.Device("/dev/fifo", "p", file_mode=0o640, uid=1, gid=2),
            libct.Device("/srv/block", "b", 7, 0),
        ],
        entries=[
            libct.Entry("/srv/directory"),
            libct.Entry("/srv/link", "link", "../etc"),
            libct.Entry("/srv/file", "file", "text"),
        ],
        mask_paths=["/proc/tty", "/proc/bus", "/proc/version", "/missing"],
        readonly_paths=["/proc/sys", "/home", "/missing"],
        readonlyfs=True,
        root_propagation=SHARED,
    )


def configurations(rootfs: Path) -> dict[str, libct.Config]:
    user = make_config(
        rootfs, [bind("/mnt", "/etc", "ro")], user=True, mask_paths=["/proc/version"]
    )
    theirs = make_config(
        rootfs,
        [
            mount("/sys", "sysfs", "sysfs", "ro"),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"),
        ],
        user=True,
        kinds=("NEWNS", "NEWPID", "NEWCGROUP"),
    )
    bare = make_config(rootfs, kinds=["NEWPID"], base=False)
    groups = make_config(
        rootfs,
        [mount("/sys", "sysfs", "sysfs"), mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")],
        cgroups=libct.Cgroup(rootless=True),
    )
    stuck = make_config(rootfs, no_pivot_root=True, root_propagation=0x40000 << 1)
    return {
        "everything": everything(rootfs),
        "user": user,
        "a user's groups": theirs,
        "bare": bare,
        "groups that may not be there": groups,
        "without pivot_root": stuck,
        "view": make_config(rootfs, rootfs_view="overlay"),
    }


def run_all(rootfs: str, output: str) -> None:
    """The traced program: start each, and write down the plans."""
    plans = {}
    for name, config in configurations(Path(rootfs)).items():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        terminal: dict[str, Any] = {}
        if name == "everything":
            terminal = {"terminal": True, "console_socket": theirs, "console_height": 5}
        process = libct.Process(["/bin/true"], env=[PATH], init=True, cwd="/made", **terminal)
        with libct.create(str(state_root()), unique("trace"), config) as container:
            container.run(process)
            assert process.wait().status == 0
            plan = container.plan
            assert plan is not None
            plans[name] = process.pid, [(step.op, step.calls) for step in plan]
        ours.close()
        theirs.close()
    Path(output).write_text(json.dumps(plans))


def strings_and_flags(call: str) -> list[str]:
    """What has to be in the line of the log: quoted strings, and names of flags."""
    strings = re.findall(r'"[^"]*"', call)
    flags = re.findall(
        r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\bTIOC[A-Z]+\b", re.sub(r'"[^"]*"', "", call)
    )
    return strings + flags


def fits(call: str, line: str) -> bool:
    name = call.partition("(")[0]
    return line.startswith(f"{name}(") and all(_has(line, part) for part in strings_and_flags(call))


def _has(line: str, part: str) -> bool:
    if part.startswith('"'):
        # A path below a descriptor of /proc goes on with the descriptor's number.
        return part in line or (part.endswith('/"') and part[:-1] in line)
    return re.search(rf"\b{part}\b", line) is not None


def test_every_call_of_the_plan_is_made_in_order(tmp_path: Path) -> None:
    log, output = tmp_path / "log", tmp_path / "plans"
    with new_rootfs() as rootfs:
        program = f"from {__name__} import run_all; run_all({str(rootfs)!r}, {str(output)!r})"
        # A log for each process, so that no line of one interrupts those of another.
        strace = ["strace", "-ff", "-qq", "-s", "5000", "-o", str(log), "-e", f"trace={CALLS}"]
        subprocess.run(
            [*strace, sys.executable, "-c", program], cwd=CHECKOUT, check=True, timeout=60
        )
    plans = json.loads(output.read_text())
    of_rootfs = {name for name, made in declared().items() if made.performer.startswith("rootfs.")}
    seen = set()
    for name, (pid, steps) in plans.items():
        mine = iter(Path(f"{log}.{pid}").read_text(errors="replace").splitlines())
        for op, calls in steps:
            if op in CALLED_ELSEWHERE:
                lines = iter(log_with(CALLED_ELSEWHERE[op], tmp_path))
                calls = [call for call in calls if not call.startswith("clone3")]
            elif op in of_rootfs:
                lines = mine
            else:
                continue
            seen.add(op)
            for call in calls:
                if call.startswith(IF_THERE):
                    continue
                assert any(fits(call, line) for line in lines), f"{name}: {op}: {call}"
    # An ordinary user opens sources; root has a lender.
    # Tests of their own see these: links of sources.
    unseen = {"open_source", "bind_with_links"}
    unseen |= {"note_mount", "remove_mount"}  # in a container that runs
    if missing("cgroup1"):
        unseen |= {"bind_group", "mount_hierarchy"}
    # SELinux is refused where it is not on; tests of labels perform these two.
    if not facts_of_host().selinux:
        unseen |= {"relabel", "label_mount"}
    assert of_rootfs - seen == unseen
    assert "lend_sources" in seen


def log_with(mark: str, directory: Path) -> list[str]:
    """Those of all processes that have made such a call, one after the other."""
    texts = [path.read_text(errors="replace") for path in sorted(directory.glob("log.*"))]
    return [line for text in texts if mark in text for line in text.splitlines()]


def test_the_comparison_is_a_comparison() -> None:
    line = 'move_mount(5, "", 6, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH) = 0'
    assert fits('move_mount("", MOVE_MOUNT_F_EMPTY_PATH)', line)
    assert not fits('move_mount("", MOVE_MOUNT_F_EMPTY)', line)
    assert not fits('mount("")', line)
    assert not fits('move_mount("/x")', line)
