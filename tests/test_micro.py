"""Services: what they answer, how they are found, how they stop; and the other makers' clients."""

from __future__ import annotations

import datetime
import threading

import pytest

from natsev import DisconnectedError, NoResponders, RequestTimeout, ServiceError, micro


@pytest.fixture
def nats(connect):
    return connect()


@pytest.fixture
def service(nats, unique):
    service = micro.Service(
        nats,
        unique,
        '1.2.3',
        'counts',
        metadata={'where': 'here'},
        stats=lambda stats: {'of': stats['name']},
    )
    service.add_endpoint(
        'echo', lambda request: request.respond(request.payload), subject=f'{unique}.echo'
    )
    return service


def ask(run, nats, subject, payload=b'', **options):
    return run.call(micro.Client(nats).request, subject, payload, **options)


def test_request_and_answer(run, nats, service, unique):
    response, err, _ = ask(run, nats, f'{unique}.echo', b'x' * 100_000)
    assert (response, err) == (b'x' * 100_000, None)


def test_ping_info_stats_schema(run, nats, service, unique):
    client = micro.Client(nats)
    for options in ({'name': unique}, {'name': unique, 'id': service.id}):
        answers, err = run.call(client.ping, **options)
        assert err is None
        assert answers == [
            {
                'type': 'io.nats.micro.v1.ping_response',
                'name': unique,
                'id': service.id,
                'version': '1.2.3',
                'metadata': {'where': 'here'},
            }
        ]
    assert service.id in [answer['id'] for answer in run.call(client.ping)[0]]
    assert ask(run, nats, f'{unique}.echo', b'x')[1] is None
    (info,), err = run.call(client.info, name=unique)
    assert err is None
    assert info['type'] == 'io.nats.micro.v1.info_response'
    assert info['description'] == 'counts'
    assert info['endpoints'] == [
        {'name': 'echo', 'subject': f'{unique}.echo', 'queue_group': 'q', 'metadata': {}}
    ]
    (stats,), err = run.call(client.stats, name=unique, id=service.id)
    assert err is None
    assert datetime.datetime.fromisoformat(stats['started'].replace('Z', '+00:00')) <= (
        datetime.datetime.now(datetime.timezone.utc)
    )
    (endpoint,) = stats['endpoints']
    assert endpoint['num_requests'] == 1
    assert endpoint['num_errors'] == 0
    assert endpoint['processing_time'] == endpoint['average_processing_time'] > 0
    assert endpoint['data'] == {'of': 'echo'}
    service.reset()
    assert service.stats()['endpoints'][0]['num_requests'] == 0
    with pytest.raises(ValueError, match='name of its service'):
        client.ping(print, id='x')


def test_schema(run, nats, service, unique):
    service.add_endpoint('typed', print, schema={'request': 'number', 'response': 'number'})
    answers, err = run.call(nats.request, f'$SRV.SCHEMA.{unique}', b'')[:2]
    assert err is None
    assert b'"request": "number"' in answers


def test_nobody_is_found(run, nats, unique):
    answers, err = run.call(micro.Client(nats).ping, name=unique)
    assert answers is None
    assert isinstance(err, NoResponders)


def test_errors(run, nats, service, unique, expected_errors):
    def refuse(request):
        request.error(400, 'not like this', b'details', headers={'X': 'y'})

    def refuse_by_raising(request):
        raise ServiceError(404, 'not here')

    service.add_endpoint('refuse', refuse, subject=f'{unique}.refuse')
    service.add_endpoint('raise', refuse_by_raising, subject=f'{unique}.raise')
    service.add_endpoint('break', lambda request: 1 / 0, subject=f'{unique}.break')
    response, err, headers = ask(run, nats, f'{unique}.refuse')
    assert response is None
    assert isinstance(err, ServiceError)
    assert (err.code, err.description, err.payload) == (400, 'not like this', b'details')
    assert headers['X'] == 'y'
    assert str(err) == 'not like this (400)'
    assert ask(run, nats, f'{unique}.raise')[1].code == 404
    err = ask(run, nats, f'{unique}.break')[1]
    assert (err.code, err.description) == (500, 'ZeroDivisionError')
    stats = {endpoint['name']: endpoint for endpoint in service.stats()['endpoints']}
    assert [stats[name]['num_errors'] for name in ('refuse', 'raise', 'break', 'echo')] == [
        1,
        1,
        1,
        0,
    ]
    assert stats['refuse']['last_error'] == '400:not like this'
    assert isinstance(ask(run, nats, f'{unique}.nowhere')[1], NoResponders)


def test_an_answer_that_comes_later_is_timed(run, nats, service, unique):
    def answer(request):
        nats.call_soon(nats.call_soon, request.respond, b'later')

    service.add_endpoint('late', answer, subject=f'{unique}.late')
    assert ask(run, nats, f'{unique}.late')[0] == b'later'
    assert service.stats()['endpoints'][1]['processing_time'] > 0
    service.add_endpoint('never', lambda request: None, subject=f'{unique}.never')
    assert isinstance(ask(run, nats, f'{unique}.never', timeout=30)[1], RequestTimeout)


def test_groups(run, nats, service, unique):
    group = service.add_group(unique).add_group('v1', queue_group='mine')
    group.add_endpoint('hello', lambda request: request.respond(request.subject))
    group.add_endpoint('all', lambda request: request.respond(request.subject), subject='any.*')
    assert ask(run, nats, f'{unique}.v1.hello')[0].decode() == f'{unique}.v1.hello'
    assert ask(run, nats, f'{unique}.v1.any.thing')[0].decode() == f'{unique}.v1.any.thing'
    endpoints = {endpoint['name']: endpoint for endpoint in service.info()['endpoints']}
    assert endpoints['hello']['queue_group'] == 'mine'


