"""Attacks by which other runtimes have been broken, and what keeps libct from each.

An attack does what it can, with the library of the process that it is in, and returns what it
has gained in words, "" for nothing.  test_cves.py runs each twice: with libct as it is, and, as

    python -m tests.kernel.cves NAME DIRECTORY

with a copy of libct from which the counter-measure has been taken out.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import libct
from libct.bootstrap import client, servers
from libct.config import NEWNS, NEWUSER, NEWUTS, Mount
from libct.config.mount_flags import MS_BIND
from libct.network import rtnetlink
from libct.syscalls.constants import CAPABILITIES
from tests.bundles import busybox_rootfs, make_bundle
from tests.commands import run as run_program
from tests.containers import (
    DEV,
    NULL,
    PATH,
    PROC,
    USUAL,
    make_config,
    mount_v2,
    run,
    run_in,
    running,
    state_directory,
)
from tests.names import unique
from tests.processes import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    in_namespaces,
    mount as kernel_mount,
)
from tests.races import exchanging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Starts while somebody exchanges names; `tox -e attacks` makes more of them.
ROUNDS = 200 * int(os.environ.get("LIBCT_ATTACKS", "1"))
ALL = list(CAPABILITIES)
POWERFUL = libct.Capabilities(bounding=ALL, effective=ALL, permitted=ALL)


class Case(NamedTuple):
    """An attack, and the edits (file, what stands there once, what instead) that let it succeed."""

    cves: tuple[str, ...]
    attack: Callable[[Path], str]
    edits: tuple[tuple[str, str, str], ...]


CASES: dict[str, Case] = {}


def case(
    cves: str, *edits: tuple[str, str, str]
) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Decorator: this attack is of these CVEs; without what the edits take out, it succeeds."""

    def add(attack: Callable[[Path], str]) -> Callable[[Path], str]:
        CASES[attack.__name__] = Case(tuple(cves.split()), attack, edits)
        return attack

    return add


def attempt(config: libct.Config, *command: str, **process: Any) -> str:
    """What a command in a container says; "" where the start is refused."""
    try:
        return run(config, *command, **process).output
    except libct.Error:
        return ""


# --- what the runtime holds, and is -----------------------------------------------------------


@case(
    "CVE-2015-3627",
    ("bootstrap/descriptors.py", "        posix.dup2(null, number, inheritable=True)\n", ""),
)
def a_stream_leads_to_a_file_of_the_host(place: Path) -> str:
    """By /proc/self/fd/0: its mode is the host's to set."""
    node = place / "null"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    stdin = os.open(node, os.O_RDONLY)
    try:
        attempt(make_config(), "chmod", "777", "/proc/self/fd/0", stdin=stdin)
    finally:
        os.close(stdin)
    return "a file of the host's has another mode" if node.stat().st_mode & 0o777 != 0o600 else ""


@case(
    "CVE-2016-9962",
    ("syscalls/process.py", "_prctl(PR_SET_DUMPABLE, dumpable,", "_prctl(PR_SET_DUMPABLE, True,"),
)
def who_is_inside_looks_at_who_enters(place: Path) -> str:
    """By the rights that it has in its user namespace, where the process from outside is, too."""
    questions, asked = os.pipe()
    answers, told = os.pipe()
    look = "while read pid; do head -n 1 /proc/$pid/maps; echo .; done"
    found = b""
    go = client._Run._let_go_ahead

    def look_and_go(self: client._Run, number: int) -> None:
        nonlocal found
        status = Path(f"/proc/{self.started.pid}/status").read_text()
        inside = status.partition("NSpid:")[2].splitlines()[0].split()[-1]
        os.write(asked, f"{inside}\n".encode())
        while not found.endswith(b".\n"):
            found += os.read(answers, 4096)
        go(self, number)

    config = make_config(namespaces=(*USUAL, NEWUSER), capabilities=POWERFUL)
    with running(config, "sh", "-c", look, stdin=questions, stdout=told) as container:
        client._Run._let_go_ahead = look_and_go  # type: ignore[method-assign]
        try:
            run_in(container, "true")
        finally:
            client._Run._let_go_ahead = go  # type: ignore[method-assign]
    for fd in (questions, asked, answers, told):
        os.close(fd)
    return "the memory of the interpreter was read" if found != b".\n" else ""


