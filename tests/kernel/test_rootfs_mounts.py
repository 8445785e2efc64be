"""Mounts of a configuration, as seen from inside the container."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config import MountIDMapping, TimeOffset
from libct.config.mount_flags import MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT
from libct.errors import StepError
from tests.support import (
    CLONE_NEWNS,
    in_namespaces,
    libct_command,
    libct_environment,
    make_bundle,
    mount as kernel_mount,
    requires,
    run,
    session_directory,
    unique,
)

from .rootfs_box import (
    MAPPED,
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


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory of the host that everybody may enter."""
    path = session_directory() / unique("shared")
    path.mkdir(mode=0o755)
    yield path
    for entry in sorted(path.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    path.rmdir()


# option -> (in the mount's options, not there, in the file system's options)
ATTRIBUTES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "defaults": ({"rw", "relatime"}, {"nosuid", "nodev", "noexec"}, {"rw"}),
    "nosuid": ({"nosuid"}, set(), set()),
    "suid": (set(), {"nosuid"}, set()),
    "nodev": ({"nodev"}, set(), set()),
    "dev": (set(), {"nodev"}, set()),
    "noexec": ({"noexec"}, set(), set()),
    "exec": (set(), {"noexec"}, set()),
    "noatime": ({"noatime"}, {"relatime"}, set()),
    "atime": ({"relatime"}, {"noatime"}, set()),
    "relatime": ({"relatime"}, set(), set()),
    "norelatime": ({"relatime"}, set(), set()),
    "strictatime": (set(), {"relatime", "noatime"}, set()),
    "nostrictatime": ({"relatime"}, set(), set()),
    "nodiratime": ({"nodiratime"}, set(), set()),
    "diratime": (set(), {"nodiratime"}, set()),
    "nosymfollow": ({"nosymfollow"}, set(), set()),
    "symfollow": (set(), {"nosymfollow"}, set()),
    "ro": ({"ro"}, {"rw"}, set()),
    "rw": ({"rw"}, {"ro"}, {"rw"}),
    "sync": ({"rw"}, set(), {"sync"}),
    "async": ({"rw"}, set(), set()),
    "dirsync": ({"rw"}, set(), {"dirsync"}),
    "lazytime": ({"rw"}, set(), {"lazytime"}),
    "nolazytime": ({"rw"}, set(), set()),
    "mand": ({"rw"}, set(), set()),  # of no effect since Linux 5.15
    "nomand": ({"rw"}, set(), set()),
    "iversion": ({"rw"}, set(), set()),  # not shown
    "noiversion": ({"rw"}, set(), set()),
    "acl": ({"rw"}, set(), set()),  # not shown
    "noacl": ({"rw"}, set(), set()),
    "silent": ({"rw"}, set(), set()),
    "loud": ({"rw"}, set(), set()),
    "size=64k": (set(), set(), {"size=64k"}),
    "nr_inodes=10": (set(), set(), {"nr_inodes=10"}),
    "mode=711": (set(), set(), {"mode=711"}),
}


def test_each_option_of_a_tmpfs_is_what_the_kernel_shows(rootfs: Path) -> None:
    mounts = [
        mount(f"/mnt/{number}", "tmpfs", "tmpfs", option)
        for number, option in enumerate(ATTRIBUTES)
    ]
    found = mounted(run_box(rootfs, "cat /proc/self/mountinfo", mounts).text)
    for number, (option, (shown, absent, of_fs)) in enumerate(ATTRIBUTES.items()):
        seen = found[f"/mnt/{number}"]
        assert seen.fstype == "tmpfs", option
        assert shown <= seen.options, option
        assert not absent & seen.options, option
        assert of_fs <= seen.super_options, option


def test_each_attribute_can_be_set_on_a_bind_and_cleared(rootfs: Path, shared: Path) -> None:
    kept = [option for option, (shown, _, of_fs) in ATTRIBUTES.items() if "=" not in option]
    mounts = [mount("/mnt/base", "tmpfs")]
    mounts += [bind(f"/mnt/{option}", shared, option) for option in kept]
    found = mounted(run_box(rootfs, "cat /proc/self/mountinfo", mounts).text)
    for option in kept:
        shown, absent, _ = ATTRIBUTES[option]
        assert shown <= found[f"/mnt/{option}"].options, option
        assert not absent & found[f"/mnt/{option}"].options, option


STRICT = {"ro", "nosuid", "nodev", "noexec", "noatime"}
# The options of a bind of a source that is all that -> what the bind has of it, and what a
# user namespace keeps from being done, as it keeps everything as it is.
NAMED: dict[tuple[str, ...], tuple[set[str], set[str]]] = {
    (): (STRICT, set()),
    ("defaults",): (STRICT, set()),
    ("rprivate",): (STRICT, set()),
    ("rw",): ({"noatime"}, {"ro"}),
    ("exec",): ({"noatime"}, {"noexec"}),
    ("ro",): ({"ro", "noatime"}, set()),
    ("nosuid",): ({"nosuid", "noatime"}, set()),
    ("nodev", "rw"): ({"nodev", "noatime"}, {"ro"}),
    ("sync",): ({"noatime"}, set()),
    ("noatime",): ({"noatime"}, set()),
    ("relatime",): (set(), {"noatime"}),
    ("strictatime", "ro"): ({"ro"}, {"noatime"}),
    ("nodiratime",): ({"nodiratime"}, {"noatime"}),
    ("atime",): (set(), {"noatime"}),
    ("rw", "suid", "dev", "exec", "atime"): (set(), STRICT),
}


def strict_mount(at: Path) -> Path:
    at.mkdir(exist_ok=True)
    kernel_mount("tmpfs", str(at), "tmpfs", 1 | 2 | 4 | 8 | 1024)  # MS_RDONLY to MS_NOATIME
    return at


