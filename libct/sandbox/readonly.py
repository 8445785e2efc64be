"""Telling that the caller's directory is read-only in a sandbox, where a command fails by that.

The directory is shown read-only unasked.  `make` then says "Read-only file system" and no more,
which is not what its caller has made of the directory.  The kernel tells nobody but the command
of a write that it refuses.  So what the command prints is looked at, where it passes through
libct anyway: on its way to a terminal, or into run()'s output.  What goes straight to a file or
a pipe of the caller's libct does not see.
"""

from __future__ import annotations

import errno
import re

ENGLISH = b"Read-only file system"
_PATH = re.compile(rb"""(?<![^\s'"`:=(])/[^\s'"`:;,)]*""")
_LONGEST = 4096  # bytes of a line


class Refusals:
    """Whether what a command prints says that it may not write in a directory.

    directory: "" for none that this is to be told of.  words: what EROFS is called.
    """

    def __init__(self, directory: str, words: tuple[bytes, ...] = (ENGLISH,)) -> None:
        self._directory = directory.encode("utf-8", "surrogateescape")
        self._words = words
        self._rest = b""  # of a line whose end has not been printed
        self.found = False

    def see(self, data: bytes) -> None:
        """The next piece of the output."""
        if self.found or not self._directory:
            return
        text = self._rest + data
        if any(word in text for word in self._words):
            # The last line may be the last of all.
            self.found = any(map(self._is_about_it, text.splitlines()))
        self._rest = text[text.rfind(b"\n") + 1 :][-_LONGEST:]

    def _is_about_it(self, line: bytes) -> bool:
        """It names no path, a relative one, or one in the directory."""
        if not any(word in line for word in self._words):
            return False
        inside = self._directory.rstrip(b"/") + b"/"
        paths = _PATH.findall(line)
        return not paths or any((path.rstrip(b"/") + b"/").startswith(inside) for path in paths)


def in_the_callers_language() -> tuple[bytes, ...]:
    """What the C library calls EROFS, in English and by the caller's LANG."""
    import _locale
    import posix

    found = [ENGLISH]
    try:
        before = _locale.setlocale(_locale.LC_MESSAGES, None)
        _locale.setlocale(_locale.LC_MESSAGES, "")
        try:
            found.append(posix.strerror(errno.EROFS).encode("utf-8", "surrogateescape"))
        finally:
            _locale.setlocale(_locale.LC_MESSAGES, before)
    except _locale.Error:  # type: ignore[attr-defined]  # it is there, and no stub has it
        pass  # the language is not installed
    return tuple(dict.fromkeys(found))


def hint(how: str) -> str:
    """how: the option that would let it write."""
    return f"the current directory is read-only in the sandbox: {how} lets the command write to it"
