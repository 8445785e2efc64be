"""Networks of sandboxes, in networks of the tests' own: root's by a pair of devices, others' by
pasta or slirp4netns.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.network.rtnetlink import Netlink
from libct.sandbox.network import RANGE, pair
from tests.commands import (
    CHECKOUT,
    as_user,
    libct as command,
    libct_command,
    libct_environment,
    session_directory,
    user_environment,
    user_identity,
)
from tests.containers import shared_rootfs
from tests.leaks import wait_until
from tests.names import MARK, run_mark, unique
from tests.needs import requires
from tests.support import CLONE_NEWNET, CLONE_NEWNS, in_namespaces, mount, user_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    requires("root", "overlay", "iproute2", "veth"),
    pytest.mark.usefixtures("nothing_left"),
]

USERNS = pytest.mark.parametrize("userns", [False, True], ids=["root", "user namespace"])
HELPERS = pytest.mark.parametrize(
    "helper",
    [
        pytest.param("pasta", marks=requires("user", "pasta")),
        pytest.param("slirp4netns", marks=requires("user", "slirp4netns")),
    ],
)
NAMES = ("pasta", "passt", "slirp4netns")
# What a host is told by the attempt to connect to a port.
CONNECT = """
import socket, sys
for text in sys.argv[1:]:
    address, port = text.rsplit("-", 1)
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
        one.settimeout(1)
        print(address, one.connect_ex((address, int(port))) == 0)
"""


def ip(*args: str) -> Any:
    done = subprocess.run(["ip", "-j", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "[]")


def names() -> list[str]:
    return sorted(one["ifname"] for one in ip("link"))


def in_network(body: Callable[[], None]) -> None:
    """With a network and mounts of its own, and loopback up."""

    def up() -> None:
        with Netlink() as netlink:
            netlink.set_link_up(1)
        body()
        libct.stop_server()

    shared_rootfs()
    user_python()  # found once, by this process
    in_namespaces(CLONE_NEWNET | CLONE_NEWNS, up, timeout=120)


@contextmanager
def listening(address: str) -> Iterator[str]:
    """A port there that takes connections; as CONNECT has it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(8)
        yield f"{address}-{listener.getsockname()[1]}"


def connected(net: str, *places: str, **options: Any) -> dict[str, bool]:
    """Which of these places a sandbox of ours reaches."""
    done = libct.run(
        ["/usr/bin/python3", "-c", CONNECT, *places],
        net=net,
        stdout=libct.PIPE,
        text=True,
        check=True,
        **options,
    )
    return {line.split()[0]: line.split()[1] == "True" for line in done.stdout.splitlines()}


# --- a pair of devices ---


@USERNS
def test_a_pair_reaches_the_hosts_end(userns: bool) -> None:
    def body() -> None:
        script = "ip -j address show eth0; ip -j route; ls /sys/class/net"
        with libct.Popen(
            ["sh", "-c", f"{script}; read line"],
            net="veth",
            userns=userns,
            stdin=libct.PIPE,
            stdout=libct.PIPE,
            text=True,
        ) as box:
            (link,) = json.loads(box.stdout.readline())
            (inside, *_) = link["addr_info"]
            routes = json.loads(box.stdout.readline())
            (host,) = [one for one in ip("address") if one["ifname"].startswith("sbox-")]
            outside = host["addr_info"][0]["local"]
            assert {box.stdout.readline().strip() for _ in range(2)} == {"eth0", "lo"}
            assert routes[0]["gateway"] == outside
            assert inside["prefixlen"] == 30
            assert all(socket.inet_aton(one)[:2] == RANGE.network_address.packed[:2]
                       for one in (inside["local"], outside))  # fmt: skip
            with listening(outside) as place:
                nsenter = ["nsenter", "-n", "-t", str(box.pid), "/usr/bin/python3", "-c", CONNECT]
                done = subprocess.run([*nsenter, place], capture_output=True, text=True, check=True)
                assert done.stdout == f"{outside} True\n"
            box.communicate("\n")
        assert names() == ["lo"]

    in_network(body)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.3.2/24", "10.0.3.1"),
        ("10.0.3.1/24", "10.0.3.2"),
        ("10.0.3.5/31", "10.0.3.4"),
        ("fd00:3::9/64", "fd00:3::1"),
    ],
)
def test_a_pair_with_an_address_that_is_given(address: str, host: str) -> None:
    def body() -> None:
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as one:
            port = one.getsockname()[1]
            script = f"import os; os.system('ip -br address show eth0 1>&2')\n{CONNECT}"
            done = command("sandbox", "--net", f"veth:{address}", "--", "/usr/bin/python3", "-c",
                           script, f"{host}-{port}")  # fmt: skip
        assert done.stdout == f"{host} True\n", done.stderr
        assert address in done.stderr
        assert names() == ["lo"]

    in_network(body)


