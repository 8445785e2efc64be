"""Containers full of traps are started and entered, and strace tells what the runtime looks at.

Of their files it looks at those alone that the plan names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import libct
from libct.config import NEWNS, NEWUTS, Mount
from tests.containers import DEV, PATH, PROC, make_config, state_directory
from tests.kernel.cves import CASES
from tests.names import unique
from tests.support import CHECKOUT, busybox_rootfs, copy_of_libct, requires
from tests.traps import lay_traps, program_with_loader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = [requires("root", "busybox", "strace"), pytest.mark.usefixtures("nothing_left")]

SYSFS = Mount("/sys", "sysfs", "sysfs")
MASKED = ["/etc/masked", "/etc/nowhere", "/missing"]
LINK = "/srv/../home"  # what /proc, /sys or /dev is


def make_images(place: Path) -> None:
    """The same traps, and in each image one more."""
    for name in ("plain", "fifo", "huge", "proc", "sys", "dev"):
        rootfs = busybox_rootfs(place, name)
        lay_traps(rootfs)
        (rootfs / "etc/secret").write_text("secret\n")
        (rootfs / "etc/masked").symlink_to("../../../../etc/secret")
        (rootfs / "etc/nowhere").symlink_to("../../../../etc/shadow")
        for program, text in {
            "script": b"#!/proc/self/exe\n",
            "loaded": program_with_loader(b"/proc/self/exe"),
        }.items():
            (rootfs / "bin" / program).write_bytes(text)
            (rootfs / "bin" / program).chmod(0o755)
        if name in ("fifo", "huge"):
            (rootfs / "etc/passwd").unlink()
        if name in ("proc", "sys", "dev"):
            (rootfs / name).rmdir()
            (rootfs / name).symlink_to(LINK)
    os.mkfifo(place / "fifo/etc/passwd")
    with (place / "huge/etc/passwd").open("w") as file:
        file.write("user:x:0:0::/:\n")
        file.truncate(1 << 30)


# Image, user, command, more of the configuration; and how the command ends (its status, or the
# step that fails) as the first process, and as a further one: where that can be started.
ENDS: dict[str, tuple[str, str, str, dict[str, Any], str]] = {
    "a name": ("plain", "user", "true", {}, "0 0"),
    "a number": ("plain", "1000:1000", "true", {}, "0 0"),
    "a fifo": ("fifo", "1000:1000", "true", {}, "0 0"),
    "a name in a fifo": ("fifo", "user", "true", {}, "resolve_user resolve_user"),
    "1 GB": ("huge", "1000:1000", "true", {}, "0 0"),
    "a name in 1 GB": ("huge", "user", "true", {}, "resolve_user resolve_user"),
    "/proc": ("proc", "", "true", {}, "mount_filesystem mount_filesystem"),
    "/sys": (
        "sys",
        "",
        "true",
        {"mounts": [PROC, DEV, SYSFS]},
        "mount_filesystem mount_filesystem",
    ),
    "/dev": ("dev", "", "true", {"mounts": [PROC, DEV]}, "0 0"),
    "a script": ("plain", "", "script", {}, "execute execute"),
    # The kernel takes the sealed interpreter for the loader; there is nothing for it to load.
    # (Process 1 of a pid namespace would not end by that while it is traced.)
    "a loader": ("plain", "", "loaded", {"namespaces": (NEWNS, NEWUTS)}, "139 139"),
}


def start_and_enter(place: str, names: list[str]) -> None:
    """The traced program: how each start and exec ends, and what the plans name."""
    ends, named = {}, set()
    for name in names:
        image, user, command, changes, _ = ENDS[name]
        config = make_config(f"{place}/images/{image}", mask_paths=MASKED, **changes)
        values: dict[str, Any] = {"env": [PATH], "user": user}
        ends[name] = ""
        # The command as the first process, then as a further one beside another command.
        for first, further in (([command], []), (["sleep", "60"], [command])):
            with libct.create(state_directory(), unique(), config) as container:
                for args, init in ((first, True), (further, False)):
                    if not args:
                        continue
                    process = libct.Process(args, init=init, **values)
                    try:
                        container.run(process)
                        if args == [command]:
                            ends[name] += f" {process.wait(60).status}"
                    except libct.StepError as error:
                        ends[name] += f" {error.op}"
                        named |= named_by(container)
                        break
                    named |= named_by(container)
    Path(place, "said").write_text(json.dumps([ends, sorted(named)]))


def named_by(container: libct.Container) -> set[str]:
    """The absolute paths in the calls and titles of the last plan, and those of its command."""
    assert container.plan is not None
    found: set[str] = set()
    for step in container.plan:
        for text in (*step.calls, step.title):
            found |= set(re.findall(r'(?:^|["\s])(/[^"\s]*)', text))
        if step.op == "find_command":
            name, search = step.args
            found |= {f"{directory}/{name}" for directory in search.split(":")}
    return found


class Look(NamedTuple):
    """A call about a file: the directory that its path is below, the path, flags, what it gave."""

    call: str
    base: str
    path: str
    flags: str
    found: str


_CALL = re.compile(r'^(\w+)\((?:(?:AT_FDCWD|\d+)<(.*?)>, )?"((?:[^"\\]|\\.)*)"(.*) = (.*)$')
_ENTERS = re.compile(r"^(pivot_root\(.*|setns\(.*CLONE_NEWNS.*|chroot\(.*) = 0$")


def looks(log: Path, images: Path) -> Iterator[Look]:
    """Those at files of the containers', by a process before it executes a command in there."""
    inside = False
    for line in log.read_text(errors="replace").splitlines():
        if _ENTERS.match(line):
            inside = True
        called = _CALL.match(line)
        if called is None:
            continue
        call, base, path, rest, result = called.groups()
        if call == "execve":
            if inside:
                return
            continue
        found = result.partition("<")[2].rstrip(">") if "<" in result else ""
        base = base or ""
        if inside or any(str(images) in text for text in (base, path, found)):
            yield Look(call, base, path, rest, found)