@case(
    "CVE-2019-5736",
    (
        "bootstrap/spawning.py",
        "        sealed = sealed_interpreter(place)\n",
        "        sealed = posix.open(place, posix.O_PATH | posix.O_CLOEXEC)\n",
    ),
)
def the_interpreter_is_written_by_its_process(place: Path) -> str:
    """By /proc/PID/exe of a container that has been created, once that has gone."""
    venv.create(place / "copied", symlinks=False)
    interpreter = place / "copied/bin/python"
    before = interpreter.read_bytes()
    inside, ours = os.pipe()
    theirs, outside = os.pipe()
    write = "read pid; exec 3</proc/$pid/exe; echo; read word; echo evil >/proc/self/fd/3; echo"
    servers.stop_server()
    libct.interpreter = str(interpreter)
    try:
        config = make_config(namespaces=(NEWNS,), capabilities=POWERFUL)
        values: dict[str, Any] = {"stdin": inside, "stdout": outside}
        with running(config, "sh", "-c", write, **values):
            victim = libct.create(state_directory(), unique(), make_config())
            process = libct.Process(["true"], env=[PATH], init=True)
            victim.start(process)
            os.write(ours, f"{process.pid}\n".encode())
            assert os.read(theirs, 1)
            victim.destroy(force=True)
            servers.stop_server()  # nothing says now that the text file is busy
            os.write(ours, b"now\n")
            assert os.read(theirs, 1)
    finally:
        libct.interpreter = ""
        servers.stop_server()
        for fd in (inside, ours, theirs, outside):
            os.close(fd)
    return (
        "the interpreter of the host was overwritten" if interpreter.read_bytes() != before else ""
    )


@case(
    "CVE-2019-14271",
    ("bootstrap/door.py", "    sys.meta_path.clear()\n", "    pass\n"),
    (
        "security/users.py",
        '    person, _, group = user.partition(":")\n',
        '    import getpass as _\n    person, _, group = user.partition(":")\n',
    ),
)
def a_look_up_of_a_user_loads_code_of_the_image(place: Path) -> str:
    """As the modules that do so for Python would be: from where the host has them."""
    rootfs = busybox_rootfs(place)
    module = Path(f"{rootfs}{sysconfig.get_path('stdlib')}", "getpass.py")
    module.parent.mkdir(parents=True)
    module.write_text("import posix\nposix.mkdir('/ran')\n")
    try:
        run(make_config(rootfs), "true", user="user")
    except libct.Error:
        pass
    return "code of the image has run with root's rights" if (rootfs / "ran").exists() else ""


@case(
    "CVE-2024-21626",
    ("bootstrap/execute.py", '    if not here.startswith("/"):\n', '    if here == "/no/such":\n'),
)
def a_descriptor_is_the_working_directory(place: Path) -> str:
    rootfs = busybox_rootfs(place)
    (place / "secret").touch()
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(directory, True)
    try:
        with running(make_config(rootfs, namespaces=(NEWNS,))) as container:
            for number in range(3, 24):
                values: dict[str, Any] = {"cwd": f"/proc/self/fd/{number}"}
                try:
                    said = run_in(container, "ls", extra_files=[directory], **values).output
                except libct.Error:
                    continue
                if "secret" in said:
                    return f"in {values['cwd']} the command is on the host"
    finally:
        os.close(directory)
    return ""


# --- paths of the image -----------------------------------------------------------------------

_ON_THE_HOST = (
    "rootfs/paths.py",
    "    return openat2(path, flags, dirfd=root, resolve=resolve, missing_ok=missing_ok)\n",
    '    return openat2("./" + path, flags, dirfd=root, resolve=0, missing_ok=missing_ok)\n',
)


def image_and_outside(place: Path) -> tuple[Path, Path]:
    """A rootfs, and a directory of the host that its links may lead to."""
    outside = place / "outside"
    outside.mkdir()
    return busybox_rootfs(place), outside


