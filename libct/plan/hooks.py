"""Hooks: programs that are run at points of a container's life.

When each kind runs, say plan/container.py and the processes STARTER and DELETER
of plan/step.py; here is what it is given.

Sources: the runtime-spec's config.md, POSIX-platform Hooks; runtime.md, State.
"""

from __future__ import annotations

from ..config.status import CREATED, CREATING, RUNNING, STOPPED
from ..loading import jsontext
from .calls import quote
from .execute import last_of_each
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..bootstrap import functions, hooks
    from ..config import Config
else:
    hooks = Performers("bootstrap.hooks")
    functions = Performers("bootstrap.functions")

# kind: (field of Hooks, the status that the hook is told)
_KINDS = {
    "prestart": ("prestart", CREATING),
    "createRuntime": ("create_runtime", CREATING),
    "createContainer": ("create_container", CREATING),
    "startContainer": ("start_container", CREATED),
    "poststart": ("poststart", RUNNING),
    "poststop": ("poststop", STOPPED),
}
_INSIDE = ("createContainer", "startContainer")  # the container's namespaces
SPEC_VERSION = "1.3.0"


def hook_steps(
    kind: str, config: Config, container_id: str, bundle: str, env: Sequence[str] = ()
) -> list[Step]:
    """The hooks of one kind, in order.

    env: the command's.  A hook in the container that says nothing of an environment
        has these, as in runc; one on the host has that of the runtime that runs it.
    """
    if config.hooks is None:
        return []
    field, status = _KINDS[kind]
    bundle = bundle or labelled_bundle(config)
    state = state_text(config, container_id, bundle, status)
    steps = []
    for index, hook in enumerate(getattr(config.hooks, field)):
        if callable(hook):
            name = getattr(hook, "__qualname__", type(hook).__qualname__)
            why = f"hooks.{kind}[{index}]"
            steps.append(function_hook(kind, name, field, index, state, why=why))
            continue
        inside, inherits = kind in _INSIDE, hook.env is None
        variables = last_of_each((env if inside else ()) if hook.env is None else hook.env)
        common = (kind, hook.path, tuple(hook.args) or (hook.path,), variables, hook.timeout or 0)
        why = f"hooks.{kind}[{index}]"
        if inside:
            home = inherits and kind == "startContainer"
            steps.append(container_hook(*common, state, home, why=why))
        else:
            steps.append(runtime_hook(*common, state, bundle, inherits, why=why))
    return steps


def labelled_bundle(config: Config) -> str:
    """The bundle of a configuration that was read from one, "" for others."""
    labels = dict(label.partition("=")[::2] for label in config.labels)
    return labels.get("bundle", "")


def state_text(config: Config, container_id: str, bundle: str, status: str) -> str:
    """The state that a hook is told, as JSON; its pid is added when it is known."""
    annotations = dict(label.partition("=")[::2] for label in config.labels)
    annotations.pop("bundle", None)
    state: dict[str, Any] = {
        "ociVersion": config.version or SPEC_VERSION,
        "id": container_id,
        "status": status,
        "bundle": bundle,
    }
    if annotations:
        state["annotations"] = annotations
    return jsontext.dumps(state)


@operation(hooks.runtime_hook, "run the {0} hook {1}")
def runtime_hook(
    kind: str,
    path: str,
    args: tuple[str, ...],
    env: tuple[str, ...],
    timeout: int,
    state: str,
    bundle: str,
    inherits: bool,
) -> list[str]:
    enter = [f"open({quote(bundle)}, O_PATH|O_DIRECTORY|O_CLOEXEC)", "fchdir()"] if bundle else []
    return [*enter, *_calls(path, args)]


@operation(functions.function_hook, "call the {0} hook {1}")
def function_hook(kind: str, name: str, field: str, index: int, state: str) -> list[str]:
    return []


@operation(hooks.container_hook, "run the {0} hook {1} in the container")
def container_hook(
    kind: str,
    path: str,
    args: tuple[str, ...],
    env: tuple[str, ...],
    timeout: int,
    state: str,
    home: bool,
) -> list[str]:
    return ["fork()", "setsid()", "close_range(4, ~0U, 0)", *_calls(path, args)]


def _calls(path: str, args: tuple[str, ...]) -> list[str]:
    words = ", ".join(quote(one) for one in args[:3])
    return [f"execve({quote(path)}, [{words}])", "waitid(P_PIDFD, WEXITED)"]
