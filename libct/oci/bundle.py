"""Bundles: a directory with config.json and, most often, the rootfs (bundle.md)."""

from __future__ import annotations

import posix

from ..config.mount import destination_inside
from ..errors import ConfigError, Finding
from ..loading.jsontext import loads
from ..loading.paths import contents, exists, join, normal, real
from .reader import Table, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import Config
    from ..life.process import Process

CONFIG_NAME = "config.json"
_LARGEST = 16 << 20  # bytes; the largest in use, with long seccomp profiles, have some 100 KiB


def read_spec(bundle: str) -> dict[str, Any]:
    """The values in the config.json of a bundle; ConfigError when it cannot be read."""
    try:
        return read_object(join(bundle, CONFIG_NAME), CONFIG_NAME)
    except FileNotFoundError as error:
        what = f"JSON specification file {CONFIG_NAME} not found (`libct spec` writes one)"
        if not exists(bundle):
            what = "no such file or directory: the bundle itself is missing"
        raise ConfigError([Finding(str(error.filename), what)]) from None


def read_object(path: str, name: str) -> dict[str, Any]:
    """The values in a JSON file.

    name: what places in it begin with.
    Raises FileNotFoundError, and ConfigError when it cannot be read or is no object.
    """
    try:
        text = contents(path, _LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError([Finding(path, f"cannot be read: {error.strerror}")]) from None
    if len(text) > _LARGEST:
        raise ConfigError([Finding(path, f"larger than {_LARGEST >> 20} MiB")])
    values = loads(text, name)
    if not isinstance(values, dict):
        raise ConfigError([Finding(name, f"not an object: {show(values)}")])
    return values


def read_bundle(
    path: str,
    id: str = "",  # noqa: A002  # the runtime-spec's word
    **options: Any,
) -> tuple[Config, dict[str, Any], dict[str, str]]:
    """(Config, keyword arguments of its Process, annotations) of the bundle at path.

    The arguments are {} for a configuration without a process.
    options: those of config_from_spec().
    Raises ConfigError with every finding.
    """
    from .load import config_from_spec

    bundle = real(path)
    spec = read_spec(bundle)
    config, arguments = config_from_spec(spec, bundle=bundle, id=id, **options)
    _take_inside(config, bundle, normal(join(posix.getcwd(), path)))
    return config, arguments, Table(spec, "", []).string_map("annotations")


def _take_inside(config: Config, bundle: str, given: str) -> None:
    """Put destinations inside that begin with the path of the rootfs as the caller knows it.

    given: the path of the bundle, by links maybe.
    """
    if given == bundle or not config.rootfs.startswith(f"{bundle}/"):
        return
    rootfs = given + config.rootfs[len(bundle) :]
    for mount in config.mounts:
        inside = destination_inside(rootfs, mount.destination)
        if inside != destination_inside("/", mount.destination):
            mount.destination = inside


def from_bundle(
    path: str,
    id: str = "",  # noqa: A002  # the runtime-spec's word
    **options: Any,
) -> tuple[Config, Process | None]:
    """The Config of the bundle at path, and the first Process of it, if it has one.

    As read_bundle() otherwise.
    """
    config, arguments, _ = read_bundle(path, id, **options)
    if not arguments:
        return config, None
    from ..life.process import Process

    return config, Process(init=True, **arguments)
