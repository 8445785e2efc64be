"""D-Bus by libsystemd, sd-bus(3): its functions, and values into messages and out of them.

The library is loaded at the first call, and by nobody else.  Of its functions only those are
used that take a fixed number of arguments: one that takes any number (sd_bus_message_append)
has another calling convention, which ctypes does not know on every machine.

A connection and a message are addresses, which belong to the caller: release() them.  They
are for one thread at a time, and for the process that made them.  What goes into a message is
described by a D-Bus signature:

    y n q i u x t   int (of 8 to 64 bits)      b   bool        d   float
    s o g           str                        h   int, a file descriptor
    ay              bytes                      aT  list or tuple of such values
    (TU...)         tuple                      a{TU}  dict, or a list of pairs
    v               (signature, value)

and comes out as the same, arrays as lists; of a variant comes the value alone.

Source: sd_bus_*(3), https://dbus.freedesktop.org/doc/dbus-specification.html (Type System).
"""

from __future__ import annotations

import errno
import posix
import struct

from .c import (
    POINTER,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_size_t,
    c_uint64,
    c_void_p,
    create_string_buffer,
    library,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LIBRARY = "libsystemd.so.0"

# Types of messages, systemd/sd-bus-protocol.h
METHOD_CALL = 1
METHOD_RETURN = 2
METHOD_ERROR = 3
SIGNAL = 4

# How a basic type is laid out for sd_bus_message_append_basic(3): integers as struct has them.
_NUMBERS = {code: f"={layout}" for code, layout in zip("ynqiuxtbdh", "BhHiIqQidi")}
_TEXTS = "sog"
_CLOSING = {"(": ")", "{": "}"}


class Error(Structure):
    """sd_bus_error, systemd/sd-bus.h"""

    _fields_ = (("name", c_char_p), ("message", c_char_p), ("_need_free", c_int))


_bus = _message = c_void_p
_new = POINTER(c_void_p)  # where a function puts what it makes
_text = POINTER(c_char_p)

# Arguments; the result is an int, negative for an errno, but for what _RESULTS names.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    # connections
    "sd_bus_new": (_new,),
    "sd_bus_set_address": (_bus, c_char_p),
    "sd_bus_set_bus_client": (_bus, c_int),
    "sd_bus_start": (_bus,),
    "sd_bus_is_ready": (_bus,),
    "sd_bus_can_send": (_bus, c_char),
    "sd_bus_send": (_bus, _message, POINTER(c_uint64)),  # no reply is expected without the third
    "sd_bus_process": (_bus, _new),
    "sd_bus_wait": (_bus, c_uint64),  # microseconds
    "sd_bus_request_name": (_bus, c_char_p, c_uint64),
    "sd_bus_close_unref": (_bus,),
    # messages to send: destination or path, path, interface, member
    "sd_bus_message_new_method_call": (_bus, _new, c_char_p, c_char_p, c_char_p, c_char_p),
    "sd_bus_message_new_method_return": (_message, _new),
    "sd_bus_message_new_method_error": (_message, _new, POINTER(Error)),
    "sd_bus_message_new_signal": (_bus, _new, c_char_p, c_char_p, c_char_p),
    "sd_bus_message_append_basic": (_message, c_char, c_void_p),
    "sd_bus_message_append_array": (_message, c_char, c_void_p, c_size_t),
    "sd_bus_message_open_container": (_message, c_char, c_char_p),
    "sd_bus_message_close_container": (_message,),
    # messages received
    "sd_bus_message_get_type": (_message, c_char_p),
    "sd_bus_message_get_reply_cookie": (_message, POINTER(c_uint64)),
    "sd_bus_message_get_error": (_message,),
    "sd_bus_message_get_sender": (_message,),
    "sd_bus_message_get_path": (_message,),
    "sd_bus_message_get_interface": (_message,),
    "sd_bus_message_get_member": (_message,),
    "sd_bus_message_peek_type": (_message, c_char_p, _text),
    "sd_bus_message_read_basic": (_message, c_char, c_void_p),
    "sd_bus_message_read_array": (_message, c_char, _new, POINTER(c_size_t)),
    "sd_bus_message_enter_container": (_message, c_char, c_char_p),
    "sd_bus_message_exit_container": (_message,),
    "sd_bus_message_unref": (_message,),
}
_RESULTS = {
    "sd_bus_close_unref": c_void_p,
    "sd_bus_message_get_error": POINTER(Error),
    "sd_bus_message_get_sender": c_char_p,
    "sd_bus_message_get_path": c_char_p,
    "sd_bus_message_get_interface": c_char_p,
    "sd_bus_message_get_member": c_char_p,
    "sd_bus_message_unref": c_void_p,
}

