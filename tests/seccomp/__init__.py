"""What tests of filters need of the machine."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from ..needs import NEEDS

PODMAN = Path("/usr/share/containers/seccomp.json")  # of golang-github-containers-common
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")  # of linux-libc-dev

NEEDS["podman_profile"] = PODMAN.read_text
NEEDS["kernel_headers"] = HEADER.read_text
NEEDS["libseccomp"] = functools.partial(ctypes.CDLL, "libseccomp.so.2")