def test_a_bind_has_the_options_that_are_named_and_no_others(rootfs: Path) -> None:
    def body() -> None:
        source = strict_mount(rootfs / "mnt/strict")
        mounts = [mount("/opt", "tmpfs")]
        mounts += [bind(f"/opt/{at}", source, *options) for at, options in enumerate(NAMED)]
        mounts += [bind("/mnt/again", source), mount("/mnt/again", "", "", "remount", "bind", "ro")]
        found = run_box(rootfs, "cat /proc/self/mountinfo", mounts)
        seen = mounted(found.text)
        for at, (options, (has, _)) in enumerate(NAMED.items()):
            assert seen[f"/opt/{at}"].options & (STRICT | {"nodiratime"}) == has, options
        assert seen["/mnt/again"].options & STRICT == {"ro", "noatime"}
        assert found.warnings == ()

    in_namespaces(CLONE_NEWNS, body)


def check_locked(rootfs: Path) -> None:
    """In a user namespace the options of what was mounted outside stay, asked for or not."""
    source = strict_mount(rootfs / "mnt/strict")
    mounts = [mount("/home", "tmpfs")]
    mounts += [bind(f"/home/{at}", source, *options) for at, options in enumerate(NAMED)]
    mounts += [bind("/mnt", source), mount("/mnt", "", "", "remount", "bind", "rw")]
    found = run_box(rootfs, "cat /proc/self/mountinfo", mounts, user=True)
    assert found.status == 0, found.text
    seen = mounted(found.text)
    warned = []
    for at, (options, (_, kept)) in enumerate(NAMED.items()):
        assert seen[f"/home/{at}"].options >= STRICT, options
        if kept:
            names = [
                name for name in ("ro", "nosuid", "nodev", "noexec", "noatime") if name in kept
            ]
            stays = f"/home/{at} stays {', '.join(names)}"
            warned.append(f"mounts[{at + 4}]: {stays}, which a user namespace has locked")
    assert seen["/mnt"].options >= STRICT
    last = f"mounts[{len(NAMED) + 5}]: /mnt stays ro, which a user namespace has locked"
    assert found.warnings == (*warned, last)


def test_what_a_user_namespace_has_locked_stays_with_a_warning(rootfs: Path) -> None:
    in_namespaces(CLONE_NEWNS, lambda: check_locked(rootfs))


def test_options_of_a_tree_that_are_locked_are_refused(rootfs: Path) -> None:
    def body() -> None:
        source = strict_mount(rootfs / "mnt/strict")
        with pytest.raises(StepError) as caught:
            run_box(rootfs, "true", [mount("/mnt", "bind", str(source), "rbind", "rrw")], user=True)
        assert (caught.value.errno, caught.value.place) == (errno.EPERM, "mounts[3]")

    in_namespaces(CLONE_NEWNS, body)


def test_of_a_source_that_has_more_what_is_not_locked_goes(rootfs: Path, shared: Path) -> None:
    """What the container has added itself it may take away; of the host's, it keeps what is."""

    def body() -> None:
        kernel_mount("tmpfs", str(shared), "tmpfs", 4)  # MS_NODEV
        mounts = [
            bind("/mnt", shared, "ro", "noexec"),
            mount("/mnt", "", "", "remount", "bind", "rw", "dev", "nosuid"),
        ]
        found = run_box(rootfs, "cat /proc/self/mountinfo", mounts, user=True)
        options = mounted(found.text)["/mnt"].options
        assert options & STRICT == {"nosuid", "nodev"}
        assert found.warnings == ("mounts[4]: /mnt stays nodev, which a user namespace has locked",)

    in_namespaces(CLONE_NEWNS, body)


def test_attributes_are_enforced(rootfs: Path, shared: Path) -> None:
    (shared / "program").write_text("#!/bin/sh\necho ran\n")
    (shared / "program").chmod(0o755)
    (shared / "link").symlink_to("program")
    os.mknod(shared / "null", 0o20666, os.makedev(1, 3))
    (shared / "null").chmod(0o666)
    script = """
        for at in plain ro noexec nodev nosymfollow; do
            echo == $at
            (echo > /mnt/$at/new) 2>&1 | sed 's/.*: //'
            /mnt/$at/program 2>&1 | sed 's/.*: //'
            (echo > /mnt/$at/null) 2>&1 | sed 's/.*: //'
            cat /mnt/$at/link 2>&1 >/dev/null | sed 's/.*: //'
        done
    """
    options = ("ro", "noexec", "nodev", "nosymfollow")
    mounts = [bind("/mnt/plain", shared)] + [bind(f"/mnt/{at}", shared, at) for at in options]
    said = run_box(rootfs, script, mounts).lines
    assert said == [
        *("== plain", "ran"),
        *("== ro", "Read-only file system", "ran"),
        *("== noexec", "Permission denied"),
        *("== nodev", "ran", "Permission denied"),
        *("== nosymfollow", "ran", "Too many levels of symbolic links"),
    ]


def test_nosuid_is_enforced(rootfs: Path, shared: Path) -> None:
    # busybox gives the right up again, unless it is needed: passwd tells whether it was there.
    (shared / "passwd").write_bytes((rootfs / "bin/busybox").read_bytes())
    (shared / "passwd").chmod(0o4755)
    mounts = [bind("/mnt/suid", shared), bind("/mnt/nosuid", shared, "nosuid")]
    config = make_config(rootfs, mounts)
    said = [
        run_config(config, f"/mnt/{at}/passwd someone", user="1000").text
        for at in ("suid", "nosuid")
    ]
    assert ["must be suid" in text for text in said] == [False, True]


