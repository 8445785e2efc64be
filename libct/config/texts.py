"""Checks of strings that many rules of validation share."""

from __future__ import annotations

from ..errors import Finding
from ..loading.paths import fsencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Findings = list[Finding]


def check_text(place: str, text: str, findings: Findings) -> bool:
    """Whether the text can be handed to the kernel as a string; if not, a finding."""
    if "\0" in text:
        findings.append(Finding(place, f"has a NUL in it: {text!r}"))
    elif text.isascii() or _encodes(text):
        return True
    else:
        findings.append(Finding(place, f"has a character that cannot be encoded: {text!r}"))
    return False


def _encodes(text: str) -> bool:
    try:
        fsencode(text)
    except UnicodeEncodeError:  # half a surrogate pair, from "\ud83d" in JSON
        return False
    return True


def check_texts(place: str, texts: Sequence[str], findings: Findings) -> None:
    """The same for a list; place is the list's."""
    together = "".join(texts)
    if "\0" in together or not together.isascii():
        for index, text in enumerate(texts):
            check_text(f"{place}[{index}]", text, findings)


def check_path(place: str, path: str, findings: Findings) -> bool:
    """Whether the path is absolute and no more than that; if not, a finding."""
    if not path.startswith("/"):
        findings.append(Finding(place, f"not absolute: {path!r}" if path else "empty"))
        return False
    return check_text(place, path, findings)


def check_env(place: str, env: Sequence[str], findings: Findings) -> None:
    """Each entry of an environment is NAME=VALUE."""
    check_texts(place, env, findings)
    for index, entry in enumerate(env):
        if entry.find("=") < 1:
            findings.append(Finding(f"{place}[{index}]", f"not NAME=VALUE: {entry!r}"))
