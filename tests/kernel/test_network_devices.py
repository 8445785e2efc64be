"""Network devices moved into containers and pairs made for them, in networks of the tests' own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config import NetDevice
from libct.network.rtnetlink import Netlink

from ..containers import make_config, run_in, running, shared_rootfs, state_directory
from ..leaks import wait_until
from ..names import unique
from ..needs import requires
from ..support import CLONE_NEWNET, CLONE_NEWNS, in_namespaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from libct.config import Config

pytestmark = [requires("root", "veth", "iproute2"), pytest.mark.usefixtures("nothing_left")]
SPACES = ("NEWNS", "NEWPID", "NEWNET")
BOTH = [SPACES, (*SPACES, "NEWUSER")]


def ip(*args: str) -> Any:
    done = subprocess.run(["ip", "-j", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "[]")


def names() -> list[str]:
    return sorted(one["ifname"] for one in ip("link"))


def inside(container: libct.Container, *args: str) -> Any:
    """What ip says in the container's network namespace."""
    return json.loads(
        subprocess.run(
            ["nsenter", "-n", "-t", str(container.state()["pid"]), "ip", "-j", *args],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def addresses(link: dict[str, Any]) -> list[str]:
    found = [f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"]]
    return [one for one in found if not one.startswith("fe80:")]


def in_network(body: Callable[[], None]) -> None:
    def up() -> None:
        with Netlink() as netlink:
            netlink.set_link_up(1)
        body()
        libct.stop_server()

    shared_rootfs()  # made once, by this process
    in_namespaces(CLONE_NEWNET, up)


def container(config: Config) -> Any:
    return running(config, "/bin/sleep", "60")


@pytest.mark.parametrize("spaces", BOTH, ids=["root", "user namespace"])
def test_a_device_is_moved_in_with_its_addresses(spaces: tuple[str, ...]) -> None:
    def body() -> None:
        ip("link", "add", "given0", "type", "veth", "peer", "name", "given1")
        ip("link", "set", "given1", "up")
        ip("address", "add", "192.0.2.5/24", "dev", "given0")
        ip("address", "add", "2001:db8::5/64", "dev", "given0", "nodad")
        ip("link", "set", "given0", "up")
        config = make_config(
            namespaces=spaces,
            net_devices={"given0": NetDevice("eth7")},
            routes=[libct.Route("198.51.100.0/24", gateway="192.0.2.1")],
        )
        with container(config) as one:
            assert names() == ["given1", "lo"]
            (link,) = inside(one, "address", "show", "eth7")
            assert "UP" in link["flags"]
            assert sorted(addresses(link)) == ["192.0.2.5/24", "2001:db8::5/64"]
            found = [one["dst"] for one in inside(one, "route")]
            assert found == ["192.0.2.0/24", "198.51.100.0/24"]

    in_network(body)


def test_a_device_that_cannot_be_moved_stays_as_it_was() -> None:
    def body() -> None:
        ip("link", "add", "given0", "type", "veth", "peer", "name", "given1")
        ip("link", "set", "given1", "up")
        ip("address", "add", "192.0.2.5/24", "dev", "given0")
        ip("link", "set", "given0", "up")
        ip("route", "add", "198.51.100.0/24", "via", "192.0.2.1")
        before = ip("route")
        config = make_config(namespaces=SPACES, net_devices={"given0": NetDevice("lo")})
        with libct.create(state_directory(), unique(), config) as one:
            with pytest.raises(libct.StepError, match="given0") as error:
                run_in(one, "/bin/true", init=True)
            assert error.value.place == "linux.netDevices.given0"
        (link,) = ip("address", "show", "given0")
        assert "UP" in link["flags"]
        assert addresses(link) == ["192.0.2.5/24"]
        assert ip("route") == before

    in_network(body)


def test_the_hosts_loopback_never_goes_down() -> None:
    def body() -> None:
        ip("address", "add", "2001:db8::7/128", "dev", "lo", "nodad")
        before = ip("address", "show", "lo")
        with subprocess.Popen(["ip", "monitor", "link"], stdout=subprocess.PIPE) as monitor:
            config = make_config(namespaces=SPACES, net_devices={"lo": NetDevice("eth0")})
            with (
                libct.create(state_directory(), unique(), config) as one,
                pytest.raises(libct.StepError, match="lo"),
            ):
                run_in(one, "/bin/true", init=True)
            monitor.terminate()
            assert monitor.stdout is not None
            assert b"state DOWN" not in monitor.stdout.read()
        assert ip("address", "show", "lo") == before

    in_network(body)


def test_the_address_of_the_other_end_is_kept() -> None:
    def body() -> None:
        given("given0", "192.0.2.5/24")
        ip("address", "add", "192.0.2.77", "peer", "198.51.100.1/32", "dev", "given0")
        (link,) = ip("address", "show", "given0")
        before = [(one["local"], one.get("address")) for one in link["addr_info"][:2]]
        assert ("192.0.2.77", "198.51.100.1") in before
        devices = {"given0": NetDevice("eth0")}
        with container(make_config(namespaces=SPACES, net_devices=devices)) as one:
            (link,) = inside(one, "address", "show", "eth0")
            assert [(at["local"], at.get("address")) for at in link["addr_info"][:2]] == before

    in_network(body)


def given(name: str, address: str, *, up: bool = True) -> None:
    """A device of the host to be moved, and the other end of it, up."""
    ip("link", "add", name, "mtu", "1400", "type", "veth", "peer", "name", f"{name}-peer")
    ip("link", "set", f"{name}-peer", "up")
    ip("address", "add", address, "dev", name)
    if up:
        ip("link", "set", name, "up")


def is_as_given(name: str, address: str, *, up: bool = True) -> bool:
    (link,) = ip("address", "show", name)
    return (link["mtu"], addresses(link), "UP" in link["flags"]) == (1400, [address], up)


@pytest.mark.parametrize("spaces", BOTH, ids=["root", "user namespace"])
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("wrong", ["command", "device", "network", "mount", "hook"])
def test_devices_come_back_when_the_start_fails_after_that(
    spaces: tuple[str, ...], wrong: str, hold: bool
) -> None:
    def body() -> None:
        given("given0", "192.0.2.5/24")
        given("given1", "192.0.2.6/24", up=False)
        devices = {"given0": NetDevice("eth0"), "given1": NetDevice("eth1")}
        more: dict[str, Any] = {}
        if wrong == "device":
            devices["none0"] = NetDevice()
        elif wrong == "network":
            more["networks"] = [libct.Network("veth", name="eth2", bridge="none0")]
        elif wrong == "mount":
            more["mounts"] = [libct.Mount("/mnt", "/no/such/directory", "bind", 4096)]
        elif wrong == "hook":
            more["hooks"] = libct.Hooks(create_runtime=[libct.Hook("/bin/false")])
        config = make_config(namespaces=spaces, net_devices=devices, **more)
        args = ["/no/such/command"] if wrong == "command" else ["/bin/true"]
        process = libct.Process(args, init=True)
        with libct.create(state_directory(), unique(), config) as one:
            with pytest.raises(libct.StepError) as error:
                one.start(process, hold=hold)
            assert not getattr(error.value, "__notes__", [])
            assert is_as_given("given0", "192.0.2.5/24")
            assert is_as_given("given1", "192.0.2.6/24", up=False)
        assert names() == ["given0", "given0-peer", "given1", "given1-peer", "lo"]

    in_network(body)


def test_of_two_containers_that_ask_for_a_device_the_first_has_it() -> None:
    def body() -> None:
        given("given0", "192.0.2.5/24")
        config = make_config(namespaces=SPACES, net_devices={"given0": NetDevice("eth0")})
        with container(config) as first:
            with libct.create(state_directory(), unique(), config) as second:
                with pytest.raises(libct.StepError, match="given0") as error:
                    run_in(second, "/bin/true", init=True)
                assert error.value.place == "linux.netDevices.given0"
            (link,) = inside(first, "address", "show", "eth0")
            assert addresses(link) == ["192.0.2.5/24"]

    in_network(body)


def test_a_device_that_has_vanished_is_no_matter_of_the_removal() -> None:
    def body() -> None:
        given("given0", "192.0.2.5/24")
        network = libct.Network("veth", name="eth1", host_interface_name="box0")
        config = make_config(
            namespaces=SPACES,
            net_devices={"given0": NetDevice("eth0")},
            networks=[network],
        )
        with container(config) as one:
            ip("link", "delete", "given0-peer")
            ip("link", "delete", "box0")
            assert [link["ifname"] for link in inside(one, "link")] == ["lo"]
        assert names() == ["lo"]

    in_network(body)


@pytest.mark.parametrize("moment", ["in a hook", "before its start"])
def test_nothing_is_left_where_the_runtime_is_killed(moment: str) -> None:
    """The pair goes with its container, and so does a virtual device, as the kernel has it."""

    def body() -> None:
        given("given0", "192.0.2.5/24")
        network = libct.Network("veth", name="eth1", host_interface_name="box0")
        hook = libct.Hook("/bin/sleep", ["sleep", "60"])
        config = make_config(
            namespaces=SPACES,
            net_devices={"given0": NetDevice("eth0")},
            networks=[network],
            hooks=libct.Hooks(create_runtime=[hook] if moment == "in a hook" else []),
        )
        name = unique()
        runtime = os.fork()
        if runtime == 0:
            one = libct.create(state_directory(), name, config)
            one.start(libct.Process(["/bin/sleep", "60"], init=True))
            os.kill(os.getpid(), signal.SIGKILL)
        wait_until(lambda: "given0" not in names() and "box0" in names())
        if moment == "in a hook":
            os.kill(runtime, signal.SIGKILL)
        os.waitpid(runtime, 0)
        libct.load(state_directory(), name).destroy(force=True)
        wait_until(lambda: names() == ["lo"])

    in_network(body)


def test_a_device_that_is_not_there() -> None:
    def body() -> None:
        config = make_config(namespaces=SPACES, net_devices={"none0": NetDevice()})
        with (
            libct.create(state_directory(), unique(), config) as one,
            pytest.raises(libct.StepError, match=r"cannot move the network device none0"),
        ):
            run_in(one, "/bin/true", init=True)

    in_network(body)


@pytest.mark.parametrize("spaces", BOTH, ids=["root", "user namespace"])
def test_a_pair_of_devices(spaces: tuple[str, ...]) -> None:
    def body() -> None:
        network = libct.Network(
            type="veth",
            address="10.9.0.2/24",
            gateway="10.9.0.1",
            ipv6_address="2001:db8::2/64",
            host_address="10.9.0.1/24 2001:db8::1/64",
            host_interface_name="box0",
            mac_address="02:00:00:00:00:07",
            mtu=1400,
            tx_queue_len=77,
        )
        config = make_config(namespaces=spaces, networks=[network], cgroups=libct.Cgroup())
        with container(config) as one:
            assert names() == ["box0", "lo"]
            (link,) = inside(one, "address", "show", "eth0")
            assert (link["mtu"], link["txqlen"]) == (1400, 77)
            assert link["address"] == "02:00:00:00:00:07"
            assert sorted(addresses(link)) == ["10.9.0.2/24", "2001:db8::2/64"]
            assert inside(one, "route")[0]["gateway"] == "10.9.0.1"
            for address in ("10.9.0.1", "2001:db8::1"):
                assert ping(one, address)
            stats = {found.name: found for found in one.stats().interfaces}
            assert sorted(stats) == ["eth0", "lo"]
            assert stats["eth0"].tx_packets > 0
            assert stats["eth0"].rx_bytes > 0
        assert names() == ["lo"]

    in_network(body)


def ping(one: libct.Container, address: str) -> bool:
    """A datagram to a closed port of the host's end is answered, so it is refused at once."""
    program = (
        "import socket, sys\n"
        "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
        "with socket.socket(family, socket.SOCK_STREAM) as one:\n"
        "    one.settimeout(10)\n"
        "    print(one.connect_ex((sys.argv[1], 9)))\n"
    )
    pid = str(one.state()["pid"])
    done = subprocess.run(
        ["nsenter", "-n", "-t", pid, "/usr/bin/python3", "-c", program, address],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) == 111  # ECONNREFUSED


@requires("bridge")
def test_a_bridge_joins_two_containers() -> None:
    def network(number: int) -> list[libct.Network]:
        return [
            libct.Network(
                type="veth", bridge="br0", address=f"10.8.0.{number}/24", hairpin_mode=True
            )
        ]

    def body() -> None:
        ip("link", "add", "br0", "type", "bridge")
        ip("link", "set", "br0", "up")
        first = make_config(namespaces=SPACES, networks=network(2))
        second = make_config(namespaces=SPACES, networks=network(3))
        with container(first) as one, container(second):
            ports = [link["ifname"] for link in ip("link", "show", "master", "br0")]
            assert len(ports) == 2
            assert all(port.startswith("veth") for port in ports)
            for port in ports:
                with open(f"/sys/class/net/{port}/brport/hairpin_mode") as file:
                    assert file.read() == "1\n"
            assert ping(one, "10.8.0.3")
        assert names() == ["br0", "lo"]

    shared_rootfs()
    in_namespaces(CLONE_NEWNET | CLONE_NEWNS, lambda: _with_sysfs(body))


def _with_sysfs(body: Callable[[], None]) -> None:
    """With the sysfs of the new network namespace."""
    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    with Netlink() as netlink:
        netlink.set_link_up(1)
    body()
    libct.stop_server()


def test_a_gateway_of_the_link_alone() -> None:
    def body() -> None:
        network = libct.Network(
            "veth",
            ipv6_address="2001:db8::2/64",
            ipv6_gateway="fe80::1",
            host_address="fe80::1/64",
        )
        with container(make_config(namespaces=SPACES, networks=[network])) as one:
            found = inside(one, "-6", "route", "show", "default")
            assert [(at["gateway"], at["dev"]) for at in found] == [("fe80::1", "eth0")]

    in_network(body)


@pytest.mark.parametrize("name", ["\udcff", "\u00e9" * 120], ids=["not UTF-8", "long"])
def test_a_pair_is_known_by_whatever_directory_its_container_has(name: str) -> None:
    def body() -> None:
        root = f"{state_directory()}/{name}"
        config = make_config(namespaces=SPACES, networks=[libct.Network(type="veth")])
        with libct.create(root, unique(), config) as one:
            one.start(libct.Process(["/bin/sleep", "60"], init=True))
            held = os.open(f"/proc/{one.state()['pid']}/ns/net", os.O_RDONLY)
        try:
            assert names() == ["lo"]
        finally:
            os.close(held)
            os.rmdir(root)

    in_network(body)


def test_what_is_no_bridge() -> None:
    def body() -> None:
        network = libct.Network("veth", bridge="lo")
        config = make_config(namespaces=SPACES, networks=[network])
        with (
            libct.create(state_directory(), unique(), config) as one,
            pytest.raises(libct.StepError, match="'lo' is not a bridge"),
        ):
            run_in(one, "/bin/true", init=True)

    in_network(body)


def test_what_fails_leaves_no_device() -> None:
    def body() -> None:
        tried: list[tuple[dict[str, Any], list[str]]] = [
            ({"bridge": "none0"}, ["/bin/true"]),
            ({"address": "10.9.0.2/24", "gateway": "192.0.2.1"}, ["/bin/true"]),
            ({}, ["/no/such/command"]),
        ]
        for changes, args in tried:
            network = libct.Network(type="veth", **changes)
            config = make_config(namespaces=SPACES, networks=[network])
            with libct.create(state_directory(), unique(), config) as one:
                with pytest.raises(libct.StepError):
                    run_in(one, *args, init=True)
                assert names() == ["lo"]

    in_network(body)


def test_a_device_of_somebody_else_of_the_same_name_stays() -> None:
    def body() -> None:
        ip("link", "add", "box0", "type", "veth", "peer", "name", "box1")
        network = libct.Network(type="veth", host_interface_name="box0")
        config = make_config(namespaces=SPACES, networks=[network])
        with (
            libct.create(state_directory(), unique(), config) as one,
            pytest.raises(libct.StepError, match="File exists"),
        ):
            run_in(one, "/bin/true", init=True)
        assert names() == ["box0", "box1", "lo"]

    in_network(body)


def test_it_goes_though_somebody_holds_the_network() -> None:
    def body() -> None:
        config = make_config(namespaces=SPACES, networks=[libct.Network(type="veth")])
        with container(config) as one:
            held = os.open(f"/proc/{one.state()['pid']}/ns/net", os.O_RDONLY)
        try:
            assert names() == ["lo"]
        finally:
            os.close(held)

    in_network(body)
