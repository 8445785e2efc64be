"""Readers of the options of sandboxes: values of one kind of what a caller gives (options.py)."""

from __future__ import annotations

import os

from ..config.sizes import parse_size
from ..syscalls.constants import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RESOLV_CONF = "/etc/resolv.conf"
LARGEST_FILE = 1 << 20  # bytes of a file that is made
LARGEST_SIZE = (1 << 63) - 1  # bytes that the kernel can count


class Wrong(Exception):
    """What a value is not."""


def kind_of(value: Any) -> str:
    return "string" if isinstance(value, str) else type(value).__name__


def read_items(value: Any, wanted: str) -> list[Any]:
    if isinstance(value, (str, bytes, os.PathLike)):
        raise Wrong(f"one {kind_of(value)} where a list is expected: {value!r} (write [{value!r}])")
    if isinstance(value, dict) or not hasattr(value, "__iter__"):
        raise Wrong(f"not {wanted}: {value!r}")
    return list(value)


def read_text(value: Any) -> str:
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(found, bytes):
        found = os.fsdecode(found)
    if not isinstance(found, str):
        raise Wrong(f"not a string: {value!r}")
    if "\0" in found:
        raise Wrong(f"has a NUL: {value!r}")
    return found


def read_path(value: Any) -> str:
    text = read_text(value)
    if not text:
        raise Wrong("an empty path")
    return text


def read_host_path(value: Any) -> str:
    return os.path.abspath(read_path(value))


def read_inside(value: Any) -> str:
    path = read_path(value)
    if not path.startswith("/"):
        raise Wrong(f"not absolute: {path!r}")
    return path


def read_paths(value: Any) -> list[str]:
    return [read_host_path(one) for one in read_items(value, "a list of paths")]


def read_binds(value: Any) -> list[tuple[str, str, bool]]:
    found = []
    for one in read_items(value, "a list of pairs of paths"):
        if not isinstance(one, (tuple, list)) or len(one) not in (2, 3):
            raise Wrong(f"not (host path, path inside): {one!r}")
        mode = one[2] if len(one) == 3 else "rw"
        if mode not in ("ro", "rw"):
            raise Wrong(f"neither 'ro' nor 'rw': {mode!r}")
        found.append((read_host_path(one[0]), read_inside(one[1]), mode == "ro"))
    return found


def read_tmpfs(value: Any) -> list[tuple[str, int]]:
    found = []
    for one in read_items(value, "a list of paths"):
        if not isinstance(one, tuple) or len(one) != 2:
            found.append((_without_size(one), 0))
            continue
        path, size = read_inside(one[0]), read_size(one[1])
        if not size:  # which the kernel takes for no limit
            raise Wrong(f"a size of 0: {path!r}")
        found.append((path, size))
    return found


def _without_size(value: Any) -> str:
    """A path; as the command line writes it with a size, that is not to be taken for one."""
    path, colon, size = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    try:
        sized = bool(colon) and (not size or parse_size(size) >= 0)
    except ValueError:
        sized = False
    if sized:
        raise Wrong(f"a path and a size? write {(path, size or '1M')!r}, or a Path: {value!r}")
    return read_inside(value)


def read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"neither True nor False: {value!r}")
    return value


def read_net(value: Any) -> str:
    found = read_text(value)
    if found == "veth" or found.startswith("veth:"):
        veth_parts(found)
    elif found not in ("none", "host", "pasta") and not found.startswith("/"):
        known = "none, host, veth, pasta"
        raise Wrong(f"neither {known} nor the absolute path of a namespace: {value!r}")
    return found


def network_kind(net: str) -> str:
    """Of an option that has been read: "none", "host", "veth", "pasta", or "path"."""
    return "path" if net.startswith("/") else net.partition(":")[0]


def veth_parts(net: str) -> tuple[str, str]:
    """Address with prefix length, and bridge, of "veth:10.0.3.2/24,bridge=br0"; "" is not given."""
    import ipaddress

    address, comma, rest = net.partition(":")[2].partition(",")
    word, _, bridge = rest.partition("=")
    if (comma and (word != "bridge" or not bridge)) or (":" in net and not address):
        raise Wrong(f"not like veth:10.0.3.2/24 or veth:10.0.3.2/24,bridge=br0: {net!r}")
    if not address:
        return "", ""
    try:
        found = ipaddress.ip_interface(address)
    except ValueError:
        raise Wrong(f"not an address with its prefix length, 10.0.3.2/24: {address!r}") from None
    network, longest = found.network, found.max_prefixlen
    if "/" not in address or network.prefixlen == longest:
        raise Wrong(f"without the length of a prefix that both ends have: {address!r}")
    edges = (network.network_address, network.broadcast_address)
    if found.version == 4 and network.prefixlen < longest - 1 and found.ip in edges:
        raise Wrong(f"is the network's own address, or its broadcast address: {address!r}")
    return str(found), bridge