def link(rootfs: Path, name: str, target: object) -> None:
    """Make name of the image a link."""
    if (rootfs / name).is_dir():
        (rootfs / name).rmdir()
    (rootfs / name).symlink_to(str(target))


@case("CVE-2015-3629", _ON_THE_HOST)
def a_mount_goes_where_a_link_leads(place: Path) -> str:
    rootfs, outside = image_and_outside(place)
    link(rootfs, "mnt", outside)
    config = make_config(rootfs, mounts=[PROC, DEV, Mount("/mnt", "lost", "tmpfs")])
    said = attempt(config, "sh", "-c", "cat /proc/self/mountinfo; echo started")
    return "a mount was made on the host" if "started" in said and " lost " not in said else ""


@case("CVE-2021-30465", _ON_THE_HOST)
def a_target_is_exchanged_for_a_link(place: Path) -> str:
    """While containers start that have a mount in it."""
    rootfs, outside = image_and_outside(place)
    (rootfs / "volume").mkdir()
    link(rootfs, "link", outside)
    with exchanging(rootfs / "volume", rootfs / "link"):
        for number in range(ROUNDS):
            target = f"/volume/{number}/directory"
            attempt(
                make_config(rootfs, mounts=[Mount(target, "tmpfs", "tmpfs")], devices=[]), "true"
            )
            if os.listdir(outside):
                return "a mount was made on the host"
    return ""


@case("CVE-2024-45310", _ON_THE_HOST)
def directories_are_made_where_a_link_leads(place: Path) -> str:
    rootfs, outside = image_and_outside(place)
    link(rootfs, "mnt", "../" * 20 + str(outside)[1:])
    attempt(make_config(rootfs, mounts=[DEV, Mount("/mnt/a/b", "tmpfs", "tmpfs")]), "true")
    attempt(make_config(rootfs), "true", cwd="/mnt/cwd")
    return f"made on the host: {os.listdir(outside)}" if os.listdir(outside) else ""


@case(
    "CVE-2025-24965",
    (
        "rootfs/paths.py",
        "posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW\n            posix.close(",
        "posix.O_CREAT\n            posix.close(",
    ),
)
def a_file_is_made_where_a_link_leads(place: Path) -> str:
    rootfs, outside = image_and_outside(place)
    link(rootfs, "etc/settings", outside / "file")
    target = Mount("/etc/settings", str(rootfs / "etc/passwd"), "bind", MS_BIND)
    attempt(make_config(rootfs, mounts=[DEV, target]), "true")
    return "a file was made on the host" if os.listdir(outside) else ""


@case("CVE-2026-41579 CVE-2026-47766", _ON_THE_HOST)
def devices_are_made_where_a_link_leads(place: Path) -> str:
    rootfs, outside = image_and_outside(place)
    link(rootfs, "dev", outside)
    attempt(make_config(rootfs, mounts=[PROC], devices=[NULL]), "true")
    return f"made on the host: {sorted(os.listdir(outside))}" if os.listdir(outside) else ""


@case(
    "CVE-2019-18837",
    ("rootfs/root.py", "posix.O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS)", "posix.O_DIRECTORY)"),
)
def the_rootfs_is_exchanged_for_a_link(place: Path) -> str:
    """After it was looked at."""
    rootfs = busybox_rootfs(place)
    other = busybox_rootfs(place, "other")
    (other / "secret").touch()
    with libct.create(state_directory(), unique(), make_config(rootfs)) as container:
        rootfs.rename(place / "moved")
        rootfs.symlink_to(other)
        try:
            said = run_in(container, "ls", "/", init=True).output
        except libct.Error:
            said = ""
    return "another directory is the root" if "secret" in said else ""


# --- /proc, /sys, /dev ------------------------------------------------------------------------


@case(
    "CVE-2019-16884",
    ("rootfs/attach.py", "if tree < 0 or not is_whole_proc(tree):", "if False:"),
)
def a_volume_plays_proc(place: Path) -> str:
    """Labels written to its files are lost, and what it says is believed."""
    (place / "volume/self/attr").mkdir(parents=True)
    (place / "volume/self/attr/exec").touch()
    volume = Mount("/proc", str(place / "volume"), "bind", MS_BIND)
    said = attempt(make_config(mounts=[DEV, volume], devices=[]), "ls", "/proc/self/attr")
    return "/proc is a volume" if "exec" in said else ""