def test_recursive_attributes_reach_the_mounts_below(rootfs: Path, shared: Path) -> None:
    (shared / "sub").mkdir()

    def body() -> None:
        kernel_mount("tmpfs", str(shared), "tmpfs")
        (shared / "sub").mkdir()
        kernel_mount("tmpfs", str(shared / "sub"), "tmpfs", 8)  # MS_NOEXEC
        options = {
            "ro": {"ro"},
            "rro": {"ro"},
            "rnosuid": {"nosuid"},
            "rnodev": {"nodev"},
            "rnoexec": {"noexec"},
            "rnoatime": {"noatime"},
            "rnodiratime": {"nodiratime"},
            "rnosymfollow": {"nosymfollow"},
            "rexec": set(),
            "rrelatime": {"relatime"},
        }
        mounts = [mount(f"/mnt/{at}", "bind", str(shared), "rbind", at) for at in options]
        mounts.append(mount("/mnt/strict", "bind", str(shared), "rbind", "rstrictatime"))
        mounts.append(mount("/mnt/undone", "bind", str(shared), "rbind", "ro", "rrw"))
        mounts.append(mount("/mnt/flat", "bind", str(shared), "bind", "rro"))
        mounts.append(mount("/mnt/new", "tmpfs", "tmpfs", "rnodev"))
        found = mounted(run_box(rootfs, "cat /proc/self/mountinfo", mounts).text)
        for option, shown in options.items():
            assert shown <= found[f"/mnt/{option}"].options, option
            if option == "ro":
                assert "rw" in found["/mnt/ro/sub"].options
            else:
                assert shown <= found[f"/mnt/{option}/sub"].options, option
        assert "noexec" not in found["/mnt/rexec/sub"].options
        assert "relatime" not in found["/mnt/strict/sub"].options
        assert "rw" in found["/mnt/undone"].options
        assert "ro" in found["/mnt/flat"].options
        assert "/mnt/flat/sub" not in found
        assert "nodev" in found["/mnt/new"].options

    in_namespaces(CLONE_NEWNS, body)


def test_options_of_propagation(rootfs: Path, shared: Path) -> None:
    def body() -> None:
        kernel_mount("tmpfs", str(shared), "tmpfs")
        (shared / "sub").mkdir()
        kernel_mount("tmpfs", str(shared / "sub"), "tmpfs")
        kernel_mount("none", "/", flags=0x100000 | 0x4000)  # MS_SHARED, MS_REC
        names = ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable")
        mounts = [mount(f"/mnt/{name}", "bind", str(shared), "rbind", name) for name in names]
        mounts += [mount("/mnt/both", "bind", str(shared), "rbind", "rslave", "rshared")]
        mounts += [mount("/mnt/none", "bind", str(shared), "rbind")]
        mounts += [mount("/mnt/new", "tmpfs", "tmpfs", "shared")]
        found = mounted(run_box(rootfs, "cat /proc/self/mountinfo", mounts).text)

        def seen(point: str) -> set[str]:
            return set(found[f"/mnt/{point}"].propagation)

        # As everything is a slave of the host's until an option says otherwise.
        assert seen("none") == seen("none/sub") == {"master"}
        assert seen("private") == set()
        assert seen("private/sub") == {"master"}
        assert seen("rprivate") == seen("rprivate/sub") == set()
        assert seen("slave") == seen("rslave/sub") == {"master"}
        assert seen("shared") == {"shared", "master"}
        assert seen("shared/sub") == {"master"}
        assert seen("rshared/sub") == {"shared", "master"}
        assert seen("unbindable") == {"unbindable"}
        assert seen("both/sub") == {"shared", "master"}
        assert seen("new") == {"shared"}

    in_namespaces(CLONE_NEWNS, body)


def test_later_mounts_of_the_host_reach_a_slave_and_no_private_mount(
    rootfs: Path, shared: Path
) -> None:
    for name in ("a", "b"):
        (shared / name).mkdir()

    def body() -> None:
        kernel_mount(str(shared), str(shared), flags=4096)
        kernel_mount("none", str(shared), flags=0x100000)
        mounts = [
            mount("/mnt/slave", "bind", str(shared), "rbind", "rslave"),
            mount("/mnt/private", "bind", str(shared), "rbind", "rprivate"),
        ]
        with running(make_config(rootfs, mounts)) as pid:
            kernel_mount("tmpfs", str(shared / "a"), "tmpfs")
            found = mounts_of(pid)
            assert found["/mnt/slave/a"].fstype == "tmpfs"
            assert "/mnt/private/a" not in found

    in_namespaces(CLONE_NEWNS, body)


def test_remount_changes_a_mount_that_is_there(rootfs: Path, shared: Path) -> None:
    mounts = [
        mount("/mnt/fs", "tmpfs", "tmpfs", "size=64k"),
        mount("/mnt/fs", "none", "", "remount", "nosuid", "size=128k", "sync"),
        bind("/mnt/bound", shared),
        mount("/mnt/bound", "none", "", "remount", "bind", "ro"),
    ]
    found = mounted(run_box(rootfs, "cat /proc/self/mountinfo", mounts).text)
    assert "nosuid" in found["/mnt/fs"].options
    assert {"size=128k", "sync"} <= found["/mnt/fs"].super_options
    assert "ro" in found["/mnt/bound"].options
    with pytest.raises(StepError) as caught:
        run_box(rootfs, "true", [mount("/mnt/missing", "none", "", "remount", "ro")])
    assert caught.value.errno == errno.ENOENT
    assert not (rootfs / "mnt/missing").exists()


@pytest.mark.parametrize("user", [False, True])
def test_a_tmpfs_has_the_mode_of_the_directory_it_covers(rootfs: Path, user: bool) -> None:
    """But not its owner, unless it begins with a copy of it."""
    first = 100_000 if user else 0
    for name, mode, owner in (("plain", 0o751, 0), ("owned", 0o2770, 1000), ("copy", 0o750, 7)):
        (rootfs / "home" / name).mkdir(exist_ok=True)
        os.chown(rootfs / "home" / name, first + owner, first + owner)
        (rootfs / "home" / name).chmod(mode)
    mounts = [
        mount("/home/plain", "tmpfs"),
        mount("/home/owned", "tmpfs"),
        mount("/home/given", "tmpfs", "tmpfs", "mode=700,uid=5,gid=6"),
        mount("/home/copy", "tmpfs", "tmpfs", "tmpcopyup"),
        mount("/mnt", "tmpfs"),
        mount("/mnt/none/before", "tmpfs"),
    ]
    script = "cd /home; stat -c '%a %u %g' plain owned given copy /mnt/none /mnt/none/before"
    assert run_box(rootfs, script, mounts, user=user).lines == [
        *("751 0 0", "2770 0 0", "700 5 6", "750 7 7", "755 0 0"),
        "1777 0 0",  # as the kernel makes it
    ]