def read_pairs(value: Any, wanted: str) -> list[tuple[Any, Any]]:
    found = []
    for one in read_items(value, f"a list of pairs ({wanted})"):
        if not isinstance(one, (tuple, list)) or len(one) != 2:
            raise Wrong(f"not ({wanted}): {one!r}")
        found.append((one[0], one[1]))
    return found


def read_links(value: Any) -> list[tuple[str, str]]:
    pairs = read_pairs(value, "target, path inside")
    return [(read_path(target), read_inside(path)) for target, path in pairs]


def read_directories(value: Any) -> list[str]:
    return [read_inside(one) for one in read_items(value, "a list of paths")]


def read_files(value: Any) -> list[tuple[str, str]]:
    """Path inside -> its content; a PathLike is a file of the host that is copied."""
    if not hasattr(value, "items"):
        raise Wrong(f"not a mapping of paths to contents: {value!r}")
    return [(read_inside(path), _content(content)) for path, content in value.items()]


def _content(value: Any) -> str:
    if isinstance(value, os.PathLike):
        try:
            with open(value, "rb") as file:
                value = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise Wrong(f"{str(error.strerror).lower()}: {os.fspath(value)!r}") from None
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        raise Wrong(f"neither text, bytes nor the path of a file: {value!r}")
    if len(value) > LARGEST_FILE:
        raise Wrong(f"more than {LARGEST_FILE} bytes: a bind shows a file as large as it is")
    return value.decode("utf-8", "surrogateescape")


def read_own(value: Any) -> str:
    if value not in ("own", "none"):
        raise Wrong(f"neither own nor none: {value!r}")
    return str(value)


def read_id(value: Any) -> int:
    found = read_count(value, "an id")
    if found >= (1 << 32) - 1:
        raise Wrong(f"too large for an id: {value}")
    return found


def read_manager(value: Any) -> str:
    """Who makes control groups."""
    if value not in ("", "cgroupfs", "systemd", "disabled"):
        raise Wrong(f"not cgroupfs, systemd or disabled: {value!r}")
    return str(value)


def read_variables(value: Any) -> dict[str, str]:
    if not hasattr(value, "items"):
        raise Wrong(f"not a mapping of names to values: {value!r}")
    found = {read_text(name): read_text(text) for name, text in value.items()}
    for name in found:
        if not name or "=" in name:
            raise Wrong(f"not a name of a variable: {name!r}")
    return found


def read_texts(value: Any) -> list[str]:
    return [read_text(one) for one in read_items(value, "a list of strings")]


def read_user(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    return read_filled(value)


def read_filled(value: Any) -> str:
    """A text that "" is none of: it is what is left of a variable that has not been set."""
    text = read_text(value)
    if not text:
        raise Wrong("an empty text")
    return text


def read_limit(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of what read() reads, but for 0: a budget that is used up would be no limit."""

    def reader(value: Any) -> Any:
        found = read(value)
        if not found:
            raise Wrong(f"a limit of {value!r}: leave it out where there is to be none")
        return found

    return reader


def read_size(value: Any) -> int:
    """Bytes; 0 is none given."""
    if isinstance(value, str):
        return parse_size(value)
    size = read_count(value, "bytes, or a text like '256M'")
    if size > LARGEST_SIZE:
        raise Wrong(f"more bytes than there can be: {value}")
    return size


def read_count(value: Any, wanted: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"not a number of {wanted}: {value!r}")
    if value < 0:
        raise Wrong(f"negative: {value}")
    return value


def read_number(value: Any, wanted: str, most: float) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise Wrong(f"not a number of {wanted}: {value!r}")
    if not 0 <= value < most:  # nor what is no number
        raise Wrong(f"negative: {value}" if value < 0 else f"not a number of {wanted}: {value!r}")
    return float(value)


def read_cpu_time(value: Any) -> int:
    seconds = read_number(value, "seconds", 1 << 40)
    return int(seconds) + (seconds > int(seconds))  # the kernel counts whole ones


def read_rlimits(value: Any) -> dict[str, tuple[int, int]]:
    if not hasattr(value, "items"):
        raise Wrong(f"not a mapping of names to limits: {value!r}")
    found = {}
    for given, limit in value.items():
        name = read_text(given).upper()
        name = name if name.startswith("RLIMIT_") else f"RLIMIT_{name}"
        if name not in RLIMITS:
            known = ", ".join(known[7:] for known in RLIMITS)
            raise Wrong(f"unknown limit: {given!r} (known: {known})")
        pair = limit if isinstance(limit, tuple) and len(limit) == 2 else (limit, limit)
        soft, hard = (-1 if one == -1 else read_size(one) for one in pair)
        if hard != -1 and (soft == -1 or soft > hard):
            raise Wrong(f"the soft limit of {given} is above the hard one: {limit!r}")
        found[name] = soft, hard
    return found


def read_filter(value: Any) -> Any:
    from ..config.seccomp import Seccomp

    return value if isinstance(value, Seccomp) else read_path(value)


def read_landlock(value: Any) -> Any:
    from ..config import Landlock

    if value is not None and not isinstance(value, Landlock):
        raise Wrong(f"not a libct.Landlock: {value!r}")
    return value