@case(
    "CVE-2023-28642",
    ("rootfs/attach.py", " or fstatfs(place).type == PROC_SUPER_MAGIC\n", "\n"),
)
def a_volume_covers_a_part_of_proc(place: Path) -> str:
    rootfs = busybox_rootfs(place)
    link(rootfs, "mnt", "/proc/sys/kernel")
    (place / "volume").mkdir()
    (place / "volume/covered").touch()
    volume = Mount("/mnt", str(place / "volume"), "bind", MS_BIND)
    said = attempt(make_config(rootfs, mounts=[PROC, DEV, volume]), "ls", "/proc/sys/kernel")
    return "/proc/sys/kernel is a volume" if "covered" in said else ""


@case(
    "CVE-2019-19921",
    ("rootfs/filesystems.py", 'links = fstype not in ("proc", "sysfs")', "links = True"),
)
def proc_is_mounted_where_a_link_leads(place: Path) -> str:
    rootfs = busybox_rootfs(place)
    link(rootfs, "proc", "/home")
    said = attempt(make_config(rootfs, mounts=[PROC, DEV]), "cat", "/home/self/mountinfo")
    return "it was mounted on /home" if " /home " in said else ""


@case(
    "CVE-2023-27561",
    ("rootfs/held.py", "    if base:\n        resolve", "    if False:\n        resolve"),
)
def proc_is_exchanged_while_it_is_masked(place: Path) -> str:
    """By a directory in which the masked files are missing."""
    rootfs = busybox_rootfs(place)
    (rootfs / "other").mkdir()
    config = make_config(rootfs, mask_paths=["/proc/version"])
    with exchanging(rootfs / "proc", rootfs / "other"):
        for _ in range(ROUNDS):
            if "Linux" in attempt(config, "cat", "/proc/version", "/other/version"):
                return "a masked file was read"
    return ""


_ANY_NULL = (
    "rootfs/masks.py",
    "        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != posix.makedev(1, 3):\n",
    "        if False:\n",
)


def image_with_dev(place: Path) -> tuple[Path, libct.Config]:
    """A rootfs whose /dev is a volume, and a container with a masked file."""
    rootfs = busybox_rootfs(place)
    volume = Mount("/dev", str(rootfs / "dev"), "bind", MS_BIND)
    config = make_config(rootfs, mounts=[PROC, volume], devices=[], mask_paths=["/proc/version"])
    return rootfs, config


