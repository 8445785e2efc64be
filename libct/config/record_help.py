"""What help() and inspect.signature() say of records: their fields, with types and a line each.

The line of a field is the comment that its declaration has in the source.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inspect import Signature

    from .record import RecordType


def signature(record: RecordType) -> Signature:
    """The constructor's: a parameter for each field, a required one without a default."""
    from inspect import Parameter, Signature

    parameters = [
        Parameter(
            name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if name in record._required else default,
            annotation=record.__annotations__[name],
        )
        for name, default in record._fields.items()
    ]
    # Those that are required come first, whatever their order in the class.
    parameters.sort(key=lambda one: one.default is not Parameter.empty)
    return Signature(parameters)


def description(record: RecordType) -> str:
    """The docstring of the class, and below it its fields."""
    text: str = record.__dict__.get("__doc__") or ""
    if not record._fields:
        return text
    comments = _comments(record)
    lines = []
    for name, default in record._fields.items():
        line = f"{name}: {record.__annotations__[name]}"
        if name not in record._required:
            line += f" = {default!r}"
        lines.append(f"    {line}" + (f"  # {comments[name]}" if name in comments else ""))
    return "\n".join([text.rstrip(), "", "    Fields:", "", *lines]).lstrip("\n")


def _comments(record: RecordType) -> dict[str, str]:
    """Field -> comment behind its declaration; none where there is no source."""
    import inspect
    import io
    import tokenize

    try:
        source = inspect.cleandoc("\n" + inspect.getsource(record))
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (OSError, TypeError, tokenize.TokenError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    field, first = "", True
    for token in tokens:
        if token.type == tokenize.NAME and first and token.string in record._fields:
            field = token.string
        elif token.type == tokenize.COMMENT and field:
            found[field] = token.string.lstrip("# ")
        if token.type == tokenize.NEWLINE:
            field = ""
        if token.type not in (tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.NL):
            first = token.type == tokenize.NEWLINE
    return found