def test_a_read_only_tmpfs_is_filled_first(rootfs: Path, shared: Path) -> None:
    (shared / "file").write_text("bound\n")
    mounts = [
        mount("/mnt/ro", "tmpfs", "tmpfs", "ro"),
        bind("/mnt/ro/deep/file", shared / "file"),
        mount("/mnt/ro/other", "tmpfs", "tmpfs", "rw"),
    ]
    script = """
        cat /mnt/ro/deep/file; echo > /mnt/ro/other/x && echo rw
        (echo > /mnt/ro/x) 2>&1 | sed 's/.*: //'; (echo > /dev/x) 2>&1 | sed 's/.*: //'
        echo > /dev/null && ls /dev/ptmx
    """
    config = make_config(rootfs, mounts)
    for at in config.mounts:
        if at.destination == "/dev":
            at.flags |= 1
    assert run_config(config, script).lines == [
        *("bound", "rw", "Read-only file system", "Read-only file system", "/dev/ptmx"),
    ]


def test_binds_make_their_targets(rootfs: Path, shared: Path) -> None:
    (shared / "file").write_text("file\n")
    (shared / "directory").mkdir()
    (shared / "directory/inner").write_text("inner\n")
    (rootfs / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    (rootfs / "etc/away").symlink_to("/../../../../escape/file")
    (rootfs / "etc/loop").symlink_to("loop")
    mounts = [
        bind("/new/deep/file", shared / "file"),
        bind("new/relative", shared / "directory"),
        bind("/new/../new/dots", shared / "directory"),
        bind("/etc/resolv.conf", shared / "file"),
        bind("/etc/away", shared / "file"),
    ]
    script = """
        cat /new/deep/file /new/relative/inner /new/dots/inner /etc/resolv.conf
        cat /run/resolve/stub.conf /escape/file; ls -ld /etc/away | cut -c1
    """
    said = run_box(rootfs, script, mounts).lines
    assert said == ["file", "inner", "inner", "file", "file", "file", "l"]
    assert not os.path.lexists("/escape")
    with pytest.raises(StepError) as caught:
        run_box(rootfs, "true", [bind("/etc/loop", shared / "file")])
    assert caught.value.errno == errno.ELOOP


def test_a_destination_that_begins_with_the_rootfs_is_inside_it(rootfs: Path, shared: Path) -> None:
    (shared / "file").write_text("bound\n")
    other = f"{rootfs}-other"  # the path of the rootfs is no part of this one's
    mounts = [
        mount(f"{rootfs}/run", "tmpfs"),
        bind(f"/{rootfs}/./run/x", shared),
        mount("/run/x", "", "", "remount", "bind", "ro"),
        bind(f"{other}/x", shared),
    ]
    script = f"cat /run/x/file {other}/x/file; test -e {rootfs}; echo $?"
    mask = {"mask_paths": ["/run/x/file"]}
    found = run_box(rootfs, f"{script}; cat /proc/self/mountinfo", mounts)
    assert found.lines[:3] == ["bound", "bound", "1"]
    assert "ro" in mounted(found.text)["/run/x"].options
    assert run_box(rootfs, "cat /run/x/file | wc -l", mounts, **mask).lines == ["0"]
    with pytest.raises(libct.ConfigError, match="is the root itself"):
        run_box(rootfs, "true", [mount(str(rootfs), "tmpfs")])


@pytest.mark.parametrize("closed", [False, True])
def test_a_plain_bind_of_what_has_something_below_says_that_rbind_works(
    rootfs: Path, shared: Path, closed: bool
) -> None:
    """In a user namespace, where it would uncover that."""

    def body() -> None:
        kernel_mount("tmpfs", str(shared), "tmpfs")
        source = closed_source(shared, 4321 if closed else 0)
        (shared / "link").symlink_to(source)
        (source / "below").mkdir()
        assert run_box(rootfs, "ls /mnt/", [bind("/mnt", source)], user=True).status == 0
        kernel_mount("tmpfs", str(source / "below"), "tmpfs")
        for at in (source, shared / "link"):
            with pytest.raises(StepError, match=r"is mounted below it.*: rbind works") as caught:
                run_box(rootfs, "true", [bind("/mnt", at)], user=True)
            assert caught.value.errno == errno.EINVAL
            mounts = [mount("/mnt", "bind", str(at), "rbind")]
            assert "below" in run_box(rootfs, "ls /mnt", mounts, user=True).text
        # What the host has unbindable is so no more in the container's mount namespace.
        kernel_mount("none", str(shared), flags=0x20000)  # MS_UNBINDABLE
        with pytest.raises(StepError, match=": rbind works"):
            run_box(rootfs, "true", [bind("/mnt", source)], user=True)
        mounts = [mount("/mnt", "bind", str(source), "rbind")]
        assert "below" in run_box(rootfs, "ls /mnt", mounts, user=True).text

    in_namespaces(CLONE_NEWNS, body)


def test_a_mount_of_type_bind_is_one_without_the_option(rootfs: Path, shared: Path) -> None:
    (shared / "file").write_text("bound\n")
    for options in ((), ("ro",)):
        at = mount("/mnt", "bind", str(shared), *options)
        assert run_box(rootfs, "cat /mnt/file", [at]).lines == ["bound"]


def test_a_remount_of_the_root_is_refused(rootfs: Path) -> None:
    """root.readonly is for that."""
    for options in (("bind", "remount", "ro"), ("remount", "ro")):
        with pytest.raises(libct.ConfigError, match="is the root itself"):
            run_box(rootfs, "true", [mount("/", "", "", *options)])
    script = "touch /x 2>&1 | grep -c 'Read-only file system'"
    assert run_box(rootfs, script, readonlyfs=True).lines == ["1"]


@pytest.mark.parametrize("mapped", [False, True], ids=["", "mapped"])
def test_so_does_a_bind_of_what_an_earlier_mount_has_made(
    rootfs: Path, shared: Path, mapped: bool
) -> None:
    """Only in the container's mount namespace is there anything below it."""
    maps = MAPPED["uid_mappings"]
    more: dict[str, Any] = {"id_mapping": MountIDMapping(False, "", maps, maps)} if mapped else {}

    def body() -> None:
        source = closed_source(shared, 4321)
        (source / "below").mkdir(mode=0o755)
        kernel_mount("tmpfs", str(source / "below"), "tmpfs")
        for option, hint in (("rslave", "rbind works"), ("runbindable", "")):
            first = mount("/mnt", "bind", str(source), "rbind", option)
            late = bind("/home", f"{rootfs}/mnt", **more)
            with pytest.raises(StepError, match="Invalid argument") as caught:
                run_box(rootfs, "true", [first, late], user=True)
            assert caught.value.place.startswith("mounts[4]")
            assert caught.value.hint.endswith(hint)
            assert bool(caught.value.hint) is bool(hint)
        mounts = [
            mount("/mnt", "bind", str(source), "rbind"),
            mount("/home", "bind", f"{rootfs}/mnt", "rbind", **more),
        ]
        assert "below" in run_box(rootfs, "ls /home", mounts, user=True).text

    in_namespaces(CLONE_NEWNS, body)


@requires("user")
def test_an_ordinary_user_is_told_so_too(rootfs: Path) -> None:
    """Of sources that are opened before the first mount, and of such as are made by one."""

    def body() -> None:
        source = Path(tempfile.mkdtemp(dir=session_directory()))
        source.chmod(0o755)
        (source / "below").mkdir(mode=0o755)
        kernel_mount("tmpfs", str(source / "below"), "tmpfs")
        early = {"destination": "/home", "source": str(source), "options": ["bind"]}
        first = {"destination": "/mnt", "source": str(source), "options": ["rbind"]}
        late = {"destination": "/home", "source": f"{rootfs}/mnt", "options": ["bind"]}
        proc = {"destination": "/proc", "type": "proc", "source": "proc"}
        for mounts in ([proc, early], [proc, first, late]):
            place = Path(tempfile.mkdtemp(dir=session_directory()))
            bundle = make_bundle(place, rootfs=rootfs, rootless=True, args=["true"], mounts=mounts)
            command = ("run", "--bundle", bundle, unique())
            done = run(
                libct_command(*command, root=place / "state", user=True),
                user=True,
                env=libct_environment(user=True),
            )
            assert "does not uncover: rbind works)" in done.stderr, mounts

    in_namespaces(CLONE_NEWNS, body)


@pytest.mark.parametrize("user", [False, True])
def test_id_mapped_sources_that_cannot_be(rootfs: Path, shared: Path, user: bool) -> None:
    maps = MAPPED["uid_mappings"]
    more: dict[str, Any] = {"id_mapping": MountIDMapping(False, "", maps, maps)}
    with pytest.raises(StepError, match="the source of a bind mount must exist on the host"):
        run_box(rootfs, "true", [bind("/mnt", shared / "missing", **more)], user=user)
    # A missing user namespace to map by is no missing source.
    more = {"id_mapping": MountIDMapping(False, str(shared / "missing"))}
    with pytest.raises(StepError) as caught:
        run_box(rootfs, "true", [bind("/mnt", shared, **more)], user=user)
    assert (caught.value.errno, caught.value.hint) == (errno.ENOENT, "")


@pytest.mark.parametrize("user", [False, True])
def test_ids_that_are_mapped_already_are_not_mapped_again(
    rootfs: Path, shared: Path, user: bool
) -> None:
    maps = MAPPED["uid_mappings"]

    def mapping(recursive: bool) -> dict[str, Any]:
        return {"id_mapping": MountIDMapping(recursive, "", maps, maps)}

    (shared / "below").mkdir()
    twice = [
        bind("/mnt", shared, **mapping(False)),
        bind("/opt", f"{rootfs}/mnt", **mapping(False)),
    ]
    below = [
        mount("/mnt", "tmpfs"),
        bind("/mnt/below", shared, **mapping(False)),
        mount("/opt", "bind", f"{rootfs}/mnt", "rbind", **mapping(True)),
    ]
    for mounts in (twice, below):
        with pytest.raises(StepError, match="mapped already, and cannot be mapped again") as caught:
            run_box(rootfs, "true", mounts, user=user)
        assert caught.value.errno == errno.EPERM
    # What is below is not mapped without ridmap, and does not matter then.
    below[-1] = mount("/opt", "bind", f"{rootfs}/mnt", "rbind", **mapping(False))
    assert run_box(rootfs, "true", below, user=user).status == 0


@pytest.mark.parametrize(
    ("target", "source", "problem"),
    [
        ("/etc/passwd", "directory", "is a directory and /etc/passwd is no directory"),
        ("/etc", "file", "is no directory and /etc is a directory"),
        ("/etc/passwd/below", "file", "Not a directory"),
        ("/mnt/x", "missing", "the source of a bind mount must exist"),
        ("/root-link", "directory", "leads to the root itself"),
    ],
)
def test_binds_that_cannot_be(
    rootfs: Path, shared: Path, target: str, source: str, problem: str
) -> None:
    (shared / "file").touch()
    (shared / "directory").mkdir()
    if not os.path.lexists(rootfs / "root-link"):
        (rootfs / "root-link").symlink_to("/")
    with pytest.raises(StepError, match=problem) as caught:
        run_box(rootfs, "true", [bind(target, shared / source)])
    assert caught.value.place == "mounts[3]"


def test_a_source_that_only_the_host_s_root_may_enter(rootfs: Path, shared: Path) -> None:
    (shared / "closed").mkdir(mode=0o700)
    (shared / "closed/inner").mkdir(mode=0o755)
    (shared / "closed/inner/file").write_text("seen\n")
    mounts = [bind("/media", shared / "closed/inner", "ro")]
    script = "cat /media/file; ls /media/.. | grep -c closed"
    with pytest.raises(StepError, match="is not in the rootfs, and cannot be made"):
        run_box(rootfs, script, mounts, user=True)
    (rootfs / "media").mkdir()
    assert run_box(rootfs, script, mounts, user=True).lines == ["seen", "0"]


def closed_source(shared: Path, uid: int) -> Path:
    """A directory below one that only this user may enter, with a file."""
    inner = shared / "closed/inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("seen\n")
    (shared / "closed").chmod(0o700)
    os.chown(shared / "closed", uid, uid)
    return inner


@pytest.mark.parametrize("uid", [0, 4321, 100_000])
@pytest.mark.parametrize("offsets", [False, True])
@requires("timens")
@pytest.mark.usefixtures("nothing_left")
def test_a_source_that_one_user_of_the_host_may_enter(
    rootfs: Path, shared: Path, uid: int, offsets: bool
) -> None:
    mounts = [bind("/mnt", closed_source(shared, uid), "ro"), bind("/opt", shared / "closed")]
    (rootfs / "opt").mkdir(exist_ok=True)
    clocks: dict[str, Any] = {}
    if offsets:
        clocks = {
            "kinds": ("NEWNS", "NEWPID", "NEWUTS", "NEWIPC", "NEWTIME"),
            "time_offsets": {"boottime": TimeOffset(10, 0)},
        }
    script = "cat /mnt/file; ls /opt 2>&1 | sed 's/.*: //'"
    # What the container's user may then do there is for the permissions to say.
    below = "inner" if uid == 100_000 else "Permission denied"
    assert run_box(rootfs, script, mounts, user=True, **clocks).lines == ["seen", below]


@pytest.mark.usefixtures("nothing_left")
def test_a_source_that_a_joined_user_namespace_may_not_enter(rootfs: Path, shared: Path) -> None:
    mounts = [bind("/mnt", closed_source(shared, 4321))]
    with running(make_config(rootfs, user=True)) as pid:
        config = make_config(rootfs, mounts)
        config.namespaces.append(libct.Namespace("NEWUSER", f"/proc/{pid}/ns/user"))
        assert run_config(config, "cat /mnt/file").lines == ["seen"]


@pytest.mark.usefixtures("nothing_left")
def test_a_source_of_a_runtime_in_a_chroot_is_from_there(rootfs: Path, shared: Path) -> None:
    """Who opens it enters the container's mount namespace, and stays in the chroot there."""
    inner, jail = closed_source(shared, 4321), shared / "jail"
    jail.mkdir()

    def body() -> list[str]:
        kernel_mount("/", str(jail), "", MS_BIND | MS_REC)
        kernel_mount("tmpfs", f"{jail}{inner}", "tmpfs")
        Path(f"{jail}{inner}/file").write_text("of the chroot\n")
        os.chroot(jail)
        config = make_config(rootfs, [bind("/mnt", inner)])
        # A new one cannot be made in a chroot.
        config.namespaces.append(libct.Namespace("NEWUSER", f"/proc/{pid}/ns/user"))
        return run_config(config, "cat /mnt/file").lines

    with running(make_config(rootfs, user=True)) as pid:
        assert in_namespaces(CLONE_NEWNS, body) == ["of the chroot"]


@pytest.mark.usefixtures("nothing_left")
def test_many_sources_and_one_that_is_missing(rootfs: Path, shared: Path) -> None:
    inner = closed_source(shared, 4321)
    mounts = [mount("/mnt", "tmpfs"), *(bind(f"/mnt/{number}", inner) for number in range(230))]
    assert run_box(rootfs, "cat /mnt/*/file | wc -l", mounts, user=True).lines == ["230"]
    mounts[7] = bind("/mnt/no", inner / "no")
    with pytest.raises(StepError, match="must exist on the host") as caught:
        run_box(rootfs, "true", mounts, user=True)
    assert caught.value.place == "mounts[10].source"
    assert caught.value.errno == errno.ENOENT


SPACES: dict[str, dict[str, Any]] = {
    "no user namespace": {},
    "a user namespace": {"user": True},
    "clocks of its own": {
        "user": True,
        "kinds": ("NEWNS", "NEWPID", "NEWUTS", "NEWIPC", "NEWTIME"),
        "time_offsets": {"boottime": TimeOffset(10, 0)},
    },
}


@pytest.mark.parametrize("mapped", [False, True], ids=["", "mapped"])
@pytest.mark.parametrize("spaces", SPACES)
@pytest.mark.usefixtures("nothing_left")
def test_sources_that_earlier_mounts_make(
    rootfs: Path, shared: Path, spaces: str, mapped: bool
) -> None:
    """Of a directory closed to all but one user, and by a source that has the rootfs in it."""
    inner = closed_source(shared, 4321)
    os.chown(inner / "file", 7, 7)
    (inner / "empty").mkdir()
    maps = [libct.IDMap(0, 200_000 if not SPACES[spaces] else 100_000, 65_536)]
    more: dict[str, Any] = {"id_mapping": MountIDMapping(False, "", maps, maps)} if mapped else {}
    mounts = [
        bind("/home", inner),  # before it there is no file
        mount("/tmp", "tmpfs"),
        bind("/opt", f"{rootfs}/home", **more),
        bind("/media", f"/{rootfs}/./home/empty/.."),
        bind("/mnt", f"{rootfs}/opt"),
        bind("/srv", f"{rootfs}/tmp"),
        mount("/run", "bind", str(rootfs.parent), "rbind"),
    ]
    for name in ("opt", "media", "srv"):
        (rootfs / name).mkdir(exist_ok=True)
    script = """
        cat /home/file /opt/file /media/file /mnt/file /run/rootfs/opt/file
        echo > /tmp/here; ls /srv
        stat -c %u /opt/file /mnt/file /home/file
    """
    found = run_box(rootfs, script, mounts, **SPACES[spaces])
    unmapped, host = ("65534", "100007") if SPACES[spaces] else ("7", "200007")
    own = {False: unmapped, True: "7" if SPACES[spaces] else host}[mapped]
    assert found.lines == [*["seen"] * 5, "here", own, own, unmapped]
    # What is missing is an error of that mount, with nobody left.
    mounts[4] = bind("/mnt", f"{rootfs}/home/missing", **more)
    with pytest.raises(StepError, match="must exist on the host") as caught:
        run_box(rootfs, script, mounts, **SPACES[spaces])
    assert caught.value.errno == errno.ENOENT
    assert caught.value.place.startswith("mounts[7]")


@pytest.mark.parametrize("mapped", [False, True], ids=["", "mapped"])
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.usefixtures("nothing_left")
def test_sources_that_earlier_mounts_make_in_a_pod(
    rootfs: Path, shared: Path, user: bool, mapped: bool
) -> None:
    """The stage makes the mounts, and clones the command alone after that."""
    inner = closed_source(shared, 4321)
    maps = MAPPED["uid_mappings"]
    more: dict[str, Any] = {"id_mapping": MountIDMapping(False, "", maps, maps)} if mapped else {}
    mounts = [bind("/home", inner), bind("/mnt", f"{rootfs}/home", **more)]
    kinds = ("NEWNS", "NEWUTS", "NEWIPC")
    with running(make_config(rootfs, user=user)) as pid:
        config = make_config(rootfs, mounts, kinds=kinds)
        config.namespaces.append(libct.Namespace("NEWPID", f"/proc/{pid}/ns/pid"))
        if user:
            config.namespaces.append(libct.Namespace("NEWUSER", f"/proc/{pid}/ns/user"))
        assert run_config(config, "cat /mnt/file").lines == ["seen"]


@requires("user")
def test_an_ordinary_user_s_sources_that_earlier_mounts_make(rootfs: Path) -> None:
    config = {
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
            {
                "destination": "/mnt",
                "type": "bind",
                "source": f"{rootfs}/tmp",
                "options": ["bind", "nosuid"],
            },
        ]
    }
    script = "echo > /tmp/here; ls /mnt; grep ' /mnt ' /proc/self/mountinfo | grep -c nosuid"
    place = Path(tempfile.mkdtemp(dir=session_directory()))
    bundle = make_bundle(place, rootfs=rootfs, rootless=True, args=["sh", "-c", script], **config)
    done = run(
        libct_command("run", "--bundle", bundle, unique(), root=place / "state", user=True),
        user=True,
        env=libct_environment(user=True),
        check=True,
    )
    assert done.stdout == "here\n1\n"