@requires("bridge")
def test_a_port_of_a_bridge() -> None:
    def body() -> None:
        ip("link", "add", "br0", "type", "bridge")
        ip("address", "add", "10.0.4.1/24", "dev", "br0")
        ip("link", "set", "br0", "up")
        ip("address", "add", "192.0.2.7/32", "dev", "lo")
        with listening("192.0.2.7") as beyond, listening("10.0.4.1") as near:
            # The route leads over the bridge's own address.
            found = connected("veth:10.0.4.9/24,bridge=br0", beyond, near)
        assert found == {"192.0.2.7": True, "10.0.4.1": True}
        assert names() == ["br0", "lo"]

    in_network(body)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ("veth:10.0.4.9/24", "the host has 10.0.4.1/24 itself"),
        ("veth:10.0.0.1/8", "the host has 10.0.4.1/24 itself"),
        ("veth:10.0.9.9/24,bridge=none0", "the host has no device 'none0'"),
        ("veth:10.0.4.1/24,bridge=taken0", "'taken0' has the address 10.0.4.1 itself"),
    ],
)
def test_what_the_host_cannot_give(net: str, reason: str) -> None:
    def body() -> None:
        ip("link", "add", "taken0", "type", "veth", "peer", "name", "taken1")
        ip("address", "add", "10.0.4.1/24", "dev", "taken0")
        done = command("sandbox", "--net", net, "--", "true")
        assert done.returncode == 125
        assert "--net" in done.stderr
        assert reason in done.stderr
        assert names() == ["lo", "taken0", "taken1"]

    in_network(body)


def test_sandboxes_at_the_same_time_have_networks_of_their_own() -> None:
    def body() -> None:
        boxes = [libct.Sandbox(net="veth") for _ in range(4)]
        try:
            hosts = [
                one["addr_info"][0]["local"]
                for one in ip("-4", "address")
                if one["ifname"].startswith("sbox-")
            ]
            assert len(set(hosts)) == 4
            for box in boxes:
                done = box.run(["ip", "-j", "route"], stdout=libct.PIPE, text=True, check=True)
                assert json.loads(done.stdout)[0]["gateway"] in hosts
        finally:
            for box in boxes:
                box.close()
        assert names() == ["lo"]

    in_network(body)


def test_a_network_that_is_taken_is_not_chosen() -> None:
    """All of the range but one network has an address of the host."""

    def body() -> None:
        ip("link", "add", "taken0", "type", "veth", "peer", "name", "taken1")
        left = IPv4Network("10.213.0.0/30")
        assert left[0] == RANGE[0]
        for network in left.supernet(new_prefix=RANGE.prefixlen).address_exclude(left):
            ip("address", "add", str(network).replace(".0/", ".1/"), "dev", "taken0")
        assert pair("veth").address == f"{left[2]}/30"
        ip("address", "add", "10.213.0.1/32", "dev", "taken1")
        with pytest.raises(libct.Error, match=r"no network of 10\.213\.0\.0/16 is free"):
            pair("veth")

    in_network(body)


