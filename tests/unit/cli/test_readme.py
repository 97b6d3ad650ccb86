"""The README and docs are held to the code: what they list is what there is, no more, no less."""

import re
from pathlib import Path

from test_command import COMMANDS

import pdsno.audit.errors
import pdsno.errors
import pdsno.execution.errors
import projections.errors
import streams.errors
from cli.demo.stage import DemoError
from pdsno.settings import (
    AccessSettings,
    AuditSettings,
    ExecutionSettings,
    LocalSettings,
    MembershipSettings,
    Settings,
    SnmpSettings,
    SweepSettings,
    TlsSettings,
)
from streams.errors import PdsnoError

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def _rows(start):
    part = README[README.index(start) :]
    end = part.find("\n## ", 1)
    return re.findall(r"^\| `?([^|`]+?)`? \|(.*)\|$", part[:end], re.MULTILINE)


def test_every_command_stands_in_the_readme_and_every_one_there_exists():
    listed = {name.strip() for name, _ in _rows("## Commands") if name.startswith("pdsno")}
    assert listed == set(COMMANDS)


def _errors(kind):
    yield kind
    for one in kind.__subclasses__():
        yield from _errors(one)


def test_the_exit_codes_of_the_readme_are_those_of_the_classes():
    assert pdsno.audit.errors
    assert pdsno.errors
    assert pdsno.execution.errors
    assert projections.errors
    assert streams.errors
    assert DemoError
    listed = {int(code) for code, _ in _rows("## Exit codes") if code.isdigit()}
    assert listed == {one.exit_code for one in _errors(PdsnoError)} | {0, 2, 130}


def test_every_setting_is_documented_with_its_name():
    text = (ROOT / "docs/settings.md").read_text()
    sections = (
        Settings,
        LocalSettings,
        SweepSettings,
        MembershipSettings,
        SnmpSettings,
        AccessSettings,
        AuditSettings,
        ExecutionSettings,
        TlsSettings,
    )
    for section in sections:
        for name in section.model_fields:
            if name not in {
                "local",
                "sweep",
                "snmp",
                "membership",
                "access",
                "tls",
                "audit",
                "execution",
            }:
                assert f"`{name}`" in text, f"{section.__name__}.{name}"
