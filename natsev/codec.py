"""Python values as bytes: msgpack, or a codec of one's own.

What msgpack cannot say by itself goes as extensions, so that every other msgpack reader can skip or
read it:

- an aware ``datetime``: the standard timestamp (type -1), read back in UTC;
- an ``int`` of more than 64 bits: type 1, two's complement, big-endian, as short as possible.

``tuple`` goes as a list and comes back as one. Anything else (a naive ``datetime``, a ``set``, an
object) is refused with an error that names its type.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import msgpack

from .errors import CodecError

BIG_INT = 1
# Digits that no honest number has; also what a Python int takes long to multiply.
_MOST_INT_BYTES = 64 * 1024


class Codec(Protocol):
    """Turns values into bytes and back. What they raise reaches the caller as ``CodecError``."""

    def encode(self, value: Any) -> bytes:
        """Return *value* as bytes."""

    def decode(self, data: bytes) -> Any:
        """Return the value that *data* stands for."""


class Msgpack:
    """The msgpack codec; ``codec='msgpack'`` names it."""

    def encode(self, value: Any) -> bytes:
        """Return *value* packed.

        Raises:
            CodecError: it holds what cannot be packed.
        """
        try:
            packed: bytes = msgpack.packb(value, default=_pack_other, datetime=True)
        except CodecError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as err:
            raise CodecError(f'cannot be packed: {err}') from err
        return packed

    def decode(self, data: bytes) -> Any:
        """Return the value of *data*.

        Raises:
            CodecError: *data* is not one whole msgpack value.
        """
        try:
            return msgpack.unpackb(
                data, timestamp=3, ext_hook=_unpack_other, strict_map_key=False, raw=False
            )
        except CodecError:
            raise
        except (
            TypeError,  # a key that cannot be one
            ValueError,  # truncated, trailing bytes, nested too deeply, not UTF-8
            OverflowError,  # a time before year 1 or after 9999
            RecursionError,
            msgpack.exceptions.UnpackException,
        ) as err:
            raise CodecError(f'is not msgpack: {_reason(err)}') from err

    def __repr__(self) -> str:
        return 'Msgpack()'


def _reason(err: Exception) -> str:
    return str(err) or type(err).__name__


def _pack_other(value: Any) -> Any:
    # Called for what msgpack cannot pack, also for an int of more than 64 bits.
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        if size > _MOST_INT_BYTES:
            raise CodecError(f'cannot be packed: an int of {size} bytes')
        return msgpack.ExtType(BIG_INT, value.to_bytes(size, 'big', signed=True))
    if isinstance(value, datetime):
        raise CodecError('cannot be packed: a datetime without a time zone')
    raise CodecError(f'cannot be packed: {type(value).__name__}')


def _unpack_other(code: int, data: bytes) -> Any:
    if code == BIG_INT and 0 < len(data) <= _MOST_INT_BYTES:
        return int.from_bytes(data, 'big', signed=True)
    raise CodecError(f'is not msgpack that natsev reads: extension type {code}')


def codec_of(codec: str | Codec | None) -> Codec | None:
    """Return the codec that an option *codec* names or is.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if codec is None:
        return None
    if isinstance(codec, str):
        if codec != 'msgpack':
            raise ValueError(f"codec must be 'msgpack' or an object, not {codec!r}")
        return Msgpack()
    if not callable(getattr(codec, 'encode', None)) or not callable(getattr(codec, 'decode', None)):
        raise TypeError(f'codec must have encode and decode; {type(codec).__name__} has not')
    return codec


def encode(codec: Codec, value: Any, what: str) -> bytes:
    """Return *value* encoded; *what* names it in an error, such as ``"value of key 'a'"``.

    Raises:
        CodecError: the codec refuses it.
    """
    try:
        data = codec.encode(value)
    except CodecError as err:
        raise CodecError(f'{what} {err}') from err
    except Exception as err:  # a codec is the user's: whatever it raises means the same
        raise CodecError(f'{what} cannot be encoded: {_reason(err)}') from err
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise CodecError(f'{what}: the codec returned {type(data).__name__}, not bytes')
    return bytes(data)


def decode(codec: Codec, data: bytes, what: str) -> Any:
    """Return the value of *data*; *what* names it in an error.

    Raises:
        CodecError: the codec refuses it.
    """
    try:
        return codec.decode(data)
    except CodecError as err:
        raise CodecError(f'{what} {err}') from err
    except Exception as err:  # see above
        raise CodecError(f'{what} cannot be decoded: {_reason(err)}') from err
