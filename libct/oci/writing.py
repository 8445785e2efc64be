"""A Config and a Process as a bundle: the config.json that says what they say.

What the runtime-spec cannot say is refused, found by reading what would be written.
"""

from __future__ import annotations

import posix

from ..config.device import ALLOWED_DEVICES
from ..errors import ConfigError, Error, Finding
from ..loading.jsontext import dumps
from ..loading.paths import join, normal, real
from .bundle import CONFIG_NAME
from .dump import spec_from_config
from .load import config_from_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any

    from ..config import Config, ProcessDefaults
    from ..life.process import Process

# Fields of a Process that are a Config's where a bundle has them.
_IN_CONFIG = {
    "capabilities": "capabilities",
    "apparmor_profile": "apparmor_profile",
    "label": "process_label",
    "no_new_privileges": "no_new_privileges",
    "rlimits": "rlimits",
    "scheduler": "scheduler",
    "io_priority": "io_priority",
    "umask": "umask",
}
# Fields of a Process that no bundle has, beside those that only its caller can have: descriptors.
_NOT_IN_BUNDLE = ("cpu_affinity", "notify", "reaper", "sub_cgroup_paths")
# Fields of a Config that the caller of a runtime chooses, by options of the command line.
_CHOSEN = ("no_new_keyring", "no_pivot_root", "rootless_cgroups", "rootless_euid")


def to_bundle(config: Config, process: Process | None, path: str | PathLike[str]) -> None:
    """Write the config.json that says what config and process say, into the directory path.

    The directory is made where it is not there; a config.json that is there is not replaced.
    The rootfs stays where it is, and is named by its absolute path.  What starts a container
    rather than being part of it is not written: streams, descriptors, `no_pivot_root`.

    Raises ConfigError with all that no bundle can say, and writes nothing then.
    """
    directory = real(str(path))
    text = dumps(spec_of(config, process, directory), indent=4) + "\n"
    try:
        posix.mkdir(directory)
    except FileExistsError:
        pass
    except OSError as error:
        raise Error(f"cannot make {directory!r}: {error.strerror}") from error
    write_config(join(directory, CONFIG_NAME), text)


def write_config(path: str, text: str) -> None:
    """Write a file that must not be there."""
    try:
        fd = posix.open(
            path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o666
        )
    except FileExistsError:
        raise Error(f"{path!r} exists: remove it first") from None
    except OSError as error:
        remedy = ""
        if isinstance(error, FileNotFoundError):
            remedy = " (the bundle is a directory: make it first, with mkdir -p)"
        raise Error(f"cannot write {path!r}: {error.strerror}{remedy}") from error
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)


def spec_of(config: Config, process: Process | None, bundle: str) -> dict[str, Any]:
    """The values of config.json; ConfigError for what it cannot say."""
    config = config.copy()
    arguments: dict[str, Any] = {}
    findings: list[Finding] = []
    config.rootfs = normal(join(posix.getcwd(), config.rootfs))
    if process is not None:
        arguments = _arguments(process, config, findings)
    if config.hooks is not None and config.hooks.has_functions():
        findings.append(Finding("hooks", "functions of a program: a bundle has programs alone"))
    try:
        spec = spec_from_config(config, arguments)
    except ValueError as error:
        raise ConfigError([*findings, Finding("", str(error))]) from None
    if not findings:
        findings = _lost(config, spec, bundle)
    if findings:
        raise ConfigError(findings)
    return spec


def _arguments(process: Process, config: Config, findings: list[Finding]) -> dict[str, Any]:
    """What spec_from_config() takes; what else process has is put into config."""
    for field, own in _IN_CONFIG.items():
        value = getattr(process, field)
        if value is not None and value != "" and value != []:
            setattr(config, own, value)
    for field in _NOT_IN_BUNDLE:
        if getattr(process, field):
            findings.append(Finding(f"process.{field}", "no bundle can say this"))
    user = process.user or "0"
    if user != "0" and not (":" in user and user.replace(":", "", 1).isdigit()):
        message = f"a bundle has numbers of a user and a group, uid:gid: {process.user!r}"
        findings.append(Finding("process.user", message))
        user = "0"
    groups = [str(group) for group in process.additional_groups]
    if not all(group.isdigit() for group in groups):
        findings.append(Finding("process.additional_groups", "a bundle has numbers of groups"))
        groups = []
    return {
        "args": process.args,
        "env": process.env,
        "cwd": process.cwd,
        "user": user,
        "additional_groups": [int(group) for group in groups],
        "terminal": process.terminal,
        "console_width": process.console_width,
        "console_height": process.console_height,
    }


def _lost(config: Config, spec: dict[str, Any], bundle: str) -> list[Finding]:
    """What is not there when the spec is read again."""
    cgroups = config.cgroups
    again, _ = config_from_spec(
        spec,
        bundle=bundle,
        id=cgroups.name if cgroups is not None else "",
        systemd=cgroups is not None and cgroups.systemd,
        control_groups=cgroups is not None,
        rootless_euid=config.rootless_euid,
        rootless_cgroups=config.rootless_cgroups,
        findings=[],  # what is wrong with it is said when it is used
    )
    said, read = _said(config), _said(again)
    return [
        Finding(field, "no bundle can say this")
        for field in {**said, **read}
        if said.get(field) != read.get(field) and field not in _CHOSEN
    ]


def _said(config: Config) -> dict[str, Any]:
    """The fields, without what every container of a bundle has or where it is looked up."""
    found = config.to_dict()
    defaults = [device.to_dict() for device in ALLOWED_DEVICES]
    found["devices"] = [one for one in found.get("devices", ()) if one not in defaults]
    found["networks"] = [
        one for one in found.get("networks", ()) if one.get("type") or one.get("name")
    ]
    found["labels"] = sorted(
        one for one in found.get("labels", ()) if not one.startswith(("bundle=", "org.systemd."))
    )
    found["version"] = ""
    if found.get("cgroups"):
        found["cgroups"].pop("owner_uid", None)
    return found


def first_process(defaults: ProcessDefaults | None, args: list[str]) -> Process:
    """A process like the first one of a container, as it was started, with other arguments."""
    from ..life.process import Process

    if defaults is None:
        return Process(args, init=True)
    fields = {name: getattr(defaults, name) for name in defaults.__annotations__}
    return Process(args, init=True, **fields)
