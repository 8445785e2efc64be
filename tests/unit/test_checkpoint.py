"""Checkpoints as far as they are decided: the encoding, requests, mounts, what a log says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from libct.checkpoint import mounts
from libct.checkpoint.installed import words
from libct.checkpoint.log import last_errors
from libct.checkpoint.messages import ENUMERATIONS, MESSAGES
from libct.checkpoint.options import CheckpointOptions, RestoreOptions, check, fields
from libct.checkpoint.protobuf import Malformed, decode, encode
from libct.config import Config, Device, Mount
from libct.errors import ConfigError

from ..make_criu_messages import module, parse

if TYPE_CHECKING:
    from pathlib import Path

# --- the encoding ---

# By hand, from the rules of the encoding.
GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    ("criu_req", {"type": 10}, "080a"),
    ("criu_req", {"type": 6, "notify_success": True}, "0806 1801"),
    ("criu_features", {"mem_track": True, "lazy_pages": False}, "0801 1000"),
    ("criu_opts", {"images_dir_fd": -1}, "08 ffffffffffffffffff01"),
    ("criu_opts", {"images_dir_fd": 300, "pid": 1}, "08ac02 1001"),
    ("criu_opts", {"images_dir_fd": 5, "log_file": "d.log"}, "0805 5205 642e6c6f67"),
    ("criu_opts", {"lsm_profile": "a", "network_lock": 2}, "aa030161 800402"),
    (
        "criu_opts",
        {"ext_mnt": [{"key": "/a", "val": "/b"}, {"key": "/c", "val": ""}]},
        "ba0108 0a022f61 12022f62  ba0106 0a022f63 1200",
    ),
    ("criu_opts", {"external": ["x", "\udcff"]}, "aa020178 aa0201ff"),
]


@pytest.mark.parametrize(("name", "values", "data"), GOLDEN)
def test_bytes_of_messages(name: str, values: dict[str, Any], data: str) -> None:
    assert encode(MESSAGES, name, values).hex() == data.replace(" ", "")
    assert decode(MESSAGES, name, bytes.fromhex(data)) == values


def test_what_is_not_known_is_left_out() -> None:
    # Fields 100 to 103, of each wire type, before and after one that is known.
    unknown = bytes.fromhex("a00601 a206026162 a9060102030405060708 b50601020304".replace(" ", ""))
    assert decode(MESSAGES, "criu_req", unknown + b"\x08\x0a" + unknown) == {"type": 10}


@pytest.mark.parametrize(
    "data",
    [
        *("08", "0880", "80808080808080808080", "12ff", "1205aabb", "0d010203", "09010203"),
        *("0b", "0c", "0a0108", "1008"),
        # Of fields that are not known: too short; and a number that is too long.
        *("a20605aa", "b506010203", "a10601020304050607", "a006" + "80" * 10 + "01"),
    ],
)
def test_what_is_malformed_is_refused(data: str) -> None:
    with pytest.raises(Malformed):
        decode(MESSAGES, "criu_req", bytes.fromhex(data))


def test_messages_in_messages_end() -> None:
    tables = {"a": {"a": (1, "a", False)}}
    data = b""
    for _ in range(9):
        data = b"\x0a" + bytes([len(data)]) + data
    decode(tables, "a", data)
    for _ in range(4):
        data = b"\x0a" + bytes([len(data)]) + data
    with pytest.raises(Malformed, match="messages in messages"):
        decode(tables, "a", data)


def test_whatever_comes_is_understood_or_refused() -> None:
    chance = random.Random(14)
    for _ in range(3000):
        data = bytearray(encode(MESSAGES, "criu_opts", made_up(chance)))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            found = decode(MESSAGES, "criu_opts", bytes(data[: chance.randrange(len(data) + 1)]))
        except Malformed:
            continue
        assert decode(MESSAGES, "criu_opts", encode(MESSAGES, "criu_opts", found)) == found


def made_up(chance: random.Random, name: str = "criu_opts") -> dict[str, Any]:
    def value(kind: str) -> Any:
        if kind == "text":
            return "".join(chance.choice("ab/ü\udc80") for _ in range(chance.randrange(200)))
        if kind == "bool":
            return chance.random() < 0.5
        if kind in ("int", "uint"):
            number = chance.randrange(1 << chance.randrange(1, 32))
            return -number if kind == "int" and chance.random() < 0.3 else number
        return made_up(chance, kind)

    return {
        field: [value(kind) for _ in range(chance.randrange(1, 4))] if repeated else value(kind)
        for field, (_, kind, repeated) in MESSAGES[name].items()
        if chance.random() < 0.5 or field == "images_dir_fd"
    }


def test_all_that_is_made_up_comes_back() -> None:
    chance = random.Random(15)
    for _ in range(500):
        values = made_up(chance)
        assert decode(MESSAGES, "criu_opts", encode(MESSAGES, "criu_opts", values)) == values


# --- the tables ---


def test_tables_are_made_of_the_facts_of_a_proto_file() -> None:
    text = """
    syntax = "proto2"; // a comment = 7
    enum mode { OFF = 0; ON = 5; }
    message part { required string name = 1; }
    message whole {
        optional mode how = 9 [default = ON]; /* optional bool gone = 3; */
        repeated part parts = 2;
        optional uint32 count = 4;
    };
    """
    enums, messages = parse(text)
    assert enums == {"mode": {"OFF": 0, "ON": 5}}
    assert messages["whole"] == {
        "how": (9, "int", False),
        "parts": (2, "part", True),
        "count": (4, "uint", False),
    }
    names: dict[str, Any] = {}
    exec(compile(module(text), "made", "exec"), names)
    assert (names["ENUMERATIONS"], names["MESSAGES"]) == (enums, messages)


def test_tables_hold_together() -> None:
    for fields_of in MESSAGES.values():
        numbers = [number for number, _, _ in fields_of.values()]
        assert len(numbers) == len(set(numbers))
        for _, kind, _ in fields_of.values():
            assert kind in ("int", "uint", "bool", "text") or kind in MESSAGES
    assert ENUMERATIONS["criu_req_type"]["NOTIFY"] == 6


# --- requests ---

DUMP = {
    "images_dir_fd": 7,
    "log_level": 4,
    "log_file": "dump.log",
    "manage_cgroups": True,
    "manage_cgroups_mode": 3,
    "notify_scripts": True,
    "orphan_pts_master": True,
}


def test_what_criu_is_told_of_a_checkpoint() -> None:
    assert fields(CheckpointOptions("i"), 7, -1) == DUMP
    options = CheckpointOptions(
        "i",
        work="w",
        parent="../p",
        leave_running=True,
        tcp_established=True,
        tcp_skip_in_flight=True,
        tcp_close=True,
        external_unix_connections=True,
        shell_job=True,
        file_locks=True,
        link_remap=True,
        auto_dedup=True,
        lazy_pages=True,
        status_fd=9,
        page_server="[::1]:27",
        empty_namespaces=["network"],
        manage_cgroups_mode="ignore",
        network_lock="nftables",
    )
    check(options)
    assert fields(options, 7, 8) == {
        **DUMP,
        "manage_cgroups_mode": 0,
        "work_dir_fd": 8,
        "parent_img": "../p",
        "track_mem": True,
        "ps": {"address": "::1", "port": 27},
        "empty_ns": 0x40000000,
        "network_lock": 2,
        **dict.fromkeys(
            (
                *("leave_running", "tcp_established", "tcp_skip_in_flight", "tcp_close"),
                *("ext_unix_sk", "shell_job", "file_locks", "link_remap", "auto_dedup"),
                "lazy_pages",
            ),
            True,
        ),
    }
    assert fields(CheckpointOptions("i", pre_dump=True), 7, -1)["track_mem"] is True


def test_what_criu_is_told_of_a_restore() -> None:
    options = RestoreOptions(
        "i", lsm_profile="selinux:x", lsm_mount_context="y", manage_cgroups_mode="full"
    )
    check(options)
    assert fields(options, 7, -1) == {
        **DUMP,
        "log_file": "restore.log",
        "manage_cgroups_mode": 4,
        "evasive_devices": True,
        "rst_sibling": True,
        "lsm_profile": "selinux:x",
        "lsm_mount_context": "y",
    }


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"images": ""}, "images: no directory"),
        ({"manage_cgroups_mode": "hard"}, "invalid manage-cgroups-mode value: 'hard' is none of"),
        ({"network_lock": "x"}, "network_lock: 'x' is none of iptables, nftables, skip"),
        ({"empty_namespaces": ["pid"]}, "'pid' cannot be left out; network can"),
        ({"parent": "/first"}, "parent: not relative to the images"),
        ({"page_server": "1.2.3.4"}, "page_server: not ADDRESS:PORT"),
        ({"page_server": "h:0"}, "page_server: not ADDRESS:PORT"),
        ({"page_server": "h:65536"}, "page_server: not ADDRESS:PORT"),
        ({"pre_dump": True, "lazy_pages": True}, "lazy_pages: not with pre_dump"),
        ({"status_fd": 3}, "status_fd: only with lazy_pages"),
        ({"shell_job": 1}, "shell_job: not bool: 1"),
    ],
)
def test_what_is_wrong_with_options(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(CheckpointOptions(**{"images": "i", **values}))
    assert text in str(caught.value)


@pytest.mark.parametrize("profile", ["x", "apparmor:", "smack:x", ":x"])
def test_what_is_no_profile(profile: str) -> None:
    with pytest.raises(ConfigError, match="lsm_profile: not apparmor:NAME or selinux:LABEL"):
        check(RestoreOptions("i", lsm_profile=profile))


# --- mounts ---

INSIDE = r"""
191 164 254:0 /tmp/b/rootfs / rw,relatime master:1 - ext4 /dev/vda rw
192 191 0:44 / /proc rw,relatime - proc proc rw
193 191 0:45 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
194 193 0:46 / /dev/pts rw,nosuid - devpts devpts rw,gid=5
198 191 0:25 /system.slice/x /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw
165 192 0:44 /bus /proc/bus ro,relatime - proc proc rw
171 192 0:45 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw
172 191 254:0 /tmp/b/rootfs/data /again rw - ext4 /dev/vda rw
173 191 254:0 /tmp/b/rootfs2/data /other rw - ext4 /dev/vda rw
174 191 254:0 /usr /usr ro - ext4 /dev/vda rw
175 174 0:99 / /usr/a\040b ro - xfs /dev/vdb rw
176 191 0:50 /run/x /run/x rw shared:3 - tmpfs tmpfs rw
""".strip()


def test_mounts_that_lead_to_the_host() -> None:
    assert mounts.external(mounts.parse(INSIDE), []) == ["/other", "/usr", "/usr/a b", "/run/x"]


def test_a_tmpfs_of_the_host_is_not_made_again() -> None:
    inside = mounts.parse(
        f"{INSIDE}\n200 191 0:60 / /srv rw - tmpfs tmpfs rw\n"
        "201 200 0:61 / /srv/a rw - tmpfs x rw\n"
        "202 191 0:62 / /own rw - tmpfs tmpfs rw\n203 191 0:5 / /sys2 rw - sysfs sysfs rw"
    )
    host = mounts.parse(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:60 / /srv rw - tmpfs tmpfs rw\n"
        "3 2 0:61 / /srv/a rw - tmpfs x rw\n4 1 0:5 / /sys rw - sysfs sysfs rw"
    )
    found = mounts.external(inside, host)
    assert [place for place in found if place in ("/srv", "/srv/a", "/own", "/sys2")] == [
        "/srv",
        "/srv/a",
    ]


def test_what_is_mounted_at_their_places() -> None:
    host = mounts.parse(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /usr rw - ext4 /dev/sda rw\n"
        "3 2 8:3 / /usr/a rw - ext4 /dev/sda rw\n4 1 8:4 / /usr2 rw - ext4 /dev/sda rw"
    )
    found = mounts.sources(
        [
            Mount("/mnt/usr", "/usr/", "bind"),
            Mount("/proc", "proc", "proc"),
            Mount("/etc/hosts", "/run/hosts", "bind"),
        ],
        host,
    )
    assert found == {"/mnt/usr": "/usr", "/mnt/usr/a": "/usr/a", "/etc/hosts": "/run/hosts"}


def test_what_a_start_binds_by_itself() -> None:
    config = Config(
        "/rootfs",
        devices=[Device("/dev/zero", "c", 1, 5)],
        mask_paths=["/proc/kcore", "/sys/firmware/"],
    )
    assert mounts.own_sources(config) == {
        "/dev/zero": "/dev/zero",
        "/proc/kcore": "/dev/null",
        "/sys/firmware": "/dev/null",
    }


def test_how_an_open_file_is_called() -> None:
    assert mounts.file_key(26, 4711) == "file[1a:1267]"
    assert mounts.terminal_key(0x8801, 21) == "tty[8801:15]"


# --- words ---


def test_versions_in_words() -> None:
    assert [words(31701), words(40000), words(31500)] == ["3.17.1", "4.0", "3.15"]


def test_the_last_lines_about_errors(tmp_path: Path) -> None:
    assert last_errors(str(tmp_path), "dump.log") == ""
    log = tmp_path / "dump.log"
    log.write_text("")
    assert last_errors(str(tmp_path), "dump.log") == f"; CRIU's log is {log}"
    log.write_text("one\ntwo\nError (a)\nthree\nError (b)\nError\x1b (c)\nError (d)\nend\n")
    said = last_errors(str(tmp_path), "dump.log")
    assert said == rf"; CRIU's log {log} says: Error (b) | Error\x1b (c) | Error (d)"
    log.write_text("one\n\n")
    assert last_errors(str(tmp_path), "dump.log").endswith("says: one")
