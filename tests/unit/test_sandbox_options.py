"""The options of sandboxes: what is understood, and that all that is wrong is told at once."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.config import Landlock
from libct.sandbox import options as module
from libct.sandbox.config import sandbox
from libct.sandbox.options import Options, command, read

HERE = os.getcwd()


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"memory": "256M"}, "memory", 256 << 20),
        ({"memory": 4096}, "memory", 4096),
        ({"ro": [Path("/etc"), "/usr"]}, "ro", ["/etc", "/usr"]),
        ({"ro": ("a",)}, "ro", [f"{HERE}/a"]),
        ({"ro": iter(["/etc"])}, "ro", ["/etc"]),
        ({"bind": [("/etc", Path("/e"))]}, "bind", [("/etc", "/e", False)]),
        ({"bind": [("/etc", "/e", "ro")]}, "bind", [("/etc", "/e", True)]),
        ({"bind": [["/etc", "/e", "rw"]]}, "bind", [("/etc", "/e", False)]),
        ({"tmpfs": ["/a", ("/b", "1M")]}, "tmpfs", [("/a", 0), ("/b", 1 << 20)]),
        ({"tmpfs": [Path("/a:1"), ("/a:2", 5), "/a:b"]}, "tmpfs",
         [("/a:1", 0), ("/a:2", 5), ("/a:b", 0)]),
        ({"bind": [("/etc:ro", "/a:b")]}, "bind", [("/etc:ro", "/a:b", False)]),
        ({"dir": [Path("/a")]}, "dir", ["/a"]),
        ({"symlink": [("a", "/b")]}, "symlink", [("a", "/b")]),
        ({"file": {"/a": "b", Path("/c"): b"\xff"}}, "file", [("/a", "b"), ("/c", "\udcff")]),
        ({"rootfs": "a"}, "rootfs", f"{HERE}/a"),
        ({"net": Path("/run/netns/a")}, "net", "/run/netns/a"),
        ({"net": "pasta"}, "net", "pasta"),
        ({"net": "veth:fd00::2/64,bridge=br0"}, "net", "veth:fd00::2/64,bridge=br0"),
        ({"net": "veth:10.0.3.1/31"}, "net", "veth:10.0.3.1/31"),
        ({"uid": 0}, "uid", 0),
        ({"env": {"A": "b"}}, "env", {"A": "b"}),
        ({"user": 1000}, "user", "1000"),
        ({"user": "daemon:0"}, "user", "daemon:0"),
        ({"cpus": 2}, "cpus", 2.0),
        ({"cpu_time": 1.5}, "cpu_time", 2),
        ({"rlimits": {"nofile": 10}}, "rlimits", {"RLIMIT_NOFILE": (10, 10)}),
        ({"rlimits": {"RLIMIT_FSIZE": ("1K", -1)}}, "rlimits", {"RLIMIT_FSIZE": (1024, -1)}),
        ({"landlock": None}, "landlock", None),
    ],
)  # fmt: skip
def test_what_is_understood(given: Any, field: str, value: object) -> None:
    assert getattr(read(given), field) == value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ro": "/tmp"}, "ro: one string where a list is expected: '/tmp' (write ['/tmp'])"),
        ({"rw": Path("/tmp")}, "rw: one PosixPath where a list is expected: "),
        ({"ro": b"/tmp"}, "ro: one bytes where a list is expected"),
        ({"ro": 5}, "ro: not a list of paths: 5"),
        ({"ro": {"/a": 1}}, "ro: not a list of paths"),
        ({"ro": [5]}, "ro: not a string: 5"),
        ({"ro": [""]}, "ro: an empty path"),
        ({"ro": ["a\0b"]}, "ro: has a NUL"),
        ({"bind": [("/etc",)]}, "bind: not (host path, path inside): ('/etc',)"),
        ({"bind": ["/etc"]}, "bind: not (host path, path inside): '/etc'"),
        ({"bind": [("/etc", "e")]}, "bind: not absolute: 'e'"),
        ({"bind": [("/etc", "/e", "rx")]}, "bind: neither 'ro' nor 'rw': 'rx'"),
        ({"tmpfs": ["a"]}, "tmpfs: not absolute: 'a'"),
        ({"tmpfs": [("/a", 0)]}, "tmpfs: a size of 0: "),
        ({"tmpfs": ["/a:1M"]}, "tmpfs: a path and a size? write ('/a', '1M'), or a Path: '/a:1M'"),
        ({"tmpfs": ["/a:"]}, "tmpfs: a path and a size? write ('/a', '1M'), or a Path: '/a:'"),
        ({"user": ""}, "user: an empty text"),
        ({"hostname": ""}, "hostname: an empty text"),
        ({"memory": 0}, "memory: a limit of 0: leave it out where there is to be none"),
        ({"memory": "0M"}, "memory: a limit of '0M': "),
        ({"pids": 0}, "pids: a limit of 0: "),
        ({"cpus": 0.0}, "cpus: a limit of 0.0: "),
        ({"cpu_time": 0}, "cpu_time: a limit of 0: "),
        ({"overlay": 1}, "overlay: neither True nor False: 1"),
        (
            {"net": "vpn"},
            "net: neither none, host, veth, pasta nor the absolute path of a namespace: 'vpn'",
        ),
        ({"net": "veths"}, "net: neither none"),
        ({"net": "pasta:1"}, "net: neither none"),
        ({"net": "veth:"}, "net: not like veth:10.0.3.2/24"),
        ({"net": "veth:10.0.3.2/24,mtu=5"}, "net: not like veth:10.0.3.2/24"),
        ({"net": "veth:10.0.3.2/24,bridge="}, "net: not like veth:10.0.3.2/24"),
        ({"net": "veth:,bridge=br0"}, "net: not like veth:10.0.3.2/24"),
        ({"net": "veth:10.0.3/24"}, "net: not an address with its prefix length"),
        ({"net": "veth:10.0.3.2"}, "net: without the length of a prefix"),
        ({"net": "veth:10.0.3.2/32"}, "net: without the length of a prefix"),
        ({"net": "veth:10.0.3.0/24"}, "net: is the network's own address, or its broadcast"),
        ({"net": "veth:10.0.3.255/24"}, "net: is the network's own address, or its broadcast"),
        ({"dir": ["a"]}, "dir: not absolute: 'a'"),
        ({"symlink": [("a", "b")]}, "symlink: not absolute: 'b'"),
        ({"symlink": ["/a"]}, "symlink: not (target, path inside): '/a'"),
        ({"file": ["/a"]}, "file: not a mapping of paths to contents"),
        ({"file": {"/a": 1}}, "file: neither text, bytes nor the path of a file: 1"),
        ({"file": {"/a": Path("/nowhere")}}, "file: no such file or directory: '/nowhere'"),
        ({"file": {"/a": b"x" * ((1 << 20) + 1)}}, "file: more than 1048576 bytes"),
        ({"proc": "host"}, "proc: neither own nor none: 'host'"),
        ({"gid": 1 << 32}, "gid: too large for an id: 4294967296"),
        ({"env": ["A=b"]}, "env: not a mapping of names to values: ['A=b']"),
        ({"env": {"A": 1}}, "env: not a string: 1"),
        ({"env": {"A=": "b"}}, "env: not a name of a variable: 'A='"),
        ({"user": True}, "user: not a string: True"),
        ({"user": -1}, "user: not a string: -1"),
        ({"memory": "lots"}, "memory: not a size like 256M: 'lots'"),
        ({"memory": 1.5}, "memory: not a number of bytes, or a text like '256M': 1.5"),
        ({"memory": True}, "memory: not a number of bytes"),
        ({"pids": -1}, "pids: negative: -1"),
        ({"pids": "5"}, "pids: not a number of processes: '5'"),
        ({"cpus": float("nan")}, "cpus: not a number of CPUs: nan"),
        ({"cpus": -1}, "cpus: negative: -1"),
        ({"rlimits": {"files": 1}}, "rlimits: unknown limit: 'files' (known: CPU, FSIZE, "),
        ({"rlimits": {"CPU": (2, 1)}}, "rlimits: the soft limit of CPU is above the hard one"),
        ({"rlimits": [1]}, "rlimits: not a mapping"),
        ({"seccomp": 5}, "seccomp: not a string: 5"),
        ({"landlock": {}}, "landlock: not a libct.Landlock: {}"),
    ],
)
def test_what_is_wrong(given: Any, message: str) -> None:
    with pytest.raises(libct.ConfigError) as error:
        read(given)
    assert str(error.value).startswith(message)
    assert [finding.place for finding in error.value.findings] == list(given)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(libct.ConfigError) as error:
        read({"ro": "/", "memory": "x", "hostname": "fine", "cpus": "x"})
    assert [finding.place for finding in error.value.findings] == ["ro", "memory", "cpus"]


def test_what_is_not_there_is_told_at_once() -> None:
    with pytest.raises(libct.ConfigError) as error:
        sandbox(["true"], ro=["/nowhere"], bind=[("/nor/this", "/x")], rw=["/"], tmpfs=["/"])
    places = [finding.place for finding in error.value.findings]
    assert places == ["ro", "rw", "bind", "tmpfs"]


def test_what_is_only_tried_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config, _ = sandbox(["true"], ro_try=["/nowhere", "/etc"], bind_try=[("/nor/this", "/x")])
    assert [mount.source for mount in config.mounts if mount.device == "bind"][-1] == "/etc"
    assert "/nor/this" not in [mount.source for mount in config.mounts]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"rw": ["/etc"], "tmpfs": ["/opt/../etc"]},
            "rw: something is mounted on '/etc' twice, and by tmpfs",
        ),
        ({"ro": ["/etc", "/etc/."]}, "ro: something is mounted on '/etc' twice"),
        ({"dev": ["/etc"]}, "dev: not a device: '/etc'"),
        ({"dev": ["/dev/nowhere"]}, "dev: no such file or directory: '/dev/nowhere'"),
        ({"rootfs": "/etc", "empty": True}, "empty: cannot be used together with rootfs"),
        ({"overlay": True, "empty": True}, "empty: cannot be used together with overlay"),
        ({"rootfs": "/nowhere"}, "rootfs: no such directory: '/nowhere'"),
        ({"dir": ["/."]}, "dir: / cannot be covered"),
        ({"user": "0", "uid": 1}, "uid: cannot be used together with user"),
    ],
)
def test_what_cannot_be_together(given: Any, message: str) -> None:
    with pytest.raises(libct.ConfigError) as error:
        sandbox(["true"], **given)
    assert str(error.value).startswith(message)


def test_outer_places_come_before_inner_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config, _ = sandbox(["true"], tmpfs=["/a/b/c", "/a"], bind=[("/etc", "/a/b")])
    assert [mount.destination for mount in config.mounts][-3:] == ["/a", "/a/b", "/a/b/c"]


def test_a_keyword_that_there_is_not_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"run\(\) got .* 'memroy' \(did you mean memory\?\)"):
        read({"memroy": 1}, "run")
    with pytest.raises(TypeError, match=r"'quite_another'$"):
        read({"quite_another": 1}, "run")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("ls -l", "one string where a list is expected: 'ls -l' (write ['ls', '-l'])"),
        (b"ls", "one bytes where a list is expected: b'ls' (write ['ls'])"),
        (Path("/bin/ls"), "one PosixPath where a list is expected: "),
        ([], "empty: a command is needed"),
        ([1], "not a string: 1"),
        (None, "not a list of strings: None"),
    ],
)
def test_the_command_is_a_list(args: Any, message: str) -> None:
    with pytest.raises(libct.ConfigError) as error:
        command(args)
    assert error.value.findings[0].place == "args"
    assert error.value.findings[0].message.startswith(message)
    assert command([Path("/bin/ls"), "-l"]) == ["/bin/ls", "-l"]


def test_each_option_has_a_reader_a_type_and_a_meaning() -> None:
    names = set(Options._fields)
    assert names == set(module._READERS)
    source = inspect.getsource(module)
    given = source.partition("class Given(")[2].partition("class Options")[0]
    assert {line.split(":")[0].strip() for line in given.splitlines() if ": " in line} >= names
    documented = Options.__doc__ or ""
    told = set(documented.replace(":", " ").replace(",", " ").split())
    assert not names - told
    assert isinstance(Options().landlock, (type(None), Landlock))
