"""The wheel and the sdist, as docs/vendoring.md has them made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

import libct
from libct.cli import manual

from ..commands import CHECKOUT
from ..needs import requires
from ..pages import piece, pieces

pytestmark = requires("flit")

_NAMES = (f"libct-{libct.__version__}-py3-none-any.whl", f"libct-{libct.__version__}.tar.gz")
_BUILD = """
import os, sys
from flit_core import buildapi
os.makedirs(sys.argv[1])
print(buildapi.build_wheel(sys.argv[1]), buildapi.build_sdist(sys.argv[1]))
"""
# Of an installed libct, by any user: nothing here needs a right.
_SMOKE = """
import libct
config = libct.Config("/", namespaces=[libct.Namespace(libct.NEWNS)])
assert len(libct.plan(config)) > 5
print(libct.__version__, libct.__file__)
"""


def test_the_commands_of_the_page_are_those_that_are_tested() -> None:
    """By what they call: pip and build need a network, where the build backend is not there."""
    page = "docs/vendoring.md"
    assert piece(page, "A wheel", "console").splitlines() == [
        "python3 -m pip wheel --no-deps -w dist .",
        "python3 -m pip install --no-index dist/libct-*.whl",
    ]
    packagers = [each.text for each in pieces(page) if each[:2] == ("For packagers", "console")]
    assert "".join(packagers).splitlines() == [
        "SOURCE_DATE_EPOCH=1700000000 python3 -m build --no-isolation",
        "python3 -m pytest tests/unit",
        "mkdir -p /usr/share/doc/libct",
        "cp -r docs/*.md docs/engines docs/levels /usr/share/doc/libct",
    ]


def checkout(place: Path) -> Path:
    """A copy of what is packed, with files of other times and in another order."""
    place.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("tests", "libct", "docs", ".ci"):
        shutil.copytree(CHECKOUT / name, place / name, ignore=ignored, copy_function=shutil.copy)
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tox.ini"):
        shutil.copy(CHECKOUT / name, place / name)
    return place


def build(source: Path, out: Path) -> dict[str, bytes]:
    """The files that are built, by their names."""
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, out],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tuple(done.stdout.split()) == _NAMES
    return {name: (out / name).read_bytes() for name in _NAMES}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a wheel and an sdist."""
    place = tmp_path_factory.mktemp("packages")
    build(checkout(place / "source"), place / "out")
    return place / "out"


def test_two_builds_are_equal(built: Path, tmp_path: Path) -> None:
    again = checkout(tmp_path / "elsewhere")
    for number, path in enumerate(sorted(again.rglob("*"))):
        os.utime(path, (time.time() - number, time.time() - number))
    (again / "libct/__pycache__").mkdir()
    (again / "libct/__pycache__/errors.cpython-39.pyc").write_bytes(b"compiled")
    for name, data in build(again, tmp_path / "out").items():
        assert data == (built / name).read_bytes(), name


def test_what_is_packed(built: Path) -> None:
    with zipfile.ZipFile(built / _NAMES[0]) as wheel:
        members = set(wheel.namelist())
    package = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "libct").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {name for name in members if name.startswith("libct/")} == package
    data = {name.partition(".data/data/")[2] for name in members if ".data/" in name}
    assert data == {f"share/man/man1/{name}" for name in manual.pages()}
    assert f"libct-{libct.__version__}.dist-info/licenses/LICENSE" in members
    with tarfile.open(built / _NAMES[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    others = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tox.ini", ".ci/run"}
    assert package | others <= names
    assert {
        "docs/data/share/man/man1/libct.1",
        "docs/vendoring.md",
        "tests/unit/test_packaging.py",
    } <= names
    assert not any(name.endswith(".pyc") for name in names | members)


def test_the_sdist_gives_the_same_wheel_and_its_tests_run(built: Path, tmp_path: Path) -> None:
    with tarfile.open(built / _NAMES[1]) as sdist:
        sdist.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # our own
        sdist.extractall(tmp_path)
    unpacked = tmp_path / f"libct-{libct.__version__}"
    again = build(unpacked, tmp_path / "out")
    assert again[_NAMES[0]] == (built / _NAMES[0]).read_bytes()
    tests = ["tests/unit/test_public_names.py", "tests/unit/test_references.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=unpacked,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert not list(unpacked.rglob("*.pyc"))


def test_the_wheel_installs_into_an_empty_environment(built: Path, tmp_path: Path) -> None:
    def tell(*command: str | Path) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": "", "PIP_CONFIG_FILE": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = tmp_path / "venv"
    tell(sys.executable, "-m", "venv", place)
    tell(place / "bin/python", "-m", "pip", "install", "--no-index", built / _NAMES[0])
    version, file = tell(place / "bin/python", "-c", _SMOKE).split()
    assert version == libct.__version__
    assert Path(file).is_relative_to(place)
    assert tell(place / "bin/libct", "--version").startswith(f"libct version {version}\n")
    assert tell(place / "bin/python", "-m", "libct", "plan", "--help").startswith("Usage: libct")
    assert (place / "share/man/man1/libct-plan.1").is_file()
    command = [str(place / "bin/libct"), "help", "ci"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"pip download --no-deps --no-binary :all: libct=={version})" in done.stderr
    shutil.copytree(CHECKOUT / "docs", place / "share/doc/libct")
    assert tell(*command) == (CHECKOUT / "docs/ci.md").read_text()