def test_a_pair_goes_when_libct_is_killed_at_any_moment() -> None:
    def body() -> None:
        seen = 0
        for delay in range(8):
            args = libct_command("sandbox", "--net", "veth", "--", "sleep", "60")
            child = subprocess.Popen(
                args,
                env={**os.environ, **libct_environment()},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            wait_until(lambda: names() != ["lo"])
            time.sleep(delay * 0.002)
            child.kill()
            child.communicate()
            seen += child.returncode == -signal.SIGKILL
            wait_until(lambda: names() == ["lo"])
        assert seen == 8
        assert command("sandbox", "--", "true").returncode == 0  # removes what they have left

    in_network(body)


def commands_of_page(mark: str) -> None:
    """Run what docs/network.md gives below a mark."""
    page = (CHECKOUT / "docs/network.md").read_text()
    script = page.partition(f"<!-- {mark} -->\n```sh\n")[2].partition("```")[0]
    assert script
    subprocess.run(["sh", "-e"], input=script, text=True, check=True, stdout=subprocess.DEVNULL)


@requires("nft")
def test_the_commands_of_the_page_forward_masquerade_and_protect() -> None:
    """Beyond the host is a network that knows of no sandbox, with one that tells who asks."""
    asks = """
import socket, sys
with socket.socket() as one:
    one.settimeout(2)
    one.connect((sys.argv[1], 7000))
    print(one.recv(100).decode())
"""
    tells = """
import socket
with socket.create_server(("203.0.113.7", 7000)) as server:
    print(flush=True)
    while True:
        with server.accept()[0] as one:
            one.sendall(one.getpeername()[0].encode())
"""

    def asked(box: libct.Sandbox, address: str) -> str:
        done = box.run(["/usr/bin/python3", "-c", asks, address], capture_output=True, text=True)
        return str(done.stdout).strip()

    def body() -> None:
        beyond = subprocess.Popen(["unshare", "-n", "sleep", "100"], stdin=subprocess.DEVNULL)
        inside = ["nsenter", "-n", "-t", str(beyond.pid)]
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{beyond.pid}/ns/net") != own)
        ip("link", "add", "out0", "type", "veth", "peer", "name", "far0", "netns", str(beyond.pid))
        ip("address", "add", "203.0.113.1/24", "dev", "out0")
        ip("link", "set", "out0", "up")
        for words in ("address add 203.0.113.7/24 dev far0", "link set far0 up"):
            subprocess.run([*inside, "ip", *words.split()], check=True)
        server = subprocess.Popen(
            [*inside, "/usr/bin/python3", "-c", tells], stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        server.stdout.readline()
        near = subprocess.Popen(
            ["/usr/bin/python3", "-c", tells.replace("203.0.113.7", "0.0.0.0")],
            stdout=subprocess.PIPE,
        )
        assert near.stdout is not None
        near.stdout.readline()
        try:
            with libct.Sandbox(net="veth:10.213.0.2/30") as box, libct.Sandbox(net="veth") as other:
                assert asked(box, "203.0.113.7") == ""
                assert asked(box, "10.213.0.1") == "10.213.0.2"
                commands_of_page("forwarding")
                assert asked(box, "203.0.113.7") == "203.0.113.1"
                assert asked(other, "203.0.113.7") == "203.0.113.1"
                serving = other.popen(["/usr/bin/python3", "-c", tells.replace("203.0.113.7", "")],
                                      stdout=libct.PIPE)  # fmt: skip
                serving.stdout.readline()
                address = other.run(["ip", "-j", "-4", "address", "show", "eth0"],
                                    stdout=libct.PIPE).stdout  # fmt: skip
                there = json.loads(address)[0]["addr_info"][0]["local"]
                assert asked(other, there) == there
                assert asked(box, there) == ""
                commands_of_page("input")
                assert asked(box, "10.213.0.1") == ""
                assert asked(box, "203.0.113.7") == "203.0.113.1"
                commands_of_page("undo")
                assert asked(box, "10.213.0.1") == "10.213.0.2"
        finally:
            for child in (server, near, beyond):
                child.kill()
                child.communicate()

    in_network(body)


# --- by programs of ordinary users ---


class Host:
    """A network with a way out, a name server on loopback, and something else to reach."""

    def __init__(self, helper: str) -> None:
        ip("link", "add", "out0", "type", "veth", "peer", "name", "out1")
        ip("link", "set", "out1", "up")
        ip("address", "add", "198.51.100.2/24", "dev", "out0")
        ip("link", "set", "out0", "up")
        ip("route", "add", "default", "via", "198.51.100.1")
        ip("address", "add", "203.0.113.7/32", "dev", "lo")
        place = Path(session_directory()) / unique()
        place.mkdir()
        place.chmod(0o755)
        (place / "resolv.conf").write_text("nameserver 127.0.0.53\nsearch example.test\n")
        (place / "resolv.conf").chmod(0o644)
        mount(str(place / "resolv.conf"), os.path.realpath("/etc/resolv.conf"), flags=4096)
        # Some hosts' is root's alone.
        mount("tmpfs", "/dev/net", fstype="tmpfs")
        os.mknod("/dev/net/tun", stat.S_IFCHR | 0o666, os.makedev(10, 200))
        os.chmod("/dev/net/tun", 0o666)
        self.path = place / "bin"
        self.path.mkdir()
        self.path.chmod(0o755)
        if helper:
            (self.path / helper).symlink_to(f"/usr/bin/{helper}")
        self.names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.names.bind(("127.0.0.53", 53))
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        """Every name has the address 203.0.113.7."""
        while True:
            query, whom = self.names.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack_from(">H", query, end - 4)[0]
            answers = int(kind == 1)
            header = query[:2] + struct.pack(">HHHHH", 0x8180, 1, answers, 0, 0)
            record = struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton("203.0.113.7")
            self.names.sendto(header + query[12:end] + record * answers, whom)

    def environment(self) -> dict[str, str]:
        return {**libct_environment(user=True), "PATH": str(self.path)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        args = libct_command("sandbox", "--net", "pasta", *words, user=True)
        return as_user(*args, env=self.environment())


def helpers() -> list[str]:
    return list(helpers_by_number().values())


def helpers_by_number() -> dict[int, str]:
    """What runs of pasta and slirp4netns, and of their keepers, by this run of the tests."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                ours = f"{MARK}={run_mark()}".encode() in (entry / "environ").read_bytes()
            except OSError:
                continue
            first = os.path.basename(words[0]).decode()
            if ours and (first.startswith(NAMES) or b"SUBREAPER" in b"".join(words)):
                found[int(entry.name)] = first
    return found


@HELPERS
@pytest.mark.parametrize("words", [[], ["--user", "root"]], ids=["himself", "root inside"])
def test_a_helper_makes_connections_but_to_loopback(helper: str, words: list[str]) -> None:
    def body() -> None:
        host = Host(helper)
        with (
            listening("203.0.113.7") as beyond,
            listening("127.0.0.1") as local,
            listening("0.0.0.0") as anywhere,
        ):
            port = local.rpartition("-")[2]
            any_port = anywhere.rpartition("-")[2]
            # Loopback, and what could stand for it: the ways out of both, and slirp's own.
            closed = [f"{one}-{number}" for number in (port, any_port)
                      for one in ("127.0.0.1", "198.51.100.1", "10.0.2.2", "169.254.1.1",
                                  "10.0.2.3")]  # fmt: skip
            done = host.run(*words, "--", "/usr/bin/python3", "-c", CONNECT, beyond, *closed)
            assert done.returncode == 0, done.stderr
            found = [line.split() for line in done.stdout.splitlines()]
            assert found[0] == ["203.0.113.7", "True"]
            assert [one for one, answer in found[1:] if answer == "True"] == []
        assert helpers() == []

    in_network(body)


@HELPERS
def test_names_are_found_by_a_name_server_on_loopback(helper: str) -> None:
    def body() -> None:
        script = "import socket; print(socket.gethostbyname('name.example'))\n"
        script += "print(open('/etc/resolv.conf').read())"
        done = Host(helper).run("--", "/usr/bin/python3", "-c", script)
        address, nameserver, search, *_ = done.stdout.splitlines()
        assert address == "203.0.113.7", done.stderr
        assert nameserver in ("nameserver 169.254.1.1", "nameserver 10.0.2.3")
        assert search == "search example.test"

    in_network(body)


@HELPERS
@pytest.mark.parametrize("which", ["killed", "exits", "command killed"])
def test_a_helper_ends_with_its_sandbox(helper: str, which: str) -> None:
    def body() -> None:
        host = Host(helper)
        args = libct_command("sandbox", "--net", "pasta", "--", "/bin/sh", "-c",
                             "echo $$ there; read line", user=True)  # fmt: skip
        child = subprocess.Popen(
            args,
            env={**user_environment(), **host.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            **user_identity(),
        )
        assert child.stdout is not None
        assert child.stdin is not None
        assert "there" in child.stdout.readline()
        assert any(one.startswith(helper) for one in helpers())
        if which == "killed":
            child.kill()
        elif which == "exits":
            child.stdin.write("\n")
        else:
            child.terminate()
        child.communicate()
        if which != "killed":
            assert helpers() == []  # it was waited for
        wait_until(lambda: helpers() == [])
        assert command("sandbox", "--", "true", user=True).returncode == 0

    in_network(body)


@requires("user", "pasta")
def test_the_end_of_a_helper_is_waited_for() -> None:
    def body() -> None:
        args = libct_command("sandbox", "--net", "pasta", "--", "/bin/sh", "-c",
                             "echo there; read line", user=True)  # fmt: skip
        child = subprocess.Popen(
            args,
            env={**user_environment(), **Host("pasta").environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            **user_identity(),
        )
        assert child.stdout is not None
        child.stdout.readline()
        (keeper,) = [pid for pid, name in helpers_by_number().items() if "python" in name]
        os.kill(keeper, signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.communicate(b"\n", timeout=2)
        os.kill(keeper, signal.SIGCONT)
        assert child.wait(30) == 0
        assert helpers() == []

    in_network(body)


@HELPERS
def test_a_helper_ends_though_libct_is_killed_at_any_moment(helper: str) -> None:
    def body() -> None:
        host = Host(helper)
        for delay in range(8):
            args = libct_command("sandbox", "--net", "pasta", "--", "/bin/sleep", "60", user=True)
            child = subprocess.Popen(
                args,
                env={**user_environment(), **host.environment()},
                stdin=subprocess.DEVNULL,
                cwd="/",
                **user_identity(),
            )
            wait_until(lambda: bool(helpers()))
            time.sleep(delay * 0.004)
            child.kill()
            child.communicate()
            wait_until(lambda: helpers() == [])
        assert command("sandbox", "--", "true", user=True).returncode == 0

    in_network(body)


@requires("user")
def test_neither_is_installed() -> None:
    def body() -> None:
        done = Host("").run("--", "/bin/true")
        assert done.returncode == 125
        assert done.stderr.count("\n") == 1
        assert "--net: neither pasta nor slirp4netns is installed" in done.stderr
        assert "package passt" in done.stderr

    in_network(body)


@requires("user", "pasta")
def test_a_user_who_may_not_open_tun_is_told() -> None:
    def body() -> None:
        host = Host("pasta")
        os.chmod("/dev/net/tun", 0o600)
        args = libct_command("sandbox", "--net", "pasta", "--", "/bin/true", user=True)
        done = as_user(*args, env=host.environment())
        assert done.returncode == 125
        assert "pasta needs /dev/net/tun: permission denied" in done.stderr

    in_network(body)


@requires("user", "pasta")
def test_what_a_helper_says_is_the_error() -> None:
    def body() -> None:
        host = Host("pasta")
        ip("link", "delete", "out0")
        done = host.run("--", "/bin/true")
        assert done.returncode == 125
        assert "pasta cannot make the sandbox a network: " in done.stderr
        assert "interface" in done.stderr
        assert helpers() == []

    in_network(body)


@requires("user", "pasta")
def test_where_a_user_may_not_look_at_the_sandbox_that_is_told() -> None:
    def body() -> None:
        args = libct_command("--debug", "sandbox", "--net", "pasta", "--", "/bin/true", user=True)
        done = as_user(*args, env=Host("pasta").environment())
        assert done.returncode == 125
        assert "cannot give the sandbox a network: its steps are timed" in done.stderr
        assert helpers() == []

    in_network(body)


@requires("user", "pasta")
def test_the_library_has_it_too() -> None:
    script = """
import libct, os
print(sorted(libct.run(["/usr/bin/ls", "/sys/class/net"], net="pasta", stdout=libct.PIPE,
                       text=True).stdout.split()))
print(sorted(libct.call(os.listdir, "/sys/class/net", net="pasta")))
with libct.Sandbox(net="pasta") as box:
    done = box.run(["/usr/bin/ls", "/sys/class/net"], stdout=libct.PIPE, text=True)
    print(sorted(done.stdout.split()))
try:
    libct.run(["/no/such/command"], net="pasta")
except FileNotFoundError as error:
    print(error)
"""

    def body() -> None:
        host = Host("pasta")
        done = as_user(user_python(), "-c", script, env={**host.environment()})
        assert done.returncode == 0, done.stderr
        *found, last = done.stdout.splitlines()
        assert found == ["['lo', 'out0']"] * 3, done.stderr
        assert "/no/such/command" in last
        assert helpers() == []

    in_network(body)


def test_root_has_no_pasta() -> None:
    with pytest.raises(libct.ConfigError, match="root has veth"):
        libct.run(["true"], net="pasta")


@requires("user")
def test_an_ordinary_user_has_no_pair() -> None:
    done = command("sandbox", "--net", "veth", "--", "true", user=True)
    assert done.returncode == 125
    assert "--net: an ordinary user cannot make a pair" in done.stderr
