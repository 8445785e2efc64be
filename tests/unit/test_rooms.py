"""The rooms of the package: imports go down, and no modules import each other in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from libct.cli.commands import COMMANDS
from libct.config.homes import HOMES
from libct.names import MODULE_OF
from libct.seccomp.architectures import ARCHITECTURES
from tests.commands import CHECKOUT

from .test_operations import DECLARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# From top to bottom: a room imports from itself and from rooms below it.
# "__init__" is the package's face.  It imports nothing before it is asked for a
# name, but stands for the whole library: above it are only programs that use it,
# of which the command line is one.
# Steps are performed by functions in bootstrap, in the rooms from network to
# attributes, and in cgroups.  bootstrap knows them by the names that the plan
# gives them, not by an import; so cgroups, which imports bootstrap, is above it.
ROOMS = (
    *(
        "__main__",
        "cli",
        "__init__",
        "sandbox",
        "oci",
        "life",
        "checkpoint",
        "cgroups",
        "resctrl",
        "bootstrap",
        "plan",
    ),
    *("network", "security", "seccomp", "rootfs", "attributes"),
    *("config", "syscalls", "loading", "errors", "names"),
)

# Imports by a computed name, and modules that are looked up: where, how, and why.
COMPUTED = {
    ("libct", "import_module(f'{__name__}.{module}')"): "public names are loaded on first use",
    ("libct.config", "__import__(f'{__name__}.{home}')"): "and so are records",
    ("libct.cli.dispatch", "__import__(f'{__package__}.{module}')"): "the handler of a command",
    ("libct.bootstrap.performer", "__import__(name)"): "the performer of a step",
    ("libct.__main__", "spec_from_file_location(name)"): "as a script: the package beside it",
    ("libct.__main__", "spec_from_file_location(f'{name}.loading.finder')"): "the same",
    ("libct.__main__", "__import__(f'{name}.cli')"): "the same",
    ("libct.bootstrap.performer", "sys.modules[name]"): "what it has just imported",
    ("libct.bootstrap.spawning", "sys.modules[_PACKAGE]"): "where we are; libct.interpreter",
    ("libct.cli.where", "sys.modules[function.__module__]"): "a performer's, which is there",
    ("libct.cli", "sys.modules[_PACKAGE]"): "for libct.interpreter",
    ("libct.config.record", "sys.modules[__package__]"): "types of fields, once all are there",
    (
        "libct.seccomp.architectures",
        "__import__(f'{__package__}.calls.{self.table}')",
    ): "the system calls of one architecture",
    ("libct.plan", "sys.modules[__name__]"): "itself: it can be called,",
    ("libct.plan", "sys.modules[__name__.rpartition('.')[0]]"): "as the function of that name",
}
IMPORTING = ("__import__", "import_module", "spec_from_file_location")

# What these load, as far as tables tell.
LOADED = {
    "libct": {f"libct.{module}" for module in MODULE_OF.values()},
    "libct.config": {f"libct.config.{home}" for home in HOMES},
    "libct.seccomp.architectures": {
        f"libct.seccomp.calls.{architecture.table}" for architecture in ARCHITECTURES.values()
    },
    "libct.cli.dispatch": {
        f"libct.cli.{command.handler.partition(':')[0]}" for command in COMMANDS.values()
    },
    "libct.bootstrap.performer": {
        f"libct.{operation.performer.rpartition('.')[0]}" for operation in DECLARED.values()
    },
}


class Package:
    """The modules of a package, and what each imports of the others."""

    def __init__(self, directory: Path) -> None:
        self.trees: dict[str, ast.Module] = {}
        self.packages: set[str] = set()
        for path in sorted(directory.rglob("*.py")):
            names = [directory.name, *path.relative_to(directory).with_suffix("").parts]
            if names[-1] == "__init__":
                names.pop()
                self.packages.add(".".join(names))
            self.trees[".".join(names)] = ast.parse(path.read_text(), str(path))
        self.imports = {name: self._imports(name) for name in self.trees}

    def _imports(self, name: str) -> set[str]:
        """The modules that a module imports, at whatever time, and the packages they are in.

        A package that the module is in itself has been imported before it, so
        it counts only where the module takes something from it by name.
        """
        around = set(packages_of(name))
        found = set()
        for target in self._targets(name):
            found |= {target, *packages_of(target)} - (around - {target})
        return found - {name}

    def _targets(self, name: str) -> Iterator[str]:
        package = name if name in self.packages else name.rpartition(".")[0]
        for node in nodes(self.trees[name]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.trees)
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level:
                    parts = package.split(".")
                    above = parts[: len(parts) + 1 - node.level]
                    origin = ".".join([*above, origin] if origin else above)
                if origin in self.trees:
                    for alias in node.names:
                        module = f"{origin}.{alias.name}"
                        yield module if module in self.trees else origin

    def computed(self) -> set[tuple[str, str]]:
        """Where a module is imported or looked up by a name that is no part of the syntax.

        The module where that is, and the call with the first of its arguments.
        """
        found = set()
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    function = ast.unparse(node.func).rpartition(".")[2]
                    if function in IMPORTING:
                        found.add((module, f"{function}({ast.unparse(node.args[0])})"))
                elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "sys.modules":
                    found.add((module, ast.unparse(node)))
        return found


def packages_of(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a module's tree but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield other
                yield from nodes(other)
        else:
            yield node
            yield from nodes(node)


def shortest_circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules of the shortest circle, the first one again at the end; [] if there is none."""
    shortest: list[str] = []
    for start in imports:
        ways = {start: [start]}
        todo = [start]
        for name in todo:
            for target in sorted(imports[name]):
                way = [*ways[name], target]
                if target == start and (not shortest or len(way) < len(shortest)):
                    shortest = way
                if target not in ways:
                    ways[target] = way
                    todo.append(target)
    return shortest


