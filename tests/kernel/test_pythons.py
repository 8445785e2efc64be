"""Other releases of Python, as Debian has them: libct starts a container, and works in it.

Each is in a root file system of its own.  It is entered by this Python's libct, as
a container that has all rights but no process, network or file of the host, and the
tests that the other Python runs in there make containers of their own.

LIBCT_PYTHONS=all runs all unit tests on each of them (docs/testing.md).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from libct.syscalls.constants import CAPABILITIES

from ..debian import cached, root_filesystem
from ..support import CHECKOUT, change_config, libct, make_bundle, read_config, requires, unique

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [requires("root", "mmdebstrap", "busybox"), pytest.mark.usefixtures("nothing_left")]

# Debian's releases, and their Pythons.
DEBIANS = {"bullseye": "3 9", "bookworm": "3 11", "trixie": "3 13"}
PACKAGES = ("python3", "busybox-static")
# What pytest is made of: one copy for all, of what 3.9 can read.  pip judges by the Python that
# it runs on what older ones need in addition, so that is named here.
PYTEST = ("pytest>=7,<9", "exceptiongroup", "iniconfig<2.2", "tomli", "typing_extensions")
PIP_OPTIONS = (
    *("--python-version", "3.9", "--implementation", "py", "--abi", "none", "--platform", "any"),
    *("--only-binary", ":all:", "--no-compile", "--quiet"),
)

SECCOMP = ("seccomp_differential", "seccomp_default")
# Copies under other names, each of which makes a container.
VENDORED = (
    "test_as_a_package_of_another_name",
    "test_inside_of_another_package",
    "test_in_a_zip_archive",
    "test_two_copies_in_one_process",
)

# In a copy that can be written to, so that what is compiled is kept.  The shell, as process 1,
# waits for whoever has lost his parent.
SCRIPT = """
mkdir /tmp/checkout
cd /run/checkout
cp -r .ci CHANGELOG.md LICENSE README.md docs libct pyproject.toml tests tox.ini /tmp/checkout
cd /tmp/checkout
python3 -c 'import sys; print(*sys.version_info[:2])'
[ -z "$UNIT" ] || python3 -m pytest -q -p no:cacheprovider $UNIT
LIBCT_NO_SKIP=1 python3 -m pytest -q -p no:cacheprovider $REAL
python3 -m libct sandbox -- echo all passed
"""


def everything() -> bool:
    return os.environ.get("LIBCT_PYTHONS") == "all"


def unit(suite: str) -> list[str]:
    """The unit tests; those that want what the root file system lacks skip themselves.

    By default they are run on other builds of the same versions (.ci/run).
    """
    if not everything():
        return []
    # libseccomp 2.5.1, of Debian 11, is wrong about some profiles.
    left_out = SECCOMP if suite == "bullseye" else ()
    return ["tests/unit", *(f"--ignore=tests/unit/test_{name}.py" for name in left_out)]


def real() -> list[str]:
    """Those that make containers; nothing is skipped."""
    vendoring = "tests/kernel/test_vendoring.py"
    return [vendoring] if everything() else [f"{vendoring}::{name}" for name in VENDORED]


@pytest.fixture(scope="module")
def site() -> Path:
    """A directory with pytest."""
    pip = [sys.executable, "-m", "pip", "install", *PIP_OPTIONS, *PYTEST, "--target"]
    return cached("pytest", pip, [], lacks="pip, or pytest for Python 3.9")


@pytest.fixture(params=DEBIANS)
def bundle(request: pytest.FixtureRequest, tmp_path: Path, site: Path) -> Path:
    """A container for that Debian, with the checkout and pytest."""
    rootfs = root_filesystem(request.param, *PACKAGES)
    bundle = make_bundle(tmp_path, rootfs=rootfs, root={"readonly": True})
    config = read_config(bundle)
    mounts = [one for one in config["mounts"] if one["destination"] != "/sys/fs/cgroup"]
    mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"})
    for path in ("/run", "/tmp", "/var/tmp", "/root", "/mnt"):
        mounts.append({"destination": path, "type": "tmpfs", "source": "tmpfs"})
    for source, path in ((CHECKOUT, "/run/checkout"), (site, "/run/site")):
        options = ["rbind", "ro"]
        mounts.append({"destination": path, "source": str(source), "options": options})
    env = {
        "HOME": "/root",
        "LIBCT_TEST_MARK": unique(),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": "/run/site",
        "REAL": " ".join(real()),
        "UNIT": " ".join(unit(request.param)),
    }
    rights = {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")}
    process = {
        "capabilities": rights,
        "env": [f"{name}={value}" for name, value in env.items()],
        "noNewPrivileges": False,
        "rlimits": None,  # which containers inside may want more of
    }
    linux: dict[str, Any] = {"maskedPaths": None, "readonlyPaths": None}
    linux["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
    change_config(bundle, mounts=mounts, process=process, linux=linux)
    return bundle


@pytest.mark.longest(3600)
def test_the_tests_on_it(bundle: Path, request: pytest.FixtureRequest) -> None:
    change_config(bundle, process={"args": ["sh", "-ec", SCRIPT]})
    done = libct("run", "-b", bundle, unique("python"), timeout=3500)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert done.stdout.splitlines()[0] == DEBIANS[request.node.callspec.params["bundle"]]
    assert done.stdout.endswith("all passed\n")
