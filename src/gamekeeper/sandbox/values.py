"""A claimed value as text that keeps Python's types apart, written by the case and read with suspicion by the caller.

JSON, with one-key objects for what JSON cannot tell: a tuple from a list, nan, big ints. pickle and marshal would let a
claim run code in its reader or crash it. Only exact built-in types pass: a subclass of int with a lying `__eq__` cannot
be written, so the caller never compares with one.

Standard library only, and no import of the package: the fork server imports this file on its own. No `json` in the
writing half: every module in the server makes each fork dearer.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SMALL = 1 << 53
_DEPTH = 64
_COLLISIONS = 50
_MARKS = {tuple: "t", set: "s", frozenset: "z"}


class Unwritable(ValueError):
    """A value, or a part of it, that is not of a plain built-in type; the message is the type's name."""


def write(value: Any, depth: int = _DEPTH) -> str:
    """The text of a value; Unwritable if any part is of another type or nested deeper than 64."""
    kind = type(value)
    if kind is int:
        # Decimal digits of huge ints are quadratic to parse and refused above 4,300; hexadecimal is neither.
        return repr(value) if -_SMALL < value < _SMALL else f'{{"i":"{value:x}"}}'
    if value is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if kind is str:
        return write_text(value)
    if kind is float:
        return repr(value) if value - value == 0 else f'{{"f":"{value!r}"}}'
    if kind is bytes:
        return f'{{"b":"{value.hex()}"}}'
    return _write_many(kind, value, depth)


def write_text(text: str) -> str:
    """A string: as it is where that is safe in JSON, else as hexadecimal UTF-8."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'{{"u":"{text.encode("utf-8", "surrogatepass").hex()}"}}'


def _write_many(kind: type, value: Any, depth: int) -> str:
    if depth == 0:
        raise Unwritable("too deep")
    if kind is list:
        return "[" + ",".join([write(v, depth - 1) for v in value]) + "]"
    if kind is dict:
        pairs = [f"[{write(k, depth - 1)},{write(v, depth - 1)}]" for k, v in value.items()]
        return '{"d":[' + ",".join(pairs) + "]}"
    if kind in _MARKS:
        return f'{{"{_MARKS[kind]}":[' + ",".join([write(v, depth - 1) for v in value]) + "]}"
    raise Unwritable(str(kind.__name__)[:80])


def read(data: Any, most_parts: float = float("inf")) -> Any:
    """The value behind parsed JSON that `write` made; ValueError on anything else, and on more parts than wanted: an
    empty list is three bytes to claim and eighty to hold."""
    if type(data) in (list, dict):
        _count(data, most_parts)
    return _read(data, _DEPTH)


def _count(data: Any, most: float) -> None:
    """Before any value is made. Without recursion: how deep it goes is not known yet."""
    left, parts = [data], 0
    while left:
        inner = left.pop()
        if type(inner) is list:
            parts += len(inner)
            left += [part for part in inner if type(part) in (list, dict)]
        elif type(inner) is dict:
            parts += len(inner)
            left += inner.values()
        if parts > most:
            raise ValueError("too many parts")


def _read(data: Any, depth: int) -> Any:
    if type(data) is list:
        return _many(data, depth)
    if type(data) is not dict:
        return data
    if len(data) != 1:
        raise ValueError("not a written value")
    ((mark, body),) = data.items()
    try:
        return _READERS[mark](body, depth)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a written value: {error}") from None


def _deeper(depth: int) -> int:
    """Deeper claims than are ever written could exhaust the stack of whoever compares them."""
    if depth <= 0:
        raise ValueError("nested too deep")
    return depth - 1


def _spread(items: list[Any]) -> list[Any]:
    """The items, unless their hashes were chosen to collide: a set of such would take hours to build."""
    if len(items) - len(set(map(hash, items))) > _COLLISIONS:
        raise ValueError("too many equal hashes")
    return items


def _many(body: Any, depth: int) -> list[Any]:
    inner = _deeper(depth)  # also of what is empty: it is as deep when it is written again
    return [_read(v, inner) for v in body]


def _read_dict(body: Any, depth: int) -> dict[Any, Any]:
    inner = _deeper(depth)
    pairs = [(_read(k, inner), _read(v, inner)) for k, v in body]
    _spread([k for k, _ in pairs])
    return dict(pairs)


def _read_special_float(body: str) -> float:
    if body not in ("nan", "inf", "-inf"):
        raise ValueError("not a written float")
    return float(body)


_READERS: dict[str, Any] = {
    "i": lambda body, _: int(body, 16),
    "f": lambda body, _: _read_special_float(body),
    "b": lambda body, _: bytes.fromhex(body),
    "u": lambda body, _: bytes.fromhex(body).decode("utf-8", "surrogatepass"),
    "t": lambda body, depth: tuple(_many(body, depth)),
    "s": lambda body, depth: set(_spread(_many(body, depth))),
    "z": lambda body, depth: frozenset(_spread(_many(body, depth))),
    "d": _read_dict,
}