@pytest.mark.parametrize("mapped", [False, True])
def test_what_the_host_has_read_only_stays_so(rootfs: Path, shared: Path, mapped: bool) -> None:
    """A source is of the container's own mount namespace, which locks what it inherits."""
    maps = MAPPED["uid_mappings"]

    def body() -> str:
        kernel_mount("tmpfs", str(shared), "tmpfs")
        inner = closed_source(shared, 4321)
        (inner / "below").mkdir()
        (inner / "below/hidden").touch()
        kernel_mount("tmpfs", str(inner / "below"), "tmpfs")
        kernel_mount("", str(shared), "", MS_BIND | MS_REMOUNT | MS_RDONLY)
        script = "mount -o remount,bind,rw /mnt; touch /mnt/new; umount /mnt/below; ls /mnt/below"
        more = {"id_mapping": MountIDMapping(False, "", maps, maps)} if mapped else {}
        mounts = [bind("/mnt", inner, "rbind", **more)]
        return run_box(rootfs, script, mounts, user=True, full=True).text

    said = in_namespaces(CLONE_NEWNS, body)
    assert "Read-only file system" in said
    assert "hidden" not in said


@pytest.mark.parametrize("user", [False, True])
def test_what_is_below_proc_cannot_be_mounted_over(rootfs: Path, shared: Path, user: bool) -> None:
    (shared / "file").write_text("covered\n")
    (rootfs / "proc-link").unlink(missing_ok=True)
    (rootfs / "proc-link").symlink_to("/proc/sys")
    refused = [
        mount("/proc", "tmpfs"),
        bind("/proc", shared),
        bind("/proc", "/proc/self"),
        mount("/proc/sys", "tmpfs"),
        bind("/proc/self/attr", shared),
        bind("/proc/sysrq-trigger", shared / "file"),
        bind("/proc/new", shared / "file"),
        bind("/proc-link/kernel", shared),
        mount("/proc-link/vm", "overlay", "overlay", "iversion", f"lowerdir={shared}:/etc"),
        mount("/proc/scsi", "cgroup"),
    ]
    for one in refused:
        with pytest.raises(
            StepError,
            match=r"proc file system|is inside /proc|not of type|No such file|Permission denied",
        ):
            run_box(rootfs, "true", [one], user=user)
    allowed = ("cpuinfo", "meminfo", "stat", "uptime", "loadavg", "diskstats", "swaps")
    mounts = [bind(f"/proc/{name}", shared / "file") for name in allowed]
    script = "cat " + " ".join(f"/proc/{name}" for name in allowed)
    assert run_box(rootfs, script, mounts, user=user).lines == ["covered"] * len(allowed)
    # Nor where nothing is mounted on /proc, which others may then take for one.
    (rootfs / "proc/x").mkdir(exist_ok=True)
    with pytest.raises(StepError, match='"/proc/x" cannot be mounted because it is inside'):
        run_config(make_config(rootfs, [bind("/proc/x", shared)], base=False, user=user), "true")
    # Another proc file system, whole, may be bound on it.
    whole = [bind("/proc", "/proc")]
    assert "Linux" in run_box(rootfs, "cat /proc/version", whole, user=user).text


