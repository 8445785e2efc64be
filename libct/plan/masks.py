"""Masked and read-only paths (config-linux.md, Masked Paths, Readonly Paths)."""

from __future__ import annotations

from .paths import inside
from .step import Step, operation


def read_only_path_steps(paths: list[str]) -> list[Step]:
    return [
        make_read_only(inside(path), why=f"linux.readonlyPaths[{index}]")
        for index, path in enumerate(paths)
    ]


def masked_path_steps(paths: list[str]) -> list[Step]:
    return [
        mask(inside(path), why=f"linux.maskedPaths[{index}]") for index, path in enumerate(paths)
    ]


@operation("rootfs.masks", "make {0} read-only")
def make_read_only(path: str) -> list[str]:
    return _sure_calls(path)


@operation("rootfs.masks", "mask {0}")
def mask(path: str) -> list[str]:
    return _sure_calls(path)


def _sure_calls(path: str) -> list[str]:
    """A path that is not there has no mount made on it."""
    return [f'openat2("{path}", O_PATH, RESOLVE_IN_ROOT)']