_functions: dict[str, Any] = {}


def load() -> None:
    """Load the library.  OSError, without an errno, when it is not there or too old."""
    if _functions:
        return
    found, functions = library(LIBRARY), {}
    for name, arguments in _ARGUMENTS.items():
        try:
            function = functions[name] = found(name)
        except AttributeError as error:
            raise OSError(str(error)) from None
        function.argtypes, function.restype = arguments, _RESULTS.get(name, c_int)
    _functions.update(functions)


def call(name: str, *args: Any) -> Any:
    """Call a function; OSError with what it was called by, where it returns an errno."""
    load()
    result = _functions[name](*args)
    if name not in _RESULTS and result < 0:
        raise OSError(-result, f"{name}: {posix.strerror(-result)}")
    return result


def made(name: str, *args: Any) -> c_void_p:
    """What a function makes that puts it where its first pointer of that kind says.

    args: with None in the place of that pointer.
    """
    new = c_void_p()
    call(name, *(byref(new) if arg is None else arg for arg in args))
    return new


def release(message: c_void_p) -> None:
    call("sd_bus_message_unref", message)


def close(bus: c_void_p) -> None:
    """Close a connection, what has not been sent yet is lost."""
    call("sd_bus_close_unref", bus)


# --- values into a message ---


def append(message: c_void_p, signature: str, values: Any) -> None:
    """Append values, one for each complete type of the signature.

    ValueError: a value is none of its type, or there are more or fewer of them.
    """
    types = list(complete_types(signature))
    if len(types) != len(values):
        raise ValueError(f"{len(values)} values for the D-Bus signature {signature!r}")
    for kind, value in zip(types, values):
        _append(message, kind, value)


def _append(message: c_void_p, kind: str, value: Any) -> None:
    if kind in _NUMBERS or kind in _TEXTS:
        call("sd_bus_message_append_basic", message, kind.encode(), _basic(kind, value))
    elif kind == "ay":
        if not isinstance(value, bytes):
            raise ValueError(f"not bytes: {value!r}")
        call("sd_bus_message_append_array", message, b"y", value, len(value))
    elif kind == "v":
        _container(message, b"v", value[0], (value[1],))
    elif kind[0] == "a":
        if isinstance(value, (str, bytes)):
            raise ValueError(f"not a list: {value!r}")
        items = list(value.items() if isinstance(value, dict) else value)
        _container(message, b"a", kind[1:], items, kind[1:] * len(items))
    else:
        _container(message, b"r" if kind[0] == "(" else b"e", kind[1:-1], value)


def _container(
    message: c_void_p, code: bytes, contents: str, values: Any, types: str | None = None
) -> None:
    call("sd_bus_message_open_container", message, code, contents.encode())
    append(message, contents if types is None else types, values)
    call("sd_bus_message_close_container", message)


def _basic(kind: str, value: Any) -> bytes:
    """A value in memory, as sd_bus_message_append_basic(3) reads it."""
    try:
        if kind in _TEXTS:
            encoded: bytes = value.encode()
            if b"\0" not in encoded:
                return encoded
        elif isinstance(value, bool) == (kind == "b"):
            return struct.pack(_NUMBERS[kind], value)
    except (AttributeError, UnicodeEncodeError, struct.error):
        pass
    raise ValueError(f"not a value of the D-Bus type {kind!r}: {value!r}")


