"""Reading documents strictly: from a path or a dict, to checked objects, with errors that name
the path.

A document is JSON (or YAML, where a person writes by hand) with a `format` field. Unknown fields,
missing fields, values of the wrong type, NaN, infinities, negatives and repeated keys are errors.
"""

from __future__ import annotations

import contextlib
import json
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from trunkline.errors import DocumentError

T = TypeVar("T")

MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
"""A file larger than this is refused before it is read."""

MAX_DEPTH = 64
"""Documents nest no deeper than this."""

MAX_NUMBER = 1e18
"""No quantity here is larger (a quintillion bytes, hertz or seconds)."""

NonNegative = Annotated[float, msgspec.Meta(ge=0, le=MAX_NUMBER)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=MAX_NUMBER)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a document: unknown fields are errors."""


class Raw(dict[str, Any]):
    """A document's content with the file it came from and whether numbers may be text (YAML)."""

    source: str | None = None
    lax_numbers: bool = False


def read(source: str | Path | Mapping[str, Any]) -> Raw:
    """The content of a document: `source` is a path (`.json`, `.yaml`, `.yml`) or a mapping.

    Raises:
        DocumentError: no such file, too large, not JSON or YAML, a repeated key, not an object,
            nested too deep, or a number that is not finite.
    """
    if isinstance(source, Raw):
        return source
    if isinstance(source, Mapping):
        raw = Raw(_plain(source))
    else:
        given: Any = source
        if not isinstance(given, (str, Path)) or "\0" in str(given):
            raise DocumentError("$", f"expected a path or a dict, got {given!r:.80}")
        path = Path(given)
        is_yaml = path.suffix.lower() in (".yaml", ".yml")
        content = _parse(_text(path), str(path), is_yaml)
        if not isinstance(content, dict):
            kind = "null" if content is None else type(content).__name__
            raise DocumentError("$", f"expected an object, got {kind}", str(path))
        raw = Raw(content)
        raw.source, raw.lax_numbers = str(path), is_yaml
    for place, problem in _unusable(dict(raw), "$", 0):
        raise DocumentError(place, problem, raw.source)
    return raw


def decode(raw: Raw, schema: type[T]) -> T:
    """`raw` as an object of a `schema`; DocumentError (with the path) if it does not fit."""
    try:
        return msgspec.convert(dict(raw), schema, strict=not raw.lax_numbers)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `")
        path = place.rstrip("`") or "$"
        if path.startswith("key in "):
            path = path.removeprefix("key in ").strip("`")
        raise DocumentError(path, _with_value(raw, path, problem), raw.source) from None


def require_format(raw: Raw, *wanted: str) -> str:
    """The format of a document; refuse one of another format than those wanted (DocumentError)."""
    found = raw.get("format")
    expected = " or ".join(map(repr, wanted))
    if found is None:
        raise DocumentError("$.format", f"missing; expected {expected}", raw.source)
    if found not in wanted:
        raise DocumentError("$.format", f"expected {expected}, got {found!r:.80}", raw.source)
    return str(found)


def amounts(values: Mapping[str, Any], path: str, raw: Raw, what: str) -> dict[str, float]:
    """Numbers from 0 to `MAX_NUMBER` by id, as `$.blocks` has them.

    Args:
        path: of the object in the document.
        what: one of the numbers is, with its article: "a size in bytes".

    Raises:
        DocumentError: naming the id whose value is no such number.
    """
    found: dict[str, float] = {}
    for key, value in values.items():
        if raw.lax_numbers and isinstance(value, str):  # YAML 1.1 reads 1e6 as text
            with contextlib.suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problem = f"expected {what}, got {value!r:.60}"
            raise DocumentError(member(path, key), problem, raw.source)
        if not 0 <= value <= MAX_NUMBER:
            problem = f"{what} must be between 0 and {MAX_NUMBER:g}, got {value!r:.60}"
            raise DocumentError(member(path, key), problem, raw.source)
        found[key] = value
    return found


def check_ids(ids: Iterable[str], path: str, raw: Raw) -> None:
    """Refuse two entries of a list with one id (DocumentError)."""
    first: dict[str, int] = {}
    for index, one in enumerate(ids):
        if one in first:
            problem = f"the id {one!r} is already that of {path}[{first[one]}]"
            raise DocumentError(f"{path}[{index}].id", problem, raw.source)
        first[one] = index


def _with_value(raw: Raw, path: str, problem: str) -> str:
    """The problem with the value that caused it, where the path leads to a plain one."""
    value: Any = raw
    try:
        for step in path.removeprefix("$").replace("[", ".[").split(".")[1:]:
            value = value[int(step[1:-1])] if step.startswith("[") else value[step]
    except (KeyError, IndexError, ValueError, TypeError):
        return problem
    if isinstance(value, (str, int, float)) and "got" not in problem:
        return f"{problem}, got {value!r:.60}"
    return problem


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_DOCUMENT_BYTES:
            limit = f"at most {MAX_DOCUMENT_BYTES} bytes are read"
            raise DocumentError("$", f"the file has {size} bytes; {limit}", str(path))
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DocumentError("$", f"cannot be read: {error.strerror}", str(path)) from None
    except UnicodeDecodeError as error:
        raise DocumentError("$", f"not UTF-8 at byte {error.start}", str(path)) from None


def _parse(text: str, name: str, is_yaml: bool) -> Any:
    if is_yaml:
        return _parse_yaml(text, name)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise DocumentError("$", f"the key {key!r} stands twice in one object", name)
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except DocumentError:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise DocumentError("$", f"not JSON: {error.msg} at {where}", name) from None
    except RecursionError:
        raise DocumentError("$", f"nested deeper than {MAX_DEPTH} levels", name) from None
    except ValueError as error:  # an integer of thousands of digits
        raise DocumentError("$", f"not JSON: {error}", name) from None


def _parse_yaml(text: str, name: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """SafeLoader that refuses repeated keys and aliases (which make small files large)."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise DocumentError("$", "YAML aliases are not read", name)
            return super().compose_node(parent, index)

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if key in found:
                raise DocumentError("$", f"the key {key!r} stands twice in one object", name)
            found[key] = loader.construct_object(value_node, deep=True)
        return found

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except DocumentError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "cannot be parsed"
        raise DocumentError("$", f"not YAML: {reason}{where}", name) from None
    except RecursionError:
        raise DocumentError("$", f"nested deeper than {MAX_DEPTH} levels", name) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # PyYAML lets them through
        raise DocumentError("$", f"not YAML: {error}", name) from None


def _plain(value: Any) -> Any:
    """The value with subclasses of the JSON types (NumPy's numbers among them) made plain."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def _unusable(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Where a document holds a number that is not finite, text that is none, or nests too deep."""
    if depth > MAX_DEPTH:
        yield path, f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, f"a number must be finite, got {value!r}"
    elif isinstance(value, int):
        if abs(value) > 2**1000:
            yield path, f"a number must be finite, got an integer of {value.bit_length()} bits"
    elif isinstance(value, str):
        if not _is_text(value):
            yield path, f"half of a surrogate pair is no text: {value!r:.60}"
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not _is_text(key):
                yield path, f"a key must be text, got {key!r:.60}"
            yield from _unusable(item, member(path, str(key)), depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _unusable(item, f"{path}[{index}]", depth + 1)


def _is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8."""
    if value.isascii():
        return True
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def member(path: str, key: str) -> str:
    """The JSON path of a member: `$.a.b`, or `$.a['odd key']` where the key is not plain."""
    return f"{path}.{key}" if key.replace("_", "a").isalnum() else f"{path}[{key!r}]"
