"""libct features: what this version supports (oci/features.py), as JSON.

And what CRIU can do, which is not libct's: annotations, where it is installed.
"""

from __future__ import annotations

from .. import __version__
from ..errors import Error
from ..loading import jsontext
from ..oci.features import features
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Arguments


def main(arguments: Arguments) -> int:
    found = features(__version__)
    found["annotations"].update(_criu())
    output(jsontext.dumps(found, indent=4) + "\n")
    return 0


def _criu() -> dict[str, str]:
    from ..checkpoint import installed

    try:
        number, able = installed.version(), installed.features()
    except Error:
        return {}  # there is none, or it does not work; `libct check` says why
    return {
        "org.libct.criu.version": installed.words(number),
        "org.libct.criu.features": ",".join(name for name in able if able[name]),
    }
