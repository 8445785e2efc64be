"""The libraries of a sealed interpreter, of which some are found beside the original.

$ORIGIN in the run path of a program is the directory that it is executed from (ld.so(8)),
and for a sealed copy another one.  Read from the program's headers: elf(5).
"""

from __future__ import annotations

import posix

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 5, 15, 29
_LONGEST = 4096  # bytes of a run path
_MOST = 1 << 16  # bytes of a table


def library_path(program: str) -> str:
    """The places that it looks for libraries at by $ORIGIN, as LD_LIBRARY_PATH has them.

    program: its path, without links.  "" for most: the others it finds by itself.
    """
    try:
        fd = posix.open(program, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""  # it can be executed and not read
    try:
        text = _run_path(fd)
    finally:
        posix.close(fd)
    origin = program.rpartition("/")[0]
    places = [one for one in text.split(":") if "$ORIGIN" in one or "${ORIGIN}" in one]
    return ":".join(places).replace("${ORIGIN}", origin).replace("$ORIGIN", origin)


def _run_path(fd: int) -> str:
    """Of a program that is open; "" for one without, and for what is no program."""
    head = posix.pread(fd, 64, 0)
    if head[:4] != b"\x7fELF":
        return ""
    word = 8 if head[4] == 2 else 4  # ELFCLASS64
    order = "little" if head[5] == 1 else "big"

    def number(data: bytes, at: int, size: int = word) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]  # before 3.11

    # After e_ident come e_type, e_machine, e_version, e_entry: then e_phoff.
    table = number(head, 24 + word)
    sizes = 54 if word == 8 else 42  # e_phentsize, and e_phnum after it
    each, count = number(head, sizes, 2), number(head, sizes + 2, 2)
    headers = posix.pread(fd, min(each * count, _MOST), table)
    dynamic, loaded = b"", []
    for at in range(0, len(headers), each or 1):
        kind, offset = number(headers, at, 4), number(headers, at + word)
        address = number(headers, at + 2 * word)
        size = number(headers, at + 4 * word)  # p_filesz, after p_paddr
        if kind == _PT_LOAD:
            loaded.append((address, offset, size))
        elif kind == _PT_DYNAMIC:
            dynamic = posix.pread(fd, min(size, _MOST), offset)
    found = {
        number(dynamic, at): number(dynamic, at + word) for at in range(0, len(dynamic), 2 * word)
    }
    name = found.get(_DT_RUNPATH, found.get(_DT_RPATH))
    for address, offset, size in loaded:
        if name is not None and address <= found.get(_DT_STRTAB, 0) < address + size:
            text = posix.pread(fd, _LONGEST, found[_DT_STRTAB] - address + offset + name)
            return text.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return ""
