"""Hooks: host programs run at points of the container's life (config.md, POSIX-platform Hooks)."""

from __future__ import annotations

from .record import Record

# Annotations of crun's: files that the output of hooks is added to.
HOOK_OUTPUT_ANNOTATIONS = ("run.oci.hooks.stdout", "run.oci.hooks.stderr")


class Hook(Record):
    """A program, which gets the container's state as JSON on its standard input."""

    path: str
    args: list[str] = []  # with args[0]; [] is [path]
    env: list[str] | None = None  # NAME=VALUE; None: that of who runs it
    timeout: int | None = None  # seconds


class Hooks(Record):
    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []
