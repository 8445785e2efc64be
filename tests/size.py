"""How much code there is: of libct, and of what the server loads for a usual start.

    python -m tests.size            libct by room, and in total
    python -m tests.size --loaded   the modules of a usual start, as docs/audit.md has them
    python -m tests.size --write    puts that table into docs/audit.md

A line of code is one that is no comment, no docstring, not blank, and not under `if TYPE_CHECKING`,
which only type checkers read.  A table is a module without a function or a class: data, and
counted apart, as are the tables that scripts make.  A usual start is that of the bundle that
`libct spec` writes, by root, on a host with cgroup v2.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

import libct
from libct.bootstrap.server import _USUAL, _USUAL_FIRST
from libct.cgroups import choose
from libct.cgroups.layout import Hierarchy, Layout
from libct.life.host import Host
from libct.life.process import Process
from libct.oci.default_spec import default_spec
from libct.oci.load import config_from_spec
from libct.plan.capabilities import Grantable
from libct.plan.container import plan_start
from libct.plan.step import INIT, SERVER, STAGE

PACKAGE = Path(libct.__file__).parent
PAGE = PACKAGE.parent / "docs" / "audit.md"
BEGIN, END = "<!-- made by python -m tests.size --write -->\n", "<!-- end of what is made -->\n"
MOST_LOADED = 4_500
PACE = 20  # lines of code that are read in a minute
_NO_CODE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

# What to read, in this order: a stop, and its modules.
STOPS = {
    "the order: from a request to what is cloned": (
        *("bootstrap.server", "bootstrap.performer", "bootstrap.context", "bootstrap.talk"),
        *("bootstrap.channel", "bootstrap.message", "bootstrap.failure", "bootstrap.clones"),
        *("bootstrap.door", "loading.clock"),
    ),
    "cloning and namespaces": (
        *("bootstrap.sharing", "syscalls.sharing", "bootstrap.lined_up"),
        *("bootstrap.namespaces", "syscalls.namespaces", "syscalls.process", "syscalls.pidfds"),
        *("attributes.procfs", "syscalls.procfs", "syscalls.memory", "syscalls.memfd"),
    ),
    "paths: nothing leads out of the rootfs": (
        *("rootfs.paths", "rootfs.held", "syscalls.files", "syscalls.descriptors"),
        *("rootfs.files", "loading.paths"),
    ),
    "mounts": (
        *("rootfs.mounts", "rootfs.filesystems", "rootfs.binds", "rootfs.attach", "rootfs.flags"),
        *("rootfs.copyup", "rootfs.pidfs", "rootfs.mountinfo", "rootfs.refused"),
        *("rootfs.cgroup_mounts", "syscalls.mounts", "syscalls.filesystems"),
    ),
    "the root, its devices and its masks": (
        *("rootfs.root", "rootfs.devices", "rootfs.console", "rootfs.masks"),
        "syscalls.terminals",
    ),
    "the network": ("network.ready", "network.steps", "network.rtnetlink", "syscalls.sockets"),
    "who the command is: ids, capabilities, limits": (
        *("security.users", "security.capabilities", "security.keyring", "attributes.limits"),
        *("syscalls.credentials", "syscalls.keys", "attributes.uts", "syscalls.uts"),
    ),
    "waiting, and execve": (
        *("bootstrap.waiting", "bootstrap.messenger", "bootstrap.answer"),
        *("bootstrap.descriptors", "bootstrap.execute", "syscalls.interrupts"),
    ),
    "how C is called": ("syscalls.c", "syscalls.core", "syscalls.flags"),
    "what all modules share": ("errors", "plan", "plan.step", "libct", "config"),
}


class Size(NamedTuple):
    """Lines of code: of modules with functions, and of tables."""

    code: int
    tables: int

    def __add__(self, other: object) -> Size:
        assert isinstance(other, Size)
        return Size(self.code + other.code, self.tables + other.tables)


def count(text: str) -> Size:
    """The lines of a module's source."""
    tree = ast.parse(text)
    not_code: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_DEFINITIONS)) and ast.get_docstring(node) is not None:
            not_code |= _lines(node.body[0])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            not_code |= {node.lineno}.union(*map(_lines, node.body))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            code |= set(range(token.start[0], token.end[0] + 1))
    lines = len(code - not_code)
    is_table = not any(isinstance(node, _DEFINITIONS) for node in ast.walk(tree))
    return Size(0, lines) if is_table else Size(lines, 0)


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def generated(path: Path) -> bool:
    """Whether a script makes it, as its docstring says."""
    return "Made by tests/" in (ast.get_docstring(ast.parse(path.read_text())) or "")


