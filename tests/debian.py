"""Where mmdebstrap finds Debian: as this machine's apt does."""

from __future__ import annotations

from pathlib import Path


def apt_options() -> list[str]:
    """What apt needs here to reach its mirror, it needs there as well."""
    return [f"--aptopt={path}" for path in sorted(Path("/etc/apt/apt.conf.d").glob("*proxy*"))]


def mirrors(suite: str) -> list[str]:
    """The host's own sources, where it is the same Debian; else mmdebstrap's default."""
    release = Path("/etc/os-release").read_text()
    if f"VERSION_CODENAME={suite}" not in release:
        return []
    found = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    return [str(path) for path in found if path.is_file() and path.stat().st_size]
