"""The command ``natsev``: its packages (the extra ``cli``) are looked for when it is called."""

from __future__ import annotations

import sys

from ..errors import MissingExtraError

__all__ = ['main']

_PACKAGES = ('click', 'rich', 'platformdirs')


def main() -> None:
    """Run the command with the arguments of this process, and exit with its code."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        sys.exit(f'natsev: {MissingExtraError("cli", "the command")}')
    sys.exit(run())
