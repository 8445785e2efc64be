"""The filter of system calls: compiled for the plan, loaded by who becomes the command.

Where in a start it is loaded follows no_new_privs, which the kernel asks for of who has
no CAP_SYS_ADMIN.  With it the filter is the last that a process is given: it has its user
and capabilities by then.  Without it the process keeps CAP_SYS_ADMIN until the filter is
loaded, and gives it up by one more capset(2).  Nobody may have that right who appears in
a pid namespace with others, who might trace him: there the stage loads the filter, and
clones under it.

What comes after the filter and before the command are few calls, with which the process
hears from the runtime, waits for the start and executes: a filter has to allow them, or the
start fails.
"""

from __future__ import annotations

from ..errors import ConfigError, Finding
from ..loading import jsontext
from ..seccomp.actions import ERRNO, load_flags
from ..seccomp.architectures import here
from ..seccomp.compiler import compile_profile
from ..seccomp.instructions import RET_A, RET_K, decode, encode
from ..syscalls.flags import names
from ..syscalls.seccomp_constants import SECCOMP_FILTER_FLAG_NAMES, SECCOMP_FILTER_FLAG_NEW_LISTENER
from .step import INIT, STAGE, Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..config.seccomp import Seccomp
    from ..seccomp import listener, load
    from ..seccomp.architectures import Architecture
    from .step import Performers, Plan
else:
    load = Performers("seccomp.load")
    listener = Performers("seccomp.listener")

PLACE = "linux.seccomp"

# The calls that are made under the filter, up to execve; and those, besides, of one that
# waits for its start, of one that has to give up the right to load it, of a stage that clones
# under it, with what it clones, and of one with startContainer hooks.  The interpreter may ask
# for memory.  Where a machine lacks dup2 or poll it is dup3 or ppoll.  With musl Python itself
# waits, and calls none of AFTER_WAIT; rt_sigprocmask in the two last lists is musl's alone, which
# also forks for hooks by fork, where glibc calls clone and set_robust_list.
MEMORY = ("mmap", "munmap", "brk")
AFTER = ("read", "write", "close_range", "rt_sigaction", "execve")
AFTER_WAIT = ("mmap", "rt_sigprocmask", "madvise", "prctl", "writev")
AFTER_RIGHTS = ("capset",)
AFTER_CLONE = (
    *("clone", "exit_group", "gettid", "prctl", "setsid", "prlimit64", "ioctl"),
    "rt_sigprocmask",
)
AFTER_HOOKS = (
    *("clone", "close", "dup2", "dup3", "getpid", "getppid", "gettid", "ioctl", "pidfd_open"),
    *("pipe2", "poll", "prctl", "set_robust_list", "setsid", "waitid", "fork", "rt_sigprocmask"),
)

# And of one that shares memory (sharing.py), from one lined-up call to the next, and to say why
# execve(2) has failed.  Where a filter does not let these through, it is forked.
AFTER_SHARING = ("rt_sigprocmask", "writev")

# Which of these lists a step stands for that comes after the filter.
_BY_STEP = {
    "await_start": AFTER_WAIT,
    "set_capabilities": AFTER_RIGHTS,
    "clone_command": AFTER_CLONE,
    "clone_bare": (*AFTER_CLONE, *AFTER_SHARING),
    "container_hook": AFTER_HOOKS,
}


def filter_steps(seccomp: Seccomp, *, shown: bool) -> list[Step]:
    """The filter of a process.  Raises ConfigError where the profile cannot be compiled.

    shown: the runtime has no rights over the process, which is to let it take the listener.
    """
    try:
        program = _program(seccomp, here())
        flags = load_flags(seccomp)
    except ValueError as error:
        raise ConfigError([Finding(PLACE, str(error))]) from error
    show = [show_listener(why=PLACE)] if shown and flags & SECCOMP_FILTER_FLAG_NEW_LISTENER else []
    return [*show, load_filter(program.hex(), flags, why=PLACE)]


