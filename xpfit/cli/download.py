"""``xpfit download``."""


def add(commands) -> None:
    """Add the command."""