def test_instances_share_the_requests(run, connect, nats, unique):
    counts = [0, 0]

    def counting(i):
        def handler(request):
            counts[i] += 1
            request.respond()

        return handler

    for i in range(2):
        micro.Service(connect(), unique, '0.1.0').add_endpoint('x', counting(i), subject=unique)
    answers = []
    while len(answers) < 2:
        answers = run.call(micro.Client(nats).ping, name=unique)[0] or []
    for _ in range(50):
        assert ask(run, nats, unique)[1] is None
    assert sum(counts) == 50
    assert min(counts) > 0


def test_stop(run, nats, service, unique):
    stopped = []
    other = micro.Service(nats, unique, '1.0.0', on_stop=lambda err: stopped.append(err))
    other.add_endpoint('x', lambda request: request.respond(b'x'), subject=f'{unique}.x')
    got = []
    assert run.call(nats.flush) is None
    for _ in range(10):
        nats.request(f'{unique}.x', b'', lambda response, err: got.append(err))
    assert run.call(other.stop) is None
    assert other.stopped
    assert stopped == [None]
    assert run.call(nats.flush) is None
    assert got == [None] * 10, 'what was on its way is answered'
    assert isinstance(ask(run, nats, f'{unique}.x')[1], NoResponders)
    assert len(run.call(micro.Client(nats).ping, name=unique)[0]) == 1
    assert run.call(other.stop) is None
    assert stopped == [None]
    with pytest.raises(RuntimeError, match='stopped'):
        other.add_endpoint('y', print)


def test_the_connection_ends_it(run, nats, unique):
    stopped = []
    micro.Service(nats, unique, '1.0.0', on_stop=stopped.append)
    assert run.call(nats.flush) is None
    nats.disconnect()
    run.to_end()
    assert isinstance(stopped[0], DisconnectedError)
    with pytest.raises(DisconnectedError):
        micro.Service(nats, unique, '1.0.0')


def test_it_survives_a_reconnect(run, connect, own_server, unique):
    nats = connect(port=own_server.port, reconnect=True, reconnect_delay=10)
    service = micro.Service(nats, unique, '1.0.0')
    service.add_endpoint('x', lambda request: request.respond(b'x'))
    assert ask(run, nats, 'x')[0] == b'x'
    own_server.restart()
    run.until(lambda: nats.stats()['reconnects'])
    assert ask(run, nats, 'x')[0] == b'x'
    assert not service.stopped


@pytest.mark.parametrize(
    'arguments',
    [
        ('', '1.0.0'),
        ('a b', '1.0.0'),
        ('a.b', '1.0.0'),
        ('a', '1.0'),
        ('a', 'v1.0.0'),
        ('a', '1.0.0-01'),
        ('a', '1.0.0\n'),
    ],
)
def test_illegal_names_and_versions(nats, arguments):
    with pytest.raises(ValueError, match='must be'):
        micro.Service(nats, *arguments)
    assert nats.subscription_count() == 0


def test_wrong_arguments(nats, service):
    with pytest.raises(TypeError):
        micro.Service(nats, 3, '1.0.0')
    with pytest.raises(TypeError):
        micro.Service(nats, 'a', 1)
    with pytest.raises(TypeError):
        micro.Service(nats, 'a', '1.0.0', metadata={'a': 1})
    with pytest.raises(TypeError):
        service.add_endpoint('x', None)
    with pytest.raises(ValueError, match='must be'):
        service.add_endpoint('x.y', print)
    with pytest.raises(ValueError, match='subject'):
        service.add_endpoint('x', print, subject='a b')
    with pytest.raises(ValueError, match='group'):
        service.add_group('a b')


# The services and the clients of other makers.


@pytest.fixture(params=['nats-py', 'nats-js'])
def other(request, peer_of):
    return peer_of(request.param)


def test_we_find_and_call_theirs(run, nats, other, unique):
    other.service_start(unique, f'{unique}.double')
    client = micro.Client(nats)
    (info,), err = run.call(client.info, name=unique)
    assert err is None
    assert info['metadata']['made'] == 'elsewhere'
    assert info['endpoints'][0]['subject'] == f'{unique}.double'
    assert ask(run, nats, f'{unique}.double', b'21')[0] == b'42'
    err = ask(run, nats, f'{unique}.double', b'no number')[1]
    assert isinstance(err, ServiceError)
    assert (err.code, err.description) == (400, 'not a number')
    (stats,), err = run.call(client.stats, name=unique)
    assert err is None
    assert stats['endpoints'][0]['num_requests'] == 2
    other.service_stop()
    assert isinstance(run.call(client.ping, name=unique)[1], NoResponders)


def test_they_find_and_call_ours(run, nats, service, other, unique):
    def refuse(request):
        request.error(418, 'a teapot')

    service.add_endpoint('refuse', refuse, subject=f'{unique}.refuse')
    assert run.call(nats.flush) is None

    def ask_them(method, *args):
        """Ask the peer in a thread, while our loop serves it."""

        def ask():
            answer = method(*args)
            nats.call_soon_threadsafe(run.done, answer)

        threading.Thread(target=ask).start()
        return run()

    for what in ('ping', 'info', 'stats'):
        (answer,) = ask_them(other.service_find, what, unique)
        assert (answer['name'], answer['id'], answer['version']) == (unique, service.id, '1.2.3')
        assert answer['type'] == f'io.nats.micro.v1.{what}_response'
        assert answer['metadata'] == {'where': 'here'}
    answer = ask_them(other.service_call, f'{unique}.echo', 'hello')
    assert answer == {'payload': 'hello', 'code': None, 'description': None}
    answer = ask_them(other.service_call, f'{unique}.refuse', '')
    assert (answer['code'], answer['description']) == ('418', 'a teapot')
