"""Bundles that are written: libct.to_bundle()."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.cli import main
from libct.config import Capabilities, Entry, Hook, Hooks, Rlimit, Route
from libct.errors import ConfigError, Error
from libct.oci.default_spec import default_spec
from libct.oci.load import config_from_spec

from .test_oci_load import GOOD

if TYPE_CHECKING:
    from pathlib import Path


def read(spec: dict[str, Any]) -> tuple[libct.Config, libct.Process]:
    config, arguments = config_from_spec(spec, bundle="/b", rootless_euid=False)
    return config, libct.Process(init=True, **arguments)


@pytest.mark.parametrize("spec", [GOOD, default_spec(), default_spec(cgroup_v2=False)])
def test_a_bundle_says_what_was_read_from_one(spec: dict[str, Any], tmp_path: Path) -> None:
    config, process = read(spec)
    libct.to_bundle(config, process, tmp_path / "made")
    again, first = libct.from_bundle(str(tmp_path / "made"))
    assert first is not None
    again.labels = [one.replace(f"bundle={tmp_path}/made", "bundle=/b") for one in again.labels]
    assert again == config
    for name in ("args", "env", "cwd", "user", "additional_groups", "terminal"):
        assert getattr(first, name) == getattr(process, name), name


def test_what_a_program_has_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = libct.Config("images/box", namespaces=[libct.Namespace(libct.NEWNS)], hostname="")
    own = Capabilities(bounding=["CAP_KILL"])
    process = libct.Process(["true"], user="7:8", capabilities=own, rlimits={"NOFILE": 9})
    libct.to_bundle(config, process, "made")
    spec = json.loads((tmp_path / "made/config.json").read_text())
    assert spec["root"] == {"path": f"{tmp_path}/images/box"}
    assert spec["process"]["user"] == {"uid": 7, "gid": 8}
    assert spec["process"]["capabilities"] == {"bounding": ["CAP_KILL"]}
    assert spec["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 9, "soft": 9}]
    assert config.capabilities is None
    assert config.rootfs == "images/box"
    assert Rlimit(7, 9, 9) in process.rlimits
    libct.to_bundle(config, None, "another")
    assert "process" not in json.loads((tmp_path / "another/config.json").read_text())


@pytest.mark.parametrize(
    ("change", "process", "place"),
    [
        ({"routes": [Route("10.0.0.0/8")]}, {}, "routes"),
        ({"entries": [Entry("/a", "dir")]}, {}, "entries"),
        ({"parent_death_signal": 9}, {}, "parent_death_signal"),
        ({"networks": [libct.Network("veth", name="eth0")]}, {}, "networks"),
        ({"hooks": Hooks(prestart=[print])}, {}, "hooks"),
        ({}, {"user": "daemon"}, "process.user"),
        ({}, {"user": "12"}, "process.user"),  # its group is looked up in the rootfs
        ({}, {"additional_groups": ["audio"]}, "process.additional_groups"),
        ({}, {"reaper": True}, "process.reaper"),
    ],
)
def test_what_no_bundle_can_say_is_refused(
    change: dict[str, Any], process: dict[str, Any], place: str, tmp_path: Path
) -> None:
    config = libct.Config("/a", namespaces=[libct.Namespace(libct.NEWNS)], **change)
    with pytest.raises(ConfigError) as caught:
        libct.to_bundle(config, libct.Process(["true"], **process), tmp_path / "made")
    assert [finding.place for finding in caught.value.findings] == [place]
    assert not (tmp_path / "made").exists()


def test_hooks_that_are_programs_are_written(tmp_path: Path) -> None:
    config = libct.Config("/a", hooks=Hooks(prestart=[Hook("/bin/true", ["true"])]))
    libct.to_bundle(config, None, tmp_path)
    spec = json.loads((tmp_path / "config.json").read_text())
    assert spec["hooks"] == {"prestart": [{"path": "/bin/true", "args": ["true"]}]}


def test_no_bundle_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(Error, match="exists: remove it first"):
        libct.to_bundle(libct.Config("/a"), None, tmp_path)
    assert (tmp_path / "config.json").read_text() == "mine"


def test_the_command_copies_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert main(["spec", "-b", "one"]) == 0
    assert main(["spec", "-b", "none"]) == 1
    assert "make it first, with mkdir -p" in capfd.readouterr().err
    assert main(["spec", "-b", "two", "--from", "./one"]) == 0
    one, two = (
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "two")
    )
    assert two["root"]["path"] == f"{tmp_path}/one/rootfs"
    assert two["process"]["args"] == one["process"]["args"]
    assert two["linux"]["maskedPaths"] == one["linux"]["maskedPaths"]
    assert main(["spec", "-b", "two", "--from", "./one"]) == 1
    assert "exists: remove it first" in capfd.readouterr().err
    assert main(["spec", "--from", "./one", "--rootless"]) == 1
    assert main(["--root", str(tmp_path / "none"), "spec", "--from", "nobody"]) == 1
