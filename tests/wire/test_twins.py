"""The two wires are one: which is chosen, and what may not differ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import natsev.wire
from natsev.errors import ProtocolError
from natsev.wire import WINDOW, pure
from tests.wire.driver import Driver
from tests.wire.test_parsing import BAD, BAD_IDS

ROOT = Path(__file__).parents[2]


def python(code, **environment):
    """Return what *code* prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SAY = 'import natsev.wire as w; print(w.implementation, w.Wire.__module__, w.Request.__module__)'


def test_the_pure_one_can_be_forced():
    assert python(SAY, NATSEV_PUREPYTHON='1') == 'python natsev.wire.pure natsev.wire.pure'


def test_the_compiled_one_is_taken_where_it_is(compiled):
    module = 'natsev.wire._speedups'
    assert python(SAY, NATSEV_PUREPYTHON='') == f'compiled {module} {module}'


def test_the_implementation_tells_which(compiled):
    forced = bool(os.environ.get('NATSEV_PUREPYTHON'))
    assert natsev.wire.implementation == ('python' if forced else 'compiled')
    assert natsev.wire.Wire is (pure.Wire if forced else compiled.Wire)


@pytest.mark.parametrize('name', ['Wire', 'Request', 'Window'])
def test_they_have_the_same_names(compiled, name):
    def public(module):
        instance = {
            'Wire': lambda: module.Wire(print, print),
            'Request': lambda: module.Request(print, 0),
            'Window': lambda: module.Window(print),
        }
        return {each for each in dir(instance[name]()) if not each.startswith('_')}

    assert public(pure) == public(compiled)


def error_of(twin, data):
    driver = Driver(twin)
    driver.receive(data)
    with pytest.raises(ProtocolError) as raised:
        driver.wire.next_event()
    with pytest.raises(ProtocolError) as again:
        driver.wire.next_event()
    assert again.value is not raised.value
    assert str(again.value) == str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize('data', BAD, ids=BAD_IDS)
def test_they_say_the_same_of_what_is_wrong(compiled, data):
    assert error_of(pure, data) == error_of(compiled, data)


WRONG_CALLS = {
    'subject type': lambda d: d.wire.publish(5),
    'subject': lambda d: d.wire.publish('a b'),
    'wildcard': lambda d: d.wire.publish('caf\u00e9.*'),
    'surrogate': lambda d: d.wire.publish('\ud800'),
    'reply_to': lambda d: d.wire.publish('a', b'', 'x..y'),
    'payload': lambda d: d.wire.publish('a', None),
    'text': lambda d: d.wire.publish('a', '\ud800'),
    'line': lambda d: d.wire.publish('a' * 4090, b'x' * 12345, 'r'),
    'header line': lambda d: d.wire.hpublish('a' * 4090, {}, b'x' * 12345),
    'size': lambda d: d.wire.publish('a', bytes(2_000_000)),
    'headers': lambda d: d.wire.hpublish('a', {'': ''}),
    'subscription': lambda d: d.wire.subscribe('>.a', print, 0),
    'subscription line': lambda d: d.wire.subscribe('a' * 5000, print, 0),
    'queue group': lambda d: d.wire.subscribe('a', print, 0, 'x y'),
    'request': lambda d: d.wire.request(d.request(print, 0), 'a b'),
    'request type': lambda d: d.wire.request(5, 'a'),
    'window': lambda d: d.wire.request(d.twin.Request(print, 0, False, WINDOW), 'a'),
    'timeout': lambda d: d.wire.request(d.request(print, 0), 'a', timeout=0),
    'timeout type': lambda d: d.wire.request(d.request(print, 0), 'a', timeout='5'),
    'sid': lambda d: d.wire.unsubscribe('1'),
    'sent': lambda d: d.wire.sent(1),
}


@pytest.mark.parametrize('call', WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_they_say_the_same_of_wrong_calls(compiled, call):
    errors = []
    for twin in (pure, compiled):
        driver = Driver(twin)
        with pytest.raises((TypeError, ValueError)) as raised:
            call(driver)
        errors.append((type(raised.value), str(raised.value)))
        assert driver.wire.pending == 0
    assert errors[0] == errors[1]


# Of natsev only the wire: gevent, which the rest imports, has no such interpreters in mind.
INTERPRETERS = r"""
import sys
import _interpreters
code = '''
import sys, types
sys.path[:] = {path!r}
sys.modules["natsev"] = package = types.ModuleType("natsev")
package.__path__ = ["natsev"]
from natsev.wire import Ping, _speedups
wire = _speedups.Wire(print, print)
got = []
wire.subscribe("a", lambda *args: got.append(args), 2)
wire.feed(b"MSG a 1 2\\r\\nhi\\r\\nPING\\r\\n")
assert wire.next_event() == Ping()
assert got == [("a", b"hi")]
'''.format(path=sys.path)
for _ in range(2):
    interpreter = _interpreters.create()
    failed = _interpreters.run_string(interpreter, code)
    print(failed.formatted if failed else 'ok')
    _interpreters.destroy(interpreter)
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason='sub-interpreters are too young before 3.13')
def test_in_an_interpreter_of_its_own(compiled):
    assert python(INTERPRETERS) == 'ok\nok'
