"""Config as XML: one canonical text, and what differs between two, path by path.

Without the device's YANG nobody knows which elements are lists. So an element is taken for an
entry of a list when it stands beside one of its own name, in any of the documents compared; it is
then named by its first leaf, which is a key (RFC 7950 7.8.5), or by its value (a leaf-list).

A path is `/{namespace}system/ntp/server[name="a"]/udp/address`: the namespace where it changes.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from pdsno.execution.drivers.interface import Difference

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
OPERATION = f"{{{BASE}}}operation"
Element = Any  # lxml has no types
_PREFIXED = re.compile(r"([A-Za-z_][\w.-]*):")
_STEP = re.compile(r'/(?P<name>(?:\{[^}]*\})?[^\[/{}]+)(?P<entry>\[[^="\]]+="(?:[^"\\]|\\.)*"\])?')


def read(text: str) -> Element:
    """Parse a document; ValueError says what is wrong. No DTD, no entity, no network."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not XML: {error.msg}") from error
    if root.getroottree().docinfo.doctype:
        raise ValueError("a document type is not taken")
    return root


def write(config: Element) -> str:
    """Write what is below `config` so that the same config is always the same text.

    Top elements are in the order of their names, since devices load their modules in any; empty
    ones are left out, since containers come and go. Below, a device keeps the order of its model.
    """
    lines = [f'<config xmlns="{BASE}">']
    for top in sorted(config, key=lambda one: (etree.QName(one).localname, one.tag)):
        if len(top) or (top.text or "").strip():
            lines += _lines(top, " ", BASE)
    return "\n".join([*lines, "</config>", ""])


def _lines(element: Element, indent: str, inherited: str) -> Iterator[str]:
    name = etree.QName(element)
    namespace = name.namespace or ""
    tag = name.localname
    if namespace != inherited:
        tag += f" xmlns={quoteattr(namespace)}"
    text = "" if len(element) else element.text or ""
    text = text if text.strip() else ""  # some devices break lines in an empty container
    prefixed = _PREFIXED.match(text)
    if prefixed and prefixed[1] in element.nsmap:  # an identity: the prefix is part of the value
        tag += f" xmlns:{prefixed[1]}={quoteattr(element.nsmap[prefixed[1]])}"
    if not len(element):
        yield f"{indent}<{tag}>{escape(text)}</{name.localname}>" if text else f"{indent}<{tag}/>"
        return
    yield f"{indent}<{tag}>"
    for child in element:
        yield from _lines(child, indent + " ", namespace)
    yield f"{indent}</{name.localname}>"


def diff(before: Element, after: Element) -> tuple[Difference, ...]:
    """Tell which leaves differ; where a path occurs several times, its values together."""
    entries = repeated(before) | repeated(after)
    old, new = flat(before, entries), flat(after, entries)
    return tuple(
        Difference(path=path, before=old.get(path), after=new.get(path))
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    )


def repeated(config: Element) -> frozenset[str]:
    """Name the paths, without entries, of elements that stand beside one of their name."""
    found: set[str] = set()

    def walk(element: Element, path: str) -> None:
        tags = [child.tag for child in element]
        for child in element:
            below = path + _step(child, element)
            if tags.count(child.tag) > 1:
                found.add(below)
            walk(child, below)

    walk(config, "")
    return frozenset(found)


def flat(config: Element, entries: frozenset[str]) -> dict[str, str]:
    """Give the value of each leaf by its path; an empty leaf is the empty text."""
    found: dict[str, str] = {}
    for path, element in _walk(config, entries):
        if not len(element):
            text = element.text or ""
            found[path] = f"{found[path]}\n{text}" if path in found else text
    return found


def entries_of(paths: Iterable[str]) -> frozenset[str]:
    """Name the lists that paths have entries of, as `repeated` does."""
    found = set()
    for path in paths:
        plain = ""
        for step in _STEP.finditer(path):
            plain += f"/{step['name']}"
            if step["entry"]:
                found.add(plain)
    return frozenset(found)


def touched(config: Element) -> tuple[str, ...]:
    """Name the leaves, and whatever carries an operation, of a payload: what a policy matches."""
    walked = _walk(config, frozenset())
    found = [path for path, one in walked if not len(one) or OPERATION in one.attrib]
    return tuple(dict.fromkeys(found))


def estimate(before: Element, edit: Element, default_operation: str) -> tuple[Difference, ...]:
    """Guess, without the device's YANG, what an edit changes."""
    entries = repeated(before) | repeated(edit)
    old, new = flat(before, entries), flat(edit, entries)
    operations = _operations(edit, entries)
    gone = [path for path, one in operations.items() if one in {"delete", "remove"}]
    cleared = gone + [path for path, one in operations.items() if one == "replace"]
    if default_operation == "replace":
        cleared.append("")
    wanted: dict[str, str | None] = {path: None for path in old if _below(path, cleared)}
    wanted |= {path: text for path, text in new.items() if not _below(path, gone)}
    return tuple(
        Difference(path=path, before=old.get(path), after=text)
        for path, text in wanted.items()
        if old.get(path) != text
    )


def _operations(edit: Element, entries: frozenset[str]) -> dict[str, str]:
    walked = _walk(edit, entries)
    return {path: one.get(OPERATION) for path, one in walked if one.get(OPERATION)}


def _walk(
    element: Element, entries: frozenset[str], path: str = "", plain: str = ""
) -> Iterator[tuple[str, Element]]:
    """Give every element below one with its path."""
    for child in element:
        step = _step(child, element)
        below = path + step + (_entry(child) if plain + step in entries else "")
        yield below, child
        yield from _walk(child, entries, below, plain + step)


def _below(path: str, prefixes: Iterable[str]) -> bool:
    return any(not one or path == one or path.startswith(f"{one}/") for one in prefixes)


def restoring(before: Element, now: Element) -> Element:
    """Make the config of an edit that brings `now` back to `before`, top element by top element."""
    edit = etree.Element(f"{{{BASE}}}config", nsmap={None: BASE, "nc": BASE})
    old, new = ({top.tag: top for top in config} for config in (before, now))
    for tag in dict.fromkeys([*old, *new]):
        if tag in old and (tag not in new or _text(old[tag]) != _text(new[tag])):
            copy = read(_text(old[tag]))
            copy.set(OPERATION, "replace")
            edit.append(copy)
        elif tag not in old:
            edit.append(etree.Element(tag, {OPERATION: "remove"}))
    return edit


def inside(config: Element) -> str:
    """Write what is below `config` as it may stand in an edit, with its operations."""
    return "".join(etree.tostring(top, encoding="unicode") for top in config)


def top(path: str) -> str:
    """Give the top element that a path is in."""
    step = _STEP.match(path)
    return f"/{step['name']}" if step else path


def _text(element: Element) -> str:
    return "\n".join(_lines(element, "", ""))


def _step(child: Element, parent: Element) -> str:
    name = etree.QName(child)
    if name.namespace == etree.QName(parent).namespace:
        return f"/{name.localname}"
    return f"/{child.tag}"


def _entry(element: Element) -> str:
    if not len(element):
        return f"[.={json.dumps(element.text or '')}]"
    key = element[0]
    if len(key):
        return ""
    return f"[{etree.QName(key).localname}={json.dumps(key.text or '')}]"
