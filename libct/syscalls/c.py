"""C types and functions: what the bindings need of ctypes, which is not all of it.

Loading ctypes takes 4 ms, with os, struct and types, which it loads, and the
classes for structures in the other byte order, which it makes.  A command has
two interpreters to start, one after the other.  So its C part is used here as
its own __init__.py does, under the same names; in a Python that has others,
ctypes itself takes their place.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from ctypes import *  # noqa: F403
    from typing import Any

    def function(name: str) -> Any:
        """The C function name of this process, as an object of its own.

        AttributeError when there is none.  Others can run while it is called.
        """

    def locked_function(name: str) -> Any:
        """The same, called with the interpreter's lock held (docs/architecture.md, Cloning)."""

    def library(name: str) -> Callable[[str], Any]:
        """Load a library (dlopen(3)); what it returns is as function(), for that library's.

        OSError, with the loader's words and no errno, when there is none.
        """

else:
    try:
        from _ctypes import (
            FUNCFLAG_CDECL,
            FUNCFLAG_PYTHONAPI,
            FUNCFLAG_USE_ERRNO,
            POINTER as POINTER,
            CFuncPtr,
            Structure as Structure,
            _SimpleCData,
            addressof as addressof,
            byref as byref,
            dlopen,
            get_errno as get_errno,
            pointer as pointer,
            set_errno as set_errno,
            sizeof as sizeof,
        )
    except ImportError:  # POINTER, since Python 3.14
        import ctypes

        def __getattr__(name):
            return getattr(ctypes, name)

        # By index: an attribute would be one object for all who ask.
        function = ctypes.CDLL(None, use_errno=True).__getitem__
        locked_function = ctypes.PyDLL(None, use_errno=True).__getitem__

        def library(name):
            return ctypes.CDLL(name, use_errno=True).__getitem__

    else:

        def _simple(name, code):
            """A type of the C language, by its code in the struct module."""
            return type(name, (_SimpleCData,), {"_type_": code, "__module__": __name__})

        c_char = _simple("c_char", "c")
        c_char_p = _simple("c_char_p", "z")
        c_void_p = _simple("c_void_p", "P")
        c_uint8 = _simple("c_uint8", "B")
        c_int16 = c_short = _simple("c_int16", "h")
        c_uint16 = c_ushort = _simple("c_uint16", "H")
        c_int = c_int32 = _simple("c_int", "i")
        c_uint = c_uint32 = _simple("c_uint", "I")
        c_uint64 = _simple("c_uint64", "Q")
        c_long = _simple("c_long", "l")
        c_ulong = c_size_t = _simple("c_ulong", "L")  # as wide as a pointer, on all of Linux

        def create_string_buffer(init, size=None):
            """An array of size char that begins with the bytes init, or of init zeros."""
            if isinstance(init, int):
                return (c_char * init)()
            buffer = (c_char * (len(init) + 1 if size is None else size))()
            buffer.value = init
            return buffer

        class _Function(CFuncPtr):
            _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
            _restype_ = c_int

        class _LockedFunction(CFuncPtr):
            _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
            _restype_ = c_int

        class _Library:
            """What CFuncPtr takes a function from; without a name: all that is loaded here."""

            def __init__(self, name=None):
                self._handle = dlopen(name, 0)

        _process = _Library()

        def function(name):
            return _Function((name, _process))

        def locked_function(name):
            return _LockedFunction((name, _process))

        def library(name):
            found = _Library(name)
            return lambda name: _Function((name, found))