def test_what_may_be_covered_is_no_link_to_another(shared: Path) -> None:
    (shared / "file").write_text("covered\n")
    with new_rootfs() as rootfs:
        (rootfs / "proc/cpuinfo").symlink_to("/true/sysrq-trigger")
        mounts = [mount("/true", "proc"), bind("/proc/cpuinfo", shared / "file")]
        with pytest.raises(StepError) as caught:
            run_config(make_config(rootfs, mounts, base=False), "true")
        assert (caught.value.errno, caught.value.place) == (errno.ELOOP, "mounts[1]")


@pytest.mark.parametrize("link", ["/tmp", "../../../../../../tmp", "tmp"])
def test_proc_and_sys_want_real_directories(link: str) -> None:
    with new_rootfs() as rootfs:
        for name in ("proc", "sys"):
            (rootfs / name).rmdir()
            (rootfs / name).symlink_to(link)
            config = make_config(rootfs, [mount(f"/{name}", "sysfs")], base=False, kinds=["NEWNS"])
            config.mounts[0].device = {"proc": "proc", "sys": "sysfs"}[name]
            with pytest.raises(StepError) as caught:
                run_config(config, "true")
            assert caught.value.errno == errno.ELOOP
            refused = (
                f'filesystem "{config.mounts[0].device}" must be mounted on ordinary directory'
            )
            assert f": {refused}: /{name} is a symbolic link of " in str(caught.value)
            (rootfs / name).unlink()
            (rootfs / name).touch()
            with pytest.raises(StepError, match=f": {refused}: /{name} is no directory"):
                run_config(config, "true")


