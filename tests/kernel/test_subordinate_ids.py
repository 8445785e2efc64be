"""Containers of an ordinary user who has subordinate ids: their maps, and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libct.syscalls.constants import CAPABILITIES

from ..bundles import change_config, make_bundle, read_config
from ..commands import libct, run
from ..names import unique
from ..needs import requires
from ..support import user_account
from .test_namespaces import subordinate_ids

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = requires("user", "uidmap", "busybox")


ALL = list(CAPABILITIES)  # it is not for want of them that a file cannot be touched


def bundle_of(place: Path, script: str, *, maps: tuple[int, int] | None, volume: Path) -> Path:
    """A bundle without a word about ids, or with (first host id, count) of both kinds."""
    place.mkdir()
    bundle = make_bundle(place, rootless=True, args=["sh", "-c", script])
    spec = read_config(bundle)
    kinds = [one for one in spec["linux"]["namespaces"] if maps or one["type"] != "user"]
    rows = [{"containerID": 0, "hostID": maps[0], "size": maps[1]}] if maps else None
    mount = {"destination": "/mnt", "source": str(volume), "options": ["bind", "rw"]}
    change_config(
        bundle,
        mounts=[*spec["mounts"], mount],
        process={"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), ALL)},
        linux={"namespaces": kinds, "uidMappings": rows, "gidMappings": rows},
    )
    return bundle


def test_ids_are_mapped_where_a_bundle_says_nothing_of_them(user_path: Path) -> None:
    """The user is root inside, and all other ids are his subordinate ones, as with crun."""
    account, (start, size) = user_account(), subordinate_ids()
    volume = user_path / "volume"
    volume.mkdir()
    run(["chown", f"{account.pw_uid}:{account.pw_gid}", volume], check=True)
    script = "cat /proc/self/uid_map; cd /mnt; touch one two; chown 5:5 two; stat -c %u one two"
    bundle = bundle_of(user_path / "bundle", script, maps=None, volume=volume)
    done = libct("run", "-b", bundle, unique(), user=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [["0", str(account.pw_uid), "1"], ["1", str(start), str(size)], ["0"], ["5"]]
    assert (volume / "one").stat().st_uid == account.pw_uid
    assert (volume / "two").stat().st_uid == start + 4


def test_two_containers_of_one_user_cannot_touch_each_others_files(user_path: Path) -> None:
    """Each has ids of its own, of those that the user was given, and root of it is one of them."""
    start, _ = subordinate_ids()
    volume = user_path / "volume"
    volume.mkdir()
    volume.chmod(0o1777)  # both may make files there
    (user_path / "two").mkdir(mode=0o755)
    write = "umask 077; cd /mnt; echo secret > mine; mkdir dir; echo more > dir/file; id -u"
    one = bundle_of(user_path / "one", write, maps=(start, 1000), volume=volume)
    assert libct("run", "-b", one, unique(), user=True, check=True).stdout == "0\n"
    assert (volume / "mine").stat().st_uid == start
    attack = """
        cd /mnt
        for try in 'cat mine' 'echo x >> mine' 'chmod 777 mine' 'chown 0:0 mine' 'rm -f mine' \
                   'mv mine other' 'ls dir' 'cat dir/file' 'rm -rf dir' 'ln mine link' \
                   'chgrp 5 mine'
        do
            sh -c "$try" > /dev/null 2>&1 && echo "$try was let"
        done
        stat -c %u:%g mine
    """
    other = bundle_of(user_path / "other", attack, maps=(start + 1000, 1000), volume=volume)
    done = libct("run", "-b", other, unique(), user=True)
    assert done.stdout == "65534:65534\n"
    assert (volume / "mine").read_text() == "secret\n"
    assert (volume / "dir/file").read_text() == "more\n"
    # With the same ids they could: it is the ids that keep them apart.
    same = bundle_of(user_path / "same", "cat /mnt/mine", maps=(start, 1000), volume=volume)
    assert libct("run", "-b", same, unique(), user=True, check=True).stdout == "secret\n"
