"""libct spec: a config.json to start from."""

from __future__ import annotations

import os

from ..config.facts import HostFacts
from ..life.container import load
from ..loading import jsontext
from ..oci.bundle import CONFIG_NAME, from_bundle
from ..oci.default_spec import default_spec
from ..oci.writing import first_process, to_bundle, write_config
from .options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..life.process import Process
    from .options import Arguments


def main(arguments: Arguments) -> int:
    source = getattr(arguments, "from")
    if source:
        if arguments.rootless:
            raise UsageError("spec: --rootless and --from exclude each other")
        to_bundle(*_like(source, arguments), arguments.bundle)
        return 0
    spec = default_spec(rootless=arguments.rootless, cgroup_v2=HostFacts().cgroup_v2)
    text = jsontext.dumps(spec, indent=4) + "\n"
    write_config(os.path.join(arguments.bundle, CONFIG_NAME), text)
    return 0


def _like(source: str, arguments: Arguments) -> tuple[Config, Process | None]:
    """The configuration of another bundle, where source is a path, or of a container."""
    if "/" in source:
        return from_bundle(source)
    container = load(arguments.root, source)
    return container.config, first_process(container.defaults, ["sh"])
