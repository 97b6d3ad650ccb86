"""Config as lines in contexts: a line belongs to the last one above it that is indented less.

A path is those lines, outermost first: `("router ospf", "network 10.0.0.0/8 area 0")`.
"""

from collections.abc import Container, Iterable, Iterator

from pdsno.execution.drivers.interface import Difference, Shortfall
from pdsno.execution.drivers.ssh.platform import Platform

Path = tuple[str, ...]
BETWEEN = " / "


def read(output: str, platform: Platform) -> str:
    """Make the canonical text of what a device shows: its config without the noise."""
    kept = [line.rstrip() for line in output.splitlines()]
    return "".join(f"{line}\n" for line in kept if line and not platform.is_noise(line))


def paths(lines: Iterable[str]) -> list[Path]:
    """Give the path of each line, in order."""
    found: list[Path] = []
    above: list[tuple[int, str]] = []
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, line.strip()))
        found.append(tuple(text for _, text in above))
    return found


def leaves(all_: Iterable[Path]) -> list[Path]:
    """Give the paths that nothing is below of, in order."""
    ordered = list(dict.fromkeys(all_))
    contexts = {path[:depth] for path in ordered for depth in range(1, len(path))}
    return [path for path in ordered if path not in contexts]


def applied(before: Iterable[Path], lines: Iterable[Path], platform: Platform) -> list[Path]:
    """Tell what a config will be after lines were entered, as far as words can tell."""
    now = list(before)
    for path in leaves(lines):
        context, line = path[:-1], path[-1]
        if line.startswith(platform.negation):
            gone = taken_back((*context, line.removeprefix(platform.negation)), now, platform)
            now = [one for one in now if one[: len(path)] not in gone]
            continue
        now = [one for one in now if one != (*context, platform.negation + line)]
        if kind := platform.kind(line):
            now = [one for one in now if one[:-1] != context or platform.kind(one[-1]) != kind]
        now += [path[:depth] for depth in range(1, len(path) + 1)]
    return list(dict.fromkeys(now))


def taken_back(path: Path, now: Iterable[Path], platform: Platform) -> set[Path]:
    """Find what `no ...` takes back: the line itself, or the one whose undoing it is."""
    context, line = path[:-1], path[-1]
    undoing = platform.negation + line
    return {path} | {
        one for one in now if one[:-1] == context and platform.negated(one[-1]) == undoing
    }


def diff(before: Iterable[Path], after: Iterable[Path]) -> tuple[Difference, ...]:
    """Tell which lines are gone and which are new; a context by itself is told by its lines."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    gone = leaves(path for path in old if path not in new)
    come = leaves(path for path in new if path not in old)
    return (
        *(Difference(path=BETWEEN.join(one), before=one[-1], after=None) for one in gone),
        *(Difference(path=BETWEEN.join(one), before=None, after=one[-1]) for one in come),
    )


def missing(
    lines: Iterable[Path], now: Iterable[Path], gone: Container[str], platform: Platform
) -> Iterator[Shortfall]:
    """Tell which lines a config does not show, and which it still shows though taken back.

    `gone` are the paths of lines that were planned to go: where `no X` was shown, and is not any
    more, X may be what needs no saying.
    """
    there = dict.fromkeys(now)
    for path in leaves(lines):
        context, line, name = path[:-1], path[-1], BETWEEN.join(path)
        if path in there:
            continue
        if not line.startswith(platform.negation):
            opposite = (*context, platform.negation + line)
            if opposite in there or BETWEEN.join(opposite) not in gone:
                yield Shortfall(path=name, wanted=line, found=None)
            continue
        bare = (*context, line.removeprefix(platform.negation))
        if left := taken_back(bare, there, platform) & there.keys():
            yield Shortfall(path=name, wanted=None, found=min(left)[-1])


def undoing(before: Iterable[Path], now: Iterable[Path], platform: Platform) -> list[Path]:
    """Give the lines, each in its context, that bring `now` back to `before`.

    What is new goes first, inmost first: a line that took another's place must not take it again.
    """
    old, new = list(dict.fromkeys(before)), list(dict.fromkeys(now))
    come = sorted((one for one in new if one not in set(old)), key=len, reverse=True)
    removed = [(*one[:-1], platform.negated(one[-1])) for one in come]
    gone = [one for one in old if one not in set(new)]
    return [*removed, *leaves(gone)]


def written(all_: Iterable[Path]) -> list[str]:
    """Write paths as lines, each below its context."""
    lines: list[str] = []
    context: Path = ()
    for path in all_:
        if path[:-1] != context:
            context = path[:-1]
            lines += [" " * depth + part for depth, part in enumerate(context)]
        lines.append(" " * len(context) + path[-1])
    return lines
