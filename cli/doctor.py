"""pdsno doctor."""
import typer
def doctor(context: typer.Context) -> None:
    """Soon.

    Example: pdsno doctor
    """