def check_answers(plan: Plan) -> None:
    """Raise ConfigError where the filter fakes a call that the start makes under it.

    With SCMP_ACT_ERRNO and the error number 0 a call is not made, and has succeeded to who
    makes it: descriptors stay open that were closed, rights that were given up.
    """
    at = next((at for at, step in enumerate(plan) if step.op == "load_filter"), -1)
    if at < 0:
        return
    later = [step.op for step in plan.steps[at:] if step.process in (INIT, STAGE)]
    calls = [*AFTER, *MEMORY]
    for op in dict.fromkeys(later):
        calls += _BY_STEP.get(op, ())
    faked = _once(_faked, plan.steps[at].args[0], tuple(dict.fromkeys(calls)))
    if faked:
        message = (
            f"error number 0 fakes the success of {', '.join(faked)}, which the start of a"
            " process itself makes under the filter: let it through"
        )
        raise ConfigError([Finding(PLACE, message)])


def allows(text: str, name: str) -> bool:
    """Whether a filter, as load_filter() has it, lets a call be made, whatever its arguments."""
    found: bool = _once(_allows, text, name)
    return found


def _allows(text: str, name: str) -> bool:
    from ..seccomp.actions import ALLOW
    from ..seccomp.interpreter import answers

    machine = here()
    number = machine.numbers().get(name)
    if number is None:
        return False
    return answers(decode(bytes.fromhex(text)), machine.token, number) == {ALLOW}


def _faked(text: str, calls: tuple[str, ...]) -> list[str]:
    program = decode(bytes.fromhex(text))
    if not any(code == RET_A or (code, k) == (RET_K, ERRNO) for code, _, _, k in program):
        return []
    from ..seccomp.interpreter import answers

    machine = here()
    numbers = machine.numbers()
    return [
        name
        for name in calls
        if name in numbers and {None, ERRNO} & answers(program, machine.token, numbers[name])
    ]


def listener_step(seccomp: Seccomp, version: str, state: str) -> Step:
    """The runtime's: hand the listener over (config-linux.md, The Container Process State).

    version: of the runtime-spec.  state: of the container, as hooks are told it.
    """
    head = {"ociVersion": version, "fds": ["seccompFd"], "metadata": seccomp.listener_metadata}
    asked = seccomp.listener_path, jsontext.dumps(head), state
    return send_listener(*asked, why=f"{PLACE}.listenerPath")


def _program(seccomp: Seccomp, architecture: Architecture) -> bytes:
    if seccomp.strict or seccomp.program:
        from ..seccomp.given import check_names, given_program

        if seccomp.program:
            return given_program(seccomp.program)
        check_names(seccomp)
    return compiled(seccomp, architecture)


_MOST = 8
# What has been found out of filters last: a program that starts many containers has one or two.
_known: dict[tuple[object, ...], Any] = {}


def _once(find: Callable[..., Any], *args: object, key: tuple[object, ...] = ()) -> Any:
    """find(*args), which is pure and takes some milliseconds, once for each of the last few.

    key: what tells them apart, where it is not the arguments.
    """
    key = (find.__name__, *(key or args))
    try:
        return _known[key]
    except KeyError:
        found = find(*args)
    for oldest in list(_known)[: 1 - _MOST]:
        _known.pop(oldest, None)
    _known[key] = found
    return found


def compiled(seccomp: Seccomp, architecture: Architecture) -> bytes:
    """The encoded program of a profile."""
    key = architecture.name, jsontext.dumps(seccomp.to_dict())
    program: bytes = _once(_encoded, seccomp, architecture, key=key)
    return program


def _encoded(seccomp: Seccomp, architecture: Architecture) -> bytes:
    return encode(compile_profile(seccomp, architecture))


@operation(load.load_filter, "filter system calls")
def load_filter(program: str, flags: int) -> list[str]:
    text = f"{names(flags, SECCOMP_FILTER_FLAG_NAMES)}, {{len={len(program) // 16}}}"
    return [f"seccomp(SECCOMP_SET_MODE_FILTER, {text})"]


@operation(load.show_listener, "let the runtime take the notification listener")
def show_listener() -> list[str]:
    return ["prctl(PR_SET_DUMPABLE, 1)"]


@operation(listener.send_listener, "send the notification listener to {0}")
def send_listener(path: str, head: str, state: str) -> list[str]:
    return ["pidfd_getfd()", f'connect("{path}")', "sendmsg(SCM_RIGHTS)"]


@operation(load.close_listener, "close the notification listener")
def close_listener(shown: bool) -> list[str]:
    return ["close_range()", *(["prctl(PR_SET_DUMPABLE, 0)"] if shown else [])]
