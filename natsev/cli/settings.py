"""The options that every command has: given anywhere on the line, in the environment, a context."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from . import context
from .values import duration

DEFAULT_SERVER = 'nats://127.0.0.1:4222'
_DEFAULT_TIMEOUT = 5_000_000_000
_FILE = click.Path(path_type=Path)


class Settings:
    """What was said about the connection and the output."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self._context: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if self._context is None:
            chosen = self.given.get('context') or context.selected()
            self._context = context.load(chosen) if chosen else {}
        return self.given.get(name, self._context.get(name))

    @property
    def timeout_ms(self) -> float:
        """How long to wait for each answer."""
        return float(self.given.get('timeout', _DEFAULT_TIMEOUT)) / 1_000_000

    def nats_options(self) -> dict[str, Any]:
        """Return the arguments of ``Nats``."""
        options = {
            'servers': (self.server or DEFAULT_SERVER).split(','),
            'user': self.user,
            'password': self.password,
            'token': self.token,
            'creds_file': self.creds,
            'nkey_seed': _seed(self.nkey),
            'tls_ca_file': self.tls_ca,
            'tls_cert_file': self.tls_cert,
            'tls_key_file': self.tls_key,
            'tls_skip_verify': self.tls_skip_verify,
            'tls_first': self.tls_first,
            'inbox_prefix': self.inbox_prefix,
            'name': self.connection_name or 'natsev',
            'connect_timeout': self.timeout_ms,
        }
        if any(options[name] for name in ('tls_ca_file', 'tls_cert_file', 'tls_first')) or self.tls:
            options['tls'] = True
        return {name: value for name, value in options.items() if value is not None}

    def js_options(self) -> dict[str, Any]:
        """Return the arguments of ``JetStream``, beside the client."""
        options: dict[str, Any] = {'timeout': self.timeout_ms}
        if self.js_domain:
            options['domain'] = self.js_domain
        elif self.js_api_prefix:
            options['prefix'] = self.js_api_prefix
        return options


def _seed(path: Any) -> str | None:
    if not path:
        return None
    lines = Path(path).read_text().splitlines()
    return next((line.strip() for line in lines if line.startswith('S')), '')


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    assert param.name is not None
    if ctx.get_parameter_source(param.name) is not ParameterSource.DEFAULT and value is not None:
        ctx.ensure_object(Settings).given[param.name] = value


def _option(*names: str, env: str | None = None, **more: Any) -> Callable[[bool], click.Option]:
    def make(root: bool) -> click.Option:
        # The environment counts once, at the root: what the line says comes before it.
        return click.Option(
            names,
            envvar=env if root else None,
            show_envvar=root and env is not None,
            hidden=not root,
            expose_value=False,
            callback=_keep,
            **more,
        )

    return make


_OPTIONS = [
    _option('-s', '--server', env='NATS_URL', metavar='URLS', help='Servers, separated by commas.'),
    _option('--context', env='NATS_CONTEXT', metavar='NAME', help='A context of the nats tool.'),
    _option('--user', env='NATS_USER', help='User name.'),
    _option('--password', env='NATS_PASSWORD', help='Password.'),
    _option('--token', env='NATS_TOKEN', help='Token.'),
    _option('--creds', env='NATS_CREDS', type=_FILE, help='Credentials file (JWT and seed).'),
    _option('--nkey', env='NATS_NKEY', type=_FILE, help='File with an NKey seed.'),
    _option('--tls', is_flag=True, default=None, help='Insist on TLS.'),
    _option('--tls-ca', '--tlsca', env='NATS_CA', type=_FILE, help='Authorities to trust.'),
    _option('--tls-cert', '--tlscert', env='NATS_CERT', type=_FILE, help='Our certificate.'),
    _option('--tls-key', '--tlskey', env='NATS_KEY', type=_FILE, help="Our certificate's key."),
    _option('--tls-first', '--tlsfirst', is_flag=True, default=None, help='TLS before INFO.'),
    _option('--tls-skip-verify', is_flag=True, default=None, help='Trust any certificate.'),
    _option('--inbox-prefix', metavar='SUBJECT', help='First tokens of inboxes.'),
    _option('--connection-name', metavar='NAME', help='Name that the server shows.'),
    _option('--js-domain', '--domain', metavar='NAME', help='JetStream domain.'),
    _option('--js-api-prefix', metavar='SUBJECT', help="Prefix of JetStream's API."),
    _option('--timeout', env='NATS_TIMEOUT', type=duration, help='For each answer; default 5s.'),
    _option('-j', '--json', is_flag=True, default=None, help='Print JSON.'),
    _option('--trace', is_flag=True, default=None, help='Show each frame, on stderr.'),
]


def root_options() -> list[click.Parameter]:
    """Return the options as the command itself has them."""
    return [make(True) for make in _OPTIONS]


def common_options() -> list[click.Parameter]:
    """Return the options as each subcommand takes them too, without repeating them in its help."""
    return [make(False) for make in _OPTIONS]
