"""The `pdsno` command: every noun has a file, every error a line, a hint and an exit code."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import discover, run
from cli.context import Context
from pdsno.settings import home_folder
from streams.errors import PdsnoError

app = typer.Typer(
    name="pdsno",
    help="Run networks from one signed log: sweep, see, and read any of it back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.init)
app.command()(run.up)
app.command(name="run")(run.run)
app.command()(discover.discover)


@app.callback()
def _common(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="The home folder; else PDSNO_HOME, else ~/.pdsno.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
) -> None:
    """Run networks from one signed log: sweep, see, and read any of it back."""
    context.obj = Context(home_folder(home), verbose=verbose)


def main() -> None:
    """Run the command; errors of ours become one line, a hint and their exit code."""
    try:
        app()
    except PdsnoError as error:
        sys.stderr.write(f"pdsno: {error}\n")
        if error.hint:
            sys.stderr.write(f"  hint: {error.hint}\n")
        raise SystemExit(error.exit_code) from error
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