def complete_types(signature: str) -> Iterator[str]:
    """The types that a signature is made of; ValueError when it is malformed."""
    start = 0
    while start < len(signature):
        end = _end(signature, start)
        yield signature[start:end]
        start = end


def _end(signature: str, start: int) -> int:
    """Where the complete type ends that begins there."""
    code = signature[start : start + 1]
    if code and (code in _NUMBERS or code in _TEXTS or code == "v"):
        return start + 1
    if code == "a":
        return _end(signature, start + 1)
    closing = _CLOSING.get(code)
    at = start + 1
    while closing and at < len(signature):
        if signature[at] == closing and at > start + 1:
            return at + 1
        at = _end(signature, at)
    raise ValueError(f"malformed D-Bus signature: {signature!r}")


# --- values out of a message ---


def read(message: c_void_p) -> list[Any]:
    """The values that are left in a message, or in the container that was entered last."""
    found: list[Any] = []
    while True:
        code, contents = create_string_buffer(1), c_char_p()
        if not call("sd_bus_message_peek_type", message, code, byref(contents)):
            return found
        kind = code.raw.decode()
        if kind in _NUMBERS or kind in _TEXTS:
            found.append(_read_basic(message, kind))
        elif kind == "a" and contents.value == b"y":
            found.append(_read_bytes(message))
        else:
            inside = bytes(contents.value or b"")  # a copy: it is the message's
            call("sd_bus_message_enter_container", message, code.raw, inside)
            found.append(_shaped(kind, inside, read(message)))
            call("sd_bus_message_exit_container", message)


def _shaped(kind: str, contents: bytes, values: list[Any]) -> Any:
    if kind == "v":
        return values[0]
    if kind == "a":
        return dict(values) if contents.startswith(b"{") else values
    return tuple(values)


def _read_basic(message: c_void_p, kind: str) -> Any:
    """A descriptor is a copy, which belongs to the caller."""
    if kind in _TEXTS:
        text = c_char_p()
        call("sd_bus_message_read_basic", message, kind.encode(), byref(text))
        return (text.value or b"").decode("utf-8", "surrogateescape")
    code = _NUMBERS[kind]
    buffer = create_string_buffer(struct.calcsize(code))
    call("sd_bus_message_read_basic", message, kind.encode(), buffer)
    value = struct.unpack(code, buffer.raw)[0]
    if kind == "h":
        return posix.dup(value)
    return bool(value) if kind == "b" else value


def _read_bytes(message: c_void_p) -> bytes:
    data, size = c_void_p(), c_size_t()
    call("sd_bus_message_read_array", message, b"y", byref(data), byref(size))
    if not size.value:
        return b""
    return bytes((c_char * size.value).from_address(data.value).raw)  # type: ignore[arg-type]


def error_of(message: c_void_p) -> tuple[str, str]:
    """The name of the error that a message of type METHOD_ERROR is, and what it says."""
    error = call("sd_bus_message_get_error", message)[0]
    return _decoded(error.name), _decoded(error.message)


def header(message: c_void_p, field: str) -> str:
    """A field of its header: sender, path, interface, member; "" where it has none."""
    return _decoded(call(f"sd_bus_message_get_{field}", message))


def kind_of(message: c_void_p) -> int:
    """METHOD_RETURN, SIGNAL, ..."""
    code = create_string_buffer(1)
    call("sd_bus_message_get_type", message, code)
    return code.raw[0]


def reply_to(message: c_void_p) -> int:
    """The cookie of the message that it replies to; 0 where it is no reply."""
    cookie = c_uint64()
    try:
        call("sd_bus_message_get_reply_cookie", message, byref(cookie))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
    return cookie.value


def _decoded(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "replace")
