"""Images of virtual machines: made by mmdebstrap, as root, and kept outside of the checkout.

An image is a directory with a disk, a kernel and an initrd.  Its name has a hash
of all that it is made from, so that another list of packages makes another image.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..debian import apt_options, mirrors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .lanes import Image

_LABEL = "libct-vm"
_SIZE = "8G"  # of the disk, which is sparse
_LONGEST = 1800  # seconds
_UNUSED = 14 * 86400  # seconds after which an image of another recipe goes


class _Way(NamedTuple):
    """How an image is made: options of mmdebstrap, and what it calls at which steps."""

    options: tuple[str, ...]
    script: Path
    steps: tuple[str, ...]

    def hooks(self) -> list[str]:
        script = shlex.quote(str(self.script))
        return [f'--{step}-hook=sh {script} {step} "$1"' for step in self.steps]


_INSTALLED = _Way(
    (
        "--variant=minbase",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")),
    ),
    Path(__file__).with_name("hook.sh"),
    ("essential", "customize"),
)
# Nothing of it can run here, be it a package's script.
_UNPACKED = _Way(
    ("--variant=extract", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"),
    Path(__file__).with_name("unpacked.sh"),
    ("extract",),
)


class ImageProblem(Exception):
    """An image cannot be made."""


def cache() -> Path:
    """Where the images are."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("LIBCT_VM_CACHE") or Path(home, "libct-vm"))


def image_directory(image: Image) -> Path:
    """Where this image is, which is made if it is not there; two runs do not make it twice."""
    way = _way(image)
    recipe = repr((image, way.options, way.steps, _SIZE, _LABEL, way.script.read_text()))
    place = cache() / f"{image.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place):
        if not place.exists():
            _make(image, way, place)
        os.utime(place)
    _remove_unused(image)
    return place


def _way(image: Image) -> _Way:
    return _INSTALLED if image.architecture == "amd64" else _UNPACKED


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    with open(place.with_name(f"{place.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(image: Image, way: _Way, place: Path) -> None:
    if os.geteuid() != 0:
        raise ImageProblem(f"the image {image.name} is not there, and only root can make it")
    print(f"making the image {image.name} in {place}", file=sys.stderr, flush=True)
    began = time.monotonic()
    unfinished, root = (place.with_name(f"{place.name}.{end}") for end in ("new", "root"))
    for path in (unfinished, root):
        shutil.rmtree(path, ignore_errors=True)
    try:
        _run(
            "mmdebstrap",
            *("--mode=root", "--format=directory", "--quiet"),
            *way.options,
            *way.hooks(),
            f"--architectures={image.architecture}",
            f"--include={','.join(image.packages)}",
            *apt_options(),
            image.suite,
            str(root),
            *mirrors(image.suite),
        )
        unfinished.mkdir()
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(next(root.glob(f"boot/{name}-*")), unfinished / name)
        _run(
            "/sbin/mkfs.ext4", "-q", "-L", _LABEL, "-d", str(root), str(unfinished / "disk"), _SIZE
        )
        unfinished.rename(place)
    finally:
        for path in (unfinished, root):
            shutil.rmtree(path, ignore_errors=True)
    print(f"made in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _run(*command: str) -> None:
    """Run a program that makes a part of an image; what it says is shown if it fails."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment()
        )
        try:
            status = process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _stop(process)
        if status != 0:
            output.seek(0)
            reason = f"took longer than {_LONGEST} s" if status is None else f"exited with {status}"
            raise ImageProblem(f"{command[0]} {reason}:\n{output.read()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a child that has not ended by itself; it may have something to tidy up."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _remove_unused(image: Image) -> None:
    """Remove what other recipes of the image have made, if nobody has used it for long."""
    for path in cache().glob(f"{image.name}-*[0-9a-f]"):
        try:
            unused = time.time() - path.stat().st_mtime > _UNUSED
        except FileNotFoundError:
            continue  # another run was faster
        if path.is_dir() and unused:
            shutil.rmtree(path, ignore_errors=True)
