"""The subjects of a bucket (ADR-20), and every way in which clients have spelled object names.

A bucket is the stream ``OBJ_<bucket>``. An object's name is the end of its meta's subject: padded
base64url for the official clients, percent-encoding for the Perl original. Clients with faults
wrote further spellings, which a reader tries after a miss.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any, Literal

from ..subjects import (
    decode_object_name,
    encode_object_name,
    percent_decode_name,
    percent_encode_name,
)

Dialect = Literal['adr20', 'ev-nats']
DIALECTS: tuple[Dialect, ...] = ('adr20', 'ev-nats')

# A server's default max_control_line is 4096 bytes, with verb, reply subject and sizes.
_LONGEST_SUBJECT = 3950
_NUID = re.compile(r'[A-Za-z0-9_=-]{1,128}')


def stream(bucket: str) -> str:
    """Return the stream that is the bucket."""
    return f'OBJ_{bucket}'


def is_nuid(value: Any) -> bool:
    """Can *value* be the last token of a chunk subject? Metas of other clients are not trusted."""
    return isinstance(value, str) and _NUID.fullmatch(value) is not None


class Subjects:
    """The subjects of one bucket.

    Args:
        bucket: its name.
        dialect: how names are written; reading tries all spellings.
    """

    def __init__(self, bucket: str, dialect: Dialect = 'adr20') -> None:
        self.chunks = f'$O.{bucket}.C.'
        self.metas = f'$O.{bucket}.M.'
        # Among the chunks, where no other client looks: see ``versions``.
        self.logs = f'{self.chunks}versions.'
        self._spell = _SPELLINGS[dialect]

    def chunk(self, nuid: str) -> str:
        """Return the subject of all chunks of the object *nuid*."""
        return self.chunks + nuid

    def log(self, name: str) -> str:
        """Return the subject of the copies of earlier metas of the object *name*."""
        return self.logs + encode_object_name(name)

    def meta(self, name: Any) -> str:
        """Return the subject of the meta of the object *name*.

        Raises:
            TypeError, ValueError: *name* is not text, is empty, too long or not in the dialect.
        """
        subject = self.metas + self._spell(name)
        if len(subject) > _LONGEST_SUBJECT:
            raise ValueError(f'object name of {len(name)} characters is too long for this bucket')
        return subject

    def is_own(self, subject: str, name: str) -> bool:
        """Is *subject* where the meta of *name* should be, or is there no such place?"""
        try:
            return self.meta(name) == subject
        except ValueError:
            return True

    def other_metas(self, name: str) -> list[str]:
        """Return the subjects on which other clients may have put the meta of *name*."""
        found = []
        for spell in _SPELLINGS.values():
            if spell is not self._spell:
                try:
                    found.append(self.metas + spell(name))
                except ValueError:  # this spelling has none for it
                    continue
        own = self.metas + self._spell(name)
        return [subject for subject in dict.fromkeys(found) if subject != own]


def name_of(subject: str) -> str:
    """Return the object's name in the *subject* of a meta, as well as it can be told."""
    token = subject.split('.', 3)[3]
    padded = token + '=' * (-len(token) % 4)
    return decode_object_name(padded) or percent_decode_name(token) or token


def _unpadded(name: str) -> str:
    return encode_object_name(name).rstrip('=')


def _standard(name: str) -> str:
    return base64.b64encode(name.encode()).decode()


def _latin(name: str) -> str:
    # The JavaScript client's: UnicodeEncodeError, a ValueError, where a name is not Latin-1.
    return base64.urlsafe_b64encode(name.encode('latin-1')).decode()


_SPELLINGS: dict[str, Callable[[str], str]] = {
    'adr20': encode_object_name,
    'ev-nats': percent_encode_name,
    'unpadded': _unpadded,
    'standard': _standard,
    'latin': _latin,
}
