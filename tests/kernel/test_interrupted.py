"""System calls in a storm of signals, whose handlers do nothing: they must not show."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import struct
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from libct.rootfs.paths import open_in_root
from libct.syscalls import bpf, filesystems, mounts, notify
from libct.syscalls.constants import (
    MNT_DETACH,
    MOUNT_ATTR_RDONLY,
    MOVE_MOUNT_F_EMPTY_PATH,
    MS_BIND,
    OPEN_TREE_CLONE,
)
from libct.syscalls.files import openat2

from ..containers import make_config, run_in, running, state_directory
from ..patience import patient
from ..support import CLONE_NEWNS, forked, in_namespaces, requires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = requires("root")


@contextlib.contextmanager
def storm(interval: float = 0.0002) -> Iterator[list[int]]:
    """Signals every so many seconds; counts those that have been handled."""
    count = [0]

    def note(number: int, frame: object) -> None:
        count[0] += 1

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    try:
        yield count
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count[0] > 0


@contextlib.contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Do work in a child, again and again."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                work()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# --- EAGAIN ---


@requires("cgroup2")
@pytest.mark.parametrize("size", [500, 50_000])  # the latter takes longer than there is between two
def test_device_programs_are_loaded(size: int) -> None:
    move = bpf.instruction(bpf.BPF_ALU64 | bpf.BPF_MOV | bpf.BPF_K, immediate=1)
    program = move * size + bpf.instruction(bpf.BPF_JMP | bpf.BPF_EXIT)

    def body() -> None:
        with storm() as count:
            for _ in range(50_000 // size + 50):
                os.close(bpf.prog_load(program))
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
            handled = count[0]
            time.sleep(0.01)
            assert count[0] > handled

    forked(body)


def test_paths_are_resolved_while_others_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/link").symlink_to("a/b/../../" * 12 + "a/b")
    (tmp_path / "x").mkdir()

    def rename() -> None:
        os.rename(tmp_path / "x", tmp_path / "y")
        os.rename(tmp_path / "y", tmp_path / "x")

    def body() -> None:
        root = os.open(tmp_path / "root", os.O_PATH)
        with beside(rename), storm():
            for _ in range(3000):
                os.close(open_in_root(root, "/link"))

    forked(body)


def test_it_does_not_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolution that never succeeds, as far as the kernel's answer is concerned."""
    from libct.syscalls import core
    from libct.syscalls.c import get_errno, set_errno

    calls = []

    def busy(code: int) -> int:
        calls.append(code)
        set_errno(code)
        return -1

    monkeypatch.setattr(core, "_PATIENCE", 0.1)
    start = time.monotonic()
    assert core.retried(busy, errno.EAGAIN, transient=True) == -1
    assert 0.1 <= time.monotonic() - start < patient(5)
    assert get_errno() == errno.EAGAIN
    calls.clear()
    assert core.retried(busy, errno.EAGAIN) == -1
    assert len(calls) == 1  # at once: not of every call


# --- EINTR ---


