"""Checkpoint and restore with CRIU in the less usual ways: each option does what it says."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct as library

from ..bundles import default_spec
from ..support import (
    CLONE_NEWNET,
    busybox_rootfs,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    unique,
    wait_until,
)
from ..terminals import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LANE = os.environ.get("LIBCT_VM", "")
pytestmark = [
    requires("vm", "root", "busybox"),
    pytest.mark.skipif(
        not LANE.startswith("debian12"), reason="CRIU is tried on Debian 12, whose kernel it knows"
    ),
]
on_v2 = pytest.mark.skipif(LANE == "debian12-v1", reason="not about control groups")

# A shell that counts in a file of the container's memory.
COUNT = "n=0; while :; do n=$((n+1)); echo $n >/dev/shm/count; sleep 0.05; done"


LIBRARIES = "lib/x86_64-linux-gnu"


class Box:
    """A bundle whose container counts, and what a test does with it.

    It is in the network of the host, unless changes say else: CRIU takes long for one of its own.
    """

    def __init__(self, directory: Path, rootfs: Path, script: str, **changes: Any) -> None:
        changes.setdefault("linux", {}).setdefault("namespaces", namespaces(network=""))
        self.directory, self.root, self.images = directory, directory / "root", directory / "images"
        self.name, self.pid = unique(), 0
        self.bundle = directory / "bundle"
        self.bundle.mkdir()
        make_bundle(self.bundle, rootfs=rootfs, args=["sh", "-c", script], **changes)
        self.process = library.Process(["true"])

    def command(self, *words: object) -> list[str]:
        return libct_command(*map(str, words), root=self.root)

    def loaded(self) -> tuple[library.Config, library.Process]:
        config, process = library.from_bundle(str(self.bundle))
        assert process is not None
        process.init = True
        process.stdin = process.stdout = process.stderr = os.open("/dev/null", os.O_RDWR)
        return config, process

    def start(self) -> int:
        """Run it; a count."""
        config, self.process = self.loaded()
        container = library.create(str(self.root), self.name, config, bundle=str(self.bundle))
        container.run(self.process)
        return self.runs(self.process.pid)

    def runs(self, pid: int) -> int:
        self.pid = pid
        assert wait_until(lambda: self.count() > 2)
        return self.count()

    def container(self) -> library.Container:
        return library.load(str(self.root), self.name)

    def checkpoint(self, **options: Any) -> None:
        container = self.container()
        container.checkpoint(str(self.images), **options)
        if container.status() == "stopped":
            container.destroy()

    def restore(self, before: int, **options: Any) -> None:
        """In a new container, where it goes on counting."""
        self.name = unique()
        config, self.process = self.loaded()
        library.restore(
            *(str(self.root), self.name, config, self.process, str(self.images)),
            bundle=str(self.bundle),
            **options,
        )
        self.goes_on(before, self.process.pid)

    def goes_on(self, before: int, pid: int) -> None:
        self.pid = pid
        assert self.count() >= before
        assert wait_until(lambda: self.count() > before + 3)

    def again(self, before: int, **options: Any) -> None:
        self.checkpoint(**options)
        self.restore(before, **options)

    def text(self, path: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/root{path}").read_text()
        except FileNotFoundError:
            return ""

    def count(self) -> int:
        # It is empty for a moment, whenever the shell opens it.
        wait_until(lambda: self.text("/dev/shm/count") != "")
        return int(self.text("/dev/shm/count").strip() or "0")

    def root_mount(self) -> str:
        """The line about its root."""
        return Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()[0]

    def is_run(self, before: int = 0) -> int:
        """Wait until it runs, by a command; a count."""

        def is_running() -> bool:
            if not (self.root / self.name / "state.json").exists():
                return False
            return self.container().status() == "running"

        assert wait_until(is_running, patience=60)
        self.goes_on(before, self.container().state()["pid"])
        return self.count()

    def inside(self, script: str) -> str:
        words = ("exec", self.name, "sh", "-c", script)
        return libct(*words, root=self.root, check=True).stdout


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busybox_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
def make(tmp_path: Path, rootfs: Path) -> Iterator[Callable[..., Box]]:
    made: list[Box] = []

    def of(script: str = COUNT, **changes: Any) -> Box:
        made.append(Box(tmp_path, rootfs, script, **changes))
        return made[-1]

    yield of
    for box in made:
        for path in tmp_path.rglob("*.log"):
            print(
                f"\n--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:])
            )
        libct("delete", "-f", box.name, root=box.root)


def bind(place: str, source: Path, *options: str) -> dict[str, Any]:
    return {"destination": place, "source": str(source), "type": "bind", "options": list(options)}


def mounts(*further: dict[str, Any]) -> dict[str, Any]:
    return {"mounts": [*default_spec()["mounts"], *further]}


def namespaces(**paths: str) -> list[dict[str, str]]:
    """Those of a container; paths: where they are by kind, "" for none of this kind."""
    kinds = {**dict.fromkeys(("pid", "network", "ipc", "uts", "mount", "cgroup")), **paths}
    return [
        {"type": kind} if path is None else {"type": kind, "path": path}
        for kind, path in kinds.items()
        if path != ""
    ]


def listens(net: str, port: int) -> bool:
    """net: a directory like /proc/net."""
    lines = Path(net, "tcp").read_text() + Path(net, "tcp6").read_text()
    return re.search(f":{port:04X} 0+:0000 0A", lines) is not None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_in_groups_and_what_becomes_of_them(make: Callable[..., Box]) -> None:
    box = make(linux={"resources": {"pids": {"limit": 50}}})
    before = box.start()
    box.checkpoint(manage_cgroups_mode="full")
    # The container's own group has been made before: CRIU is not to find one.
    with pytest.raises(library.Error, match="Abort restore of existing cgroups"):
        box.restore(before, manage_cgroups_mode="strict")
    box.restore(before, manage_cgroups_mode="full")
    pids = box.container().stats().cgroup_stats.pids_stats
    assert pids is not None
    assert pids.limit == 50
    assert box.name in Path(f"/proc/{box.pid}/cgroup").read_text()


@on_v2
def test_mounts_that_are_shared(make: Callable[..., Box]) -> None:
    box = make(linux={"rootfsPropagation": "rshared"})
    before = box.start()
    assert "shared:" in box.root_mount()
    box.again(before)
    assert "shared:" in box.root_mount()
    assert "master:" not in box.root_mount()


def test_mounts_of_the_host(make: Callable[..., Box], tmp_path: Path) -> None:
    directory, tree, file = tmp_path / "directory", tmp_path / "tree", tmp_path / "file"
    for one in (directory, tree):
        one.mkdir()
    file.write_text("a file\n")
    (directory / "kept").write_text("kept\n")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree], check=True)
    (tree / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "below"], check=True)
    try:
        box = make(
            "exec 5</mnt/kept; exec 6>>/mnt/log; echo own >/scratch/own; " + COUNT,
            **mounts(
                bind("/mnt", directory, "bind"),
                bind("/etc/a file", file, "bind", "ro"),
                bind("/srv/tree", tree, "rbind", "rslave"),
                {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"},
                bind("/scratch/inner", directory, "bind"),
            ),
        )
        before = box.start()
        assert "master:" in box.root_mount()
        for word in ("one", "two"):
            box.again(before)
            # A tmpfs of the host is the host's again, and one of the container's own has its files.
            (tree / "below/deep").write_text(word)
            for place, text in {
                "/srv/tree/below/deep": word,
                "/mnt/kept": "kept\n",
                "/scratch/inner/kept": "kept\n",
                "/scratch/own": "own\n",
                "/etc/a file": "a file\n",
            }.items():
                assert box.text(place) == text
            with pytest.raises(OSError, match="Read-only"):
                open(f"/proc/{box.pid}/root/etc/a file", "a").close()
            assert Path(f"/proc/{box.pid}/fd/5").read_text() == "kept\n"
            assert "master:" in box.root_mount()
            before = box.count()
    finally:
        subprocess.run(["umount", "-R", tree], check=True)


@on_v2
def test_a_page_server(make: Callable[..., Box]) -> None:
    box = make()
    before = box.start()
    pages, port = box.directory / "pages", free_port()
    pages.mkdir()
    words = ["page-server", "-D", str(pages), "--address", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(["criu", *words]) as server:
        assert wait_until(lambda: listens("/proc/net", port))
        box.checkpoint(page_server=f"127.0.0.1:{port}")
        assert server.wait(60) == 0
    assert list(pages.glob("pages-*.img"))
    assert not list(box.images.glob("pages-*.img"))
    for one in box.images.iterdir():
        shutil.copy(one, pages)
    box.images = pages
    box.restore(before)


@on_v2
def test_lazy_pages(make: Callable[..., Box]) -> None:
    """The checkpoint tells when it serves the memory, and ends when all has been fetched."""
    box = make()
    before, first, port = box.start(), box.name, free_port()
    reading, writing = os.pipe()
    options = ["--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", str(writing)]
    with subprocess.Popen(
        box.command("checkpoint", "--image-path", box.images, *options, box.name),
        env={**os.environ, **libct_environment()},
        pass_fds=[writing],
    ) as serving:
        os.close(writing)
        with open(reading, "rb") as status:
            assert status.read(1) == b"\0"
        words = ["--page-server", "--address", "127.0.0.1", "--port", str(port)]
        fetch = ["criu", "lazy-pages", "-D", str(box.images), *words]
        with subprocess.Popen(fetch) as fetching:
            assert wait_until((box.images / "lazy-pages.socket").exists)
            box.restore(before, lazy_pages=True)
            assert fetching.wait(60) == 0
        assert serving.wait(60) == 0
    assert not (box.root / first).exists()


@on_v2
def test_memory_written_ahead(make: Callable[..., Box]) -> None:
    """Twice, and pages that a later one has are taken out of the earlier ones."""
    box = make()
    before = box.start()
    for number, pre_dump in enumerate((True, True, False)):
        box.images = box.directory / f"images{number}"
        parent = f"../images{number - 1}" if number else ""
        box.checkpoint(pre_dump=pre_dump, parent=parent, auto_dedup=bool(number))
    assert (box.images / "parent").is_symlink()
    pages = [one.stat() for one in (box.directory / "images0").glob("pages-*.img")]
    assert sum(512 * one.st_blocks for one in pages) < sum(one.st_size for one in pages)
    box.restore(before, auto_dedup=True)


READ = f"({COUNT}) & while read line; do echo got $line; done"


@on_v2
def test_a_terminal_that_goes_to_a_console_socket(make: Callable[..., Box]) -> None:
    box = make(READ, process={"terminal": True})
    path = box.directory / "console"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        words = ["-d", "-b", str(box.bundle), "--console-socket", str(path)]
        libct("run", *words, box.name, root=box.root, check=True)
        before = box.is_run()
        for word in ("one", "two"):
            with open(received(listener), "r+b", buffering=0) as master:
                master.write(f"{word}\n".encode())
                assert wait_until(functools.partial(reads, master, f"got {word}".encode()))
                if word == "two":
                    # It still is what the process is controlled by.
                    assert os.readlink(f"/proc/{box.pid}/fd/0") == "/dev/pts/0"
                    assert Path(f"/proc/{box.pid}/stat").read_text().split()[6] != "0"
                    break
                box.checkpoint()
            box.name, images = unique(), str(box.images)
            libct("restore", *words, "--image-path", images, box.name, root=box.root, check=True)
            before = box.is_run(before)


def received(listener: socket.socket) -> int:
    with listener.accept()[0] as connection:
        _, (master,), _, _ = socket.recv_fds(connection, 4096, 1)
        return master


def reads(file: Any, text: bytes) -> bool:
    return text in file.read(100)


@on_v2
@pytest.mark.parametrize("own", [True, False])
def test_a_terminal_in_the_foreground(make: Callable[..., Box], *, own: bool) -> None:
    """One of the container's own, or the caller's that it has inherited."""
    box = make(READ, process={"terminal": own})
    words = ["run", "-b", str(box.bundle)]
    before = 0
    for word in ("one", "two"):
        with Session(box.command(*words, box.name), libct_environment()) as session:
            before = box.is_run(before)
            session.type(f"{word}\r")
            session.read_until(f"got {word}")
            if word == "one":
                box.container().checkpoint(str(box.images))
            else:
                box.container().signal(signal.SIGKILL)
            assert session.process.wait(60) == 128 + signal.SIGKILL
        box.name, name = unique(), box.name
        assert not (box.root / name).exists()
        words = ["restore", "-b", str(box.bundle), "--image-path", str(box.images)]


@pytest.fixture
def netns() -> Iterator[str]:
    """The path of a network namespace with loopback, and a device."""
    name = unique()
    ip = ["ip", "-n", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run([*ip, "link", "set", "lo", "up"], check=True)
    subprocess.run([*ip, "link", "add", "mark0", "type", "dummy"], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "delete", name], check=True)


def connection(netns: str) -> socket.socket:
    """A connection to the container, from a process that is not in it."""
    made: list[socket.socket] = []

    def connect() -> None:
        fd = os.open(netns, os.O_RDONLY)
        assert ctypes.CDLL(None).setns(fd, CLONE_NEWNET) == 0
        os.close(fd)
        made.append(socket.create_connection(("127.0.0.1", 7000)))

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    return made[0]


@on_v2
def test_a_connection_goes_on_in_a_network_that_is_joined(
    make: Callable[..., Box], netns: str
) -> None:
    box = make(
        f"({COUNT}) & nc -l -p 7000 >/dev/shm/got", linux={"namespaces": namespaces(network=netns)}
    )
    box.start()
    assert wait_until(lambda: listens(f"/proc/{box.pid}/net", 7000))
    with connection(netns) as peer:
        peer.sendall(b"one\n")
        assert wait_until(lambda: box.text("/dev/shm/got") == "one\n")
        with pytest.raises(library.Error, match="tcp-established"):
            box.checkpoint()
        before = box.count()
        box.checkpoint(tcp_established=True)
        peer.sendall(b"two\n")
        box.restore(before, tcp_established=True)
        assert wait_until(lambda: box.text("/dev/shm/got") == "one\ntwo\n")
        assert "mark0" in Path(f"/proc/{box.pid}/net/dev").read_text()
        assert os.readlink(f"/proc/{box.pid}/ns/net") == f"net:[{os.stat(netns).st_ino}]"


@on_v2
def test_connections_in_its_own_network(make: Callable[..., Box]) -> None:
    """They go on, and then are closed."""
    box = make(
        f"({COUNT}) & mkfifo /dev/shm/in; "
        "(nc -l -p 7000 <>/dev/shm/in >/dev/shm/got; echo closed >/dev/shm/closed) & "
        "(while :; do echo x; sleep 0.1; done) | until nc 127.0.0.1 7000; do sleep 0.1; done; wait",
        linux={"namespaces": namespaces()},
    )
    before = box.start()
    assert wait_until(lambda: box.text("/dev/shm/got") != "")
    box.again(before, tcp_established=True)
    size, before = len(box.text("/dev/shm/got")), box.count()
    assert wait_until(lambda: len(box.text("/dev/shm/got")) > size)
    assert not box.text("/dev/shm/closed")
    with pytest.raises(library.Unsupported, match=r"not locked needs CRIU 3\.19, not 3\.17\.1"):
        box.checkpoint(tcp_close=True, network_lock="skip")
    box.again(before, tcp_close=True)
    assert wait_until(lambda: box.text("/dev/shm/closed") == "closed\n")


@on_v2
def test_other_namespaces_that_are_joined(make: Callable[..., Box]) -> None:
    """Process 1 of the pid namespace waits for what the container's processes leave to it."""
    holder = ["unshare", "--ipc", "--uts", "--fork", "--pid", "--kill-child", "catatonit", "-P"]
    with subprocess.Popen(holder) as held:
        children = Path(f"/proc/{held.pid}/task/{held.pid}/children")
        try:
            assert wait_until(lambda: children.read_text() != "")
            first = children.read_text().strip()
            names = ("ipc", "uts", "pid")
            paths = {name: f"/proc/{first}/ns/{name}" for name in names}
            box = make(linux={"namespaces": namespaces(**paths, network="")})
            box.again(box.start())
            for name in names:
                assert os.readlink(f"/proc/{box.pid}/ns/{name}") == os.readlink(paths[name])
        finally:
            held.kill()


