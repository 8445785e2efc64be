"""Device nodes and links of /dev; masked and read-only paths."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from typing import TYPE_CHECKING

import pytest

import libct
from libct.bootstrap.context import Context
from libct.config.mount_flags import MS_BIND
from libct.errors import StepError, StepProblem
from libct.rootfs.devices import make_device
from libct.syscalls.mounts import umount2
from tests.races import exchanging
from tests.support import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    in_namespaces,
    mount as kernel_mount,
    requires,
    session_directory,
    state_root,
    unique,
)

from .rootfs_box import (
    PATH,
    base_mounts,
    bind,
    make_config,
    mount,
    mounted,
    new_rootfs,
    run_box,
    run_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = requires("root", "busybox")

NULL = os.makedev(1, 3)


LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/ptmx": "pts/ptmx",
}
SHOW_LINKS = "; ".join(f"readlink {link}" for link in LINKS)


@pytest.mark.parametrize("user", [False, True])
def test_default_devices_and_links(rootfs: Path, user: bool) -> None:
    script = f"""
        for at in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$at; done
        {SHOW_LINKS}; ls -d /dev/core
        echo gone > /dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c
        head -c 3 /dev/random | wc -c; (echo > /dev/full) 2>&1 | sed 's/.*: //'
        echo through | cat /dev/fd/0 /dev/stdin
    """
    run = run_box(rootfs, script, user=user)
    kind = "character special file"
    assert run.lines[:6] == [
        f"/dev/null {kind} 1:3 666",
        f"/dev/zero {kind} 1:5 666",
        f"/dev/full {kind} 1:7 666",
        f"/dev/random {kind} 1:8 666",
        f"/dev/urandom {kind} 1:9 666",
        f"/dev/tty {kind} 5:0 666",
    ]
    assert run.lines[6:11] == list(LINKS.values())
    core = (
        "/dev/core" if os.path.exists("/proc/kcore") else "ls: /dev/core: No such file or directory"
    )
    assert run.lines[11:] == [core, "2", "3", "3", "No space left on device", "through"]


def test_nodes_of_all_kinds_with_modes_and_owners(rootfs: Path) -> None:
    devices = [
        libct.Device("/dev/char", "c", 10, 200, file_mode=0o640, uid=1, gid=2),
        libct.Device("/dev/unbuffered", "u", 1, 3, file_mode=0o600),
        libct.Device("/dev/block", "b", 7, 300, file_mode=0o660, gid=6),
        libct.Device("/dev/deep/fifo", "p", -1, -1, file_mode=0o622, uid=3),
        libct.Device("/srv/outside", "c", 1, 3),
        libct.Device("/dev/console", "c", 5, 1),
        libct.Device("/dev/ptmx", "c", 5, 2),
    ]
    script = """
        cd /dev; stat -c '%n %F %t:%T %a %u:%g' char unbuffered block deep/fifo ../srv/outside
        stat -c %F console 2>&1 | sed 's/.*: //'; readlink ptmx
    """
    assert run_box(rootfs, script, devices=devices).lines == [
        "char character special file a:c8 640 1:2",
        "unbuffered character special file 1:3 600 0:0",
        "block block special file 7:12c 660 0:6",
        "deep/fifo fifo 0:0 622 3:0",
        "../srv/outside character special file 1:3 666 0:0",
        "No such file or directory",
        "pts/ptmx",
    ]
    (rootfs / "srv/outside").unlink()


def test_fifos_and_missing_nodes_in_a_user_namespace(rootfs: Path) -> None:
    fifo = libct.Device("/dev/fifo", "p", file_mode=0o622, uid=3)
    script = "stat -c '%F %a %u' /dev/fifo; mknod /dev/x c 1 3 2>&1 | sed 's/.*: //'"
    run = run_box(rootfs, script, devices=[fifo], user=True, full=True)
    assert run.lines == ["fifo 622 3", "Operation not permitted"]
    with pytest.raises(StepError, match="/dev/null of the host is not the device 1:5") as caught:
        run_box(rootfs, "true", devices=[libct.Device("/dev/null", "c", 1, 5)], user=True)
    assert caught.value.place == "linux.devices[0]"
    with pytest.raises(StepError, match="/dev/no-such-device"):
        run_box(rootfs, "true", devices=[libct.Device("/dev/no-such-device", "c", 1, 5)], user=True)


def test_a_dev_of_the_user_s_own_stays_as_it_is(rootfs: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    mounts = [mount("/proc", "proc"), bind("dev/", tmp_path)]
    config = make_config(rootfs, mounts, base=False, devices=list(libct.ALLOWED_DEVICES))
    assert run_config(config, "ls /dev").lines == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["fifo", "device", "file", "link", "missing"])
def test_what_is_no_null_device_is_not_opened_for_one(what: str) -> None:
    """The command has the host's then, as it was given it."""
    with new_rootfs() as rootfs:
        null = rootfs / "dev/null"
        if what == "fifo":
            os.mkfifo(null)
        elif what == "device":
            os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(4095, 0))  # opening it fails
        elif what == "file":
            null.write_text("")
        elif what == "link":
            null.symlink_to("/proc/version")
        mounts = [mount("/proc", "proc"), bind("/dev", rootfs / "dev")]
        config = make_config(rootfs, mounts, base=False)
        run = run_config(config, "/bin/busybox", "stat", "-L", "-c", "%t:%T", "/proc/self/fd/0")
        assert run.lines == ["1:3"]


