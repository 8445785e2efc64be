"""Bind mounts whose source or destination is a symbolic link: crun's options."""

from __future__ import annotations

from pathlib import Path

import pytest

from libct.config import NEWUSER, Mount
from libct.errors import ConfigError, StepError
from libct.oci.mount_options import apply_options
from tests.containers import USUAL, make_config, run, shell
from tests.support import busybox_rootfs, requires

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

SPACES = {"root": USUAL, "user namespace": (*USUAL, NEWUSER)}


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    place = tmp_path / "image"
    place.mkdir()
    return busybox_rootfs(place)


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """Of the host, to a file."""
    (tmp_path / "file").write_text("at its end")
    made = tmp_path / "link"
    made.symlink_to(tmp_path / "file")
    return made


def linked(destination: str, source: Path, *options: str) -> Mount:
    mount = Mount(destination, str(source), "bind")
    apply_options(mount, ("bind", *options))
    return mount


def output(rootfs: Path, kind: str, mount: Mount, script: str) -> str:
    config = make_config(rootfs, namespaces=SPACES[kind])
    config.mounts = [*config.mounts, mount]
    return shell(config, script).output.strip()


@pytest.mark.parametrize("kind", SPACES)
def test_a_link_is_copied(rootfs: Path, link: Path, kind: str) -> None:
    mount = linked("/new/link", link, "copy-symlink")
    for _ in "first", "again":  # one that is there, and the same, is taken
        found = output(rootfs, kind, mount, "readlink /new/link; grep -c /new /proc/mounts || true")
        assert found.split() == [str(link.parent / "file"), "0"]


def test_what_is_no_link_is_mounted(rootfs: Path, link: Path) -> None:
    mount = linked("/new", link.parent / "file", "copy-symlink", "ro")
    assert output(rootfs, "root", mount, "cat /new") == "at its end"


@pytest.mark.parametrize("there", ["file", "link"])
def test_no_link_is_made_over_something_else(rootfs: Path, link: Path, there: str) -> None:
    if there == "file":
        (rootfs / "taken").touch()
    else:
        (rootfs / "taken").symlink_to("elsewhere")
    with pytest.raises(StepError, match="/taken is there already and is not a link to"):
        output(rootfs, "root", linked("/taken", link, "copy-symlink"), "true")


@pytest.mark.parametrize("kind", SPACES)
def test_a_link_itself_is_mounted(rootfs: Path, link: Path, kind: str) -> None:
    (rootfs / "over").symlink_to("target")
    (rootfs / "target").write_text("untouched")
    script = "readlink /over; cat /target"
    mount = linked("/over", link, "src-nofollow", "dest-nofollow")
    assert output(rootfs, kind, mount, script) == f"{link.parent}/file\nuntouched"
    # What it leads to, on the link itself; and without the option, on what that leads to.
    mount = linked("/over", link, "dest-nofollow")
    assert output(rootfs, kind, mount, "cat /over /target") == "at its enduntouched"
    assert output(rootfs, kind, linked("/over", link), "cat /target; readlink /over") == (
        "at its endtarget"
    )


def test_the_destination_of_dest_nofollow_has_to_be_there(rootfs: Path, link: Path) -> None:
    with pytest.raises(StepError, match="No such file or directory"):
        output(rootfs, "root", linked("/none", link, "dest-nofollow"), "true")


def test_directories_on_the_way_stay_inside(rootfs: Path, link: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "link").symlink_to("x")
    (rootfs / "way").symlink_to(outside)
    output(rootfs, "root", linked("/way/copy", link, "copy-symlink"), "true")
    assert [file.name for file in outside.iterdir()] == ["link"]
    mount = linked("/way/link", link, "src-nofollow", "dest-nofollow")
    with pytest.raises(StepError, match="No such file or directory"):
        output(rootfs, "root", mount, "true")


def test_links_of_proc_are_not_covered(rootfs: Path, link: Path) -> None:
    with pytest.raises(StepError, match="because it is inside /proc"):
        output(rootfs, "root", linked("/proc/self", link, "dest-nofollow", "src-nofollow"), "true")


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        (linked("/x", Path("/etc"), "copy-symlink", "src-nofollow"), "copy-symlink excludes"),
        (linked("/x", Path("/etc"), "src-nofollow", "idmap"), "options about links exclude"),
        (linked("/x", Path("/etc"), "remount", "src-nofollow"), "options about links exclude"),
        (Mount("/x", "tmpfs", "tmpfs", extensions=8), "for bind mounts alone"),
    ],
)
def test_options_that_exclude_each_other(rootfs: Path, mount: Mount, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(make_config(rootfs, mounts=[mount]), "true")
