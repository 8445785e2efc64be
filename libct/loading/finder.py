"""A short way to libct's own modules, for processes that are libct's alone.

A command loads a hundred modules, and what the interpreter does for each before
the module's own code runs (it lists directories, tries endings, looks at the
source twice) takes as long as that code.  This finder knows where a module of
libct lies.  It takes the cached code where that is of the source as it is, by
the interpreter's own rule (PEP 3147; a pyc's header: import.c's magic number,
then flags, then time and size of the source), and leaves the rest to the
interpreter: modules without cached code, and packages in archives.
"""

from __future__ import annotations

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

_BY_TIME = bytes(4)  # the flags of a pyc that is valid for a time and size of the source
_HEADER = 16
_PACKAGE = __name__.rpartition("loading.")[0]  # with its dot, whatever it is called here


def install() -> None:
    """Have the modules of this package found here first, in this process."""
    # Optimised code, or code cached elsewhere, has other names.
    plain = not sys.flags.optimize and sys.pycache_prefix is None
    if plain and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Loader(SourceFileLoader):
    """The interpreter's loader, with the code at hand."""

    def __init__(self, name: str, source: str, code: CodeType) -> None:
        super().__init__(name, source)
        self._code: CodeType | None = code

    def get_code(self, fullname: str) -> CodeType | None:
        code, self._code = self._code, None
        return code or super().get_code(fullname)


class _Finder:
    """One of sys.meta_path (importlib.abc.MetaPathFinder, which is not loaded)."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, last = name.rpartition(".")
        if not path or not (package + ".").startswith(_PACKAGE):
            return None
        directory = path[0]
        found = _find(directory, last)
        is_package = found is None
        if found is None:
            directory, last = f"{directory}/{last}", "__init__"
            found = _find(directory, last)
            if found is None:
                return None
        source, cached, code = found
        loader = _Loader(name, source, code)
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        spec.has_location, spec.cached = True, cached
        if is_package:
            spec.submodule_search_locations = [directory]
        return spec


def _find(directory: str, name: str) -> tuple[str, str, CodeType] | None:
    """The source, the cached code's file and the code of a module; None without valid code."""
    source = f"{directory}/{name}.py"
    cached = f"{directory}/__pycache__/{name}.{sys.implementation.cache_tag}.pyc"
    try:
        found = posix.stat(source)
        fd = posix.open(cached, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            data = posix.read(fd, posix.fstat(fd).st_size)
        finally:
            posix.close(fd)
    except OSError:
        return None
    of_source = (int(found.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    of_source += (found.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    if data[:_HEADER] != MAGIC_NUMBER + _BY_TIME + of_source:
        return None
    try:
        return source, cached, marshal.loads(memoryview(data)[_HEADER:])
    except (EOFError, ValueError, TypeError):
        return None  # damaged, which is the interpreter's to say
