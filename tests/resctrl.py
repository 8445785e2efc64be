"""A directory tree that behaves as a mounted resctrl does, for machines without one.

A group appears with its files; processes are in one class and in one monitoring group at a
time; schemata are judged and merged, and why they were refused is in info/last_cmd_status; a
group goes with its files in it, and its processes to the group above.

What of libct works on resctrl is given this tree in the place of its system calls.
"""

from __future__ import annotations

import errno
import os
import posix
import shutil
from pathlib import Path

import pytest

from libct.config import facts
from libct.resctrl import groups
from libct.syscalls.constants import RDTGROUP_SUPER_MAGIC

_FULL = {"L3": "0=fff;1=fff", "MB": "0=100;1=100"}
_CACHES = ("0", "1")


class Resctrl:
    """The tree below mount.  It stands for the module posix in libct/resctrl/."""

    def __init__(self, mount: Path) -> None:
        self.mount = str(mount)
        self._written: dict[int, str] = {}  # descriptor -> path
        mount.mkdir()
        for name, text in {
            "L3/cbm_mask": "fff\n",
            "L3/min_cbm_bits": "2\n",
            "L3/num_closids": "16\n",
            "MB/bandwidth_gran": "10\n",
            "MB/delay_linear": "1\n",
            "MB/min_bandwidth": "10\n",
            "MB/num_closids": "8\n",
            "last_cmd_status": "ok\n",
        }.items():
            path = mount / "info" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._fill(self.mount)
        (mount / "tasks").write_text(f"{os.getpid()}\n")

    def __getattr__(self, name: str) -> object:
        return getattr(posix, name)

    def _fill(self, group: str) -> None:
        Path(group, "tasks").write_text("")
        if "/mon_groups/" not in group:
            Path(group, "mon_groups").mkdir()
            lines = (f"{name}:{value}\n" for name, value in _FULL.items())
            Path(group, "schemata").write_text("".join(lines))
        for number, cache in enumerate(_CACHES):
            place = Path(group, "mon_data", f"mon_L3_0{cache}")
            place.mkdir(parents=True)
            (place / "llc_occupancy").write_text(f"{4096 * (number + 1)}\n")
            (place / "mbm_total_bytes").write_text("Unavailable\n" if number else "1000\n")
            (place / "mbm_local_bytes").write_text("600\n")

    def _refuse(self, code: int, status: str) -> OSError:
        Path(self.mount, "info/last_cmd_status").write_text(f"{status}\n")
        return OSError(code, os.strerror(code))

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        posix.mkdir(path, mode)
        self._fill(path)

    def rmdir(self, path: str) -> None:
        above = Path(path).parent
        above = above.parent if above.name == "mon_groups" else Path(self.mount)
        left = Path(path, "tasks").read_text()
        shutil.rmtree(path)
        with open(above / "tasks", "a") as file:
            file.write(left)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        fd = posix.open(path, flags, mode)
        if flags & posix.O_WRONLY:
            self._written[fd] = path
        return fd

    def close(self, fd: int) -> None:
        self._written.pop(fd, None)
        posix.close(fd)

    def write(self, fd: int, data: bytes) -> int:
        path = Path(self._written[fd])
        if path.name == "tasks":
            self._move(path, int(data))
        else:
            self._limit(path, data.decode())
        return len(data)

    def _move(self, tasks: Path, pid: int) -> None:
        os.kill(pid, 0)
        monitored = "/mon_groups/" in str(tasks)
        for other in Path(self.mount).rglob("tasks"):
            if ("/mon_groups/" in str(other)) == monitored:
                kept = [line for line in other.read_text().split() if int(line) != pid]
                other.write_text("".join(f"{line}\n" for line in kept))
        with open(tasks, "a") as file:
            file.write(f"{pid}\n")

    def _limit(self, schemata: Path, text: str) -> None:
        if not text.endswith("\n"):
            raise self._refuse(errno.EINVAL, "no line")
        found = dict(line.split(":", 1) for line in schemata.read_text().splitlines())
        for line in text.splitlines():
            name, _, values = line.strip().partition(":")
            if name not in found:
                raise self._refuse(errno.EINVAL, f"Unknown or unsupported resource name '{name}'")
            given = dict(one.split("=") for one in values.split(";"))
            if not given.keys() <= set(_CACHES):
                raise self._refuse(errno.EINVAL, "Parsing error")
            caches = dict(one.split("=") for one in found[name].split(";"))
            caches.update(given)
            found[name] = ";".join(f"{cache}={value}" for cache, value in caches.items())
            schemata.write_text("".join(f"{key}:{value}\n" for key, value in found.items()))

    def tasks(self, group: str) -> list[int]:
        return [int(line) for line in Path(self.mount, group, "tasks").read_text().split()]

    def schemata(self, group: str) -> list[str]:
        return Path(self.mount, group, "schemata").read_text().splitlines()

    def groups(self) -> list[str]:
        """All that there are, but for the one that is always there."""
        found = Path(self.mount).rglob("tasks")
        return sorted(str(one.parent.relative_to(self.mount)) for one in found)[1:]


@pytest.fixture
def resctrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resctrl:
    tree = Resctrl(tmp_path / "resctrl")
    monkeypatch.setattr(groups, "posix", tree)
    magic = type("Found", (), {"type": RDTGROUP_SUPER_MAGIC})
    monkeypatch.setattr(groups, "fstatfs", lambda fd: magic)
    real = facts.mount_point_of
    monkeypatch.setattr(
        facts, "mount_point_of", lambda kind: tree.mount if kind == "resctrl" else real(kind)
    )
    return tree
