"""GVariant's text form, that annotations give properties of units in.

    org.systemd.property.KillSignal: "9"
    org.systemd.property.TimeoutStopSec: "uint64 3"
    org.systemd.property.Documentation: "['man:libct(1)']"

A number without a type is an int32, as GLib has it.  There is as much of the form as
properties need: numbers, booleans, strings, object paths, bytes, arrays and tuples.

Source: GLib's "GVariant Text Format".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A signature of D-Bus, and a value of that type.
    Typed = tuple[str, object]

_TYPES = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
_RANGES = {
    "y": (0, 0xFF),
    "n": (-0x8000, 0x7FFF),
    "q": (0, 0xFFFF),
    "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "x": (-(1 << 63), (1 << 63) - 1),
    "t": (0, (1 << 64) - 1),
}
_QUOTES = "'\""
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HEX = {"u": 4, "U": 8}  # digits after \u and \U
_STRINGS = "sog"
_DEEPEST = 16
_SECOND = 1000000  # microseconds


def parse(text: str) -> Typed:
    """The type and the value; ValueError with what is wrong."""
    reader = _Reader(text)
    found = reader.value("")
    if reader.next_word():
        raise reader.wrong("there is more after the value")
    return found


def property_of(name: str, text: str) -> tuple[str, str, object]:
    """A property for an annotation.  Seconds, ...Sec, are ...USec for systemd's bus."""
    signature, value = parse(text)
    if name.endswith("Sec") and name[-4:-3].islower():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value * _SECOND < _RANGES["t"][1]:  # type: ignore[operator]
            raise ValueError(f"not a number of seconds: {text!r}")
        return f"{name[:-3]}USec", "t", int(value * _SECOND)  # type: ignore[operator]
    return name, signature, value


class _Reader:
    """Reads one value after the other, from the front."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{what}, in {self._text!r}")

    def value(self, wanted: str) -> Typed:
        """wanted: its type, where that is known, and else ""."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.wrong("too many levels")
        word = self.next_word()
        if word == "@":
            self._at += 1
            start = self._at
            while self._peek() not in ("", " "):
                self._at += 1
            wanted = self._text[start : self._at]
            found = self.value(wanted)
        elif word == "[":
            found = self._array(wanted)
        elif word == "(":
            found = self._tuple(wanted)
        elif word in ("'", '"'):
            found = self._is(wanted, "s", self._string(), _STRINGS)
        elif word == "b" and self._text[self._at + 1 : self._at + 2] in ("'", '"'):
            self._at += 1
            # A string of bytes ends with a NUL.
            found = self._is(wanted, "ay", self._string().encode("latin-1", "replace") + b"\0")
        else:
            found = self._word(wanted)
        self._depth -= 1
        return found

    def _word(self, wanted: str) -> Typed:
        start = self._at
        while self._peek() not in ("", " ", ",", "]", ")"):
            self._at += 1
        word = self._text[start : self._at]
        if word in _TYPES:
            return self.value(_TYPES[word])
        if word in ("true", "false"):
            return self._is(wanted, "b", word == "true")
        return self._number(wanted, word)

    def _number(self, wanted: str, word: str) -> Typed:
        try:
            if wanted == "d" or (not wanted and "." in word):
                return self._is(wanted, "d", float(word))
            number = int(word, 16 if "x" in word.lower() else 10)
        except ValueError:
            raise self.wrong(f"not a value: {word!r}" if word else "there is no value") from None
        signature = wanted or "i"
        if signature not in _RANGES:
            raise self.wrong(f"a number is not of the type {signature!r}")
        low, high = _RANGES[signature]
        if not low <= number <= high:
            raise self.wrong(f"{number} is out of the range of its type")
        return signature, number

    def _array(self, wanted: str) -> Typed:
        if wanted and not wanted.startswith("a"):
            raise self.wrong(f"an array is not of the type {wanted!r}")
        kind, values = wanted[1:], []
        for signature, value in self._elements("]", kind):
            kind = kind or signature
            if kind != signature:
                raise self.wrong("the elements of an array are not of one type")
            values.append(value)
        if not kind:
            raise self.wrong("an empty array needs a type, like @as []")
        if kind == "y":
            return "ay", bytes(values)  # type: ignore[arg-type]  # numbers, by their type
        return f"a{kind}", tuple(values)

    def _tuple(self, wanted: str) -> Typed:
        found = list(self._elements(")", ""))
        signature = f"({''.join(kind for kind, _ in found)})"
        return self._is(wanted, signature, tuple(value for _, value in found))

    def _elements(self, end: str, kind: str) -> list[Typed]:
        self._at += 1
        found: list[Typed] = []
        while self.next_word() != end:
            if found:
                if self._peek() != ",":
                    raise self.wrong(f"no comma and no {end!r} after an element")
                self._at += 1
                if self.next_word() == end:
                    break
            found.append(self.value(kind or (found[0][0] if found and end == "]" else "")))
        self._at += 1
        return found

    def _string(self) -> str:
        quote = self._peek()
        self._at += 1
        found = []
        while (letter := self._peek()) != quote:
            self._at += 1
            if letter == "\\":
                letter = self._escaped()
            if not letter:
                raise self.wrong("a string without an end")
            found.append(letter)
        self._at += 1
        return "".join(found)

    def _escaped(self) -> str:
        letter = self._peek()
        self._at += 1
        if letter not in _HEX:
            return _ESCAPES.get(letter, letter)
        digits = self._text[self._at : self._at + _HEX[letter]]
        self._at += _HEX[letter]
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise self.wrong(f"not the number of a letter: {digits!r}") from None

    def _is(self, wanted: str, signature: str, value: object, others: str = "") -> Typed:
        if wanted and wanted != signature and wanted not in others:
            raise self.wrong(f"a value of the type {signature!r}, and not {wanted!r}")
        return wanted or signature, value

    def next_word(self) -> str:
        """The letter that the next word begins with; "" at the end."""
        while self._peek() == " ":
            self._at += 1
        return self._peek()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]
