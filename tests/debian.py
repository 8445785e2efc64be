"""Debian's root file systems, by mmdebstrap, which finds Debian as this machine's apt does."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from .commands import run
from .needs import no_skip

_UNUSED = 14 * 86400  # seconds after which what another recipe has made goes


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


def root_filesystem(suite: str, *packages: str, variant: str = "minbase") -> Path:
    """A Debian of that name, made once and kept in the cache; to be used read-only.

    Without a mirror that has it the test is skipped, or fails with LIBCT_NO_SKIP=1.
    """
    return cached(
        f"{suite}-{variant}",
        [
            *("mmdebstrap", "--quiet", f"--variant={variant}", f"--include={','.join(packages)}"),
            *("--mode=root", "--format=directory", *apt_options(), suite),
        ],
        mirrors(suite),
        lacks="a mirror of Debian",
    )


def cached(name: str, command: list[str], more: list[str], *, lacks: str) -> Path:
    """The directory that a command makes, whose last words are its path and more; made once.

    lacks: what this machine has not, if the command fails.
    """
    cache = os.environ.get("LIBCT_TEST_CACHE") or os.path.expanduser("~/.cache/libct-tests")
    recipe = hashlib.sha256(repr(command[1:]).encode()).hexdigest()[:12]
    place = Path(cache) / f"{name}-{recipe}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _make(place, command, more, lacks)
        os.utime(place)
    for path in place.parent.glob(f"{name}-{'[0-9a-f]' * 12}"):
        if time.time() - path.stat().st_mtime > _UNUSED:
            shutil.rmtree(path, ignore_errors=True)
    return place


def _make(place: Path, command: list[str], more: list[str], lacks: str) -> None:
    unfinished = place.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    made = run([*command, str(unfinished), *more], timeout=600)
    if made.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = f"this machine lacks: {lacks}: {made.stderr.strip()[-1000:]}"
        if no_skip():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    unfinished.rename(place)