@case(
    "CVE-2025-31133",
    _ANY_NULL,
    ("rootfs/masks.py", "base, posix.O_PATH | posix.O_NOFOLLOW)", "base, posix.O_PATH)"),
)
def a_link_plays_the_null_device(place: Path) -> str:
    """The mask of a file is then what the image has chosen, for the container to write to."""
    rootfs, config = image_with_dev(place)
    (rootfs / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    compare = "cmp /proc/version /proc/sys/kernel/core_pattern && echo same"
    said = attempt(config, "sh", "-c", compare)
    return "core_pattern is at hand in the place of a mask" if said == "same\n" else ""


@case("GHSA-xr7r-f8xq-vfvv", _ANY_NULL)
def the_null_device_is_exchanged_while_files_are_masked(place: Path) -> str:
    rootfs, config = image_with_dev(place)
    os.mknod(rootfs / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (rootfs / "dev/other").write_text("of the image\n")
    with exchanging(rootfs / "dev/null", rootfs / "dev/other"):
        for _ in range(ROUNDS):
            if "of the image" in attempt(config, "cat", "/proc/version"):
                return "a file of the image is bound as a mask"
    return ""


@case(
    "CVE-2025-52565",
    (
        "rootfs/console.py",
        "open_peer(master, posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)",
        'open_in_root(context.fds["root"], "/dev/pts/0", posix.O_RDWR | posix.O_NOCTTY)',
    ),
    ("rootfs/console.py", '    set_controlling(context.fds.get("stdin", 0))\n', "    pass\n"),
)
def a_file_plays_the_terminal(place: Path) -> str:
    """By its name; the multiplexer is that of another devpts."""
    rootfs = busybox_rootfs(place)
    (rootfs / "dev/pts").mkdir()
    (rootfs / "dev/pts/0").write_text("of the image\n")
    (place / "pts").mkdir()

    def body() -> str:
        kernel_mount("devpts", str(place / "pts"), "devpts", 0, "newinstance,ptmxmode=666")
        (rootfs / "dev/pts/pts").mkdir()
        (rootfs / "dev/pts/ptmx").touch()
        mounts = [
            PROC,
            Mount("/dev/pts/ptmx", str(place / "pts/ptmx"), "bind", MS_BIND),
            Mount("/dev/pts/pts", str(place / "pts"), "bind", MS_BIND),
        ]
        config = make_config(rootfs, mounts=mounts, devices=[])
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        process = libct.Process(
            ["echo", "here"], env=[PATH], init=True, terminal=True, console_socket=theirs
        )
        with ours, theirs, libct.create(state_directory(), unique(), config) as container:
            try:
                container.run(process)
                # The terminal holds what is written for who reads it, and lets nobody wait.
                process.wait(10)
            except libct.Error:
                pass
        return (rootfs / "dev/pts/0").read_text()

    said: str = in_namespaces(CLONE_NEWNS, body)
    return "a file of the image is the terminal" if said != "of the image\n" else ""


@case(
    "CVE-2025-52881",
    (
        "attributes/procfs.py",
        "_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV",
        "_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS",
    ),
)
def a_kernel_parameter_is_another_file(place: Path) -> str:
    """That lies over it in the mount namespace of the runtime, which is the container's, too."""
    score = "/proc/self/oom_score_adj"

    def body() -> str:
        kernel_mount(score, "/proc/sys/kernel/domainname", "", MS_BIND)
        plain: dict[str, Any] = {"namespaces": (NEWUTS,), "mounts": [], "devices": []}
        attempt(make_config(sysctl={"kernel.domainname": "7"}, **plain), "true")
        return Path(score).read_text()

    return "another file was written" if in_namespaces(CLONE_NEWNS, body) == "7\n" else ""


@case(
    "CVE-2023-25809",
    ("plan/cgroup_mounts.py", "        attr_set |= MOUNT_ATTR_RDONLY\n", "        pass\n"),
)
def the_groups_of_the_host_are_written(place: Path) -> str:
    """Where a user namespace is the runtime's, and no cgroup namespace the container's."""
    group = f"/sys/fs/cgroup/{unique('cve')}"
    mounts = [PROC, DEV, Mount("/sys/fs/cgroup", "cgroup", "cgroup")]
    config = make_config(mounts=mounts, capabilities=POWERFUL)

    def body() -> str:
        return attempt(config, "sh", "-c", f"mkdir {group} && rmdir {group} && echo made")

    def v2() -> str:
        mount_v2()
        said: str = in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)
        return said

    said = in_namespaces(CLONE_NEWNS, v2)
    return "a control group of the host was made" if "made" in said else ""


# --- ids and capabilities ---------------------------------------------------------------------


@case(
    "CVE-2016-3697",
    (
        "security/users.py",
        "    if uid is None:\n        entry = _find(users, person)\n",
        "    if _find(users, person):\n        entry = _find(users, person)\n",
    ),
)
def a_user_of_the_image_has_a_number_as_its_name(place: Path) -> str:
    rootfs = busybox_rootfs(place)
    (rootfs / "etc/passwd").write_text("1000:x:0:0:root:/:/bin/sh\n")
    return "1000 is root" if attempt(make_config(rootfs), "id", "-u", user="1000") == "0\n" else ""


@case(
    "CVE-2026-30892",
    (
        "security/users.py",
        "    if len(digits) > 10 or int(digits) > _MOST_ID:\n        raise",
        "    if False:\n        raise",
    ),
    (
        "security/users.py",
        "    return int(digits)\n",
        "    return int(digits) & 0xFFFFFFFF\n",
    ),
    (
        "config/rules_process.py",
        '    findings.append(Finding(place, f"not an id: {item}"))\n',
        "",
    ),
)
def a_number_becomes_that_of_root(place: Path) -> str:
    with running(make_config()) as container:
        for number in ("4294967296", "00000000004294967296", "1000x", "0x3e8", " 0", "-0", "+0"):
            try:
                said = run_in(container, "id", "-u", user=number).output
            except libct.Error:
                continue
            if said == "0\n":
                return f"{number!r} is root"
    return ""


def command_line(*args: str) -> str:
    """What `libct` says, of the copy that this process has loaded."""
    path = str(Path(libct.__file__).parent.parent)
    command = [sys.executable, "-m", "libct", "--root", state_directory(), *args]
    return run_program(command, env={"PYTHONPATH": path}, cwd="/").stdout


@contextlib.contextmanager
def sleeping(place: Path) -> Iterator[str]:
    """A container of the configuration that `libct spec` writes."""
    name = unique("caps")
    command_line("spec", "--bundle", str(place))
    written = json.loads((place / "config.json").read_text())
    (place / "config.json").unlink()
    process = {"capabilities": written["process"]["capabilities"]}
    bundle = make_bundle(place, args=["/bin/sleep", "60"], process=process)
    command_line("run", "--detach", "--bundle", str(bundle), name)
    try:
        yield name
    finally:
        command_line("delete", "--force", name)


INHERITABLE = ("sed", "-n", "s/^CapInh:[[:space:]]*//p", "/proc/self/status")


@case(
    "CVE-2022-24769 CVE-2022-27650",
    (
        "oci/default_spec.py",
        'sets = ("bounding", "effective", "permitted")',
        'sets = ("bounding", "effective", "permitted", "inheritable")',
    ),
)
def capabilities_are_inheritable_by_default(place: Path) -> str:
    with sleeping(place) as name:
        said = command_line("exec", name, *INHERITABLE)
    assert said
    return f"inheritable: {said}" if int(said, 16) else ""


@case(
    "CVE-2022-29162",
    (
        "cli/execute.py",
        "        if name in sets.inheritable:\n",
        "        sets.inheritable.append(name)\n        if name in sets.inheritable:\n",
    ),
)
def a_capability_that_exec_adds_is_inheritable(place: Path) -> str:
    with sleeping(place) as name:
        said = command_line("exec", "--cap", "CAP_NET_ADMIN", name, *INHERITABLE)
    assert said
    return f"inheritable: {said}" if int(said, 16) else ""


# --- messages ---------------------------------------------------------------------------------


@case(
    "CVE-2021-43784",
    (
        "network/rtnetlink.py",
        "    if length > 0xFFFF:\n",
        "    length &= 0xFFFF\n    if length > 0xFFFF:\n",
    ),
)
def an_attribute_is_longer_than_its_length_can_say(place: Path) -> str:
    """What comes after the length that is left is taken for further attributes."""
    alias, mtu, header = 20, 4, 4  # IFLA_IFALIAS, IFLA_MTU; linux/if_link.h

    def raw(kind: int, payload: bytes) -> bytes:
        size = header + len(payload)
        return size.to_bytes(2, sys.byteorder) + kind.to_bytes(2, sys.byteorder) + payload

    forged = raw(mtu, (1280).to_bytes(4, sys.byteorder))
    forged += raw(0, bytes(0x10000 - len(forged) - header))

    def body() -> str:
        with rtnetlink.Netlink() as netlink:
            try:
                request = rtnetlink.link_body("lo") + rtnetlink.attribute(alias, b"name" + forged)
                netlink.request(rtnetlink.RTM_NEWLINK, request, what="an alias")
            except (OSError, ValueError):
                pass
        kernel_mount("sysfs", "/sys", "sysfs")
        return Path("/sys/class/net/lo/mtu").read_text()

    said = in_namespaces(CLONE_NEWNET | CLONE_NEWNS, body)
    return "the MTU was set by a name" if said == "1280\n" else ""


def main() -> None:
    name, place = sys.argv[1:]
    print(json.dumps([str(Path(libct.__file__).parent), CASES[name].attack(Path(place))]))


if __name__ == "__main__":
    main()
