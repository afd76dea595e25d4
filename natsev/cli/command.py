"""What the commands are made with: each takes the common options, and is handed its context."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

import click

from .logs import log_to_stderr
from .output import Output
from .session import Session
from .settings import Settings, common_options

_EPILOG = 'Every command takes the common options too, such as --server and --json: natsev --help'


class Command(click.Command):
    """A command that also takes the common options, wherever on the line they stand."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{'epilog': _EPILOG, **kwargs})
        taken = {name for param in self.params for name in param.opts}
        self.params += [p for p in common_options() if not taken.intersection(p.opts)]


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name, and by the beginning of it where that is unique."""
        name = args[0]
        if self.get_command(ctx, name) is None:
            begun = [known for known in self.list_commands(ctx) if known.startswith(name)]
            if len(begun) == 1:
                args = [begun[0], *args[1:]]
        return super().resolve_command(ctx, args)


class PipeClosed(Exception):
    """Whoever read our output has seen enough. (Click would take a BrokenPipeError away.)"""


class Run:
    """What a command has: the settings, the output, a session when it asks for one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out = Output(bool(settings.given.get('json')))

    def session(self, **options: Any) -> AbstractContextManager[Session]:
        """Connect to the server named, or to the usual place."""
        return Session(self.settings, **options)


def with_run(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the command a ``Run`` as its first argument."""

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        settings = click.get_current_context().find_root().ensure_object(Settings)
        log_to_stderr(bool(settings.given.get('trace')))
        try:
            return function(Run(settings), *args, **kwargs)
        except BrokenPipeError:
            raise PipeClosed from None

    return command


def with_options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return one decorator for several ``click.option``s, shown in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate
