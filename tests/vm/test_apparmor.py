"""AppArmor: a profile that apparmor_parser has loaded confines a container, and an exec into it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..commands import libct_command, libct_environment, run, user_python
from ..pages import piece
from ..support import (
    busybox_rootfs,
    change_config,
    libct,
    make_bundle,
    read_config,
    requires,
    session_directory,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    requires("vm", "root", "busybox", "apparmor"),
    pytest.mark.usefixtures("nothing_left"),
]

# All is allowed but what is written below one directory: what a mount or a mode forbids is not
# what is seen here.
_PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
    capability, network, mount, umount, signal, ptrace, unix, file,
    deny /{closed}/** w,
}}
"""
_WHICH = "cat /proc/self/attr/apparmor/current"
_TRY = f"{_WHICH}; for d in home tmp; do echo x >/$d/file && echo wrote $d; done 2>&1; true"


@pytest.fixture(scope="module")
def profiles() -> Iterator[dict[str, str]]:
    """The directory that is closed -> the name of the loaded profile that closes it."""
    names = {closed: unique(closed) for closed in ("home", "tmp")}
    text = "".join(_PROFILE.format(name=name, closed=closed) for closed, name in names.items())
    for option in ("--add", "--remove"):
        command = ("apparmor_parser", "--skip-cache", option)
        subprocess.run(command, input=text, text=True, check=True)
        if option == "--add":
            yield names


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    rootfs = busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))
    return make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", _TRY])


def seen(profile: str, closed: str) -> str:
    """What the probe prints where this directory is closed to it."""
    lines = [f"{profile} (enforce)"]
    for directory in ("home", "tmp"):
        wrote = f"wrote {directory}"
        denied = f"sh: can't create /{directory}/file: Permission denied"
        lines.append(denied if directory == closed else wrote)
    return "\n".join(lines) + "\n"


def test_a_profile_confines_the_container(bundle: Path, profiles: dict[str, str]) -> None:
    change_config(bundle, process={"apparmorProfile": profiles["home"]})
    done = libct("run", "-b", bundle, unique(), check=True)
    assert done.stdout == seen(profiles["home"], "home")


def test_without_one_nothing_is_confined(bundle: Path, profiles: dict[str, str]) -> None:
    for profile in ("", "unconfined"):
        change_config(bundle, process={"apparmorProfile": profile})
        done = libct("run", "-b", bundle, unique(), check=True)
        assert done.stdout == "unconfined\nwrote home\nwrote tmp\n", profile


def test_in_a_user_namespace_too(bundle: Path, profiles: dict[str, str]) -> None:
    ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
    spaces = [*read_config(bundle)["linux"]["namespaces"], {"type": "user"}]
    maps = {"uidMappings": ids, "gidMappings": ids}
    change_config(
        bundle,
        process={"apparmorProfile": profiles["tmp"]},
        linux={"namespaces": spaces, **maps},
    )
    done = libct("run", "-b", bundle, unique(), check=True)
    assert done.stdout == seen(profiles["tmp"], "tmp")


def test_an_exec_has_the_profile_of_the_container_or_its_own(
    bundle: Path, profiles: dict[str, str]
) -> None:
    name = unique()
    process = {"apparmorProfile": profiles["home"], "args": ["sleep", "1000"]}
    change_config(bundle, process=process)
    libct("create", "-b", bundle, name, check=True)
    try:
        libct("start", name, check=True)
        done = libct("exec", name, "sh", "-c", _TRY, check=True)
        assert done.stdout == seen(profiles["home"], "home")
        done = libct("exec", "--apparmor", profiles["tmp"], name, "sh", "-c", _TRY, check=True)
        assert done.stdout == seen(profiles["tmp"], "tmp")
        refused = libct("exec", "--apparmor", unique("none"), name, "true")
        assert refused.returncode == 255
        assert "is not loaded: see aa-status and apparmor_parser" in refused.stderr
    finally:
        libct("delete", "--force", name)


def test_a_profile_that_is_not_loaded(bundle: Path) -> None:
    profile = unique("none")
    change_config(bundle, process={"apparmorProfile": profile})
    done = libct("run", "-b", bundle, unique())
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        f"the profile {profile!r} is not loaded: see aa-status and apparmor_parser" in done.stderr
    )


# --- what libct itself runs under (docs/troubleshooting.md) ---

_FLAGS = "flags=(attach_disconnected,mediate_deleted)"
_ALL = "file, network, mount, umount, pivot_root, signal, ptrace, unix,"
_HELLO = ("sandbox", "--", "echo", "hello")
_MASK = "/sys/kernel/security/apparmor/features/namespaces/mask"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@pytest.fixture
def python() -> Iterator[Path]:
    """A copy of the interpreter, for profiles to be about; beside it, to find the same files."""
    real = Path(user_python()).resolve()
    copy = real.with_name(unique("python"))
    shutil.copy(real, copy)
    yield copy
    copy.unlink()


def confined(python: Path, profile: str) -> subprocess.CompletedProcess[str]:
    """What libct says to an ordinary user whose interpreter has that profile."""
    for option in ("--add", "--remove"):
        command = ("apparmor_parser", "--skip-cache", option)
        subprocess.run(command, input=profile, text=True, check=True)
        if option == "--add":
            _, *command_line = libct_command(*_HELLO, user=True)
            done = run([python, *command_line], user=True, env=libct_environment(user=True))
    return done


@pytest.mark.skipif(
    "userns_create" not in _read(_MASK),
    reason="user namespaces are not AppArmor's business before Linux 6.7",
)
def test_a_profile_that_allows_no_user_namespace(python: Path) -> None:
    name = unique("narrow")
    profile = f"abi <abi/4.0>,\nprofile {name} {python} {_FLAGS} {{ {_ALL} capability, }}"
    done = confined(python, profile)
    assert done.returncode == 125
    assert f"(the AppArmor profile that libct runs under has to allow it: {name} (enforce))" in (
        done.stderr
    )


def test_a_profile_that_allows_no_capability(python: Path) -> None:
    """As Ubuntu's for who has none: the clone is made, and a later step fails."""
    name = unique("powerless")
    userns = "userns," if "userns_create" in _read(_MASK) else ""
    abi = "abi <abi/4.0>,\n" if userns else ""
    done = confined(python, f"{abi}profile {name} {python} {_FLAGS} {{ {_ALL} {userns} }}")
    assert done.returncode == 125
    assert "clone3(" not in done.stderr
    assert f"has to allow it: {name} (enforce)" in done.stderr


def test_the_profile_of_the_page(python: Path) -> None:
    text = piece("docs/troubleshooting.md", "AppArmor restricts user namespaces", "console")
    assert text.count("/usr/bin/python3.[0-9]*") == 1
    if "userns_create" not in _read(_MASK):
        pytest.skip("AppArmor 3 does not know abi 4.0")
    done = confined(python, text.replace("/usr/bin/python3.[0-9]*", str(python)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
