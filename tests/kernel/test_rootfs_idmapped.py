"""Id-mapped mounts: whose files they are, inside and outside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import libct
from libct.config import MountIDMapping
from libct.oci.load import config_from_spec

from ..support import requires
from .rootfs_box import bind, mount, new_rootfs, run_box

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = requires("root", "busybox")


def mapped(first: int, shown: int, size: int = 65536) -> MountIDMapping:
    """Ids of the file system from first on show as those of the host from shown on."""
    maps = [libct.IDMap(first, shown, size)]
    return MountIDMapping(uid_mappings=maps, gid_mappings=list(maps))


@pytest.fixture
def rootfs() -> Iterator[Path]:
    with new_rootfs() as place:
        (place / "data").mkdir()
        yield place


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory with files of 0 and of 7."""
    tmp_path.chmod(0o755)
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o755)
    for owner in (0, 7):
        (volume / f"of-{owner}").write_text("")
        os.chown(volume / f"of-{owner}", owner, owner)
    return volume


OWNERS = "stat -c '%n %u:%g' /data/*"
WRITE = f"cd /data; touch new; chown 9:9 new; {OWNERS}"


@pytest.mark.parametrize("user", [False, True])
def test_files_have_the_right_owners_inside_and_outside(
    rootfs: Path, volume: Path, user: bool
) -> None:
    """Root of a user namespace is 100000 of the host, and yet writes files of 0."""
    shown = 100_000 if user else 2000
    data = bind("/data", volume, id_mapping=mapped(0, shown))
    done = run_box(rootfs, WRITE, [data], user=user, full=True)
    if user:
        assert done.lines == ["/data/new 9:9", "/data/of-0 0:0", "/data/of-7 7:7"]
        assert (volume / "new").stat().st_uid == 9
    else:
        # Root of the host is none of the ids that are mapped: it may not make files there.
        assert done.lines[-2:] == ["/data/of-0 2000:2000", "/data/of-7 2007:2007"]
        assert not (volume / "new").exists()
    assert (volume / "of-7").stat().st_uid == 7


@requires("idmapped_tmpfs")
@pytest.mark.parametrize("user", [False, True])
def test_a_new_file_system_is_mapped(rootfs: Path, user: bool) -> None:
    shown = 100_000 if user else 2000
    data = mount("/data", "tmpfs", "tmpfs", "size=1m", "mode=755", id_mapping=mapped(0, shown))
    script = "stat -c '%u:%g %a' /data; grep ' /data ' /proc/self/mountinfo; touch /data/x"
    done = run_box(rootfs, script, [data], user=user, full=True)
    owner = "0:0" if user else "2000:2000"
    assert done.lines[0] == f"{owner} 755"
    assert "idmapped" in done.lines[1]
    assert " - tmpfs tmpfs rw,size=1024k" in done.lines[1]
    assert ("touch: " in done.text) is not user


@requires("idmapped_tmpfs")
def test_a_new_one_is_read_only_in_the_end(rootfs: Path) -> None:
    data = mount("/data", "tmpfs", "tmpfs", "ro", id_mapping=mapped(0, 100_000))
    script = "cat /data/x > /dev/null && touch /data/y"
    done = run_box(rootfs, script, [data, bind("/data/x", "/etc/hosts")], user=True)
    assert done.lines == ["touch: /data/y: Read-only file system"]


def test_what_the_kernel_cannot_map_is_said(rootfs: Path) -> None:
    data = mount("/data", "ramfs", "ramfs", id_mapping=mapped(0, 100_000))
    with pytest.raises(libct.Error, match="cannot map the ids of a file system of type 'ramfs'"):
        run_box(rootfs, "true", [data], user=True)


def test_the_mappings_may_be_in_the_option(rootfs: Path, volume: Path) -> None:
    """As crun has it, in a bundle: the second of an @ is an id of the container's."""
    maps = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
    option = "idmap=uids=0-100000-5#7-100005-1;gids=@0-10-8"
    spec = {
        "ociVersion": "1.0.2",
        "root": {"path": str(rootfs)},
        "mounts": [
            {"destination": "/data", "source": str(volume), "options": ["bind", option]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "user")],
            "uidMappings": maps,
            "gidMappings": maps,
        },
    }
    (data,) = config_from_spec(spec, bundle="/")[0].mounts
    done = run_box(rootfs, OWNERS, [data], user=True)
    assert done.lines == ["/data/of-0 0:10", "/data/of-7 5:17"]
