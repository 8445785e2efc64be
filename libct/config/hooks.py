"""Hooks: host programs run at points of the container's life (config.md, POSIX-platform Hooks)."""

from __future__ import annotations

from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[[dict[str, Any]], object]

# Annotations of crun's: files that the output of hooks is added to.
HOOK_OUTPUT_ANNOTATIONS = ("run.oci.hooks.stdout", "run.oci.hooks.stderr")


class Hook(Record):
    """A program, which gets the container's state as JSON on its standard input."""

    path: str
    args: list[str] = []  # with args[0]; [] is [path]
    env: list[str] | None = None  # NAME=VALUE; None: that of who runs it
    timeout: int | None = None  # seconds


class Hooks(Record):
    """A function is called in the process that has made the container, with the state as a dict.

    No other process knows of it: it is not in the container's state on disk.
    """

    prestart: list[Hook | Function] = []
    create_runtime: list[Hook | Function] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook | Function] = []
    poststop: list[Hook | Function] = []

    def to_dict(self) -> dict[str, Any]:
        """Without functions, which no file can hold."""
        found = {}
        for name in type(self)._fields:
            programs = [hook.to_dict() for hook in getattr(self, name) if isinstance(hook, Hook)]
            if programs:
                found[name] = programs
        return found

    def kinds(self) -> list[str]:
        """The fields that have any."""
        return [name for name in type(self)._fields if getattr(self, name)]

    def has_functions(self) -> bool:
        kinds = (getattr(self, name) for name in type(self)._fields)
        return any(not isinstance(hook, Hook) for hooks in kinds for hook in hooks)
