"""The package works as a copy of another name, in a namespace package and in a zip archive."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from libct.seccomp.architectures import ARCHITECTURES, OTHERS, here

from ..containers import shared_rootfs
from ..support import CHECKOUT, libct, requires, run, unique

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

PROGRAM = """
import sys
sys.path.insert(0, {path!r})
import {name} as package
from {name}.config import Namespace
spaces = [Namespace(kind) for kind in ("NEWNS", "NEWPID", "NEWUTS", "NEWUSER")]
maps = [__import__("{name}.config", fromlist=["IDMap"]).IDMap(0, 0, 1)]
config = package.Config(rootfs={rootfs!r}, namespaces=spaces, hostname="box",
                        uid_mappings=maps, gid_mappings=maps,
                        mounts=[package.Mount("/dev", "tmpfs", "tmpfs")])
process = package.Process(["sh", "-c", "exit $(hostname | wc -c)"], env=["PATH=/bin"], init=True)
{change}
with package.create({states!r}, "one", config) as container:
    container.run(process)
    status = process.wait().status
assert not any(name == "libct" or name.startswith("libct.") for name in sys.modules)
sys.exit(status)
"""


def copy(place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(CHECKOUT / "libct", place, ignore=ignore))


def runs(tmp_path: Path, name: str, path: Path | str, *, change: str = "", cwd: str = "/") -> None:
    program = PROGRAM.format(
        path=str(path),
        name=name,
        rootfs=str(shared_rootfs()),
        states=str(tmp_path / "states"),
        change=change,
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == len("box\n"), done.stderr


def test_as_a_package_of_another_name(tmp_path: Path) -> None:
    copy(tmp_path / "boxes")
    runs(tmp_path, "boxes", tmp_path)


def test_inside_of_another_package(tmp_path: Path) -> None:
    """Whose own code the server does not run."""
    copy(tmp_path / "app/_vendor/boxes")
    mark = tmp_path / "imported"
    for place in ("app", "app/_vendor"):
        text = f"open({str(mark)!r}, 'a').write('{place}\\n')\n"
        (tmp_path / place / "__init__.py").write_text(text)
    runs(tmp_path, "app._vendor.boxes", tmp_path)
    assert mark.read_text() == "app\napp/_vendor\n"  # by the program, once


def test_inside_of_a_namespace_package(tmp_path: Path) -> None:
    copy(tmp_path / "app/parts/libct")
    (tmp_path / "other/app/parts").mkdir(parents=True)
    change = f"sys.path.append({str(tmp_path / 'other')!r})"
    runs(tmp_path, "app.parts.libct", tmp_path, change=change)


def test_among_modules_that_have_the_names_of_others(tmp_path: Path) -> None:
    """What lies beside the package hides nothing of the standard library from the server."""
    copy(tmp_path / "vendor/boxes")
    for name in ("os", "ctypes", "marshal", "struct", "fcntl", "encodings", "errno"):
        (tmp_path / "vendor" / f"{name}.py").write_text("raise SystemExit('hidden')\n")
    runs(tmp_path, "vendor.boxes", tmp_path)


@pytest.mark.parametrize("below", ["", "lib/_vendor/"])
def test_in_a_zip_archive(tmp_path: Path, below: str) -> None:
    source = copy(tmp_path / "source/boxes")
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(source.rglob("*.py")):
            file.write(path, f"{below}boxes/{path.relative_to(source)}")
    shutil.rmtree(tmp_path / "source")
    runs(tmp_path, "boxes", archive / below)


def test_by_a_relative_path_and_then_elsewhere(tmp_path: Path) -> None:
    copy(tmp_path / "vendor/boxes")
    runs(tmp_path, "boxes", "vendor", change="import os; os.chdir('/')", cwd=str(tmp_path))


def test_in_a_directory_with_a_strange_name(tmp_path: Path) -> None:
    name = 'it\'s "\u00e4" \\ {x}: \udcff\n'
    copy(tmp_path / name / "boxes")
    runs(tmp_path, "boxes", tmp_path / name)


def test_two_copies_in_one_process(tmp_path: Path) -> None:
    copy(tmp_path / "one")
    copy(tmp_path / "two")
    change = (
        "import two, two.config\n"
        f"with two.create({str(tmp_path / 'states')!r}, 'two', two.Config(\n"
        f"        rootfs={str(shared_rootfs())!r}, namespaces=[two.config.Namespace('NEWNS')],\n"
        "        mounts=[two.Mount('/dev', 'tmpfs', 'tmpfs')])) as other:\n"
        "    running = two.Process(['true'], env=['PATH=/bin'], init=True)\n"
        "    other.run(running)\n"
        "    assert running.wait().success\n"
    )
    runs(tmp_path, "one", tmp_path, change=change)


# --- what may be left out (docs/vendoring.md) ---

RUNS = 'import boxes; raise SystemExit(boxes.run(["true"]).returncode)'


class Row(NamedTuple):
    """A row of the page's table: what is left out, its size, and what works then."""

    left_out: tuple[str, ...]
    size: int  # KiB
    works: dict[str, bool]


def rows() -> list[Row]:
    text = (CHECKOUT / "docs/vendoring.md").read_text()
    section = text.partition("\n## What may be left out\n")[2].partition("\n## ")[0]
    head, _, *lines = (line for line in section.splitlines() if line.startswith("|"))
    names = [cell.strip(" `") for cell in head.strip("|").split("|")][2:]
    found = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        works = {name: {"yes": True, "no": False}[cell] for name, cell in zip(names, cells[2:])}
        left_out = tuple(re.findall("`([^`]+)`", cells[0].partition(": ")[0]))
        found.append(Row(left_out, int(cells[1]), works))
    return found


