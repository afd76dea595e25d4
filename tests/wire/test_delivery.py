from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from natsev.wire import Delivery, shared

UNKNOWN = ('', '', '', 0, 0, 0, 0, 0)
FOUND = [
    ('$JS.ACK.S.C.1.2.3.4000.5', ('', 'S', 'C', 1, 2, 3, 4000, 5)),
    ('$JS.ACK.S.C.01.2.3.4000.0', ('', 'S', 'C', 1, 2, 3, 4000, 0)),
    (f'$JS.ACK.S.C.1.2.3.{"9" * 19}.5', ('', 'S', 'C', 1, 2, 3, 10**19 - 1, 5)),
    (f'$JS.ACK.S.C.1.2.3.{"9" * 20}.5', ('', 'S', 'C', 1, 2, 3, 10**20 - 1, 5)),
    ('$JS.ACK.é.C.1.2.3.4000.5', ('', 'é', 'C', 1, 2, 3, 4000, 5)),
    ('$JS.ACK.\udcff.C.1.2.3.4000.5', ('', '\udcff', 'C', 1, 2, 3, 4000, 5)),
    ('$JS.ACK.hub.HASH.S.C.1.2.3.4000.5', ('hub', 'S', 'C', 1, 2, 3, 4000, 5)),
    ('$JS.ACK._.HASH.S.C.1.2.3.4000.5.rand', ('', 'S', 'C', 1, 2, 3, 4000, 5)),
    ('$JS.ACK.hub.HASH.S.C.1.2.3.4000.5.rand.more', ('hub', 'S', 'C', 1, 2, 3, 4000, 5)),
]
OTHERS = [
    None,
    '',
    '_INBOX.x',
    '$JS.ACK.',
    '$JS.ACK.S.C.1.2.3.4000',
    '$JS.ACK.S.C.1.2.3.4000.',
    '$JS.ACK.S.C.1.2.3.4000.5.6',
    '$JS.ACK.S.C.x.2.3.4000.5',
    '$JS.ACK.S.C.1.+2.3.4000.5',
    '$JS.ACK.S.C.1.2.3 .4000.5',
    '$JS.ACK.S.C.1.2.3_0.4000.5',
    '$JS.ACK.S.C.1.٢.3.4000.5',
    '$JS.ACK.S.C.1.2..4000.5',
    '$JX.ACK.S.C.1.2.3.4000.5',
]


@pytest.mark.parametrize('reply,found', FOUND)
def test_what_a_reply_subject_says(twin, reply, found):
    delivery = twin.parse_delivery(reply)
    assert type(delivery) is Delivery
    assert delivery == found


@pytest.mark.parametrize('reply', OTHERS)
def test_all_others_say_nothing(twin, reply):
    assert twin.parse_delivery(reply) == UNKNOWN


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([reply for reply, _ in FOUND]),
    at=st.integers(0, 40),
    put=st.sampled_from(['', '.', '1', '-', 'x', '\0', 'é', '..', '999999']),
)
def test_the_twins_read_alike(twin, base, at, put):
    reply = base[:at] + put + base[at + 1 :]
    assert twin.parse_delivery(reply) == shared.parse_delivery(reply)
