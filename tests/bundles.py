"""Root filesystems and bundles for tests, made of a static busybox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/sh
user:x:1000:1000:An ordinary user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
_GROUP = """\
root:x:0:
daemon:x:1:
tty:x:5:
audio:x:29:user
user:x:1000:
extra:x:2000:user,daemon
nogroup:x:65534:
"""
_DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "home/user": 0o755,
    "mnt": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "var/tmp": 0o1777,
}


def busybox() -> str:
    """The path of a statically linked busybox; FileNotFoundError without one."""
    for path in ("/bin/busybox", shutil.which("busybox"), "/bin/busybox.static"):
        if path and os.path.exists(path) and _is_static(path):
            return path
    raise FileNotFoundError("no statically linked busybox")


def busybox_rootfs(directory: Path, name: str = "rootfs") -> Path:
    """Make directory/name a root filesystem and return its path.

    All applets are in /bin, and the other usual directories are links to it.
    The users are root, daemon (1), user (1000; also in the groups audio and
    extra) and nobody.
    """
    rootfs = directory / name
    for path, mode in _DIRECTORIES.items():
        (rootfs / path).mkdir(parents=True)
        (rootfs / path).chmod(mode)
    (rootfs / "bin").mkdir()
    for link, target in {"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin"}.items():
        (rootfs / link).symlink_to(target)
    program = busybox()
    shutil.copy2(program, rootfs / "bin/busybox")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    for applet in applets.split():
        if applet != "busybox":
            (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "etc/passwd").write_text(_PASSWD)
    (rootfs / "etc/group").write_text(_GROUP)
    return rootfs


def make_bundle(
    directory: Path,
    *,
    args: Sequence[str] = ("/bin/true",),
    rootfs: Path | None = None,
    rootless: bool = False,
    **changes: Any,
) -> Path:
    """Make directory a bundle: what `libct spec` gives, without a terminal, and a rootfs.

    rootfs: one that is there already; default: a new busybox_rootfs().
    rootless: for the ordinary user, who becomes the owner of all of it.
    changes: merged into the configuration as merge() does:
        make_bundle(tmp_path, hostname="box", linux={"maskedPaths": None})
    """
    spec = default_spec(rootless=rootless)
    path = busybox_rootfs(directory) if rootfs is None else rootfs
    spec["root"] = {"path": str(path), "readonly": False}
    merge(spec, {"process": {"args": list(args), "terminal": False}})
    merge(spec, changes)
    (directory / "config.json").write_text(json.dumps(spec, indent=1))
    if rootless:
        from .commands import give_to_user

        give_to_user(directory)
    return directory


def read_config(bundle: Path) -> Any:
    return json.loads((bundle / "config.json").read_text())


def change_config(bundle: Path, **changes: Any) -> None:
    """Merge changes into the configuration of a bundle, as merge() does."""
    (bundle / "config.json").write_text(json.dumps(merge(read_config(bundle), changes), indent=1))


def merge(target: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Put changes into target and return it.

    Objects are merged, None removes what is there, and anything else,
    lists too, replaces it.
    """
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value
    return target


def default_spec(*, rootless: bool = False) -> dict[str, Any]:
    """The configuration that `libct spec` writes; rootless: for the ordinary user."""
    from libct.oci.default_spec import default_spec as written

    if not rootless:
        return written()
    from .commands import user_account

    account = user_account()
    return written(rootless=True, euid=account.pw_uid, egid=account.pw_gid)


def _is_static(path: str) -> bool:
    """Whether an ELF file names no interpreter, by its program headers (elf(5))."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF":
            return False
        order = "little" if head[5] == 1 else "big"
        wide = head[4] == 2

        def number(start: int, size: int) -> int:
            return int.from_bytes(head[start : start + size], order)  # type: ignore[arg-type]

        table = number(32, 8) if wide else number(28, 4)
        size, count = (number(54, 2), number(56, 2)) if wide else (number(42, 2), number(44, 2))
        file.seek(table)
        headers = file.read(size * count)
    pt_interp = 3
    types = (headers[start : start + 4] for start in range(0, size * count, size))
    return pt_interp not in (int.from_bytes(type_, order) for type_ in types)  # type: ignore[arg-type]


def uncached_file(path: Path, size: int) -> None:
    """Make a file of zeros whose pages are not in memory: they are charged to who reads them."""
    with open(path, "wb") as file:
        file.write(bytes(size))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
