"""Patches: what changes a resource without sending it whole (R4 http.html §3.1.0.6). Pure.

Two forms: JSON Patch (RFC 6902, here) and FHIRPath Patch (R4 fhirpatch.html, `fhirpath_patch`). Either is read into
one `Change`: resource in, changed resource out. Numbers keep their digits. What cannot be applied is refused with
the number of its operation, counted from 0; the whole patch is applied or none of it.

A patch is small, what it makes may not be: a `copy` doubles. So what all operations put in is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from phr.fhir.outcome import Problem
from phr.records import body

Change = Callable[[dict[str, Any]], dict[str, Any]]
MOST_OPERATIONS = 500
MOST_BYTES = 1024 * 1024  # put in by all operations together
JSON_PATCH = "application/json-patch+json"
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_NEEDS = {
    "add": ("path", "value"), "remove": ("path",), "replace": ("path", "value"), "move": ("from", "path"),
    "copy": ("from", "path"), "test": ("path", "value"),
}  # fmt: skip
Tokens = tuple[str, ...]


class Purse:
    """What the operations of one patch may still put in."""

    def __init__(self) -> None:
        self.left = MOST_BYTES

    def copied(self, value: Any, depth: int, place: str) -> Any:
        """A copy to be put in at a depth. Raises Problem (413), naming the limit."""
        self.left -= len(body.write({"": value}))
        if self.left < 0:
            text = f"パッチが書き込めるのは {MOST_BYTES} バイトまでです。A patch may put in at most {MOST_BYTES} bytes."
            raise Problem(413, "too-long", text, place)
        if depth + body.depth(value) > body.MAX_DEPTH:
            text = f"入れ子は {body.MAX_DEPTH} 段までです。Nested deeper than {body.MAX_DEPTH} levels."
            raise Problem(413, "too-long", text, place)
        return copied(value)


def copied(value: Any) -> Any:
    """A copy of containers; what they hold cannot be changed, and numbers stay as they were written."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def limited(operations: Sequence[Any]) -> None:
    """Raises Problem (413) for more operations than are taken."""
    if len(operations) > MOST_OPERATIONS:
        text = f"操作は {MOST_OPERATIONS} 個までです。At most {MOST_OPERATIONS} operations are taken."
        raise Problem(413, "too-long", text)


# -- JSON Patch ------------------------------------------------------------------------------------


def json_patch(operations: Sequence[Any]) -> Change:
    """Read a JSON Patch. Raises Problem: 400 where it is none, 413 over a limit; applied, 422 where it does not fit."""
    limited(operations)
    steps = [_read(number, operation) for number, operation in enumerate(operations)]

    def change(resource: dict[str, Any]) -> dict[str, Any]:
        patched = _Patched(resource)
        for number, (name, path, source, value) in enumerate(steps):
            patched.apply(number, name, path, source, value)
        return patched.finished()

    return change


def _read(number: int, operation: Any) -> tuple[str, Tokens, Tokens, Any]:
    place = _place(number)
    name = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(name, str) or name not in _NEEDS:
        text = f"操作 {number}: op は {', '.join(_NEEDS)} です。Operation {number}: unknown op."
        raise Problem(400, "structure", text, place)
    for member in _NEEDS[name]:
        if member not in operation:
            raise Problem(400, "required", f"操作 {number}: {member} がありません。{member} is missing.", place)
    return (
        name, _tokens(number, operation["path"]), _tokens(number, operation.get("from", "")), operation.get("value"),
    )  # fmt: skip


def _tokens(number: int, pointer: Any) -> Tokens:
    """A JSON Pointer (RFC 6901) as its reference tokens."""
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/") or re.search("~(?![01])", pointer):
        text = f"操作 {number}: JSON Pointer ではありません。Operation {number}: not a JSON Pointer."
        raise Problem(400, "value", text, _place(number))
    parts = pointer.split("/")[1:]
    if len(parts) > body.MAX_DEPTH:
        text = f"操作 {number}: 入れ子は {body.MAX_DEPTH} 段までです。Deeper than {body.MAX_DEPTH} levels."
        raise Problem(400, "too-long", text, _place(number))
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _place(number: int) -> str:
    return f"patch[{number}]"


class _Unfit(Exception):
    """An operation that this resource does not take."""


class _Patched:
    """A resource under a JSON Patch."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self.root: Any = resource
        self.purse = Purse()
        self.emptied: list[Tokens] = []  # where something was taken away

    def apply(self, number: int, name: str, path: Tokens, source: Tokens, value: Any) -> None:
        try:
            match name:
                case "test":
                    if not same(self.at(path), value):
                        raise _Unfit("値が違います。The value is another one.")
                case "remove":
                    self.remove(path)
                case "move":
                    if path[: len(source)] == source and path != source:
                        raise _Unfit("自分の中へは動かせません。Nothing moves into itself.")
                    self.add(path, self.remove(source))
                case "copy":
                    self.add(path, self.purse.copied(self.at(source), len(path), _place(number)))
                case "add":
                    self.add(path, self.purse.copied(value, len(path), _place(number)))
                case "replace":
                    self.at(path)
                    self.put(path, self.purse.copied(value, len(path), _place(number)))
        except _Unfit as error:
            text = f"操作 {number} ({name}): {error} Operation {number} does not apply."
            raise Problem(422, "processing", text, _place(number)) from None

    def at(self, path: Tokens) -> Any:
        node = self.root
        for token in path:
            node = node[_key(node, token)]
        return node

    def add(self, path: Tokens, value: Any) -> None:
        owner = self.at(path[:-1]) if path else None
        if isinstance(owner, list):
            owner.insert(len(owner) if path[-1] == "-" else _index(path[-1], len(owner) + 1), value)
        elif isinstance(owner, dict):
            owner[path[-1]] = value
        elif path:
            raise _Unfit("そこには入れられません。Nothing can be put there.")
        else:
            self.root = value

    def put(self, path: Tokens, value: Any) -> None:
        if path:
            owner = self.at(path[:-1])
            owner[_key(owner, path[-1])] = value
        else:
            self.root = value

    def remove(self, path: Tokens) -> Any:
        if not path:
            raise _Unfit("全体は消せません。The whole resource cannot be removed.")
        owner = self.at(path[:-1])
        key = _key(owner, path[-1])
        self.emptied.append(path[:-1])
        return owner.pop(key)

    def finished(self) -> dict[str, Any]:
        """Without the lists and objects that operations have emptied: FHIR has none (R4 json.html §2.6.2)."""
        for path in sorted(self.emptied, key=len, reverse=True):
            for length in range(len(path), 0, -1):
                try:
                    if self.at(path[:length]) not in ([], {}):
                        break
                    self.remove(path[:length])
                except _Unfit:
                    break
        if not isinstance(self.root, dict):
            raise Problem(422, "processing", "結果が資源ではありません。The result is no resource.")
        return self.root


def _key(owner: Any, token: str) -> Any:
    """The key or index of something that is there."""
    if isinstance(owner, list):
        return _index(token, len(owner))
    if isinstance(owner, dict) and token in owner:
        return token
    raise _Unfit("その場所がありません。There is no such place.")


def _index(token: str, length: int) -> int:
    if not _INDEX.fullmatch(token) or int(token) >= length:
        raise _Unfit("その場所がありません。There is no such place.")
    return int(token)


def same(one: Any, other: Any) -> bool:
    """Equality of RFC 6902 §4.6: numbers by value, and a truth value is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)):
        return one == other
    return type(one) is type(other) and bool(one == other)
