"""Who we are: the fields of CONNECT that authenticate."""

from __future__ import annotations

from typing import Any

from .address import Address
from .options import Options


def connect_fields(options: Options, address: Address, nonce: str | None) -> dict[str, Any]:
    """Return the authentication fields of CONNECT for this server.

    Credentials in the server's URL come before those of the options.

    Args:
        options: the client's options.
        address: the server that is asked to accept us.
        nonce: what the server wants signed, or None.
    """
    if address.password is not None:
        return {'user': address.user, 'pass': address.password}
    if address.user is not None:
        return {'auth_token': address.user}
    fields: dict[str, Any] = {}
    if options.user is not None:
        fields['user'] = options.user
        fields['pass'] = options.password or ''
    if options.token is not None:
        fields['auth_token'] = options.token
    return fields