_SPECIAL = {"comma": (",", "\\,"), "colon": (":", "\\:"), "backslash": ("\\", "\\\\")}


@pytest.mark.parametrize("name", [*_SPECIAL, "all"])
def test_an_overlay_of_paths_with_special_characters(rootfs: Path, shared: Path, name: str) -> None:
    """Before Linux 6.5 only mount(2) takes a comma, with a backslash before it."""
    chosen = _SPECIAL.values() if name == "all" else [_SPECIAL[name]]
    plain, escaped = ("".join(parts) for parts in zip(*chosen))
    for kind in ("lower", "upper", "work"):
        (shared / f"{kind}{plain}x").mkdir()
    (shared / "other").mkdir()
    (shared / f"lower{plain}x/file").write_text("lower\n")
    lower = f"lowerdir={shared}/lower{escaped}x"
    # Of these the colon separates nothing.
    upper = escaped.replace("\\:", ":")
    more = f"upperdir={shared}/upper{upper}x,workdir={shared}/work{upper}x"
    mounts = [
        mount("/mnt/ro", "overlay", "overlay", f"{lower}:{shared}/other"),
        mount("/mnt/rw", "overlay", "overlay", f"{lower},{more}"),
    ]
    script = "cat /mnt/ro/file; cat /mnt/rw/file; echo new > /mnt/rw/new"
    assert run_box(rootfs, script, mounts).lines == ["lower", "lower"]
    assert (shared / f"upper{plain}x/new").read_text() == "new\n"
    for path in (shared / f"work{plain}x").rglob("*"):
        path.chmod(0o700)


