"""Watches, lists of keys and histories, on real servers."""

from __future__ import annotations

import pytest

from natsev import KV, BucketNotFoundError, ConsumptionEnded, DisconnectedError, JetStream


class Told:
    """What a watch tells: ``(key, value, op)``; its end apart."""

    def __init__(self):
        self.all = []
        self.entries = []
        self.ends = []

    def __call__(self, key, value, op, entry):
        self.all.append((key, value, op))
        self.entries.append(entry)

    def end(self, err):
        self.ends.append(err)

    @property
    def caught_up(self):
        return MARK in self.all


MARK = (None, None, None)


@pytest.fixture
def told():
    return Told()


def fill(run, kv, **values):
    for key, value in values.items():
        call = (kv.delete, key) if value is None else (kv.put, key, value)
        assert run.call(*call)[1] is None


class TestWatch:
    def test_what_is_there_and_then_every_change(self, run, each_kv, told):
        kv = each_kv
        fill(run, kv, a=b'1', b=b'1')
        fill(run, kv, a=b'2')
        watch = kv.watch(None, told, on_end=told.end)
        run.until(lambda: told.caught_up)
        assert told.all == [('b', b'1', 'PUT'), ('a', b'2', 'PUT'), MARK]
        fill(run, kv, c=b'3', b=None)
        run.call(kv.purge, 'a')
        run.until(lambda: len(told.all) == 6)
        assert told.all[3:] == [('c', b'3', 'PUT'), ('b', None, 'DEL'), ('a', None, 'PURGE')]
        assert [entry['revision'] for entry in told.entries if entry] == [2, 3, 4, 5, 6]
        watch.stop()
        run.until(lambda: told.ends)
        assert (told.ends, watch.ended) == ([None], True)
        fill(run, kv, d=b'4')
        assert len(told.all) == 6

    def test_an_empty_bucket(self, run, each_kv, told):
        each_kv.watch('>', told)
        run.until(lambda: told.caught_up)
        fill(run, each_kv, a=b'1')
        run.until(lambda: len(told.all) == 2)
        assert told.all == [MARK, ('a', b'1', 'PUT')]

    @pytest.mark.parametrize('pattern,keys', [
        ('a', ['a']), ('a.*', ['a.b', 'a.c']), ('a.>', ['a.b', 'a.b.c', 'a.c']),
        (['a', 'a.b.*'], ['a', 'a.b.c']), ('', ['a', 'a.b', 'a.b.c', 'a.c', 'b']), ('none', []),
        ('*', ['a', 'b']), ([], ['a', 'a.b', 'a.b.c', 'a.c', 'b']),
    ])  # fmt: skip
    def test_patterns(self, run, kv, told, pattern, keys):
        for key in ('a', 'a.b', 'a.b.c', 'a.c', 'b'):
            run.call(kv.put, key, b'')
        kv.watch(pattern, told)
        run.until(lambda: told.caught_up)
        assert [key for key, _, _ in told.all[:-1]] == keys

    def test_options(self, run, each_kv):
        kv = each_kv
        fill(run, kv, a=b'1', b=b'1')
        fill(run, kv, a=b'2', b=None)
        for options, expected in (
            ({}, [('a', b'2', 'PUT'), ('b', None, 'DEL')]),
            ({'ignore_deletes': True}, [('a', b'2', 'PUT')]),
            ({'history': True}, [
                ('a', b'1', 'PUT'), ('b', b'1', 'PUT'), ('a', b'2', 'PUT'), ('b', None, 'DEL'),
            ]),
            ({'meta_only': True}, [('a', None, 'PUT'), ('b', None, 'DEL')]),
            ({'updates_only': True}, []),
            ({'since': 2}, [('a', b'2', 'PUT'), ('b', None, 'DEL')]),
            ({'since': 3}, [('b', None, 'DEL')]),
            ({'since': 4}, []),
            ({'since': 0}, [
                ('a', b'1', 'PUT'), ('b', b'1', 'PUT'), ('a', b'2', 'PUT'), ('b', None, 'DEL'),
            ]),
        ):  # fmt: skip
            told = Told()
            watch = kv.watch('>', told, **options)
            run.until(lambda told=told: told.caught_up)
            assert told.all == [*expected, MARK], options
            watch.stop()

    def test_updates_only(self, run, kv, told):
        fill(run, kv, a=b'1')
        kv.watch('a', told, updates_only=True)
        run.until(lambda: told.caught_up)
        fill(run, kv, a=b'2')
        run.until(lambda: len(told.all) == 2)
        assert told.all == [MARK, ('a', b'2', 'PUT')]

    def test_entries(self, run, kv, told):
        fill(run, kv, a=b'1', b=b'2')
        kv.watch('>', told)
        run.until(lambda: told.caught_up)
        first, second, none = told.entries
        assert none is None
        assert (first['bucket'], first['key'], first['value']) == (kv.bucket, 'a', b'1')
        assert (first['revision'], first['delta'], first['operation']) == (1, 1, 'PUT')
        assert (second['revision'], second['delta']) == (2, 0)
        assert first['time'] <= second['time'] == second['created']

    def test_a_callback_with_fewer_arguments(self, run, kv):
        keys = []
        fill(run, kv, a=b'1')
        kv.watch('a', keys.append)
        run.until(lambda: len(keys) == 2)
        assert keys == ['a', None]

    def test_the_connection_is_lost_again_and_again(
        self, run, own_server, connect, make_bucket, proxy, told
    ):
        between = proxy(own_server)
        other = make_bucket(JetStream(nats=connect(port=own_server.port)))
        sizes = [30_000, 20_000]
        nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
        nats.on_reconnect(lambda: sizes and between.cut_after(sizes.pop()))
        kv = KV(js=JetStream(nats=nats), bucket=other.bucket)
        for number in range(300):
            other.put(f'k{number}', bytes(200))
        run.call(other.put, 'last', b'')
        run.until(nats.is_connected)
        between.cut_after(10_000)
        kv.watch('>', told, on_end=told.end)
        run.until(lambda: told.caught_up)
        for number in range(300):
            other.put(f'k{number}', b'again')
        between.cut_after(5_000)
        run.until(lambda: len(told.all) >= 602)
        revisions = [entry['revision'] for entry in told.entries if entry]
        assert revisions == list(range(1, 602))
        assert (told.all[301], told.ends, sizes) == (MARK, [], [])

    def test_the_server_is_killed_and_started_again(
        self, run, own_server, connect, make_bucket, told
    ):
        nats = connect(port=own_server.port, reconnect=True, reconnect_delay=10)
        kv = make_bucket(JetStream(nats=nats), storage='file')
        fill(run, kv, a=b'1')
        kv.watch('>', told, on_end=told.end)
        run.until(lambda: told.caught_up)
        own_server.kill()
        run.until(lambda: not nats.is_connected())
        own_server.restart()
        run.until(nats.is_connected)
        fill(run, kv, a=b'2')
        run.until(lambda: len(told.all) == 3)
        assert told.all == [('a', b'1', 'PUT'), MARK, ('a', b'2', 'PUT')]
        assert told.ends == []

    def test_the_bucket_is_deleted(self, run, kv, told):
        kv.watch('>', told, on_end=told.end)
        run.until(lambda: told.caught_up)
        run.call(kv.delete_bucket)
        run.until(lambda: told.ends)
        assert isinstance(told.ends[0], BucketNotFoundError)

    def test_the_bucket_is_another_one_after_a_loss(
        self, run, own_server, connect, make_bucket, proxy, told
    ):
        between = proxy(own_server)
        other = make_bucket(JetStream(nats=connect(port=own_server.port)))
        nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
        kv = KV(js=JetStream(nats=nats), bucket=other.bucket)
        kv.watch('>', told, on_end=told.end)
        run.until(lambda: told.caught_up)
        between.stall()
        run.call(other.delete_bucket)
        make_bucket(other.js)
        fill(run, other, a=b'1', b=b'2')
        between.cut()
        between.flow()
        run.until(lambda: told.ends)
        assert isinstance(told.ends[0], ConsumptionEnded)

    def test_no_such_bucket(self, run, js, unique, told):
        kv = KV(js=js, bucket=unique)
        kv.watch('>', told, on_end=told.end)
        run.until(lambda: told.ends)
        assert isinstance(told.ends[0], BucketNotFoundError)
        js.nats.on_error(run.done)
        kv.watch('>', told)
        assert isinstance(run(), BucketNotFoundError)

    def test_the_client_is_closed(self, run, kv, told):
        kv.watch('>', told, on_end=told.end)
        run.until(lambda: told.caught_up)
        kv.js.nats.disconnect()
        run.until(lambda: told.ends)
        assert isinstance(told.ends[0], DisconnectedError)

    def test_stop_at_once(self, run, kv, told):
        fill(run, kv, a=b'1')
        kv.watch('>', told, on_end=run.done).stop()
        assert run() is None
        assert told.all == []

    def test_wrong_arguments_raise(self, kv):
        for pattern in ('a b', 'a..b', '>.a', 'a*', 'a.>b'):
            with pytest.raises(ValueError, match='pattern'):
                kv.watch(pattern, print)
        with pytest.raises(ValueError, match='one of history'):
            kv.watch('>', print, history=True, updates_only=True)
        with pytest.raises(TypeError, match='requires 5'):
            kv.watch('>', lambda a, b, c, d, e: None)
        with pytest.raises(TypeError, match='include_history'):
            kv.watch('>', print, include_history=True)


