"""What an image may have in it for a runtime that looks at its files as if they were the host's."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import libct

_TELL = "import os\nos.close(os.open('/imported', os.O_CREAT | os.O_WRONLY))\n"
_LIBRARIES = ("lib", "lib64", "usr/lib", "usr/lib64", "lib/x86_64-linux-gnu")
_FOR_EVERYBODY = ("sitecustomize", "usercustomize")
_CONFIGURATIONS = {
    "etc/nsswitch.conf": "passwd: evil files compat\ngroup: evil files compat\n",
    "etc/ld.so.preload": "/lib/libevil.so\n",
    "etc/ld.so.cache": "no cache",
    "etc/locale.alias": "C evil\n",
    "pyvenv.cfg": "home = /lib\n",
}


def lay_traps(rootfs: Path) -> None:
    """Put a module that leaves /imported at each place where the server has found one, or might.

    And libraries of the name service, and the files that say what Python and the
    dynamic linker are to load.
    """
    library = sysconfig.get_path("stdlib")
    package = Path(libct.__file__).parent
    names = {name.partition(".")[0] for name in sys.modules}
    names |= {source.stem for source in Path(library).glob("*.py")}
    for directory in (library, f"{library}/lib-dynload", package.parent, "/"):
        place = Path(f"{rootfs}{directory}")
        place.mkdir(parents=True, exist_ok=True)
        for name in (*names, *_FOR_EVERYBODY):
            (place / f"{name}.py").write_text(_TELL)
    for source in (*package.rglob("*.py"), *Path(library, "encodings").glob("*.py")):
        place = Path(f"{rootfs}{source}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_TELL)
    for directory in _LIBRARIES:
        (rootfs / directory).mkdir(parents=True, exist_ok=True)
        for name in ("libnss_files.so.2", "libnss_compat.so.2", "libnss_evil.so.2", "libevil.so"):
            (rootfs / directory / name).write_text("no library")
        (rootfs / directory / "libgcc_s.so.1").write_text("no library")
    for name, text in _CONFIGURATIONS.items():
        (rootfs / name).write_text(text)
    beside = Path(f"{rootfs}{os.path.realpath(sys.executable)}").parent
    beside.mkdir(parents=True, exist_ok=True)
    (beside / "pyvenv.cfg").write_text(_CONFIGURATIONS["pyvenv.cfg"])
    (beside / f"python{sys.version_info[0]}{sys.version_info[1]}._pth").write_text("/\n")


def program_with_loader(loader: bytes) -> bytes:
    """An ELF program of 64 bits that names a loader, and has nothing else in it (elf(5))."""
    header, entry = 64, 56
    at = header + 2 * entry

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, sys.byteorder)

    def segment(kind: int, start: int, size: int) -> bytes:
        readable_and_executable = 5
        fields = (start, 0x400000 + start, 0x400000 + start, size, size, 1)
        return (
            number(kind, 4)
            + number(readable_and_executable, 4)
            + b"".join(number(field, 8) for field in fields)
        )

    with open(sys.executable, "rb") as file:
        machine = file.read(20)  # e_ident, e_type and e_machine of this one
    executable = 2
    pt_load, pt_interp = 1, 3
    text = loader + b"\0"
    return b"".join(
        (
            machine[:16] + number(executable, 2) + machine[18:20] + number(1, 4),
            number(0x400000, 8) + number(header, 8) + number(0, 8) + number(0, 4),
            number(header, 2) + number(entry, 2) + number(2, 2) + number(0, 6),
            segment(pt_interp, at, len(text)),
            segment(pt_load, 0, at + len(text)),
            text,
        )
    )