def by_room() -> dict[str, tuple[Size, int]]:
    """The size of each room, and the lines of its tables that scripts make."""
    found: dict[str, tuple[Size, int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        room = parts[0] if len(parts) > 1 else "(the package)"
        size, made = found.get(room, (Size(0, 0), 0))
        own = count(path.read_text())
        if generated(path):
            found[room] = size, made + sum(own)
        else:
            found[room] = size + own, made
    return found


# --- what is loaded -----------------------------------------------------------------------------


def usual_steps() -> list[str]:
    """The performers of a usual start, in its order."""
    spec = default_spec()
    config, arguments = config_from_spec(
        spec, bundle="/bundle", id="box", rootless_euid=False, rootless_cgroups=False
    )
    unified = Layout("v2", unified=Hierarchy("/sys/fs/cgroup"), v2_controllers=("cpu", "memory"))
    host = Host(layout=unified, capabilities=Grantable(), shares=True)
    assert config.cgroups is not None
    manager = choose.new(config.cgroups, "box", unified, None)
    process = Process(init=True, reset_affinity=True, **arguments)  # as `libct run` has it
    plan = plan_start(config, process, host, manager, "box", hold=False)
    return [step.performer for step in plan if step.process in (SERVER, STAGE, INIT)]


def loaded() -> list[str]:
    """The modules that the server has then, from the package on."""
    rooms = dict.fromkeys(performer.rpartition(".")[0] for performer in usual_steps())
    code = (
        f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n"
        "from libct.bootstrap import performer, server\n"
        f"for module in {[*_USUAL, *_USUAL_FIRST, *rooms]}: performer.load(module)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    names = [name for name in done.stdout.split() if name.partition(".")[0] == "libct"]
    return [name.partition(".")[2] or name for name in names]


def source_of(module: str) -> Path:
    path = PACKAGE if module == "libct" else PACKAGE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def sizes() -> dict[str, Size]:
    """Of the modules that are loaded, those that hold anything."""
    found = {module: count(source_of(module).read_text()) for module in loaded()}
    return {module: size for module, size in found.items() if sum(size)}


def loaded_table() -> str:
    """What is loaded, stop by stop, as a table of Markdown."""
    left = sizes()
    stops = {**STOPS, "tables": tuple(name for name, size in left.items() if size.tables)}
    rows = ["| Stop | Modules | Lines | Minutes |", "|---|---|---:|---:|"]
    total = Size(0, 0)
    for number, (title, modules) in enumerate(stops.items(), 1):
        here = {name: left.pop(name) for name in modules if name in left}
        size = Size(*map(sum, zip((0, 0), *here.values())))
        total += size
        names = ", ".join(f"`{name}` {sum(own)}" for name, own in here.items())
        minutes = f"{sum(size) / PACE:.0f}" if size.code else ""
        rows.append(f"| {number}. {title} | {names} | {sum(size)} | {minutes} |")
    assert not left, f"no stop of tests/size.py has these modules: {', '.join(left)}"
    text = f"code in {len(sizes())} modules, and tables of {total.tables} lines"
    rows.append(f"| all | {text} | {total.code} | {total.code / PACE:.0f} |")
    return "\n".join(rows) + "\n"


def page_with(table: str) -> str:
    """docs/audit.md with another table."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    return head + BEGIN + table + END + rest.partition(END)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--loaded", action="store_true", help="the modules of a usual start")
    parser.add_argument("--write", action="store_true", help="put these into docs/audit.md")
    arguments = parser.parse_args()
    if arguments.loaded:
        print(loaded_table(), end="")
    elif arguments.write:
        PAGE.write_text(page_with(loaded_table()))
    else:
        rooms = by_room()
        total = Size(*map(sum, zip(*(size for size, _ in rooms.values()))))
        made = sum(lines for _, lines in rooms.values())
        print(f"{'room':14} {'code':>6} {'tables':>7} {'made by scripts':>16}")
        for room, (size, lines) in [*rooms.items(), ("total", (total, made))]:
            print(f"{room:14} {size.code:6} {size.tables:7} {lines:16}")


if __name__ == "__main__":
    main()