@on_v2
def test_a_user_namespace_of_its_own(make: Callable[..., Box]) -> None:
    """With devices of the host, which nobody may make in there, and masks of these."""
    mapping = [{"containerID": 0, "hostID": 0, "size": 1000}]
    spaces = [*namespaces(), {"type": "user"}]
    box = make(linux={"namespaces": spaces, "uidMappings": mapping, "gidMappings": mapping})
    box.again(box.start())
    assert Path(f"/proc/{box.pid}/uid_map").read_text().split() == ["0", "0", "1000"]
    for path in ("/dev/null", "/dev/zero", "/proc/kcore"):
        found = os.stat(f"/proc/{box.pid}/root{path}")
        assert found.st_rdev == os.stat("/dev/zero" if path == "/dev/zero" else "/dev/null").st_rdev
    assert box.inside("echo x >/dev/null && head -c 2 /dev/zero | wc -c") == "2\n"


@on_v2
def test_locks_of_files_and_a_file_of_settings(make: Callable[..., Box], tmp_path: Path) -> None:
    settings = tmp_path / "criu.conf"
    settings.touch()
    # The rootfs has no program that locks a file; the host's has its libraries beside it.
    flock = f"/mnt/{LIBRARIES}/ld-linux-x86-64.so.2 --library-path /mnt/{LIBRARIES} /mnt/bin/flock"
    box = make(
        f"{flock} /dev/shm/lock sh -c '{COUNT}'",
        annotations={"org.criu.config": str(settings)},
        **mounts(bind("/mnt", Path("/usr"), "rbind", "ro")),
    )
    before = box.start()
    with pytest.raises(library.Error, match="file-locks"):
        box.checkpoint()
    box.checkpoint(file_locks=True)
    settings.write_text("file-locks")
    box.restore(before)
    lock = f"/proc/{box.pid}/root/dev/shm/lock"
    with open(lock) as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@on_v2
