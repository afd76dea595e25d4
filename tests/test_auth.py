"""Who we are: every way to say it, against real servers; and that no secret is ever shown."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pprint
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natsev import AuthenticationError, MissingExtraError, Nats, credentials, options
from tests.operator_mode import Operator, creds

AGAIN = {'reconnect': True, 'reconnect_delay': 10, 'max_reconnect_delay': 20}


@pytest.fixture(scope='module')
def operator():
    return Operator()


@pytest.fixture(scope='module')
def operator_server(operator):
    from natsev.server import Server

    with Server(config=operator.config(), jetstream=False) as server:
        yield server


def refused(run, **given):
    """Connect in vain; return the error."""
    errors, closed, connected = [], [], []
    given = {
        'host': '127.0.0.1',
        'on_error': errors.append,
        'on_close': lambda: closed.append(True),
        'on_connect': lambda: connected.append(True),
        **given,
    }
    Nats(**given)
    run.until(lambda: closed or connected)
    assert not connected
    assert len(errors) == 1
    return errors[0]


def test_jwt_and_seed(run, connect, operator, operator_server):
    jwt, seed = operator.user()
    port = operator_server.port
    assert run.call(connect(port=port, jwt=jwt, nkey_seed=seed).flush) is None
    assert run.call(connect(port=port, jwt=jwt, nkey_seed=seed.encode()).flush) is None
    other = Nats.nkey_generate_user_seed()
    error = refused(run, port=port, jwt=jwt, nkey_seed=other)
    assert isinstance(error, AuthenticationError)
    assert error.reason == 'violation'
    nats = Nats()
    nats.jwt(jwt)
    nats.nkey_seed(seed)
    nats.connect('127.0.0.1', port)
    assert run.call(nats.flush) is None
    nats.on_close(run.done)
    nats.disconnect()
    run()


def test_creds_file_is_read_again_at_each_connect(
    run, connect, operator, operator_server, tmp_path
):
    path = tmp_path / 'me.creds'
    path.write_text(creds(*operator.user()))
    nats = connect(port=operator_server.port, creds_file=path, **AGAIN)
    assert run.call(nats.flush) is None
    errors = []
    nats.on_error(errors.append)
    path.unlink()
    nats.reconnect_now()
    run.until(lambda: len(errors) >= 3)  # not given up: the file may come back
    assert {error.reason for error in errors} == {'credentials'}
    assert 'me.creds' in str(errors[0])
    path.write_text(creds(*operator.user()).replace('\n', '\r\n'))
    assert run.call(nats.flush) is None
    assert nats.stats()['reconnects'] == 1


def test_wrong_credentials_are_told_at_the_call(operator, tmp_path):
    jwt, seed = operator.user()
    damaged = seed[:-3] + ('A' if seed[-3] != 'A' else 'B') + seed[-2:]
    account = Operator()._account.seed
    path = tmp_path / 'x.creds'
    with pytest.raises(ValueError, match=r'x\.creds: no such file'):
        Nats(creds_file=path)
    for text in ('nonsense', creds(jwt, damaged), creds('', seed), '\udc80'):
        path.write_text(text, errors='surrogateescape')
        with pytest.raises(ValueError, match=r'x\.creds') as caught:
            Nats().creds_file(path)
        assert seed[:-3] not in str(caught.value)
    for wrong in (damaged, account, '', 'SU', 'SUé', b'\xff'):
        with pytest.raises(ValueError, match='seed') as caught:
            Nats(nkey_seed=wrong)
        assert not wrong or str(wrong)[2:] not in str(caught.value) or len(wrong) < 4
    with pytest.raises(TypeError):
        Nats(nkey_seed=3)
    with pytest.raises(TypeError):
        Nats(jwt=3)


def test_without_nkeys_the_extra_is_named(monkeypatch):
    import sys

    seed = Nats.nkey_generate_user_seed()
    monkeypatch.setitem(sys.modules, 'nkeys', None)
    for use in (
        lambda: Nats(nkey_seed=seed),
        Nats.nkey_generate_user_seed,
        lambda: Nats.nkey_public_from_seed(seed),
    ):
        with pytest.raises(MissingExtraError, match=r'natsev\[nkeys\]') as caught:
            use()
        assert caught.value.extra == 'nkeys'


def test_nkey(run, connect, start_server):
    seed = Nats.nkey_generate_user_seed()
    public = Nats.nkey_public_from_seed(seed)
    assert seed.startswith('SU')
    assert public.startswith('U')
    server = start_server(config={'authorization': {'users': [{'nkey': public}]}})
    assert run.call(connect(port=server.port, nkey_seed=seed).flush) is None
    error = refused(run, port=server.port, nkey_seed=Nats.nkey_generate_user_seed())
    assert error.reason == 'violation'
    # A server that asks for nothing gets nothing.
    assert run.call(connect(nkey_seed=seed).flush) is None


def test_auth_callback_is_asked_at_each_connect(
    run, connect, start_server, operator_server, operator
):
    nonces = []
    jwt, seed = operator.user()

    def auth(nonce):
        nonces.append(nonce)
        return {'jwt': jwt, 'sig': sign(seed, nonce)}

    nats = connect(port=operator_server.port, auth_callback=auth, **AGAIN)
    assert run.call(nats.flush) is None
    nats.reconnect_now()
    assert run.call(nats.flush) is None
    assert len(set(nonces)) == 2
    both = {'jwt': jwt, 'nkey_seed': seed}
    assert run.call(connect(port=operator_server.port, auth_callback=lambda n: both).flush) is None
    secured = start_server(config={'authorization': {'user': 'me', 'password': 's3cr3t'}})
    for answer in ({'user': 'me', 'password': 's3cr3t'}, {'user': 'me', 'pass': 's3cr3t'}):
        nats = connect(port=secured.port, auth_callback=lambda nonce, answer=answer: answer)
        assert run.call(nats.flush) is None


def sign(seed, nonce):
    import nkeys

    return nkeys.from_seed(seed.encode()).sign(nonce.encode())


@pytest.mark.parametrize(
    'answer, text',
    [
        (None, 'must return a dict'),
        ({'pasword': 'x'}, "unknown key 'pasword'"),
        ({'user': 3}, 'user must be str'),
        ({'nkey_seed': 'SUx'}, 'seed'),
        ({'creds_file': '/nowhere/x.creds'}, 'no such file'),
    ],
)
def test_a_wrong_answer_of_auth_callback(run, operator_server, answer, text):
    error = refused(run, port=operator_server.port, auth_callback=lambda nonce: answer)
    assert isinstance(error, AuthenticationError)
    assert error.reason == 'credentials'
    assert text in str(error)


def test_auth_callback_that_raises(run, operator_server, expected_errors):
    raised = []
    error = refused(
        run,
        port=operator_server.port,
        auth_callback=lambda nonce: 1 / 0,
        on_exception=raised.append,
    )
    assert error.reason == 'credentials'
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert isinstance(raised[0], ZeroDivisionError)


def test_expired(run, connect, operator, operator_server):
    jwt, seed = operator.user(exp=int(time.time()) + 2)
    errors, closed = [], []
    nats = connect(
        port=operator_server.port,
        jwt=jwt,
        nkey_seed=seed,
        on_error=errors.append,
        on_close=lambda: closed.append(True),
        **AGAIN,
    )
    assert run.call(nats.flush) is None
    run.until(lambda: closed)
    assert errors[0].reason == 'expired'
    assert 3 <= len(errors) <= 4, 'then refused twice in a row, and that was the only server'


def test_two_refusals_in_a_row_end_it_on_one_server(run, connect, start_server, proxy):
    config = {'authorization': {'user': 'me', 'password': 'right'}}
    strict, other = start_server(config=config), start_server()
    through = proxy(strict)
    errors = []
    nats = connect(
        servers=[f'nats://127.0.0.1:{through.port}', other.url],
        no_randomize=True,
        user='me',
        password='wrong',
        on_error=errors.append,
        **AGAIN,
    )
    assert run.call(nats.flush) is None
    for reconnects in (1, 2, 3):
        nats.reconnect_now()
        run.until(lambda n=reconnects: nats.stats()['reconnects'] == n)
    assert through.accepted == 2
    assert [type(error) for error in errors] == [AuthenticationError] * 2


def test_a_slow_greeting_times_out_at_the_server(run, start_server, proxy):
    config = {'authorization': {'user': 'me', 'password': 'x', 'timeout': 0.05}}
    server = start_server(config=config)
    error = refused(run, port=server.port, auth_callback=lambda nonce: time.sleep(0.3) or {})
    assert isinstance(error, AuthenticationError)
    assert error.reason == 'timeout'


def test_no_secret_is_shown(caplog, operator):
    caplog.set_level(logging.DEBUG)
    jwt, seed = operator.user()
    given = {
        'servers': ['nats://someone:geheim1@127.0.0.1:1', 'nats://geheim2@127.0.0.1:1'],
        'password': 'geheim3',
        'token': 'geheim4',
        'nkey_seed': seed,
        'jwt': jwt,
    }
    parsed = options.parse(given)
    nats = Nats(**{**given, 'on_error': lambda err: shown.append(repr(err))})
    shown = [
        repr(parsed),
        str(vars(parsed)),
        str(dataclasses.asdict(parsed)),
        pprint.pformat(parsed),
        repr(nats),
        str(parsed.servers[0]),
        f'{parsed.password}',
    ]
    nats.disconnect()
    text = '\n'.join([*shown, caplog.text])
    for secret in ('geheim', seed, jwt, 'someone'):
        assert secret not in text


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode('latin-1')))
def test_any_text_is_creds_or_a_value_error(text):
    with pytest.raises(ValueError, match='no block'):
        credentials.parse_creds(text)


@given(st.data())
def test_creds_that_are_damaged_anywhere(data):
    jwt, seed = OPERATOR_USER
    text = creds(jwt, seed)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.text(max_size=3)) + text[at + 1 :]
    with contextlib.suppress(ValueError):
        assert credentials.parse_creds(damaged).seed.reveal() == seed


OPERATOR_USER = Operator().user()