def parts(package: Path, row: Row) -> list[Path]:
    """What the row leaves out of a copy; of the tables of system calls, other machines' alone."""
    tables = {name + ".py" for name in ("__init__", *native_tables())}
    found = []
    for name in row.left_out:
        path = package / name
        if name == "seccomp/calls/":
            found += [each for each in path.glob("*.py") if each.name not in tables]
        else:
            found.append(path)
    return found


def native_tables() -> set[str]:
    """Those of this machine and of what else it executes, which the profile of sandbox is for."""
    machine = here().name
    return {ARCHITECTURES[name].table for name in (machine, *OTHERS.get(machine, ()))}


def size(paths: Iterable[Path]) -> float:
    """The sources below these, in KiB."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1024


def without(package: Path, paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def tried(package: Path, states: Path, bundle: Path) -> dict[str, str]:
    """What each use of a copy says; "" where it works.  With the names of the page's columns."""
    program = PROGRAM.format(
        path=str(package.parent),
        name=package.name,
        rootfs=str(shared_rootfs()),
        states=str(states),
        change="",
    )
    commands = {
        "create": (["-c", program], len("box\n")),
        "run": (["-c", RUNS], 0),
        "command line": (
            ["-m", package.name, "--root", str(states), "run", "-b", str(bundle), unique()],
            0,
        ),
    }
    said = {}
    for name, (args, status) in commands.items():
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
        done = run([sys.executable, *args], cwd=package.parent, env=environment)
        said[name] = "" if done.returncode == status else done.stderr or "?"
    return said


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `libct spec` writes it, for a command that ends."""
    place = tmp_path_factory.mktemp("bundle")
    libct("spec", "-b", place, check=True)
    config = json.loads((place / "config.json").read_text())
    config["process"].update(terminal=False, args=["true"])
    config["root"]["path"] = str(shared_rootfs())
    (place / "config.json").write_text(json.dumps(config))
    return place


@pytest.mark.parametrize("row", rows(), ids=lambda row: "+".join(row.left_out))
def test_what_may_be_left_out(row: Row, tmp_path: Path, bundle: Path) -> None:
    package = copy(tmp_path / "boxes")
    left_out = parts(package, row)
    assert size(left_out) == pytest.approx(row.size, rel=0.25, abs=10)
    without(package, left_out)
    said = tried(package, tmp_path / "states", bundle)
    assert {name: not text for name, text in said.items()} == row.works, said
    for name, text in said.items():
        assert row.works[name] or "No module named" in text or "it has no" in text, text


def test_much_at_once_may_be_left_out(tmp_path: Path, bundle: Path) -> None:
    """All that `run` works without, and all that `create` does; and the sizes that are told."""
    text = " ".join((CHECKOUT / "docs/vendoring.md").read_text().split())
    for use, sentence in (
        ("", r"All of it is (\d+) KiB in (\d+) files, of which (\d+) KiB"),
        ("run", r"for `run` alone you need (\d+) KiB \((\d+) KiB zipped\)"),
        ("create", r"for `create` alone (\d+) KiB \((\d+) KiB zipped\)"),
    ):
        found = re.search(sentence, text)
        assert found, sentence
        package = copy(tmp_path / (use or "all") / "boxes")
        for row in rows():
            if use and row.works[use]:
                without(package, [path for path in parts(package, row) if path.exists()])
        assert size([package]) == pytest.approx(int(found[1]), rel=0.15)
        assert zipped(package) == pytest.approx(int(found.groups()[-1]), rel=0.15)
        said = tried(package, tmp_path / "states", bundle)
        assert not said[use or "create"], said


def zipped(package: Path) -> float:
    archive = package.with_name("boxes.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(package.rglob("*.py")):
            file.write(path, path.relative_to(package.parent))
    return archive.stat().st_size / 1024


# --- what is written ---


@pytest.mark.parametrize("way", ["-B", "PYTHONDONTWRITEBYTECODE", "sys"])
def test_no_compiled_code_is_written_where_none_is_wanted(way: str, tmp_path: Path) -> None:
    """By the server either, whose environment is empty."""
    package = copy(tmp_path / "boxes")
    program = {"sys": "import sys; sys.dont_write_bytecode = True; "}.get(way, "") + RUNS
    environment = {name: text for name, text in os.environ.items() if "BYTECODE" not in name}
    if way.startswith("PYTHON"):
        environment[way] = "1"
    options = [way] if way == "-B" else []
    done = subprocess.run(
        [sys.executable, *options, "-c", program], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0
    assert not list(package.rglob("*.pyc"))
    # Else there is some, also of what the server alone loads.
    environment.pop(way, None)
    done = subprocess.run([sys.executable, "-c", RUNS], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
    assert list((package / "rootfs/__pycache__").glob("masks.*.pyc"))


@pytest.mark.parametrize("below", ["", "boxes.zip"])
def test_on_a_read_only_file_system(below: str, tmp_path: Path) -> None:
    package = copy(tmp_path / "media/boxes")
    if below:
        zipped(package)
        shutil.rmtree(package)
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3"'
    media = tmp_path / "media"
    program = f"import sys; sys.path.insert(0, {str(media / below)!r})\n{RUNS}"
    done = run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(media), sys.executable, program],
        cwd="/",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(media.rglob("*.pyc"))
