"""libct features: what this version supports (oci/features.py), as JSON."""

from __future__ import annotations

from .. import __version__
from ..loading import jsontext
from ..oci.features import features
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Arguments


def main(arguments: Arguments) -> int:
    output(jsontext.dumps(features(__version__), indent=4) + "\n")
    return 0
