"""TLS over any stream, with ``ssl`` on memory buffers.

Measured against a wrapped non-blocking socket: the same speed, and it does not matter whether
gevent has patched ``ssl``.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, NamedTuple

from .streams import Layer, Stream


class TlsFiles(NamedTuple):
    """Whom we trust and who we are; a client without files trusts what the system trusts."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    skip_verify: bool = False

    def context(self, system: bool = True) -> ssl.SSLContext:
        """Read the files. With the system's certificates this takes some 20 ms.

        Args:
            system: trust what the system trusts, where no ``ca_file`` is given.

        Raises:
            ValueError: a file is missing or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.options |= getattr(ssl, 'OP_NO_RENEGOTIATION', 0)
        if self.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_file is None and system:
            context.load_default_certs()
        if self.ca_file is not None:
            self._trust(context, self.ca_file)
        if self.cert_file is not None:
            self._identify(context, self.cert_file)
        elif self.key_file is not None:
            raise ValueError('tls_key_file needs tls_cert_file')
        return context

    def _trust(self, context: ssl.SSLContext, path: str) -> None:
        try:
            context.load_verify_locations(path)
        except OSError as err:
            raise ValueError(f'tls_ca_file {path}: {reason(err)}') from err

    def _identify(self, context: ssl.SSLContext, path: str) -> None:
        try:
            context.load_cert_chain(path, self.key_file, _no_password)
        except OSError as err:
            files = f'tls_cert_file {path}'
            if self.key_file is not None:
                files += f', tls_key_file {self.key_file}'
            raise ValueError(f'{files}: {reason(err)}') from err


def _no_password() -> str:  # without it OpenSSL would ask the terminal
    raise ValueError('the key of tls_cert_file needs a password: give an ssl_context instead')


class TlsStream(Layer):
    """TLS, as the client.

    Args:
        below: the stream that carries it.
        context: whom we trust.
        hostname: whose certificate we expect, or None where the context does not check that.

    Raises:
        ValueError: *hostname* is no host name.
    """

    def __init__(self, below: Stream, context: ssl.SSLContext, hostname: str | None) -> None:
        super().__init__(below)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _encode(self, piece: memoryview) -> None:
        self._tls.write(piece)

    def _encoded(self) -> bytes:
        return self._outgoing.read()

    def _goodbye(self) -> None:
        with suppress(ssl.SSLWantReadError):  # the peer's own close_notify is not waited for
            self._tls.unwrap()

    def _decode(self, data: memoryview) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _decoded(self, buffer: memoryview) -> int | None:
        try:
            n: Any = self._tls.read(len(buffer), buffer)  # into a buffer: how many
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0
        return int(n)


def reason(err: BaseException) -> str:
    """Return what went wrong with TLS, in words."""
    if isinstance(err, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {err.verify_message.rstrip('.')}"
    if isinstance(err, ssl.SSLEOFError):
        return 'the server closed the connection during the TLS handshake'
    if isinstance(err, ssl.SSLError) and err.reason == 'TLSV13_ALERT_CERTIFICATE_REQUIRED':
        return 'the server requires a client certificate'
    if isinstance(err, ssl.SSLError):
        return (err.reason or str(err)).replace('_', ' ').lower()
    if isinstance(err, OSError) and err.strerror:
        return err.strerror.lower()
    return str(err) or type(err).__name__