def test_overlay_with_more_layers_than_fsconfig_takes(rootfs: Path, shared: Path) -> None:
    layers = []
    for number in range(12):
        layer = shared / f"layer-{number:0>30}"
        layer.mkdir()
        (layer / f"file{number}").write_text(f"{number}\n")
        layers.append(str(layer))
    for name in ("upper", "work"):
        (shared / name).mkdir()
    lower = "lowerdir=" + ":".join(layers)
    assert len(lower) > 400
    data = f"{lower},upperdir={shared}/upper,workdir={shared}/work"
    mounts = [
        mount("/mnt/over", "overlay", "overlay", "nosuid", "nodev", "private", data),
        mount("/mnt/ro", "overlay", "overlay", "ro", "noexec", lower),
    ]
    script = """
        cat /mnt/over/file* | wc -l; echo new > /mnt/over/new; ls /mnt/ro | wc -l
        cat /proc/self/mountinfo
    """
    said = run_box(rootfs, script, mounts)
    assert said.lines[:2] == ["12", "12"]
    assert (shared / "upper/new").read_text() == "new\n"
    found = mounted(said.text)
    assert {"nosuid", "nodev"} <= found["/mnt/over"].options
    assert {"ro", "noexec"} <= found["/mnt/ro"].options
    assert list((shared / "work").iterdir())
    for path in (shared / "work").rglob("*"):
        path.chmod(0o700)


def test_a_place_that_the_mount_itself_leads_away(shared: Path) -> None:
    """What mount(2) has mounted is found again by its path, on which it may now lie."""
    (shared / "link").symlink_to("/etc")
    with new_rootfs() as rootfs:
        (rootfs / "mnt/here").mkdir()
        (rootfs / "mnt/here/link").symlink_to("/mnt/here")
        over = mount("/mnt/here/link", "overlay", "overlay", "iversion", f"lowerdir={shared}:/opt")
        with pytest.raises(StepError, match="/mnt/here/link leads elsewhere since"):
            run_box(rootfs, "true", [over])


@pytest.mark.usefixtures("nothing_left")
def test_a_kernel_s_message_is_in_the_error(rootfs: Path) -> None:
    with pytest.raises(StepError, match="nonsense") as caught:
        run_box(rootfs, "true", [mount("/mnt", "tmpfs", "tmpfs", "nonsense=1")])
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(StepError, match="no file system 'nofs'"):
        run_box(rootfs, "true", [mount("/mnt", "nofs")])
    with pytest.raises(StepError, match="/etc/passwd is no directory"):
        run_box(rootfs, "true", [mount("/etc/passwd", "tmpfs")])


def test_mqueue_and_sysfs(rootfs: Path) -> None:
    mounts = [
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    ]
    kinds = ("NEWNS", "NEWPID", "NEWIPC", "NEWNET", "NEWUTS")
    script = "ls /sys/class/net; (echo > /sys/kernel/x) 2>&1 | sed 's/.*: //'; touch /dev/mqueue/q"
    for user in (False, True):
        assert run_box(rootfs, script, mounts, kinds=kinds, user=user).lines == [
            *("lo", "Read-only file system"),
        ]
    # The file system's own flag is nobody's business but the container's.
    host = run_box(rootfs, "true", mounts[1:])
    assert host.status == 0
    with open("/proc/self/mountinfo") as file:
        assert "rw" in mounted(file.read())["/sys"].options
    assert os.access("/sys/fs", os.W_OK)


def test_a_config_of_no_mount_namespace_is_refused(rootfs: Path) -> None:
    config = make_config(rootfs, [mount("/mnt", "tmpfs")], kinds=["NEWPID"], base=False)
    with pytest.raises(libct.ConfigError, match="needs a mount namespace"):
        run_config(config, "true")
