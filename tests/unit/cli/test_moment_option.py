"""Whatever lists or shows the NIB can do it as of any moment, and says so in its help."""

import typer.main

from cli import option
from cli.main import app

# They read the log itself, or what is on this machine: an event is the same at any moment.
OF_NOW = {"log show", "policy diff"}


def _commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_list_and_show_can_be_asked_as_of_a_moment_by_both_clocks():
    commands = dict(_commands(typer.main.get_command(app)))
    options = {name: {o for p in one.params for o in p.opts} for name, one in commands.items()}
    reading = {
        name
        for name, known in options.items()
        if name.split()[-1] in {"list", "show", "sql"} and "--log" in known
    }
    assert {"device list", "device show", "change list", "policy show", "sql"} <= reading
    without = {n for n in reading - OF_NOW if not {"--at", "--observed-at"} <= options[n]}
    assert without == set()


def test_two_clocks_are_one_moment():
    assert option.moment(None, None) is None
    assert option.moment("zone-a:1", None) == "zone-a:1"
    assert option.moment(None, "2026-11-25T10:05:00Z") == "observed 2026-11-25T10:05:00Z"
    assert option.moment("zone-a:1", "2026-11-25T10:05:00Z") == (
        "observed 2026-11-25T10:05:00Z as of zone-a:1"
    )
