"""`libct seccomp`: what a profile of system calls means, before anything runs under it."""

from __future__ import annotations

from ..config.nearest import did_you_mean
from ..errors import ConfigError, Error, Finding
from ..oci.profiles import Circumstances, Profile, read_profile
from ..seccomp.architectures import OTHERS, here, named
from ..seccomp.disassembler import disassemble, returned
from ..syscalls.constants import CAPABILITIES
from .options import UsageError
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..config.seccomp import Seccomp
    from ..seccomp.architectures import Architecture
    from ..seccomp.explain import Answer, Explainer
    from .options import Arguments

_MAX_ARGUMENTS = 6
_PLACES = {
    "architectures": "not listed in architectures",
    "newer": "newer than all that the profile names",
}


def main(arguments: Arguments) -> int:
    """The exit status is 1 where `lint` finds an error."""
    name, source, *rest = arguments.operands
    if name not in _COMMANDS:
        raise UsageError(f"seccomp: no such command: {name!r}{did_you_mean(name, _COMMANDS)}")
    if rest and name != "explain":
        raise UsageError(f"seccomp {name}: unexpected argument {rest[0]!r}")
    if arguments.json and name != "dump":
        raise UsageError(f"seccomp {name}: --json is for dump")
    program, machine = _architectures(arguments.arch)
    profile = _profile(source, machine, arguments)
    if profile.seccomp is None:
        raise ConfigError([Finding(f"{profile.name}: {profile.place}", "missing: no filter")])
    if arguments.json:
        from ..loading.jsontext import dumps
        from ..oci.dump import seccomp_to_spec

        output(dumps(seccomp_to_spec(profile.seccomp), indent=2) + "\n")
        return 0
    return _COMMANDS[name](profile, profile.seccomp, machine, program, rest)


def _architectures(asked: str) -> tuple[Architecture | None, Architecture]:
    """The architecture of a program, None where none is asked for, and that of its machine."""
    try:
        host = here()
    except ValueError:
        if not asked:
            raise
        host = None
    if not asked:
        assert host
        return None, host
    try:
        program = named(asked.upper())
    except ValueError as error:
        raise ConfigError([Finding("--arch", str(error))]) from None
    if host and program.name in (host.name, *OTHERS.get(host.name, ())):
        return program, host
    for name, others in OTHERS.items():
        if program.name in others:
            return program, named(name)
    return program, program


def _profile(source: str, machine: Architecture, arguments: Arguments) -> Profile:
    capabilities = _capabilities(arguments.cap)
    circumstances = Circumstances(machine, capabilities, arguments.kernel)
    if source == "default":
        from ..seccomp.default import default_profile

        return Profile(source, default_profile(machine, capabilities))
    warnings: list[Finding] = []
    profile = read_profile(source, circumstances, warnings)
    output("".join(f"warning: {finding}\n" for finding in warnings))
    return profile