def test_without_its_network_and_with_a_file_that_has_no_name(make: Callable[..., Box]) -> None:
    box = make(
        f"echo kept >/tmp/one; ln /tmp/one /tmp/two; exec 8</tmp/one; rm /tmp/one; {COUNT}",
        linux={"namespaces": namespaces()},
    )
    before = box.start()
    enter = ["nsenter", "--net", "-t", str(box.pid)]
    subprocess.run([*enter, "ip", "address", "add", "10.7.0.1/24", "dev", "lo"], check=True)
    with pytest.raises(library.Error, match="link-remap"):
        box.checkpoint(empty_namespaces=["network"])
    box.checkpoint(empty_namespaces=["network"], link_remap=True)
    box.restore(before, empty_namespaces=["network"])
    assert Path(f"/proc/{box.pid}/fd/8").read_text() == "kept\n"
    assert "10.7.0.1" not in Path(f"/proc/{box.pid}/net/fib_trie").read_text()


@on_v2
def test_a_socket_that_leads_out(make: Callable[..., Box], tmp_path: Path) -> None:
    """As far as CRIU sees the other end, which is in the same network namespace."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(20)
        speak = "while :; do echo x; sleep 0.2; done | logger -t box"
        box = make(
            f"ln -s {path} /dev/log; ({COUNT}) & {speak}",
            **mounts(bind(str(tmp_path), tmp_path, "bind")),
        )
        before = box.start()
        assert b"box: x" in listener.recv(1000)
        with pytest.raises(library.Error, match="ext-unix-sk"):
            box.checkpoint()
        box.checkpoint(external_unix_connections=True)
        while select.select([listener], [], [], 0)[0]:
            listener.recv(1000)
        box.restore(before, external_unix_connections=True)
        assert b"box: x" in listener.recv(1000)


@on_v2
@requires("apparmor")
def test_another_profile(make: Callable[..., Box]) -> None:
    one, two = unique(), unique()
    rules = "{ capability, network, mount, umount, signal, ptrace, unix, file, }"
    for name in (one, two):
        text = f"profile {name} flags=(attach_disconnected,mediate_deleted) {rules}"
        command = ["apparmor_parser", "--skip-cache", "--add"]
        subprocess.run(command, input=text, text=True, check=True)
    box = make(process={"apparmorProfile": one})
    before = box.start()
    box.checkpoint()
    box.restore(before, lsm_profile=f"apparmor:{two}")
    assert two in Path(f"/proc/{box.pid}/attr/apparmor/current").read_text()


@on_v2
@requires("apparmor")
def test_a_profile_that_criu_does_not_give(make: Callable[..., Box]) -> None:
    """To what had none; then it does not go on."""
    box = make()
    before = box.start()
    box.checkpoint()
    with pytest.raises(
        library.Error, match="with the AppArmor profile 'tight': it was made without"
    ):
        box.restore(before, lsm_profile="apparmor:tight")
    assert not (box.root / box.name).exists()
    box.restore(before)