def descriptors_to_inherit(log: Path) -> Iterator[str]:
    """The calls of a process that enters which have made one, up to the command."""
    inside = False
    lines = log.read_text(errors="replace").splitlines()
    for line in lines if any(map(_ENTERS.match, lines)) else ():
        inside = inside or _ENTERS.match(line) is not None
        if line.startswith("execve(") and inside:
            return
        made = line.partition("(")[0] in MAKE_DESCRIPTORS and " = -1 " not in line
        if made and "CLOEXEC" not in line:
            yield line


OPEN = ("open", "openat", "openat2", "creat")
MAKE_DESCRIPTORS = (
    *OPEN,
    *("accept4", "dup", "epoll_create1", "eventfd2", "fsmount", "fsopen", "fspick", "memfd_create"),
    *("open_tree", "pipe", "pipe2", "signalfd4", "socket", "socketpair", "timerfd_create"),
)


class Trace(NamedTuple):
    """How each start and exec has ended, what the plans name, what was looked at, and where."""

    ends: dict[str, str]
    named: set[str]
    looks: list[Look]
    logs: list[Path]


def trace(place: Path, package: Path, names: Iterable[str]) -> Trace:
    """Start and enter the containers of these names under strace, with this copy of libct."""
    images, logs = place / "images", place / "logs"
    images.mkdir()
    logs.mkdir()
    make_images(images)
    code = f"from {__name__} import start_and_enter; start_and_enter({str(place)!r}, {[*names]})"
    calls = ",".join(("%file", "pivot_root", "chroot", "setns", *MAKE_DESCRIPTORS))
    strace = ["strace", "-ff", "-y", "-qqq", "-s", "4096", "-e", f"trace={calls}"]
    environment = {**os.environ, "PYTHONPATH": f"{package.parent}:{CHECKOUT}"}
    subprocess.run(
        [*strace, "-e", "signal=none", "-o", logs / "log", sys.executable, "-c", code],
        cwd="/",
        env=environment,
        check=True,
        timeout=170,
    )
    ends, named = json.loads((place / "said").read_text())
    files = sorted(logs.iterdir())
    return Trace(ends, set(named), [one for file in files for one in looks(file, images)], files)


def unnamed(traced: Trace, images: Path) -> set[str]:
    """The paths that were looked at, and are none of the plan's, nor on the way to one."""
    rootfs = {str(image) for image in images.iterdir()}
    parts = {part for path in traced.named for part in path.split("/")}
    parts |= {*LINK.split("/"), "."}
    found = set()
    for look in traced.looks:
        if look.path.startswith("/"):
            if look.path not in traced.named | rootfs:
                found.add(look.path)
        elif not (look.path in parts or look.path.startswith("self/")):
            found.add(look.path)  # below a descriptor; self/ is of the /proc that is the host's
    return found


def opened(traced: Trace, images: Path) -> set[str]:
    """The files of the containers that were opened for more than to have their place."""
    found = set()
    for look in traced.looks:
        if look.call in OPEN and look.found and "O_PATH" not in look.flags:
            path = look.found
            if path.startswith(f"{images}/"):
                path = "/" + path[len(str(images)) + 1 :].partition("/")[2]
            found.add(path)
    return found


def test_no_file_is_looked_at_that_the_plan_does_not_name(tmp_path: Path) -> None:
    traced = trace(tmp_path, CHECKOUT / "libct", ENDS)
    assert traced.ends == {name: f" {end}" for name, (*_, end) in ENDS.items()}
    images = tmp_path / "images"
    assert unnamed(traced, images) == set()
    users, null = {"/etc/passwd", "/etc/group"}, {"/dev/null", "/home/null"}
    commands = {"/bin/busybox", "/bin/script", "/bin/loaded"}
    # (What an exec's stage reads of its own memory it has by a descriptor of the host's /proc.)
    found = {path for path in opened(traced, images) if not re.fullmatch(r"/proc/\d+/maps", path)}
    assert found == {*users, *null, *commands}
    assert not any((image / "imported").exists() for image in images.iterdir())
    inherited = [line for log in traced.logs for line in descriptors_to_inherit(log)]
    assert inherited == []


def test_what_is_looked_at_besides_is_noticed(tmp_path: Path) -> None:
    """A copy of libct that imports something when it is inside."""
    package = copy_of_libct(tmp_path / "copy/libct")
    for file, old, new in CASES["a_look_up_of_a_user_loads_code_of_the_image"].edits:
        text = (package / file).read_text()
        (package / file).write_text(text.replace(old, new))
    traced = trace(tmp_path, package, ["a number"])
    images = tmp_path / "images"
    assert any(path.endswith("/getpass.py") for path in unnamed(traced, images))
    assert any(path.endswith("/getpass.py") for path in opened(traced, images))
    assert (images / "plain/imported").exists()
