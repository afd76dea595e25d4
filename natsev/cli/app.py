"""The command ``natsev`` itself: its groups, its exit codes, and how it is interrupted."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from typing import Any

import click

from .. import NatsError, __version__
from . import failures
from .command import Group, PipeClosed
from .settings import Settings, root_options

_COMMANDS = {
    'account': 'account',
    'bench': 'benches',
    'consumer': 'consumers',
    'kv': 'keyvalues',
    'object': 'objects',
    'pub': 'messages',
    'reply': 'messages',
    'req': 'messages',
    'rtt': 'account',
    'server': 'server',
    'stream': 'streams',
    'sub': 'messages',
}

_NAMES = {'object': 'object_'}

_EPILOG = """\b
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  there is no such stream, consumer, bucket, key, object or message
  4  no connection
  5  no answer
  6  somebody else was first, or it exists with other options
  7  stored data is damaged
  130  interrupted

Options may also stand after the command. What is not on the line is taken from the environment, and
then from the context that --context, NATS_CONTEXT or 'nats context select' names.
"""


class App(Group):
    """The command; a group's module is imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f'.{_COMMANDS[name]}', __package__)
        command = getattr(module, _NAMES.get(name, name))
        assert isinstance(command, click.Command)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)


@click.command(cls=App, epilog=_EPILOG, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, message='natsev %(version)s')
def app() -> None:
    """Talk to a NATS server: messages, streams, and files in object stores."""


app.params = [*root_options(), *(p for p in app.params if p.name == 'version')]


def run() -> int:
    """Run the command with this process's arguments. Return its exit code."""
    signals: list[int] = []

    def terminate(number: int, frame: Any) -> None:
        signals.append(number)
        raise KeyboardInterrupt  # so that all ends in good order, as after Ctrl-C

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, terminate)
    settings = Settings()
    try:
        code = app.main(prog_name='natsev', standalone_mode=False, obj=settings)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return failures.USAGE
    except click.ClickException as error:
        where = error.ctx if isinstance(error, click.UsageError) else None
        help_ = f'{where.command_path} --help' if where else ''
        as_json = bool(settings.given.get('json'))
        failures.show(type(error).__name__, error.format_message(), help_, as_json)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 128 + signals[0] if signals else failures.INTERRUPTED
    except PipeClosed:
        # Python must not try to flush what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (NatsError, OSError, ValueError, TypeError) as error:
        if settings.given.get('trace'):
            traceback.print_exc()
        return failures.report(error, bool(settings.given.get('json')))
    return code if isinstance(code, int) else 0