class TestKeys:
    def test_live_keys_only(self, run, each_kv):
        kv = each_kv
        assert run.call(kv.keys) == ([], None)
        fill(run, kv, a=b'1', b=b'1', c=b'1')
        fill(run, kv, a=b'2', b=None)
        run.call(kv.purge, 'c')
        assert run.call(kv.keys) == (['a'], None)
        fill(run, kv, b=b'2')
        assert run.call(kv.keys) == (['a', 'b'], None)

    def test_filters(self, run, kv):
        for key in ('a', 'a.b', 'a.b.c', 'b'):
            run.call(kv.put, key, b'')
        assert run.call(kv.keys, filters='a.>') == (['a.b', 'a.b.c'], None)
        assert run.call(kv.keys, filters=['b', 'a.*']) == (['a.b', 'b'], None)
        assert run.call(kv.keys, filters=['none']) == ([], None)

    def test_one_by_one(self, run, kv):
        fill(run, kv, a=b'1', b=b'1', c=None)
        keys = []
        assert run.call(kv.keys, on_key=keys.append) == (2, None)
        assert keys == ['a', 'b']

    def test_many(self, run, kv):
        publisher = kv.js.publisher(500)
        for number in range(5000):
            publisher.publish(f'$KV.{kv.bucket}.k{number}', b'x')
        run.call(publisher.done)
        keys, err = run.call(kv.keys)
        numbers = [int(key[1:]) for key in keys]
        assert (len(keys), err) == (5000, None)
        assert numbers == list(range(5000))

    def test_nothing_is_left_behind(self, run, kv):
        fill(run, kv, a=b'1')
        subscriptions = kv.js.nats.subscription_count()
        run.call(kv.keys)
        run.call(kv.history, 'a')
        assert kv.js.nats.subscription_count() == subscriptions
        while run.call(kv.js.consumer_names, f'KV_{kv.bucket}')[0]:
            pass


