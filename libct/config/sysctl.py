"""The names of kernel parameters (sysctl(8))."""

from __future__ import annotations


def sysctl_path(key: str) -> str:
    """The path below /proc/sys of a key in either form, as sysctl(8) reads it.

    The first separator decides: "net.ipv4.conf.eth0/1.forwarding" is dotted, and
    its slash means a dot of the name; "net/ipv4/conf/eth0.1/forwarding" is a path.

    ValueError: no name between two separators, or "." or "..".
    """
    dot, slash = key.find("."), key.find("/")
    path = key
    if dot >= 0 and (slash < 0 or dot < slash):
        path = key.replace("/", "\0").replace(".", "/").replace("\0", ".")
    if "\0" in key or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"not a kernel parameter: {key!r}")
    return path
