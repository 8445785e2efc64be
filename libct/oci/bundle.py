"""Bundles: a directory with config.json and, most often, the rootfs (bundle.md)."""

from __future__ import annotations

from ..errors import ConfigError, Finding
from ..loading.jsontext import loads
from ..loading.paths import exists, join, real
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
    path = join(bundle, CONFIG_NAME)
    try:
        with open(path, "rb") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        what = f"JSON specification file {CONFIG_NAME} not found (`libct spec` writes one)"
        if not exists(bundle):
            what = "no such file or directory: the bundle itself is missing"
        raise ConfigError([Finding(path, what)]) from None
    except OSError as error:
        raise ConfigError([Finding(path, f"cannot be read: {error.strerror}")]) from None
    if len(text) > _LARGEST:
        raise ConfigError([Finding(path, f"larger than {_LARGEST >> 20} MiB")])
    spec = loads(text, CONFIG_NAME)
    if not isinstance(spec, dict):
        raise ConfigError([Finding(CONFIG_NAME, f"not an object: {show(spec)}")])
    return spec


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
    return config, arguments, Table(spec, "", []).string_map("annotations")


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
