"""The `pdsno` command: every noun has a file, every error a line, a hint and an exit code."""

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

try:  # loading takes a moment, and Ctrl-C may come within it
    import structlog
    import typer

    from cli.context import Context
    from cli.loading import group
    from pdsno.settings import home_folder
    from streams.errors import PdsnoError
except KeyboardInterrupt:
    raise SystemExit(130) from None

# in the order in which the help lists them
COMMANDS = {
    "init": "cli.run:init",
    "up": "cli.run:up",
    "run": "cli.run:run",
    "discover": "cli.discover:discover",
    "demo": "cli.demo.command:demo",
    "sql": "cli.sql:sql",
    "diff": "cli.diff:diff",
    "doctor": "cli.doctor:doctor",
    "device": "cli.device:app",
    "sweep": "cli.sweep:app",
    "controller": "cli.controller:app",
    "anomaly": "cli.anomaly:app",
    "security": "cli.security:app",
    "policy": "cli.policy:app",
    "change": "cli.change:app",
    "log": "cli.log:app",
    "nib": "cli.nib:app",
    "audit": "cli.audit:app",
    "why": "cli.why:app",
}
app = typer.Typer(
    name="pdsno",
    cls=group(COMMANDS),
    help="Run networks from one signed log: sweep, see, and read any of it back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:  # typer gives it so
    if asked:
        typer.echo(f"pdsno {version('pdsno')}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="The home folder; else PDSNO_HOME, else ~/.pdsno.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run networks from one signed log: sweep, see, and read any of it back."""
    structlog.configure(  # stdout carries data only; `run` and `up` say more (runtime.py)
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.ERROR
        ),
    )
    context.obj = Context(home_folder(home), verbose=verbose)


def main() -> None:
    """Run the command; errors of ours become one line, a hint and their exit code."""
    try:
        app(prog_name="pdsno")
    except (PdsnoError, BaseExceptionGroup) as error:
        ours = first(error)
        if ours is None:
            raise
        sys.stderr.write(f"pdsno: {ours}\n")
        if ours.hint:
            sys.stderr.write(f"  hint: {ours.hint}\n")
        raise SystemExit(ours.exit_code) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except OSError as error:
        about = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"pdsno: {about}{error.strerror or error}\n")
        raise SystemExit(1) from error


def first(error: BaseException) -> PdsnoError | None:
    """Find the first error of ours in an error or a group of groups."""
    if isinstance(error, PdsnoError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for found in map(first, error.exceptions) if found), None)
    return None


if __name__ == "__main__":
    main()
