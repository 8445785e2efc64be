"""libct spec: a config.json to start from."""

from __future__ import annotations

import os

from ..config.facts import HostFacts
from ..errors import Error
from ..loading import jsontext
from ..oci.bundle import CONFIG_NAME
from ..oci.default_spec import default_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Arguments


def main(arguments: Arguments) -> int:
    path = os.path.join(arguments.bundle, CONFIG_NAME)
    spec = default_spec(rootless=arguments.rootless, cgroup_v2=HostFacts().cgroup_v2)
    text = jsontext.dumps(spec, indent=4) + "\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Error(f"{path!r} exists: remove it first") from None
    except OSError as error:
        raise Error(f"cannot write {path!r}: {error.strerror}") from error
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
    return 0