def room_of(module: str) -> str:
    return f"{module}.__init__".split(".")[1]


def upward(imports: Mapping[str, Iterable[str]], rooms: Iterable[str]) -> list[str]:
    """The imports that go up, in words."""
    height = {room: at for at, room in enumerate(rooms)}
    return [
        f"{name} imports {target}"
        for name, targets in imports.items()
        for target in sorted(targets)
        if height[room_of(name)] > height[room_of(target)]
    ]


@pytest.fixture(scope="module")
def package() -> Package:
    return Package(CHECKOUT / "libct")


def test_imports_go_down(package: Package) -> None:
    assert {room_of(name) for name in package.trees} == set(ROOMS)
    assert upward(package.imports, ROOMS) == []


def test_no_modules_import_each_other(package: Package) -> None:
    """Nor when those are counted that are named in a table and loaded by that name."""
    imports = {name: targets | LOADED.get(name, set()) for name, targets in package.imports.items()}
    assert " -> ".join(shortest_circle(imports)) == ""


def test_drivers_of_control_groups_do_not_know_each_other(package: Package) -> None:
    """Those of the files and systemd's: each can be left out, and who chooses knows both."""
    of_systemd = {name for name in package.trees if name.startswith("libct.cgroups.systemd")}
    of_files = {
        name
        for name in package.trees
        if name.startswith(("libct.cgroups.v1", "libct.cgroups.v2", "libct.cgroups.limit"))
    }
    assert len(of_systemd) > 5
    assert {"libct.cgroups.v1", "libct.cgroups.v2"} <= of_files
    for name in of_files:
        assert not package.imports[name] & of_systemd, name
    for name in of_systemd:
        assert not package.imports[name] & {*of_files, "libct.cgroups.choose"}, name
    others = {name for name in package.trees if package.imports[name] & of_systemd} - of_systemd
    # At its end a container's ledger has the unit stopped that it is about.
    assert others == {
        "libct.cgroups.choose",
        "libct.cgroups.ledger",
        "libct.life.host",
        "libct.sandbox.groups",
    }


def test_imports_by_computed_names_are_known(package: Package) -> None:
    assert package.computed() == set(COMPUTED)
    for loaded in LOADED.values():
        assert loaded <= set(package.trees)
    assert all(LOADED.values())


def test_what_loading_a_module_loads_was_found(package: Package) -> None:
    """The interpreter's word on what is imported, as far as that happens at once."""
    program = f"""
import sys
for name in {sorted(package.trees)}:
    before = set(sys.modules)
    __import__(name)
    print(name, *(found for found in sys.modules if found not in before))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True
    )
    count = 0
    for line in run.stdout.splitlines():
        name, *loaded = line.split()
        reached = {name, *packages_of(name)}
        todo = list(reached)
        for module in todo:
            new = package.imports[module] - reached
            reached |= new
            todo += new
        assert {each for each in loaded if each in package.trees} <= reached, name
        count += 1
    assert count == len(package.trees)


# --- that these tests can fail ---

MADE_UP = [
    ({"a": "from . import b", "b": "from .a import thing"}, "x.a -> x.b -> x.a"),
    ({"a": "from .b import thing", "b": "def f():\n    from . import a"}, "x.a -> x.b -> x.a"),
    ({"a": "import x.b", "b": "try:\n    import x.a\nfinally: pass"}, "x.a -> x.b -> x.a"),
    # Of a package comes its __init__, too, but not for the modules in it.
    (
        {
            "a": "from .p.one import thing",
            "p/__init__": "from . import two",
            "p/two": "import x.a",
            "p/one": "",
        },
        "x.a -> x.p -> x.p.two -> x.a",
    ),
    ({"p/__init__": "from .one import thing", "p/one": "from . import two", "p/two": ""}, ""),
    ({"p/__init__": "from .one import f", "p/one": "from . import g"}, "x.p -> x.p.one -> x.p"),
    ({"p/__init__": "from .q import one", "p/q/one": "from ... import a", "a": ""}, ""),
    ({"a": "if TYPE_CHECKING:\n    from . import b", "b": "from . import a"}, ""),
    (
        {"a": "if TYPE_CHECKING:\n    pass\nelse:\n    from . import b", "b": "from . import a"},
        "x.a -> x.b -> x.a",
    ),
]


@pytest.mark.parametrize(("modules", "circle"), MADE_UP)
def test_a_circle_is_found(tmp_path: Path, modules: dict[str, str], circle: str) -> None:
    found = made_up(tmp_path, modules)
    assert " -> ".join(shortest_circle(found.imports)) == circle


def test_an_import_that_goes_up_is_found(tmp_path: Path) -> None:
    found = made_up(tmp_path, {"a": "from .b import c", "b/c": "", "b/d": "from .. import a"})
    assert upward(found.imports, ["a", "b", "__init__"]) == ["x.b.d imports x.a"]
    assert upward(found.imports, ["b", "a", "__init__"]) == ["x.a imports x.b", "x.a imports x.b.c"]


def test_a_computed_import_is_found(tmp_path: Path) -> None:
    found = made_up(tmp_path, {"a": "import importlib\nimportlib.import_module('x.' + 'b')"})
    assert found.computed() == {("x.a", "import_module('x.' + 'b')")}


def made_up(parent: Path, modules: Mapping[str, str]) -> Package:
    for name, text in {"__init__": "", **modules}.items():
        path = parent / "x" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    return Package(parent / "x")