def _capabilities(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for text in names:
        name = text.upper()
        name = name[4:] if name.startswith("CAP_") else name
        if name == "ALL":
            found.update(CAPABILITIES)
        elif f"CAP_{name}" in CAPABILITIES:
            found.add(f"CAP_{name}")
        else:
            hint = did_you_mean(name, [known[4:] for known in CAPABILITIES])
            raise ConfigError([Finding("--cap", f"no such capability: {text!r}{hint}")])
    return found


def _explainer(profile: Profile, seccomp: Seccomp, machine: Architecture) -> Explainer:
    from ..seccomp.explain import Explainer

    try:
        return Explainer(seccomp, machine)
    except ValueError as error:
        raise ConfigError([Finding(profile.name, profile.locate(str(error)))]) from None


def _dump(
    profile: Profile, seccomp: Seccomp, machine: Architecture, _program: object, _rest: object
) -> int:
    explainer = _explainer(profile, seccomp, machine)
    names = ", ".join(explainer.architectures)
    lines = disassemble(explainer.program, machine.byte_order)
    output(f"# {len(lines)} instructions, for {names}\n" + "".join(f"{line}\n" for line in lines))
    return 0


# --- explain ---


def _explain(
    profile: Profile,
    seccomp: Seccomp,
    machine: Architecture,
    program: Architecture | None,
    rest: Sequence[str],
) -> int:
    if not rest:
        raise UsageError("seccomp explain: missing: CALL")
    if len(rest) > 1 + _MAX_ARGUMENTS:
        raise UsageError(f"seccomp explain: unexpected argument {rest[1 + _MAX_ARGUMENTS]!r}")
    call = rest[0]
    arguments = dict.fromkeys(range(_MAX_ARGUMENTS), 0) if rest[1:] else {}
    arguments.update(enumerate(map(_number, rest[1:])))
    explainer = _explainer(profile, seccomp, machine)
    text = ""
    for architecture in [program] if program else explainer.architectures.values():
        for number, how, kind in _ways(architecture, call):
            # Of a call by way of another one the filter sees which it is, and a pointer.
            seen = arguments if kind is None else {0: kind}
            text += f"{architecture.name}: {call}{how}\n"
            text += _table(profile, explainer.explain(architecture, number, seen))
    if not text:
        machines = ", ".join(explainer.architectures)
        raise Error(f"no such system call: {call!r} ({machines}){_hint(call, explainer)}")
    output(text + _reason(profile, call))
    return 0


def _ways(architecture: Architecture, call: str) -> list[tuple[int, str, int | None]]:
    """How a program makes a call: by which number, in words, and with which first argument."""
    from ..seccomp.explain import multiplexed

    if call.isascii() and call.isdecimal() and len(call) < 11:
        return [(int(call), "", None)]
    ways: list[tuple[int, str, int | None]] = []
    number = architecture.numbers().get(call)
    if number is not None:
        ways.append((number, f", number {number}", None))
    by_another = multiplexed(architecture, call)
    if by_another:
        other = "ipc" if by_another[0] == architecture.ipc else "socketcall"
        ways.append((by_another[0], f", by way of {other}", by_another[1]))
    return ways


def _table(profile: Profile, answers: list[Answer]) -> str:
    width = max(len(returned(one.value)) for one in answers)
    text = ""
    for one in answers:
        place = _PLACES.get(one.place) or f"by {profile.locate(one.place)}"
        line = f"  {returned(one.value):{width}}  {place}"
        if one.conditions:
            line += f", where {one.conditions}"
        elif len(answers) > 1:
            line += ", where none of that holds"
        if one.steps:
            line += f", after {one.steps} instructions"
        text += line + "\n"
    return text


def _reason(profile: Profile, call: str) -> str:
    """Why libct's own profile leaves a call out."""
    if profile.name != "default":
        return ""
    from ..seccomp.default_calls import LEFT_OUT

    return "".join(
        f"{' '.join(group.why.split())}  Allowed to who has {' or '.join(group.capabilities)}.\n"
        if group.capabilities
        else f"{' '.join(group.why.split())}\n"
        for group in LEFT_OUT
        if call in group.names
    )


def _hint(call: str, explainer: Explainer) -> str:
    known = {name for one in explainer.architectures.values() for name in one.numbers()}
    return did_you_mean(call, sorted(known))


def _number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = 1 << 64
    if not -(1 << 63) <= number < 1 << 64:
        raise UsageError(f"seccomp explain: not a number of 64 bits: {text!r}")
    return number % (1 << 64)


# --- lint ---


def _lint(
    profile: Profile, seccomp: Seccomp, machine: Architecture, _program: object, _rest: object
) -> int:
    from ..plan.seccomp import AFTER, AFTER_CLONE, AFTER_HOOKS, AFTER_RIGHTS, AFTER_WAIT
    from ..seccomp.lint import lint

    needed = dict.fromkeys(AFTER_WAIT, "a start that waits (create, start)")
    needed.update(dict.fromkeys(AFTER, "every start"))
    rights = "without noNewPrivileges"
    some = dict.fromkeys(AFTER_HOOKS, "a start with startContainer hooks")
    some.update(dict.fromkeys(AFTER_CLONE, f"exec, or a start in a pod, {rights}"))
    some.update(dict.fromkeys(AFTER_RIGHTS, f"a start {rights}"))
    for name in needed:
        some.pop(name, None)
    findings = lint(seccomp, machine, needed, some)
    text = ""
    for one in findings:
        place = profile.locate(str(one))
        text += f"{one.level}: {profile.name}: {place}\n"
    output(text)
    return 1 if any(one.level == "error" for one in findings) else 0


_COMMANDS: dict[str, Callable[..., int]] = {"dump": _dump, "explain": _explain, "lint": _lint}