def test_nodes_that_the_image_has_in_dev_are_replaced() -> None:
    with new_rootfs() as rootfs:
        dev = rootfs / "dev"
        os.mkfifo(dev / "null")
        os.mknod(dev / "zero", 0o666 | stat.S_IFBLK, os.makedev(1, 5))
        os.mknod(dev / "full", 0o644 | stat.S_IFCHR, os.makedev(1, 7))
        os.mknod(dev / "random", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(dev / "ptmx", 0o666 | stat.S_IFCHR, os.makedev(5, 2))
        (dev / "stdin").symlink_to("mine")
        (dev / "stdout").write_text("kept")
        mounts = [mount("/proc", "proc"), mount("/dev/pts", "devpts")]
        config = make_config(rootfs, mounts, base=False, devices=list(libct.ALLOWED_DEVICES))
        script = """
            cd /dev; stat -c '%F %t:%T %a' null zero full random; readlink ptmx; readlink stdin
            cat stdout; grep -c root /etc/passwd
        """
        for _ in range(2):  # the second time all is as it should be
            assert run_config(config, script).lines == [
                *(f"character special file 1:{minor} 666" for minor in (3, 5, 7, 8)),
                *("pts/ptmx", "mine", "kept1"),
            ]


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("what", ["file", "link", "dangling link", "directory", "socket"])
def test_what_is_no_node_stays_where_a_device_is_to_be(what: str, user: bool) -> None:
    """It may be somebody's data.  A link is not followed, and nothing is made at its end."""
    with new_rootfs() as rootfs:
        os.chown(rootfs, 100_000, 100_000)  # root of the user namespace
        place = rootfs / "dev/full"
        if what == "directory":
            place.mkdir()
            (place / "kept").touch()
        elif what == "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(place))
        elif what == "file":
            place.write_text("kept")
        else:
            place.symlink_to("/etc/passwd" if what == "link" else "/nowhere")
        os.chown(rootfs / "dev", 100_000, 100_000)
        before = described(rootfs / "etc"), place.lstat().st_ino
        devices = [libct.Device("/dev/full", "c", 1, 7)]
        config = make_config(
            rootfs, [mount("/proc", "proc")], base=False, devices=devices, user=user
        )
        with libct.create(str(state_root()), unique("box"), config) as container:
            process = libct.Process(["/bin/true"], env=[PATH], init=True)
            container.run(process)
            assert process.wait(20).success
            # Where nodes cannot be made, one is mounted on a file, which stays what it is.
            stays = "/dev/full is there already and is not a device: it is left as it is"
            covered = user and what in ("file", "socket")
            assert container.warnings == ([] if covered else [f"linux.devices[0]: {stays}"])
        assert (described(rootfs / "etc"), place.lstat().st_ino) == before
        assert not (rootfs / "nowhere").exists()


@pytest.mark.parametrize("user", [False, True])
def test_a_dev_that_is_mounted_before_the_start(user: bool, played_dev: Path) -> None:
    """It may be the host's: devices that are there are taken, and nothing is made."""
    before = described(played_dev)
    others = [("/dev/zero", "c", (1, 5)), ("/dev/fifo", "p", (-1, -1))]
    if not user:  # who has the host's of the same name
        others += [("/dev/null", "c", (1, 5)), ("/dev/null", "b", (1, 3))]
        others += [("/dev/sub/null", "c", (1, 3))]

    def look(rootfs: Path) -> None:
        there = [libct.Device("/dev/null", "c", 1, 3, file_mode=0o600, uid=7)]
        config = make_config(rootfs, [mount("/proc", "proc")], base=False, user=user)
        config.devices = list(there)
        script = "ls /dev; stat -c '%t:%T %a' /dev/null; readlink /dev/fd; stat -c %F /dev/ptmx"
        assert run_config(config, script).lines == [
            *("fd", "null", "ptmx", "sub", "tty"),
            *("1:3 666", "of-the-host", "character special file"),
        ]
        for path, kind, number in others:
            config.devices = [*there, libct.Device(path, kind, *number)]
            with pytest.raises(StepError, match="on another mount that was there") as caught:
                run_config(config, "true")
            assert caught.value.place == "linux.devices[1]"

    def body() -> None:
        with new_rootfs() as rootfs:
            kernel_mount(str(played_dev), str(rootfs / "dev"), flags=MS_BIND)
            try:
                look(rootfs)
            finally:
                umount2(str(rootfs / "dev"))

    in_namespaces(CLONE_NEWNS, body)
    assert described(played_dev) == before


def test_mounts_of_the_user_on_device_nodes_stay(rootfs: Path, tmp_path: Path) -> None:
    """As `-v /dev/urandom:/dev/random`; and what they are mounts of is not touched."""
    os.mknod(tmp_path / "null", 0o600 | stat.S_IFCHR, NULL)
    (tmp_path / "tty").write_text("a file\n")
    mounts = [
        bind("/dev/random", "/dev/urandom"),
        bind("/dev/null", tmp_path / "null"),
        bind("/dev/tty", tmp_path / "tty"),
        bind("/dev/ptmx", tmp_path / "tty"),
    ]
    (tmp_path / "null").chmod(0o606)
    tmp_path.chmod(0o755)
    script = "stat -c %t:%T /dev/random /dev/null; cat /dev/tty /dev/ptmx; stat -c %a /dev/null"
    for user in (False, True):
        run = run_box(rootfs, script, mounts, user=user)
        assert run.lines == ["1:9", "1:3", "a file", "a file", "606"]
        assert run.warnings == ()
    assert stat.S_IMODE((tmp_path / "null").stat().st_mode) == 0o606
    assert (tmp_path / "tty").read_text() == "a file\n"


def test_a_place_outside_by_another_name(rootfs: Path) -> None:
    """Paths of devices are resolved inside, dots and all."""
    device = libct.Device("/dev/../../../../mnt/../mnt/node", "c", 1, 3)
    run = run_box(rootfs, "stat -c %t:%T /mnt/node", devices=[device])
    assert run.lines == ["1:3"]
    (rootfs / "mnt/node").unlink()


@pytest.mark.parametrize("what", ["hard link", "link", "bind"])
def test_a_node_that_is_exchanged_while_it_is_made(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is given to it alone, and to no file of the host that has got its name."""
    (tmp_path / "root/dev").mkdir(parents=True)
    host = tmp_path / "host"
    os.mkfifo(host) if what == "bind" else host.touch()
    node = tmp_path / "root/dev/fifo"

    def mknod(name: str, mode: int, device: int, *, dir_fd: int) -> None:
        if what == "hard link":
            os.link(host, node)
        elif what == "link":
            node.symlink_to(host)
        else:
            node.touch()
            kernel_mount(str(host), str(node), flags=MS_BIND)

    def body() -> None:
        context = Context()
        context.keep("proc", os.open("/proc", os.O_PATH))
        context.keep("root", os.open(tmp_path / "root", os.O_PATH))
        monkeypatch.setattr("posix.mknod", mknod)
        with pytest.raises(StepProblem, match="while it was made"):
            make_device(context, "/dev/fifo", 0o600 | stat.S_IFIFO, 0, 0, 1000, 1000, "")

    in_namespaces(CLONE_NEWNS, body)
    assert (host.stat().st_uid, host.stat().st_gid) == (0, 0)


@pytest.fixture
def played_dev() -> Iterator[Path]:
    """A directory that plays the host's /dev."""
    place = session_directory() / unique("dev")
    place.mkdir(mode=0o755)
    os.mknod(place / "ptmx", 0o620 | stat.S_IFCHR, os.makedev(5, 2))
    os.mknod(place / "tty", 0o620 | stat.S_IFCHR, os.makedev(5, 1))
    os.mknod(place / "null", 0o666 | stat.S_IFCHR, NULL)
    (place / "null").chmod(0o666)
    (place / "fd").symlink_to("of-the-host")
    (place / "sub").mkdir()
    yield place
    shutil.rmtree(place)


def described(directory: Path) -> dict[str, tuple[object, ...]]:
    return {
        str(path): (at.st_mode, at.st_rdev, at.st_uid, at.st_ino, at.st_mtime_ns, at.st_nlink)
        for path in [directory, *directory.rglob("*")]
        for at in [path.lstat()]
    }


# What is in the image, the mounts besides /proc, the devices' directory; is it refused?
TMPFS = ("/dev", "tmpfs")
HOST = ("/hostdev", "the host's")
REDIRECTIONS: dict[str, tuple[dict[str, str], list[tuple[str, str]], str, bool]] = {
    "bind onto /dev": ({"hostdev": "/dev"}, [TMPFS, HOST], "/dev", False),
    "bind onto /dev, relative": ({"hostdev": "dev"}, [TMPFS, HOST], "/dev", False),
    "bind onto the image's /dev": ({"hostdev": "/dev"}, [HOST], "/dev", True),
    "/dev leads to the bind": ({"dev": "/hostdev"}, [HOST], "/dev", True),
    "/dev leads below the bind": ({"dev": "hostdev/sub"}, [HOST], "/dev", True),
    "/dev leads to the bind, and is mounted": ({"dev": "/hostdev"}, [HOST, TMPFS], "/dev", False),
    "/dev leads to the bind, mounted first": ({"dev": "/hostdev"}, [TMPFS, HOST], "/dev", False),
    "/dev twice, the bind between": ({"hostdev": "/dev"}, [TMPFS, HOST, TMPFS], "/dev", False),
    "a device on the bind": ({}, [TMPFS, HOST], "/hostdev", False),
    "a device below the bind": ({}, [TMPFS, HOST], "/hostdev/sub/deeper", False),
    "dots": ({}, [TMPFS, HOST], "/dev/../hostdev/./sub", False),
    "a link to the bind": ({"lib": "/hostdev"}, [TMPFS, HOST], "/lib", True),
    "a link on the way": ({"opt": "/hostdev/sub"}, [TMPFS, HOST], "/opt/new/deep", True),
    "a bind onto the devices' directory": ({"hostdev": "/srv"}, [TMPFS, HOST], "/srv", True),
    "/dev leads elsewhere in the image": ({"dev": "/srv"}, [HOST], "/dev", False),
    "the bind is /dev": ({}, [("/dev", "the host's")], "/dev", False),
    "/dev leads to another tmpfs": ({"dev": "/run"}, [("/run", "tmpfs")], "/dev", True),
}


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("name", REDIRECTIONS)
def test_no_device_or_link_gets_onto_a_bind_of_the_host(
    name: str, user: bool, played_dev: Path
) -> None:
    """By no link of the image, and no order of mounts: ptmx was replaced, tty made anew."""
    links, places, directory, refused = REDIRECTIONS[name]
    before = described(played_dev)
    kinds = {"ptmx": (5, 2), "tty": (5, 0), "null": (1, 3)}
    # /dev/ptmx itself is passed over: the default link has its place.
    devices = [libct.Device(f"{directory}/{at}", "c", *kinds[at]) for at in kinds]
    if directory != "/dev":
        null = libct.Device("/dev/null", "c", 1, 3)
        fifo = libct.Device(f"{directory}/fifo", "p", file_mode=0o600, uid=3)
        devices = [null, fifo] if user else [null, fifo, *devices]
    with new_rootfs() as rootfs:
        for path, target in links.items():
            shutil.rmtree(rootfs / path, ignore_errors=True)
            (rootfs / path).symlink_to(target)
        mounts = [mount("/proc", "proc")]
        for place, kind in places:
            if kind == "tmpfs":
                mounts.append(mount(place, "tmpfs", "tmpfs", "mode=755"))
            else:
                mounts.append(bind(place, played_dev))
        for target in ("/hostdev", "/run", "/srv"):
            if not (rootfs / target[1:]).is_symlink():
                (rootfs / target[1:]).mkdir(exist_ok=True)
                os.chown(rootfs / target[1:], 100_000, 100_000)  # root of the user namespace
        config = make_config(rootfs, mounts, base=False, devices=devices, user=user)
        if refused:
            with pytest.raises(StepError, match=r"leads to another mount|on another mount that"):
                run_config(config, "true")
        else:
            assert run_config(config, "/bin/busybox", "true").status == 0
    assert described(played_dev) == before


def test_a_link_to_a_mount_is_not_followed_to_its_devices(played_dev: Path) -> None:
    """Nor are those believed to be there: who looks would find the host's ptmx in /dev."""
    with new_rootfs() as rootfs:
        shutil.rmtree(rootfs / "dev", ignore_errors=True)
        (rootfs / "dev").symlink_to("/hostdev")
        mounts = [mount("/proc", "proc"), bind("/hostdev", played_dev)]
        devices = [libct.Device("/dev/null", "c", 1, 3)]
        config = make_config(rootfs, mounts, base=False, devices=devices)
        with pytest.raises(StepError, match="leads to another mount"):
            run_config(config, "true")
        with pytest.raises(StepError, match="leads to another mount"):
            run_config(make_config(rootfs, mounts, base=False), "true")  # the default links


def test_devices_and_links_are_in_the_dev_that_was_mounted(played_dev: Path) -> None:
    """Wherever the image's /dev leads, and whatever covers it later."""
    with new_rootfs() as rootfs:
        shutil.rmtree(rootfs / "dev", ignore_errors=True)
        (rootfs / "dev").symlink_to("/srv/devices")
        (rootfs / "srv/devices").mkdir(parents=True)
        run = run_box(rootfs, f"stat -c %t:%T /srv/devices/null; {SHOW_LINKS}; ls /srv/devices")
        assert run.lines[:6] == ["1:3", *LINKS.values()]
        assert os.listdir(rootfs / "srv/devices") == []
        (rootfs / "dev").unlink()
        (rootfs / "dev").mkdir()
        (rootfs / "hostdev").symlink_to("/dev")
        script = "readlink /dev/fd; umount -l /hostdev; stat -c %t:%T /dev/null; readlink /dev/ptmx"
        run = run_box(rootfs, script, [bind("/hostdev", played_dev)], full=True)
        assert run.lines == ["of-the-host", "1:3", "pts/ptmx"]


# --- masked and read-only paths ---


@pytest.mark.parametrize("user", [False, True])
def test_masked_paths(rootfs: Path, user: bool) -> None:
    paths = ["/proc/version", "/proc/tty", "/etc", "/proc/missing", "/etc/passwd/x", "/proc/bus"]
    paths += ["/proc/tty", "/proc//version", "/proc/bus/../tty"]
    script = """
        cat /proc/version | wc -c; ls -A /proc/tty /proc/bus /etc | grep -vc :
        (echo > /proc/version) && echo swallowed
        (echo > /etc/x) 2>&1 | sed 's/.*: //'; cat /proc/self/mountinfo
    """
    run = run_box(rootfs, script, mask_paths=paths, user=user)
    assert run.lines[:4] == ["0", "2", "swallowed", "Read-only file system"]  # two empty lines
    found = mounted(run.text)
    for path in ("/proc/tty", "/proc/bus", "/etc"):
        assert "ro" in found[path].options
        assert "ro" in found[path].super_options
    # What is named twice is covered once.
    assert run.text.count(" /proc/version ") == run.text.count(" /proc/tty ") == 1
    # All directories share one.
    assert run.text.count("nr_inodes=2") == 3
    assert len({line.split()[2] for line in run.lines if "nr_inodes=2" in line}) == 1
    assert "/proc/missing" not in found


@pytest.mark.parametrize("user", [False, True])
def test_read_only_paths(rootfs: Path, user: bool) -> None:
    mounts = [mount("/mnt", "tmpfs"), mount("/mnt/below", "tmpfs"), mount("/home", "tmpfs")]
    paths = ["/proc/sys", "/mnt", "/proc/timer_list", "/missing", "/home", "/etc/passwd"]
    paths += ["/proc/sys/", "/home/../etc/passwd"]
    script = """
        for at in /proc/sys/kernel/hostname /mnt/x /proc/timer_list /home/x /etc/passwd
            do (echo > $at) 2>&1 | sed 's/.*: //'; done
        echo > /mnt/below/x && cat /proc/self/mountinfo
    """
    run = run_box(rootfs, script, mounts, readonly_paths=paths, user=user, full=True)
    assert run.lines[:5] == ["Read-only file system"] * 5
    assert run.text.count(" /proc/sys ") == run.text.count(" /etc/passwd ") == 1
    found = mounted(run.text)
    assert "ro" in found["/proc/sys"].options
    assert "ro" in found["/mnt"].options
    assert "rw" in found["/mnt/below"].options  # as with runc: the path's own mount


def test_links_of_masked_paths_stay_inside(rootfs: Path) -> None:
    (rootfs / "leads-away").symlink_to("/../../proc/version")
    try:
        run = run_box(rootfs, "cat /proc/version | wc -c", mask_paths=["/leads-away"])
        assert run.lines == ["0"]
    finally:
        (rootfs / "leads-away").unlink()


def test_links_of_masked_paths_lead_from_one_mount_to_another(rootfs: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "away").symlink_to("/etc/passwd")
    (tmp_path / "relative").symlink_to("../etc/group")
    (tmp_path / "within").symlink_to("file")
    (tmp_path / "file").write_text("within\n")
    paths = [f"/mnt/{name}" for name in ("away", "relative", "within", "missing", "file/x")]
    script = "cat /etc/passwd /etc/group /mnt/file | wc -c; cat /proc/self/mountinfo"
    run = run_box(rootfs, script, [bind("/mnt", tmp_path)], mask_paths=paths)
    assert run.lines[0] == "0"
    assert {"/etc/passwd", "/etc/group", "/mnt/file"} <= set(mounted(run.text))


def test_what_is_read_only_at_the_end_is_what_was_mounted(tmp_path: Path) -> None:
    """A bind that a link of the image leads onto it is not changed in its place."""
    with new_rootfs() as image:
        (image / "run").mkdir(exist_ok=True)
        (image / "link").symlink_to("/run")
        mounts = [mount("/run", "tmpfs", "tmpfs", "ro"), bind("/link", tmp_path)]
        script = "touch /run/x; umount -l /run; touch /run/y; ls /run"
        run = run_box(image, script, mounts, full=True)
        assert run.lines == ["touch: /run/y: Read-only file system"]
        assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("what", ["link", "file", "other device", "missing", "directory"])
def test_a_false_null_device_masks_nothing(what: str, tmp_path: Path) -> None:
    """CVE-2025-31133."""
    with new_rootfs() as rootfs:
        null = rootfs / "dev/null"
        if what == "link":
            null.symlink_to("/etc/passwd")
        elif what == "file":
            null.write_text("shown instead")
        elif what == "other device":
            os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 8))
        elif what == "directory":
            null.mkdir()
        mounts = [mount("/proc", "proc"), bind("/dev", rootfs / "dev")]
        config = make_config(rootfs, mounts, base=False, mask_paths=["/proc/tty", "/proc/version"])
        with pytest.raises(StepError, match="null") as caught:
            run_config(config, "true")
        assert caught.value.place == "linux.maskedPaths[1]"
        if what != "directory":
            # Directories need none.
            config.mask_paths = ["/proc/tty"]
            assert run_config(config, "ls -A /proc/tty").lines == []


