"""Options of mounts, there and back."""

from __future__ import annotations

import random

import pytest

from libct.config import Mount, MountIDMapping, RecAttr
from libct.config.mount_flags import (
    EXT_COPYUP,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SYNCHRONOUS,
)
from libct.oci import mount_options as tables
from libct.oci.mount_options import apply_options, options_of

# config.md and config-linux.md list these, but for acl and crun's; as mountOptions runc has them.
DOCUMENTED = [
    "acl", "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion",
    "lazytime", "loud", "mand", "noacl", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
    "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private",
    "ratime", "rbind", "rdev", "rdiratime", "relatime", "remount", "rexec", "rnoatime",
    "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid",
    "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave",
    "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave",
    "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable", "idmap", "ridmap",
    "copy-symlink", "dest-nofollow", "src-nofollow",  # crun's
]  # fmt: skip


def parsed(*options: str) -> Mount:
    mount = Mount("/x")
    apply_options(mount, options)
    return mount


@pytest.mark.parametrize("option", DOCUMENTED)
def test_every_documented_option_is_known(option: str) -> None:
    assert parsed(option).data == ""


def test_there_are_no_others() -> None:
    known = [
        *tables.SET_FLAGS,
        *tables.CLEARED_FLAGS,
        *tables.PROPAGATION,
        *tables.RECURSIVE_ATTRIBUTES,
        *tables.RECURSIVE_ATIME,
        *tables.EXTENSIONS,
        *tables.ID_MAPPING,
    ]
    assert sorted(known) == sorted(DOCUMENTED)


@pytest.mark.parametrize(
    ("options", "mount"),
    [
        (["nosuid", "nodev", "ro"], Mount("/x", flags=MS_NOSUID | MS_NODEV | MS_RDONLY)),
        (["ro", "rw"], Mount("/x", cleared_flags=MS_RDONLY)),
        (["rw", "ro"], Mount("/x", flags=MS_RDONLY)),
        (["async"], Mount("/x", cleared_flags=MS_SYNCHRONOUS)),
        (["defaults"], Mount("/x")),
        (["rbind"], Mount("/x", flags=MS_BIND | MS_REC)),
        (
            ["private", "rshared"],
            Mount("/x", propagation_flags=[MS_PRIVATE, MS_SHARED | MS_REC]),
        ),
        (
            ["mode=755", "noexec", "size=64k"],
            Mount("/x", flags=MS_NOEXEC, data="mode=755,size=64k"),
        ),
        (["rro"], Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0))),
        (["rrw"], Mount("/x", rec_attr=RecAttr(0, MOUNT_ATTR_RDONLY))),
        (["rro", "rrw"], Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0))),
        (["rrw", "rro"], Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0))),
        (
            ["rnosuid", "rsuid", "rnodev", "rexec", "rdev"],
            Mount(
                "/x",
                rec_attr=RecAttr(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC),
            ),
        ),
        (
            ["rnoatime", "rrelatime"],
            Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME)),
        ),
        (
            ["rstrictatime", "rnoatime"],
            Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME)),
        ),
        (["rnoatime"], Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME))),
        (
            ["rnoatime", "rstrictatime"],
            Mount("/x", rec_attr=RecAttr(MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME)),
        ),
        (["rrelatime"], Mount("/x", rec_attr=RecAttr(0, MOUNT_ATTR__ATIME))),
        (["tmpcopyup"], Mount("/x", extensions=EXT_COPYUP)),
        (["idmap"], Mount("/x", id_mapping=MountIDMapping())),
        (["ridmap"], Mount("/x", id_mapping=MountIDMapping(recursive=True))),
        (["NOSUID"], Mount("/x", data="NOSUID")),
    ],
)
def test_options(options: list[str], mount: Mount) -> None:
    assert parsed(*options) == mount


def test_random_options_survive_the_way_back() -> None:
    source = random.Random(3)
    for _ in range(500):
        options = source.choices([*DOCUMENTED, "mode=755", "size=1m"], k=source.randrange(8))
        mount = parsed(*options)
        assert parsed(*options_of(mount)) == mount, options