def test_an_open_that_waits(tmp_path: Path) -> None:
    """A FIFO is opened when the other side is."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def writer() -> None:
        time.sleep(0.2)
        os.close(os.open(fifo, os.O_WRONLY))

    def body() -> None:
        with beside(writer), storm() as count:
            os.close(openat2(str(fifo), os.O_RDONLY))
            assert count[0] > 10

    forked(body)


def test_what_a_handler_raises_ends_the_call(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    def body() -> None:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            openat2(str(tmp_path / "fifo"), os.O_RDONLY)

    forked(body)


def test_mounts_are_made() -> None:
    def body() -> None:
        with storm():
            for _ in range(200):
                context = filesystems.fsopen("tmpfs")
                filesystems.fsconfig_set_string(context, "size", "64k")
                filesystems.fsconfig_create(context)
                made = filesystems.fsmount(context)
                mounts.move_mount(made, "", -100, "/mnt", MOVE_MOUNT_F_EMPTY_PATH)
                mounts.mount("/mnt", "/mnt", flags=MS_BIND)
                mounts.mount_setattr("/mnt", attr_set=MOUNT_ATTR_RDONLY)
                os.close(made)
                os.close(context)
                for _ in range(2):
                    mounts.umount2("/mnt")

    in_namespaces(CLONE_NEWNS, body)


@requires("fuse")
def test_file_systems_that_take_their_time(tmp_path: Path) -> None:
    """Every call that looks up a path, on FUSE, where any request can be interrupted."""
    place, source = tmp_path / "fuse", str(tmp_path / "fuse/one/two")
    place.mkdir()
    (tmp_path / "target").mkdir()
    target = str(tmp_path / "target")

    def calls() -> None:
        mounts.mount(source, target, flags=MS_BIND)
        mounts.umount2(target)
        tree = mounts.open_tree(-100, source, OPEN_TREE_CLONE)
        mounts.move_mount(tree, "", -100, f"{place}/over", MOVE_MOUNT_F_EMPTY_PATH)
        mounts.mount_setattr(f"{place}/over", attr_set=MOUNT_ATTR_RDONLY)
        mounts.umount2(f"{place}/over", MNT_DETACH)
        filesystems.statfs(source)
        filesystems.fstatfs(tree)
        os.close(tree)
        os.close(openat2(source, os.O_PATH))
        context = filesystems.fsopen("overlay")
        filesystems.fsconfig_set_string(context, "lowerdir", f"{source}:{place}/other")
        os.close(context)
        watch = notify.inotify_init()
        notify.inotify_add_watch(watch, source, 2)
        os.close(watch)

    def body() -> None:
        with _served(str(place)), storm(0.0004):
            for _ in range(30):
                calls()

    in_namespaces(CLONE_NEWNS, body, timeout=60)


@contextlib.contextmanager
def _served(place: str) -> Iterator[None]:
    """A FUSE file system that has a directory of every name."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    mounts.mount("test", place, "fuse", 0, options)
    pid = os.fork()
    if pid == 0:
        _serve(device)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(device)
        mounts.umount2(place, MNT_DETACH)


def _serve(device: int) -> NoReturn:
    """include/uapi/linux/fuse.h.  Of some requests it waits for the interruption, and gives in."""
    lookup, forget, getattr_, statfs, init, opendir, interrupt, forgets = (
        1,
        2,
        3,
        17,
        26,
        27,
        36,
        42,
    )
    nodes: dict[bytes, int] = {}  # by parent and name
    attributes = struct.pack("6Q10I", *(0,) * 9, 0o40755, 2, *(0,) * 5)
    asked = 0

    def read() -> tuple[int, int, bytes]:
        request = os.read(device, 1 << 20)
        _, code, unique = struct.unpack_from("IIQ", request)
        return code, unique, request

    try:
        while True:
            code, unique, request = read()
            error, body = 0, b""
            if code in (forget, interrupt, forgets):  # which have no answer
                continue
            asked += code != init
            if asked % 7 in (2, 5) and select.select([device], [], [], 0.01)[0]:
                later, _, _ = read()
                error = -errno.EINTR if later == interrupt else 0
            if error:
                pass
            elif code == init:
                body = struct.pack("4I2H2I2H8I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, *(0,) * 8)
            elif code == lookup:
                node = nodes.setdefault(request[16:24] + request[40:], len(nodes) + 2)
                body = struct.pack("4Q2I", node, 0, 0, 0, 0, 0) + attributes
            elif code == getattr_:
                body = struct.pack("Q2I", 0, 0, 0) + attributes
            elif code == statfs:
                body = bytes(80)
            elif code != opendir:
                error = -errno.ENOSYS
            os.write(device, struct.pack("IiQ", 16 + len(body), error, unique) + body)
    finally:
        os._exit(1)


# --- all of it ---


@requires("busybox")
def test_containers_are_made() -> None:
    config = make_config()
    state_directory()

    def body() -> None:
        with storm(0.001):
            for number in range(30):
                with running(config) as container:
                    assert run_in(container, "echo", str(number)).lines == [str(number)]

    forked(body, timeout=120)