class TestHistory:
    def test_all_that_is_kept(self, run, each_kv):
        kv = each_kv
        fill(run, kv, a=b'0', b=b'x')
        for number in range(1, 5):
            fill(run, kv, a=b'%d' % number)
        fill(run, kv, a=None)
        entries, err = run.call(kv.history, 'a')
        assert err is None
        found = [(entry['operation'], entry['value'], entry['delta']) for entry in entries]
        assert found == [
            ('PUT', b'1', 4),
            ('PUT', b'2', 3),
            ('PUT', b'3', 2),
            ('PUT', b'4', 1),
            ('DEL', None, 0),
        ]
        assert run.call(kv.history, 'none') == ([], None)


class TestPurgeDeletes:
    def test_all(self, run, each_kv):
        kv = each_kv
        fill(run, kv, a=b'1', b=b'1', c=b'1')
        fill(run, kv, a=None, b=None)
        report, err = run.call(kv.purge_deletes, older_than=0)
        assert (report, err) == ({'keys': 2, 'purged': 4}, None)
        assert run.call(kv.history, '>')[0][0]['key'] == 'c'
        assert run.call(kv.purge_deletes, older_than=0) == ({'keys': 0, 'purged': 0}, None)

    def test_young_marks_stay(self, run, kv):
        fill(run, kv, a=b'1')
        fill(run, kv, a=None)
        assert run.call(kv.purge_deletes) == ({'keys': 0, 'purged': 1}, None)
        entries, _ = run.call(kv.history, 'a')
        assert [entry['operation'] for entry in entries] == ['DEL']

    def test_wrong_arguments_raise(self, kv):
        with pytest.raises(TypeError, match='older_than'):
            kv.purge_deletes(print, older_than='1')