ROUNDS = 300 * int(os.environ.get("LIBCT_ATTACKS", "1"))


def test_a_proc_that_is_exchanged_during_the_start_is_masked() -> None:
    """By somebody who may rename in the rootfs: 44 of 146 containers had no mask."""
    masked, read_only = ["/proc/version", "/proc/tty"], ["/proc/sys", "/sys/kernel"]
    null = os.open(os.devnull, os.O_RDWR)
    with new_rootfs() as rootfs:
        for name in ("proc", "sys", "other"):
            (rootfs / name).mkdir(exist_ok=True)
        for name in ("version", "sys", "tty"):
            (rootfs / "other" / name).mkdir()
        mounts = [*base_mounts(), mount("/sys", "sysfs")]
        config = make_config(
            rootfs, mounts, base=False, mask_paths=masked, readonly_paths=read_only
        )
        config.devices = list(libct.ALLOWED_DEVICES)
        failed = 0
        with exchanging(rootfs / "proc", rootfs / "other"):
            for _ in range(ROUNDS):
                process = libct.Process(["/bin/sleep", "60"], env=[PATH], init=True)
                process.stdin = process.stdout = process.stderr = null
                with libct.create(str(state_root()), unique("box"), config) as container:
                    try:
                        container.start(process)
                    except StepError:
                        failed += 1
                        continue
                    with open(f"/proc/{process.pid}/mountinfo") as file:
                        lines = [line.split() for line in file]
                    # On the file system of /proc and of /sys, and not on what stood in for it.
                    kinds = {line[0]: line[line.index("-") + 1] for line in lines}
                    found = {
                        (line[4].rpartition("/")[2], "ro" in line[5].split(","), kinds[line[1]])
                        for line in lines
                        if line[1] in kinds
                    }
                    assert ("version", False, "proc") in found
                    assert ("tty", True, "proc") in found
                    assert ("sys", True, "proc") in found
                    assert ("kernel", True, "sysfs") in found
    os.close(null)
    assert failed < ROUNDS // 2


