"""SELinux, permissive: the kernel checks that a label is one of the policy's, and gives it back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.config import Mount
from libct.config.mount_flags import MS_BIND

from ..containers import DEV, PROC, make_config, shell
from ..support import (
    change_config,
    libct,
    make_bundle,
    read_config,
    requires,
    unique,
)
from ..xattrs import get_attribute

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("vm", "root", "busybox", "selinux"), pytest.mark.usefixtures("nothing_left")]

_PROCESS = "system_u:system_r:svirt_t:s0:c7,c9"
_OTHER = "system_u:system_r:svirt_prot_exec_t:s0:c1,c2"
_FILES = "system_u:object_r:svirt_image_t:s0:c7,c9"
_SHARED = "system_u:object_r:svirt_image_t:s0"
_OWN = "cat /proc/self/attr/current"

# KEYCTL_GET_SECURITY of KEY_SPEC_SESSION_KEYRING (keyctl(2)); its number is that of x86-64.
_KEYRING = """
import ctypes
text = ctypes.create_string_buffer(200)
print(ctypes.CDLL(None).syscall(250, 17, -3, text, 200), text.value.decode())
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Of a container that sleeps, with both labels."""
    config = make_bundle(tmp_path, args=["sleep", "1000"], process={"selinuxLabel": _PROCESS})
    change_config(config, linux={"mountLabel": _FILES})
    return config


@pytest.fixture
def sleeper(bundle: Path) -> Iterator[str]:
    yield from started(bundle)


def started(bundle: Path) -> Iterator[str]:
    name = unique()
    libct("create", "-b", bundle, name, check=True)
    try:
        libct("start", name, check=True)
        yield name
    finally:
        libct("delete", "--force", name)


def add_mount(bundle: Path, **mount: Any) -> None:
    change_config(bundle, mounts=[*read_config(bundle)["mounts"], mount])


def label(path: str | Path) -> str:
    return get_attribute(os.fspath(path), "security.selinux").rstrip(b"\0").decode()


def read_label(text: str) -> str:
    return text.strip("\0\n")


def test_the_policy_is_that_of_debian_and_permissive() -> None:
    assert Path("/sys/fs/selinux/enforce").read_text() == "0"
    assert label("/usr/bin/env") == "system_u:object_r:bin_t:s0"


def test_the_first_process_has_its_label(sleeper: str) -> None:
    pid = libct("state", sleeper, check=True).stdout
    number = int(pid.partition('"pid":')[2].partition(",")[0])
    assert read_label(Path(f"/proc/{number}/attr/current").read_text()) == _PROCESS


def test_an_exec_has_the_label_of_the_container_or_its_own(sleeper: str) -> None:
    done = libct("exec", sleeper, "sh", "-c", _OWN, check=True)
    assert read_label(done.stdout) == _PROCESS
    done = libct("exec", "--process-label", _OTHER, sleeper, "sh", "-c", _OWN, check=True)
    assert read_label(done.stdout) == _OTHER


def test_without_a_label_a_container_has_that_of_the_runtime(bundle: Path) -> None:
    args = ["sh", "-c", _OWN]
    change_config(bundle, process={"selinuxLabel": "", "args": args}, linux={"mountLabel": ""})
    done = libct("run", "-b", bundle, unique(), check=True)
    assert read_label(done.stdout) == read_label(Path("/proc/self/attr/current").read_text())


def test_new_file_systems_have_the_label_of_mounts(bundle: Path) -> None:
    add_mount(bundle, destination="/mnt", type="tmpfs", source="tmpfs")
    for name in started(bundle):
        pid = libct("state", name, check=True).stdout
        number = int(pid.partition('"pid":')[2].partition(",")[0])
        for path in ("mnt", "dev", "dev/shm", "dev/mqueue"):
            assert label(f"/proc/{number}/root/{path}") == _FILES, path
        libct("exec", name, "touch", "/mnt/file", check=True)
        assert label(f"/proc/{number}/root/mnt/file") == _FILES


@pytest.mark.parametrize(("relabel", "expected"), [("Z", _FILES), ("z", _SHARED), ("", None)])
def test_the_files_of_a_bind_mount_are_labelled_if_asked_for(
    tmp_path: Path, relabel: str, expected: str | None
) -> None:
    source = tmp_path / "shared"
    (source / "below").mkdir(parents=True)
    (source / "below/file").touch()
    before = label(source / "below/file")
    mount = Mount("/mnt", str(source), "bind", MS_BIND, relabel=relabel)
    config = make_config(mounts=[PROC, DEV, mount], process_label=_PROCESS, mount_label=_FILES)
    assert read_label(shell(config, _OWN).output) == _PROCESS
    for path in (source, source / "below", source / "below/file"):
        assert label(path) == (expected or before), path


def test_the_session_keyring_has_the_label_of_the_process(bundle: Path) -> None:
    for path in ("/usr", "/lib", "/lib64"):
        add_mount(bundle, destination=path, type="bind", source=path, options=["rbind", "ro"])
    change_config(bundle, process={"args": ["/usr/bin/python3", "-c", _KEYRING]})
    done = libct("run", "-b", bundle, unique(), check=True)
    assert done.stdout.split() == [str(len(_PROCESS) + 1), _PROCESS]


@pytest.mark.parametrize("place", ["process", "mount"])
def test_a_label_that_the_policy_does_not_have(bundle: Path, place: str) -> None:
    bad = "system_u:system_r:no_such_type_t:s0"
    changes = (
        {"process": {"selinuxLabel": bad}} if place == "process" else {"linux": {"mountLabel": bad}}
    )
    change_config(bundle, **changes)
    done = libct("run", "-b", bundle, unique())
    assert done.returncode == 1
    assert bad in done.stderr
    if place == "process":
        assert f"the policy that is loaded does not know the label {bad!r}" in done.stderr
