"""A policy as it is written: TOML or YAML in, a checked model out, errors with line and entry."""

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, JsonValue, ValidationError

from pdsno.errors import PolicyError
from pdsno.governance.case import Cases
from pdsno.governance.digest import sha256
from pdsno.governance.policy import Addition, Policy
from pdsno.governance.wish import Wish
from streams.name import GLOBAL

M = TypeVar("M", bound=BaseModel)
Path = Sequence[str | int]
_MAX_BYTES = 200_000  # a version travels whole in one event
_HEADER = re.compile(r"^\s*\[(\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_CHANGE = re.compile(r"^(?:\[\[change\]\]|change\s*[:=])", re.MULTILINE)
_KEY = re.compile(r"^\s*(\"[^\"]+\"|'[^']+'|[A-Za-z0-9_-]+)\s*[=.]")


@cache
def default_policy() -> str:
    """Give the text of the policy of a new network."""
    return (files("pdsno.governance") / "default_policy.toml").read_text()


def parse_policy(text: str, where: str) -> Policy:
    """Read the network's policy; PolicyError names the line, the entry and what is wrong."""
    return _parse(Policy, text, where)


def parse_addition(text: str, where: str) -> Addition:
    """Read what a region adds; PolicyError as for a policy."""
    return _parse(Addition, text, where)


def parse_cases(text: str, where: str) -> Cases:
    """Read cases to try a policy by; PolicyError as for a policy."""
    return _parse(Cases, text, where, "see docs/policy.md for cases that run")


def parse_wish(text: str, where: str) -> Wish:
    """Read a change that somebody wants; PolicyError as for a policy."""
    return _parse(Wish, text, where, "docs/change.md shows a file that can be proposed")


def parse_trial(text: str, where: str) -> Cases | Wish:
    """Read what a policy is tried on: cases, or a change as it could be proposed."""
    return parse_wish(text, where) if _CHANGE.search(text) else parse_cases(text, where)


def parse(text: str, where: str, scope: str) -> Policy | Addition:
    """Read what a scope's document is: the network's policy, or what a region adds."""
    return parse_policy(text, where) if scope == GLOBAL else parse_addition(text, where)


def to_json(document: Policy | Addition) -> dict[str, JsonValue]:
    """Write a document as it travels in the log: what is given, defaults written out."""
    found: dict[str, JsonValue] = document.model_dump(mode="json")
    return found


def document_hash(document: Policy | Addition) -> str:
    """Name a document by its content."""
    return sha256(to_json(document))


def _parse(
    model: type[M],
    text: str,
    where: str,
    hint: str = "pdsno policy show --default prints a policy with a comment on every section",
) -> M:
    if len(text.encode()) > _MAX_BYTES:
        raise PolicyError(f"{where}: more than {_MAX_BYTES:,} bytes do not fit one event")
    is_yaml = where.endswith((".yaml", ".yml"))
    data = _yaml(text, where) if is_yaml else _toml(text, where)
    if not isinstance(data, dict):
        raise PolicyError(f"{where}: not a table of sections", hint=hint)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = [part for part in first["loc"] if part not in {"[key]", "function-after"}]
        line = (_yaml_line if is_yaml else _toml_line)(text, path)
        place = f"{where}:{line}" if line else where
        more = error.error_count() - 1
        raise PolicyError(
            f"{place}: {_named(data, path)}: {first['msg'].removeprefix('Value error, ')}"
            + (f" (and {more} more)" if more else ""),
            hint=hint,
        ) from error


def _toml(text: str, where: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = f"{where}:{line[1]}" if line else where
        raise PolicyError(f"{place}: not TOML: {error}") from error


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        what = getattr(error, "problem", None) or "it cannot be read"
        raise PolicyError(f"{place}: not YAML: {what}") from error


def _named(data: Any, path: Path) -> str:
    """Write where something is wrong as a person would: rule 'system-text', tier."""
    words: list[str] = []
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        if isinstance(part, int):
            name = data.get("name") if isinstance(data, dict) else None
            words[-1:] = [f"{words[-1]} {name!r}" if name else f"{words[-1]} number {part + 1}"]
        else:
            words.append(str(part))
    return ", ".join(words) or "the document"


def _toml_line(text: str, path: Path) -> int | None:
    """Find the line of a path: its key where there is one, else the header it stands under."""
    wanted = [part for part in path if isinstance(part, str)]
    place = [part for part in path if isinstance(part, int)]
    counts: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    best: tuple[int, int] | None = None  # how much of the path it is about, and the line
    for number, line in enumerate(text.splitlines(), start=1):
        found = _HEADER.match(line)
        if found is not None:
            header = tuple(part.strip().strip("\"'") for part in found[2].split("."))
            if found[1]:
                counts[header] = counts.get(header, -1) + 1
            about, known = header, len(header)
        else:
            key = _KEY.match(line)
            if key is None:
                continue
            about, known = (*header, key[1].strip("\"'")), len(header) + 1
        repeated = counts.get(header)
        if tuple(wanted[:known]) != about or (repeated is not None and [repeated] != place[:1]):
            continue
        if best is None or known > best[0]:
            best = (known, number)
    return best[1] if best else None


def _yaml_line(text: str, path: Path) -> int | None:
    """Find the line of a path in the nodes that YAML is made of."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line: int | None = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
