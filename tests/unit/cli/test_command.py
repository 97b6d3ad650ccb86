"""The app, walked: every command can be understood from its help, every error from its code."""

import re

import pytest
import typer.main

from cli.main import app, first
from pdsno.errors import NotFoundError
from streams.errors import PdsnoError


def commands(command=None, name="pdsno"):
    command = command or typer.main.get_command(app)
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from commands(one, f"{name} {word}")


COMMANDS = dict(commands())


def test_the_nouns_and_verbs_are_these():
    assert {name.removeprefix("pdsno ") for name in COMMANDS} >= {
        "init",
        "up",
        "run",
        "discover",
        "doctor",
        "sql",
        "device list",
        "device show",
        "device split",
        "device quarantine",
        "device release",
        "sweep list",
        "sweep show",
        "controller list",
        "anomaly list",
        "log tail",
        "log show",
        "log stats",
        "log export",
        "log check",
        "nib status",
        "nib digest",
        "nib rebuild",
    }


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_says_what_it_does_and_shows_an_example_of_itself(name):
    text = COMMANDS[name].help
    assert re.match(r"[A-Z].+\.", text)
    example = re.search(rf"Example: {name}( .+)?$", text, re.MULTILINE)
    assert example, f"{name} has no example of itself"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_of_a_command_is_explained(name):
    for one in COMMANDS[name].params:
        if one.name not in {"help", "role"}:
            assert one.help, f"{name} {one.name}"


@pytest.mark.parametrize("name", [n for n in COMMANDS if n.endswith((" list", " stats"))])
def test_every_listing_takes_the_same_options(name):
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert {"--format", "-o", "--columns", "--sort", "--log"} <= options


@pytest.mark.parametrize(
    "name",
    [
        "device show",
        "sweep show",
        "log tail",
        "log show",
        "log check",
        "nib status",
        "nib digest",
        "sql",
    ],
)
def test_every_reading_command_reads_an_export(name):
    options = {option for one in COMMANDS[f"pdsno {name}"].params for option in one.opts}
    assert "--log" in options


def errors(root=PdsnoError):
    """Every error that a person can meet; what a module raises for itself inherits its code."""
    if root.__module__.endswith("errors"):
        yield root
    for below in root.__subclasses__():
        yield from errors(below)


def test_every_error_has_an_exit_code_of_its_own():
    codes = [one.exit_code for one in errors()]
    assert len(set(codes)) == len(codes)
    assert not {0, 2, 130} & set(codes), "taken by success, usage errors and Ctrl-C"


@pytest.mark.parametrize("error", list(errors()), ids=lambda error: error.__name__)
def test_every_error_stands_with_its_code_in_the_tree_of_its_module(error):
    import sys  # noqa: PLC0415

    tree = sys.modules[error.__module__].__doc__
    assert re.search(rf"{error.__name__} +{error.exit_code}\b", tree)


def test_the_error_behind_groups_of_groups_is_found():
    ours = NotFoundError("x")
    assert first(ExceptionGroup("", [ValueError(), ExceptionGroup("", [ours])])) is ours
    assert first(ExceptionGroup("", [ValueError()])) is None
