"""A container in a network namespace that `ip netns` has made, reached over a veth pair."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import (
    change_config,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    read_config,
    requires,
    run,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# In this order: the first `ip netns` of all leaves /run/netns a mount.
pytestmark = [
    requires("root", "busybox", "iproute2", "veth"),
    pytest.mark.usefixtures("link", "nothing_left"),
]


class Link(NamedTuple):
    """A network namespace with one end of a veth pair; addresses of the host's and of its end."""

    namespace: str
    outside: str
    inside: str


@pytest.fixture
def link() -> Iterator[Link]:
    """A new one, gone after the test."""
    number = os.getpid() % 250 + 1
    made = Link(unique("net"), f"10.213.{number}.1", f"10.213.{number}.2")
    device, peer = f"ct{os.getpid()}a", f"ct{os.getpid()}b"
    try:
        _ip("netns", "add", made.namespace)
        _ip("link", "add", device, "type", "veth", "peer", "name", peer, "netns", made.namespace)
        _ip("address", "add", f"{made.outside}/24", "dev", device)
        _ip("link", "set", device, "up")
        _ip("-n", made.namespace, "address", "add", f"{made.inside}/24", "dev", peer)
        _ip("-n", made.namespace, "link", "set", peer, "up")
        yield made
    finally:
        run(["ip", "link", "delete", device])
        run(["ip", "netns", "delete", made.namespace])


def test_the_container_sees_the_devices_of_the_namespace(
    tmp_path: Path, link: Link, nothing_left: None
) -> None:
    bundle = _joining_bundle(tmp_path, link, ["ip", "-o", "-4", "address"])
    done = libct("run", "-b", bundle, unique("join"), check=True)
    assert link.inside in done.stdout
    assert link.outside not in done.stdout


def test_the_container_talks_tcp_to_the_host(
    tmp_path: Path, link: Link, nothing_left: None
) -> None:
    with socket.create_server((link.outside, 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        question = f"echo a question | nc -w 20 {link.outside} {port}"
        bundle = _joining_bundle(tmp_path, link, ["sh", "-c", question])
        with _running(bundle) as client:
            connection, (peer, _) = server.accept()
            with connection:
                connection.settimeout(30)
                asked = connection.makefile("r").readline()
                connection.sendall(b"an answer\n")
            output, errors = client.communicate(timeout=30)
    assert (peer, asked) == (link.inside, "a question\n")
    assert (client.returncode, output) == (0, "an answer\n"), errors


def test_the_host_talks_tcp_to_the_container(
    tmp_path: Path, link: Link, nothing_left: None
) -> None:
    bundle = _joining_bundle(tmp_path, link, ["nc", "-l", "-p", "7000", "-e", "tr", "a-z", "A-Z"])
    with _running(bundle) as server:
        connections: list[socket.socket] = []

        def connect() -> bool:
            try:
                connections.append(socket.create_connection((link.inside, 7000), timeout=10))
            except ConnectionRefusedError:  # it does not listen yet, or has ended
                return server.poll() is not None
            return True

        assert wait_until(connect)
        assert connections, server.communicate()
        with connections[0] as connection:
            connection.sendall(b"louder\n")
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile().read()
        _, errors = server.communicate(timeout=30)
    assert (server.returncode, answer) == (0, "LOUDER\n"), errors


def test_the_namespace_outlives_the_container(
    tmp_path: Path, link: Link, nothing_left: None
) -> None:
    path = Path("/run/netns") / link.namespace
    before = path.stat().st_ino
    bundle = _joining_bundle(tmp_path, link, ["readlink", "/proc/self/ns/net"])
    done = libct("run", "-b", bundle, unique("join"), check=True)
    assert done.stdout == f"net:[{before}]\n"
    assert path.stat().st_ino == before


def _joining_bundle(directory: Path, link: Link, args: list[str]) -> Path:
    bundle = make_bundle(directory, args=args)
    namespaces = read_config(bundle)["linux"]["namespaces"]
    for namespace in namespaces:
        if namespace["type"] == "network":
            namespace["path"] = f"/run/netns/{link.namespace}"
    change_config(bundle, linux={"namespaces": namespaces})
    return bundle


@contextlib.contextmanager
def _running(bundle: Path) -> Iterator[subprocess.Popen[str]]:
    """`libct run` of the bundle, and its end if the block leaves it running."""
    name = unique("join")
    process = subprocess.Popen(
        libct_command("run", "-b", bundle, name),
        env={**os.environ, **libct_environment()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                libct("delete", "--force", name)
                process.kill()


def _ip(*args: str) -> None:
    run(["ip", *args], check=True)
