"""The finder of libct's own modules: what it finds, and what it leaves to the interpreter."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..support import copy_of_libct

INSTALL = (
    "import sys; sys.path.insert(0, {0!r}); from libct.loading import finder; finder.install(); "
)


def run_python(parent: Path, program: str, *options: str) -> str:
    command = [sys.executable, "-I", "-S", *options, "-c", INSTALL.format(str(parent)) + program]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of libct with the cached code of two of its modules."""
    package = copy_of_libct(tmp_path / "libct")
    run_python(tmp_path, "import libct.plan.step, libct.config.status")
    assert cached(package / "config", "status").exists()
    return package


def cached(package: Path, name: str) -> Path:
    return package / f"__pycache__/{name}.{sys.implementation.cache_tag}.pyc"


def test_modules_are_as_the_interpreter_makes_them(copy: Path) -> None:
    program = """
import libct.plan.step, libct.config.status
for name in ("libct.plan", "libct.plan.step", "libct.config.status"):
    module = sys.modules[name]
    spec, loader = module.__spec__, module.__loader__
    print(name, module.__name__, module.__package__, module.__file__, module.__cached__,
        getattr(module, "__path__", None), spec.parent, spec.has_location, spec.cached,
        spec.submodule_search_locations, loader.get_filename(name), loader.is_package(name),
        len(loader.get_source(name)), loader.get_code(name) is not None)
"""
    found = run_python(copy.parent, f"{program}\nprint(type(loader).__module__)")
    without = f"sys.meta_path.pop(0)\n{program}\nprint('libct.loading.finder')"
    plain = run_python(copy.parent, without)
    assert found == plain
    assert found.endswith("libct.loading.finder")


def test_a_module_can_be_loaded_again(copy: Path) -> None:
    program = "import importlib, libct.config.status as m; m.CREATED = 1; importlib.reload(m)"
    assert run_python(copy.parent, f"{program}; print(m.CREATED)") == "created"


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_source_is_seen(copy: Path, same_size: bool) -> None:
    source = copy / "config/status.py"
    before = source.stat()
    text = source.read_text().replace('"created"', '"CREATED"')
    source.write_text(text if same_size else text + "\n")
    if same_size:
        assert source.stat().st_size == before.st_size
        os.utime(source, (before.st_mtime + 2, before.st_mtime + 2))
    else:
        os.utime(source, (before.st_mtime, before.st_mtime))
    program = "import libct.config.status as m; print(m.CREATED)"
    assert run_python(copy.parent, program) == "CREATED"


@pytest.mark.parametrize("damage", ["gone", "empty", "header", "cut", "foreign", "hashed"])
def test_what_is_wrong_with_cached_code_is_the_interpreters_affair(copy: Path, damage: str) -> None:
    file = cached(copy / "config", "status")
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(
            {
                "empty": b"",
                "header": data[:16],
                "cut": data[:200],
                "foreign": b"\0\0\0\0" + data[4:],
                "hashed": data[:4] + b"\1\0\0\0" + data[8:],  # checked against nothing (PEP 552)
            }[damage]
        )
    program = "import libct.config.status as m; print(m.CREATED, type(m.__loader__).__module__)"
    if damage in ("header", "cut"):
        # Python itself trusts the header, and says what it has met.
        command = [sys.executable, "-I", "-S", "-c", INSTALL.format(str(copy.parent)) + program]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1
        assert "EOFError" in done.stderr
        return
    value, loader = run_python(copy.parent, program).split()
    assert value == "created"
    assert loader != "libct.loading.finder"


def test_other_packages_and_other_ways_of_caching_are_left_alone(copy: Path) -> None:
    program = "print(sys.meta_path[0].__module__)"
    assert run_python(copy.parent, program) == "libct.loading.finder"
    assert run_python(copy.parent, program, "-O") == "_frozen_importlib"
    prefix = f"pycache_prefix={copy.parent}/elsewhere"
    assert run_python(copy.parent, program, "-X", prefix) == "_frozen_importlib"
    other = copy.parent / "other"
    other.mkdir()
    (other / "one.py").touch()
    compileall.compile_file(other / "one.py", quiet=2)
    program = "import other.one; print(type(other.one.__loader__).__module__)"
    assert run_python(copy.parent, program) == "_frozen_importlib_external"
    program = """
(copy,) = [one for one in sys.meta_path if one.__module__ == "libct.loading.finder"]
print(*(copy.find_spec(name, path) for name, path in (
    ("libct", None), ("json", None), ("libcts.status", ["/nowhere"]),
    ("libct.nothing", sys.modules["libct"].__path__), ("json.decoder", ["/usr/lib"]))))
"""
    assert set(run_python(copy.parent, program).split()) == {"None"}
