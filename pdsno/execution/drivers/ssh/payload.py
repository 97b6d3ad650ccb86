"""What is entered: `{"platform": "frr", "lines": ["interface lo", " description core"]}`.

Lines as the running config shows them, indented below their context. A line is one line: nothing
in it can end it, leave its context or run something else.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pdsno.execution.drivers.ssh import config, platform
from pdsno.execution.drivers.ssh.platform import Platform

_LINES_MAX, _LINE_MAX = 2000, 1000


class SshPayload(BaseModel):
    """The payload of a change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    platform: str
    lines: Annotated[list[str], Field(min_length=1, max_length=_LINES_MAX)]

    @field_validator("platform")
    @classmethod
    def _there_is(cls, name: str) -> str:
        return platform.find(name).name

    @model_validator(mode="after")
    def _taken(self) -> "SshPayload":
        words = platform.find(self.platform)
        for number, line in enumerate(self.lines):
            if reason := _refusal(line, words):
                raise ValueError(f"line {number} ({line[:60]!a}) {reason}")
        if self.lines[0].startswith(" "):
            raise ValueError("line 0 is indented, but there is no context above it")
        for number, path in enumerate(self.paths):
            if any(one.startswith(words.negation) for one in path[:-1]):
                raise ValueError(f"line {number} stands below a line that takes its context back")
        return self

    @property
    def words(self) -> Platform:
        """The platform."""
        return platform.find(self.platform)

    @property
    def paths(self) -> list[config.Path]:
        """The lines with their contexts."""
        return config.paths(self.lines)


def _refusal(line: str, words: Platform) -> str:
    if not line.strip():
        return "is empty"
    if len(line) > _LINE_MAX:
        return f"is longer than {_LINE_MAX} characters"
    if not line.isprintable():  # newlines, escapes, tabs, bidirectional marks
        return "holds a control character"
    if not line.isascii():
        return "is not ASCII"
    if words.forbids(line.strip()):
        return f"is not configuration of {words.name}, or would leave its context"
    return ""
