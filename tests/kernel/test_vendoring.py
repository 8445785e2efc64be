"""The package works as a copy of another name, in a namespace package and in a zip archive."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ..containers import shared_rootfs
from ..support import CHECKOUT, requires

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