def test_the_root_can_be_neither_masked_nor_made_read_only_by_path(rootfs: Path) -> None:
    for masked, read_only in ((["/"], []), ([], ["/"])):
        with pytest.raises(StepError, match="is the root itself"):
            run_box(rootfs, "true", mask_paths=masked, readonly_paths=read_only)


def test_nodes_are_bound_where_a_parent_forbids_mknod(rootfs: Path) -> None:
    """libct as root of a user namespace, the container without one of its own."""

    def body() -> None:
        kernel_mount("proc", "/proc", "proc")
        script = "stat -c %t:%T /dev/null /dev/full; echo > /dev/null; cat /proc/self/mountinfo"
        run = run_box(rootfs, script)
        assert run.lines[:2] == ["1:3", "1:7"]
        assert mounted(run.text)["/dev/null"].fstype == mounted(host)["/dev"].fstype

    with open("/proc/self/mountinfo") as file:
        host = file.read()
    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, body)


def test_the_host_s_device_nodes_are_never_changed(rootfs: Path) -> None:
    before = os.stat("/dev/null")
    run_box(rootfs, "chmod 600 /dev/null; chown 1:1 /dev/null", full=True)
    run_box(rootfs, "chmod 600 /dev/null; chown 1:1 /dev/null", user=True, full=True)
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
