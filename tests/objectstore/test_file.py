"""An open object as a file, in another thread."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from random import Random

import pytest

from natsev import DisconnectedError, JetStream, ObjectChanged, ObjectStore

DATA = os.urandom(700_000)


@pytest.fixture
def elsewhere(run, store):
    """Calls a function in another thread, while the loop runs; returns or raises what it does."""

    def call(function, *args):
        ends = []

        def body():
            try:
                ends.append((function(*args), None))
            except Exception as exc:  # raised again in the test
                ends.append((None, exc))
            wakeup.send()

        wakeup = store._bucket.nats.port.wakeup(lambda: None)
        thread = threading.Thread(target=body)
        thread.start()
        run.until(lambda: ends)
        thread.join()
        wakeup.close()
        result, exc = ends[0]
        if exc is not None:
            raise exc
        return result

    return call


@pytest.fixture(params=[None, 'zlib'])
def reader(request, run, store, js):
    store = ObjectStore(js=js, bucket=store.bucket, codec=request.param)
    run.call(store.put, 'a', DATA)
    return run.call(store.open, 'a')[0]


def test_it_reads_as_any_file_does(reader, elsewhere):
    random = Random(1)
    wanted = io.BytesIO(DATA)

    def read(file):
        for _ in range(100):
            offset = random.randrange(len(DATA) + 1000)
            size = random.choice((0, 1, 1000, 100_000, len(DATA)))
            assert file.seek(offset) == wanted.seek(offset) == file.tell()
            assert file.read(size) == wanted.read(size)
            assert file.tell() == wanted.tell()
        assert file.seek(-10, io.SEEK_END) == len(DATA) - 10
        assert file.seek(5, io.SEEK_CUR) == len(DATA) - 5
        assert file.read() == DATA[-5:]
        assert file.read() == file.read(1) == b''
        file.seek(0)
        assert file.read() == DATA
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)

    elsewhere(read, reader.file(buffer_size=10_000))


def test_what_takes_a_file_takes_it(run, store, elsewhere):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as made:
        for number in range(20):
            made.writestr(f'{number}', DATA[number * 1000 :])
    run.call(store.put, 'a.zip', archive.getvalue())
    reader, _ = run.call(store.open, 'a.zip')

    def members():
        with reader.file() as file, zipfile.ZipFile(file) as found:
            return found.namelist(), found.read('7')

    assert elsewhere(members) == ([str(number) for number in range(20)], DATA[7000:])


def test_the_loop_does_not_wait_for_itself(reader):
    with pytest.raises(RuntimeError, match='another thread'):
        reader.file().read()


def test_errors_are_raised(run, store, reader, elsewhere):
    run.call(store.put, 'a', b'another')
    file = reader.file(buffer_size=1)
    with pytest.raises(ObjectChanged):
        elsewhere(file.read)
    reader.close()
    with pytest.raises(ValueError, match='closed'):
        elsewhere(file.read)
    with pytest.raises(ValueError, match='buffer_size'):
        reader.file(0)


def test_a_client_that_closes(run, connect, server, store, reader, elsewhere):
    nats = connect(port=server.port)
    other = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    file = run.call(other.open, 'a')[0].file()

    def read_on():
        while file.raw.readall():
            file.raw.seek(0)

    timer = nats.port.timer(nats.disconnect)
    timer.start(0.2)
    with pytest.raises(DisconnectedError):
        elsewhere(read_on)
    with pytest.raises(DisconnectedError):
        elsewhere(file.raw.readall)
    timer.close()
