"""Mounts that a running container gets and loses: with and without a user namespace."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.config import NEWUSER, Mount, MountIDMapping
from libct.config.mount_flags import EXT_SRC_NOFOLLOW, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT
from libct.errors import ConfigError, ContainerNotRunning, Error, StepError
from tests.containers import USUAL, make_config, run_in, running, shared_rootfs, state_directory
from tests.support import (
    busybox_rootfs,
    libct as libct_command,
    make_bundle,
    requires,
    unique,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

SPACES = {"root": USUAL, "user namespace": (*USUAL, NEWUSER)}


def looks(container: libct.Container, script: str) -> str:
    done = run_in(container, "sh", "-c", script, init=False)
    assert done.state.success, done.output
    return done.output.strip()


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    place = tmp_path / "image"
    place.mkdir()
    return busybox_rootfs(place)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    place = tmp_path / "volume"
    place.mkdir()
    (place / "file").write_text("of the host")
    return place


@pytest.mark.parametrize("kind", SPACES)
def test_a_bind_mount_is_added_and_removed(rootfs: Path, volume: Path, kind: str) -> None:
    with running(make_config(rootfs, namespaces=SPACES[kind])) as container:
        before = Path("/proc/self/mountinfo").read_text()
        container.add_mount(Mount("/new/place", str(volume), "bind", MS_BIND | MS_RDONLY))
        assert looks(container, "cat /new/place/file") == "of the host"
        assert "Read-only" in looks(container, "touch /new/place/x 2>&1 || true")
        # A process that was there before sees it, too; the host does not.
        first = container.state()["pid"]
        assert " /new/place ro" in Path(f"/proc/{first}/mountinfo").read_text()
        assert Path("/proc/self/mountinfo").read_text() == before
        container.remove_mount("/new/place")
        assert looks(container, "ls -A /new/place") == ""
        with pytest.raises(Error, match="none was added on '/new/place' while it ran"):
            container.remove_mount("/new/place")


@pytest.mark.parametrize("kind", SPACES)
def test_a_file_system_is_added(rootfs: Path, kind: str) -> None:
    with running(make_config(rootfs, namespaces=SPACES[kind])) as container:
        container.add_mount(Mount("/mnt", "tmpfs", "tmpfs", MS_RDONLY, data="size=64k"))
        assert "tmpfs ro" in looks(container, "grep ' /mnt ' /proc/mounts")
        container.remove_mount("/mnt/")
        assert looks(container, "grep -c ' /mnt ' /proc/mounts || true") == "0"


def test_a_source_that_only_root_of_the_host_reaches(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    (closed / "open/file").write_text("lent")
    os.chown(closed, 4242, 4242)
    closed.chmod(0o700)
    maps = [libct.IDMap(0, 200000, 65536)]
    changes: dict[str, Any] = {"uid_mappings": maps, "gid_mappings": maps}
    config = make_config(shared_rootfs(), namespaces=(*USUAL, NEWUSER), **changes)
    with running(config) as container:
        container.add_mount(Mount("/mnt", str(closed / "open"), "bind", MS_BIND))
        assert looks(container, "cat /mnt/file") == "lent"


def test_what_is_read_only_on_the_host_is_locked(rootfs: Path, tmp_path: Path) -> None:
    """Out of a copy of the mounts that belongs to the user namespace (mount_namespaces(7))."""
    from tests.support import CLONE_NEWNS, in_namespaces, mount as mount_here

    volume = tmp_path / "volume"
    volume.mkdir()

    def body() -> None:
        mount_here("tmpfs", str(volume), "tmpfs")
        mount_here("", str(volume), "", MS_REMOUNT | MS_BIND | MS_RDONLY)
        caps = libct.Capabilities(
            **{
                name: ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]
                for name in ("bounding", "effective", "permitted")
            }
        )
        config = make_config(rootfs, namespaces=(*USUAL, NEWUSER), capabilities=caps)
        with running(config) as container:
            container.add_mount(Mount("/mnt", str(volume), "bind", MS_BIND))
            said = looks(container, "mount -o remount,bind,rw /mnt 2>&1; touch /mnt/x 2>&1; true")
            assert "Read-only file system" in said, said
            assert not (volume / "x").exists()

    in_namespaces(CLONE_NEWNS, body)


def test_links_of_the_image_stay_inside(rootfs: Path, volume: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (rootfs / "way").symlink_to(outside)
    with running(make_config(rootfs)) as container:
        container.add_mount(Mount("/way/in", str(volume), "bind", MS_BIND))
        assert list(outside.iterdir()) == []
        assert looks(container, f"cat {outside}/in/file") == "of the host"
        container.remove_mount("/way/in")


@pytest.mark.parametrize("how", ["link", "covered"])
def test_no_other_mount_is_removed(rootfs: Path, volume: Path, how: str) -> None:
    """Who is inside may have the path of a mount lead to one that protects from him."""
    (volume / "file").rename(volume / "version")
    with running(make_config(rootfs, mask_paths=["/proc/version"])) as container:
        container.add_mount(Mount("/a/version", str(volume / "version"), "bind", MS_BIND))
        if how == "link":
            looks(container, "mv /a /c; ln -s proc /a; test -c /a/version")
        else:
            container.add_mount(Mount("/a", "/proc", "bind", MS_BIND | MS_REC))
        before = looks(container, "cat /proc/mounts")
        with pytest.raises(StepError, match="is no longer seen there"):
            container.remove_mount("/a/version")
        assert looks(container, "cat /proc/mounts") == before


def test_ids_are_mapped(rootfs: Path, volume: Path) -> None:
    os.chown(volume / "file", 1000, 1000)
    maps = [libct.IDMap(1000, 5000, 1)]
    mapping = MountIDMapping(uid_mappings=maps, gid_mappings=maps)
    with running(make_config(rootfs)) as container:
        container.add_mount(Mount("/mnt", str(volume), "bind", MS_BIND, id_mapping=mapping))
        assert looks(container, "stat -c %u /mnt/file") == "5000"


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        (Mount("/mnt", "proc", "proc"), "proc cannot be added to a running container"),
        (Mount("/mnt", "", "", MS_REMOUNT | MS_RDONLY), "a mount is added, and none is changed"),
        (Mount("/m", "/etc", "bind", MS_BIND, extensions=EXT_SRC_NOFOLLOW), "with regard to links"),
        (Mount("/", "/etc", "bind", MS_BIND), "is the root itself"),
    ],
)
def test_what_cannot_be_added(rootfs: Path, mount: Mount, said: str) -> None:
    with running(make_config(rootfs)) as container, pytest.raises(ConfigError, match=said):
        container.add_mount(mount)


def test_a_failure_changes_nothing(rootfs: Path) -> None:
    with running(make_config(rootfs)) as container:
        before = looks(container, "cat /proc/mounts")
        with pytest.raises(StepError, match="No such file or directory"):
            container.add_mount(Mount("/mnt", "/no/such", "bind", MS_BIND))
        assert looks(container, "cat /proc/mounts") == before


def test_a_created_and_a_paused_container_and_one_that_has_stopped(
    rootfs: Path, volume: Path
) -> None:
    config = make_config(rootfs)
    mount = Mount("/mnt", str(volume), "bind", MS_BIND | MS_REC)
    with libct.create(state_directory(), unique(), config) as container:
        process = libct.Process(["cat", "/mnt/file"], init=True, env=["PATH=/bin"])
        container.start(process)
        container.add_mount(mount)
        container.exec()
        assert process.wait().success
        with pytest.raises(ContainerNotRunning):
            container.add_mount(mount)


def test_the_command_adds_and_removes_a_list(rootfs: Path, volume: Path, tmp_path: Path) -> None:
    file = tmp_path / "mounts.json"
    bind = {"destination": "/one", "type": "bind", "source": str(volume), "options": ["bind"]}
    tmpfs = {"destination": "/two", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}
    with running(make_config(rootfs)) as container:
        file.write_text(json.dumps([bind, tmpfs]))
        libct_command("mounts", "add", container.id, file, check=True)
        assert looks(container, "cat /one/file; grep -c ' /two ' /proc/mounts") == "of the host1"
        file.write_text(json.dumps({"mounts": [bind, tmpfs]}))
        libct_command("mounts", "remove", container.id, file, check=True)
        assert looks(container, "grep -c ' /one \\| /two ' /proc/mounts || true") == "0"
        # All of them, or none.
        text = json.dumps([bind, {**bind, "destination": "/two", "source": "/no/such"}])
        done = libct_command("mounts", "add", container.id, "-", input=text)
        assert done.returncode == 1
        assert "no such file or directory" in done.stderr
        assert looks(container, "grep -c ' /one ' /proc/mounts || true") == "0"


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        ("change {} -", "[]", "neither add nor remove: 'change'"),
        ("add {} -", "{}", "not a list of mounts: null"),
        ("add {} -", '[{"type": "tmpfs"}]', "mounts[0].destination: missing"),
        ("add {} -", '[{"destination": "/x", "type": "tmpfs", "options": 7}]', "mounts[0].options"),
        ("add {} /no/such", "", "cannot read the mounts from '/no/such'"),
    ],
)
def test_lists_that_are_none(rootfs: Path, words: str, text: str, said: str) -> None:
    with running(make_config(rootfs)) as container:
        done = libct_command("mounts", *words.format(container.id).split(), input=text)
        assert done.returncode == 1
        assert said in done.stderr


@requires("user")
def test_an_ordinary_users_container(user_path: Path) -> None:
    """Whose user namespace is his: the sources are those that he reaches."""
    bundle = make_bundle(user_path, args=("sleep", "100"), rootless=True)
    name = unique()
    libct_command("run", "-d", "-b", bundle, name, user=True, check=True)
    try:
        mounts = [{"destination": "/mnt", "source": "/etc", "options": ["rbind", "ro"]}]
        text = json.dumps(mounts)
        libct_command("mounts", "add", name, "-", user=True, input=text, check=True)
        done = libct_command("exec", name, "ls", "/mnt/passwd", user=True, check=True)
        assert done.stdout == "/mnt/passwd\n"
        libct_command("mounts", "remove", name, "-", user=True, input=text, check=True)
        assert libct_command("exec", name, "ls", "/mnt/passwd", user=True).returncode == 1
    finally:
        libct_command("delete", "--force", name, user=True, check=True)
