"""Objects that are stored compressed or encrypted."""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from natsev import Cancelled, CodecError, DigestMismatch, JetStream, ObjectStore
from natsev.objectstore import Encryption, Zlib, Zstd, record
from natsev.objectstore.codecs import compression
from natsev.objectstore.codecs.chain import Chain, Decoding, Encoding, chain_of
from natsev.objectstore.codecs.seeking import part_decoding
from natsev.objectstore.reading.get import Get
from natsev.objectstore.sink import Part
from natsev.objectstore.storing.put import Put

KEY, OTHER = b'k' * 32, b'o' * 32
DATA = b'some text that repeats ' * 20_000
CODECS = {
    'zlib': 'zlib',
    'zstd': 'zstd',
    'level': [Zlib(9)],
    'aes': Encryption({'one': KEY}),
    'chacha': Encryption({'one': KEY}, cipher='chacha20-poly1305'),
    'both': ['zstd', Encryption({'one': KEY})],
}
each_codec = pytest.mark.parametrize('codec', CODECS.values(), ids=CODECS)
sizes = pytest.mark.parametrize('size', [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000, len(DATA)])


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


@pytest.fixture
def coded(js, store):
    """``coded(codec)``: another handle for the bucket of ``store``."""
    return lambda codec: ObjectStore(js=js, bucket=store.bucket, codec=codec)


# Without a server: what goes in comes out, however it is cut.


def encode(codec: Any, data: bytes, cut: int = 1000) -> tuple[bytes, dict[str, str]]:
    encoding = Encoding(chain_of(codec))
    pieces = [
        piece for at in range(0, len(data), cut) for piece in encoding.update(data[at : at + cut])
    ]
    pieces += encoding.finish()
    return b''.join(pieces), encoding.metadata()


def decode(codec: Any, data: bytes, metadata: dict[str, str], cut: int = 1000) -> bytes:
    decoding = Decoding(chain_of(codec), metadata)
    pieces = [
        piece for at in range(0, len(data), cut) for piece in decoding.update(data[at : at + cut])
    ]
    return b''.join([*pieces, *decoding.finish()])


@each_codec
@sizes
def test_what_goes_in_comes_out(codec, size):
    for cut in (7919, 65_536, 10**9):
        stored, metadata = encode(codec, DATA[:size], cut)
        assert decode(codec, stored, metadata, cut) == DATA[:size]
        assert metadata['natsev.size'] == str(size)


@each_codec
def test_whatever_is_cut_off_is_noticed(codec):
    stored, metadata = encode(codec, DATA)
    for size in {0, 1, 10, 50, len(stored) // 2, len(stored) - 17, len(stored) - 1}:
        with pytest.raises(CodecError):
            decode(codec, stored[:size], metadata)
    with pytest.raises(CodecError):
        decode(codec, stored + b'x', metadata)


@each_codec
def test_whatever_is_altered_is_noticed(codec):
    stored, metadata = encode(codec, os.urandom(1000))
    for at in range(0, len(stored), 7):
        altered = bytearray(stored)
        altered[at] ^= 1
        try:
            # A compressed stream has bits that mean nothing.
            assert decode(codec, bytes(altered), metadata) == decode(codec, stored, metadata)
        except CodecError:
            continue
        assert not any(name in metadata['natsev.codec'] for name in ('aes', 'chacha'))


@pytest.mark.parametrize('name', ['aes', 'chacha'])
def test_segments_have_their_order(name):
    codec = CODECS[name]
    stored, metadata = encode(codec, os.urandom(65_536 * 3))
    header, segment = len(stored) - 3 * (65_536 + 16), 65_536 + 16
    parts = [stored[header + n * segment : header + (n + 1) * segment] for n in range(3)]
    for order in ([1, 0, 2], [0, 2], [0, 1], [0, 0, 2], [0, 1, 2, 2]):
        with pytest.raises(CodecError):
            decode(codec, stored[:header] + b''.join(parts[n] for n in order), metadata)
    # Nor can they be those of another object.
    other, _ = encode(codec, os.urandom(65_536 * 3))
    with pytest.raises(CodecError):
        decode(codec, stored[:header] + parts[0] + other[header + segment :], metadata)


# Parts.


def decode_part(codec: Any, data: bytes, metadata: dict[str, str], offset: int, length: int) -> Any:
    """Decode a part of *data*: return it, and how many of the stored bytes that took."""
    meta = record.new('a', 'b', 'n', metadata=metadata)
    meta['size'] = len(data)
    decoding = part_decoding(chain_of(codec), meta, Part(offset, length))
    if decoding is None:
        return decode(codec, data, metadata)[offset : offset + length], len(data)
    start, size = decoding.stored
    pieces = [
        piece
        for at in range(start, start + size, 7001)
        for piece in decoding.update(data[at : min(at + 7001, start + size)])
    ]
    return b''.join([*pieces, *decoding.finish()]), size


MIXED = b''.join(hashlib.sha256(b'%d' % n).digest() + b'text ' * (n % 50) for n in range(14_000))
MIXED_ENCODED = {name: encode(codec, MIXED, 100_000) for name, codec in CODECS.items()}


@pytest.mark.parametrize('name', CODECS)
@given(st.integers(0, len(MIXED) + 10), st.integers(0, 600_000))
@settings(deadline=None, max_examples=40)
def test_any_part_of_anything_encoded(name, offset, length):
    stored, metadata = MIXED_ENCODED[name]
    part, needed = decode_part(CODECS[name], stored, metadata, offset, length)
    assert part == MIXED[offset : offset + length]
    assert needed <= len(stored) * (length + 2 * 262_144) // len(MIXED) * 1.2 + 65_552


@pytest.mark.parametrize('codec', ['zlib', 'zstd', CODECS['both']])
def test_places_to_enter_become_fewer_not_more(codec, monkeypatch):
    monkeypatch.setattr(compression, '_FRAME', 1000)
    monkeypatch.setattr(compression, '_MOST_PLACES', 10)
    stored, metadata = encode(codec, MIXED, 3333)
    assert len(metadata['natsev.seek']) < 250
    for offset in range(0, len(MIXED), 99_999):
        part, needed = decode_part(codec, stored, metadata, offset, 1000)
        assert part == MIXED[offset : offset + 1000]
        assert needed < len(stored) // 2


def test_other_programs_unpack_what_is_compressed():
    assert zlib.decompress(MIXED_ENCODED['zlib'][0]) == MIXED
    unpacked = zstandard.ZstdDecompressor().stream_reader(
        MIXED_ENCODED['zstd'][0], read_across_frames=True
    )
    assert unpacked.read() == MIXED


def test_what_an_older_natsev_compressed_is_read_as_a_whole():
    for codec, stored in (
        ('zlib', zlib.compress(MIXED)),
        ('zstd', zstandard.ZstdCompressor().compress(MIXED)),
    ):
        metadata = {'natsev.codec': codec, 'natsev.size': str(len(MIXED))}
        assert decode_part(codec, stored, metadata, 500_000, 10) == (
            MIXED[500_000:500_010],
            len(stored),
        )


def test_small_objects_have_no_seek():
    assert 'natsev.seek' not in encode(CODECS['both'], MIXED[:262_144])[1]
    assert 'natsev.seek' not in encode(CODECS['aes'], MIXED[:65_536])[1]


@pytest.mark.parametrize('name', ['aes', 'chacha', 'both'])
def test_a_part_that_is_encrypted_is_authentic(name):
    """Whatever is exchanged or altered, nobody is given other bytes than those that were put."""
    stored, metadata = MIXED_ENCODED[name]
    other, other_metadata = encode(CODECS[name], MIXED[::-1], 100_000)
    compressed, sealed = ['', *metadata['natsev.seek'].split()][-2:]
    segment = 65_536 + 16
    swapped = stored[:segment] + stored[2 * segment : 3 * segment] + stored[segment : 2 * segment]
    altered = [
        (stored[::-1], metadata),
        (other, metadata),
        (stored, other_metadata),
        (swapped + stored[3 * segment :], metadata),
        (stored[: 3 * segment], metadata),
        (stored + b'x', metadata),
        (stored, {**metadata, 'natsev.size': str(len(MIXED) - 1)}),
        (stored, {**metadata, 'natsev.seek': metadata['natsev.seek'].replace('A', 'B')}),
    ]
    if compressed:
        size, every, places = compressed.split(':')
        first, second, *rest = places.split(',')
        seeks = (
            [size, every, ','.join([first + '1', second, *rest])],
            [size, every, ','.join([second, *rest])],
            [size, str(int(every) * 2), places],
        )
        altered += [
            (stored, {**metadata, 'natsev.seek': f'{":".join(seek)} {sealed}'}) for seek in seeks
        ]
    for data, seek in altered:
        for offset in range(0, len(MIXED), 180_000):
            try:
                part, _ = decode_part(CODECS[name], data, seek, offset, 200_000)
            except CodecError:
                continue
            assert part == MIXED[offset : offset + 200_000]


@pytest.mark.parametrize(
    'seek', ['', 'x', '::', '1:1:', '5:0:1', '9:1:ffffffffff', '9:-1:5', '9:1:5,0', '1:1:1 1:1:1']
)
def test_seeks_that_make_no_sense(seek):
    stored, metadata = MIXED_ENCODED['zlib']
    try:
        part, _ = decode_part('zlib', stored, {**metadata, 'natsev.seek': seek}, 300_000, 10)
    except CodecError:
        return
    assert part == MIXED[300_000:300_010]


def test_the_same_bytes_are_never_encrypted_alike():
    assert encode(CODECS['aes'], DATA)[0] != encode(CODECS['aes'], DATA)[0]


def test_what_unpacks_without_end_is_stopped():
    bomb = zlib.compress(b'\0' * 50_000_000, 9)
    metadata = {'natsev.codec': 'zlib', 'natsev.size': '1000'}
    decoding = Decoding(Chain(), metadata)
    came: list[bytes] = []
    with pytest.raises(CodecError, match='larger'):
        came.extend(decoding.update(bomb))
    assert sum(map(len, came)) <= 1000
    encoded, _ = encode('zstd', b'\0' * 50_000_000)
    decoding = Decoding(Chain(), {**metadata, 'natsev.codec': 'zstd'})
    with pytest.raises(CodecError, match='larger'):
        list(decoding.update(encoded))


@pytest.mark.parametrize(
    'metadata',
    [
        {'natsev.codec': 'unknown', 'natsev.size': '1'},
        {'natsev.codec': '', 'natsev.size': '1'},
        {'natsev.codec': 'zlib'},
        {'natsev.codec': 'zlib', 'natsev.size': '-1'},
        {'natsev.codec': 'zlib', 'natsev.size': '9' * 100},
        {'natsev.codec': 'aes-256-gcm', 'natsev.size': '1'},
    ],
)
def test_metadata_that_makes_no_sense(metadata):
    with pytest.raises(CodecError):
        Decoding(Chain(), metadata)


# In the store.


@each_codec
def test_there_and_back(run, store, coded, codec, inside, tmp_path):
    info = put(run, coded(codec), 'a', DATA, metadata={'k': 'v'})
    data, err, meta = run.call(coded(codec).get, 'a')
    assert (data, err) == (DATA, None)
    assert meta['metadata']['k'] == 'v'
    assert meta['metadata']['natsev.size'] == str(len(DATA))
    digest = record.digest_text(hashlib.sha256(DATA).digest())
    assert meta['metadata']['natsev.digest'] == digest
    assert info['metadata'] == meta['metadata']
    path = tmp_path / 'a'
    assert run.call(coded(codec).get, 'a', into=path)[:2] == (len(DATA), None)
    assert path.read_bytes() == DATA
    chunks: list[bytes] = []
    assert run.call(coded(codec).get_stream, 'a', chunks.append)[1] is None
    assert b''.join(chunks) == DATA


@each_codec
@pytest.mark.parametrize('part', [(0, 10), (100_000, 100_000), (459_990, None), (10**9, 5)])
def test_parts(run, coded, codec, part):
    put(run, coded(codec), 'a', DATA)
    offset, length = part
    data, err, _ = run.call(coded(codec).get, 'a', offset=offset, length=length)
    assert err is None
    assert data == DATA[offset:][: length if length is not None else len(DATA)]


@pytest.mark.parametrize('codec', ['zlib', 'zstd', CODECS['aes'], CODECS['both']])
def test_a_little_of_a_large_encoded_object_costs_little(run, coded, codec, tmp_path):
    store = coded(codec)
    data = MIXED * 20
    put(run, store, 'a', data)
    stats = store._bucket.nats.stats
    reader, _ = run.call(store.open, 'a')
    before = stats()
    assert run.call(reader.read_at, 17_000_000, 100_000) == (data[17_000_000:17_100_000], None)
    assert stats()['bytes_in'] - before['bytes_in'] < 1_500_000
    assert stats()['msgs_out'] - before['msgs_out'] <= 5
    assert run.call(reader.read_at, len(data), 10) == (b'', None)
    path = tmp_path / 'part'
    assert run.call(store.get, 'a', into=path, offset=999, length=2_000_000)[:2] == (
        2_000_000,
        None,
    )
    assert path.read_bytes() == data[999:2_000_999]
    assert run.call(store.get, 'a')[0] == data


def test_chunks_of_an_encrypted_object_that_are_exchanged(run, store, coded, inside):
    codec = CODECS['aes']
    stored, metadata = encode(codec, MIXED)
    chunks = [stored[at : at + 131_072] for at in range(0, len(stored), 131_072)]
    chunks[1], chunks[2] = chunks[2], chunks[1]
    inside.write_chunks('na', *chunks)
    options = {'max_chunk_size': 131_072}
    inside.write_meta('a', size=len(stored), chunks=len(chunks), options=options, metadata=metadata)
    got = coded(codec).get
    assert run.call(got, 'a', offset=0, length=65_000)[0] == MIXED[:65_000]
    for offset in (131_000, 200_000, 300_000):
        data, err, _ = run.call(got, 'a', offset=offset, length=100_000)
        assert data is None
        assert isinstance(err, CodecError)


def test_compressed_objects_need_no_codec_to_be_read(run, store):
    for codec in ('zlib', 'zstd'):
        info = put(run, store, codec, DATA, codec=codec)
        assert info['size'] < len(DATA) // 10
        assert run.call(store.get, codec)[0] == DATA


def test_streams_and_empty_objects(run, store):
    results: list[Any] = []
    writer = store.put_stream('a', lambda *result: results.append(result), codec='zlib')
    for at in range(0, len(DATA), 10_000):
        writer.write(DATA[at : at + 10_000])
    writer.end()
    run.until(lambda: results)
    assert results[0][1] is None
    assert run.call(store.get, 'a')[0] == DATA
    put(run, store, 'empty', b'', codec='zstd')
    assert run.call(store.get, 'empty')[0] == b''


def test_other_clients_get_what_is_stored(run, store, peer):
    put(run, store, 'a', DATA, codec='zlib')
    assert zlib.decompress(peer.get(store.bucket, 'a')) == DATA


def test_a_codec_of_the_store_can_be_left_out(run, store, coded):
    put(run, coded('zlib'), 'a', DATA, codec=())
    assert run.call(store.info, 'a')[0]['size'] == len(DATA)


@each_codec
def test_skip_same_compares_what_was_put(run, coded, codec):
    store = coded(codec)
    first = put(run, store, 'a', DATA)
    assert put(run, store, 'a', DATA, skip_same=True)['seq'] == first['seq']
    # Another codec, or none, makes other bytes.
    plain = put(run, store, 'a', DATA, skip_same=True, codec=())
    assert plain['seq'] > first['seq']
    again = put(run, store, 'a', DATA, skip_same=True)
    assert again['seq'] > plain['seq']
    assert run.call(store.get, 'a')[0] == DATA
    assert put(run, store, 'a', b'other', skip_same=True)['seq'] > again['seq']
    assert run.call(store.get, 'a')[0] == b'other'


def test_a_commit_of_encoded_objects(run, js, unique):
    store = ObjectStore(js=js, bucket=unique + 'c', codec='zlib')
    assert run.call(store.create_bucket, {'atomic': True})[1] is None
    infos, err = run.call(store.commit, [('a', DATA), ('b', b'b', {'codec': ()})])
    assert err is None
    assert infos[0]['size'] < len(DATA)
    assert run.call(store.get, 'a')[0] == DATA
    assert run.call(store.get, 'b')[0] == b'b'
    run.call(store.delete_bucket)


def test_keys_are_needed(run, store, coded):
    put(run, coded(CODECS['aes']), 'a', DATA)
    data, err, meta = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, CodecError)
    assert 'aes-256-gcm' in str(err)
    assert meta['metadata']['natsev.key'] == 'one'
    _, err, _ = run.call(coded(Encryption({'two': KEY})).get, 'a')
    assert isinstance(err, CodecError)
    assert "key 'one'" in str(err)
    _, err, _ = run.call(coded(Encryption({'one': OTHER})).get, 'a')
    assert isinstance(err, CodecError)


def test_keys_are_changed(run, coded):
    old = Encryption({'one': KEY})
    new = Encryption({'one': KEY, 'two': OTHER}, 'two')
    put(run, coded(old), 'a', DATA)
    put(run, coded(new), 'b', DATA)
    assert run.call(coded(new).get, 'a')[0] == DATA
    assert run.call(coded(new).get, 'b')[0] == DATA
    assert run.call(coded(new).info, 'b')[0]['metadata']['natsev.key'] == 'two'


def test_keys_are_in_no_repr():
    text = repr(Encryption({'one': KEY}))
    assert 'one' in text
    assert 'kkk' not in text


def test_changed_metadata_leaves_the_codec(run, store):
    put(run, store, 'a', DATA, codec='zlib', metadata={'k': 'v'})
    meta, err = run.call(store.update_meta, 'a', {'metadata': {'x': 'y'}, 'name': 'b'})
    assert err is None
    assert meta['metadata']['x'] == 'y'
    assert 'k' not in meta['metadata']
    assert run.call(store.get, 'b')[0] == DATA


def test_metadata_of_an_encoded_object_can_be_copied(run, store):
    meta = put(run, store, 'a', DATA, codec='zlib', metadata={'k': 'v'})
    put(run, store, 'b', b'plain', metadata=meta['metadata'])
    assert run.call(store.get, 'b')[:2] == (b'plain', None)
    assert run.call(store.info, 'b')[0]['metadata'] == {'k': 'v'}


def test_links_versions_and_archives(run, store, coded, js, unique):
    secret = coded(CODECS['aes'])
    first = put(run, secret, 'a', b'first', keep_versions=1)
    put(run, secret, 'a', DATA)
    run.call(store.link, 'l', 'a')
    assert run.call(secret.get, 'l')[0] == DATA
    assert run.call(secret.get, 'a', version=first['seq'])[0] == b'first'
    file = io.BytesIO()
    assert run.call(store.export_bucket, file)[1] is None  # without the keys
    file.seek(0)
    target = ObjectStore(js=js, bucket=unique + 't', codec=CODECS['aes'])
    run.call(target.create_bucket, {})
    assert run.call(target.import_bucket, file)[1] is None
    assert run.call(target.get, 'a')[0] == DATA
    run.call(target.delete_bucket)


def test_stored_bytes_that_were_altered(run, store, coded, inside):
    secret = coded(CODECS['aes'])
    info = put(run, secret, 'a', b'x' * 100)
    (seq,) = inside.chunk_seqs(info['nuid'])
    inside.delete_message(seq)
    inside.write_chunks(info['nuid'], b'y' * info['size'])
    data, err, _ = run.call(secret.get, 'a')
    assert data is None
    assert isinstance(err, CodecError | DigestMismatch)


def test_what_a_get_wrote_is_gone_when_it_cannot_be_decoded(run, store, inside, tmp_path):
    inside.write_chunks('n1', b'rubbish')
    digest = record.digest_text(hashlib.sha256(b'rubbish').digest())
    metadata = {'natsev.codec': 'zlib', 'natsev.size': '7'}
    inside.write_meta('a', nuid='n1', size=7, chunks=1, digest=digest, metadata=metadata)
    _, err, _ = run.call(store.get, 'a', into=tmp_path / 'a')
    assert isinstance(err, CodecError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('codec', ['rot13', 1, object(), [None], ['zlib', 'x']])
def test_what_is_no_codec(js, store, codec):
    with pytest.raises((TypeError, ValueError)):
        store.put('a', b'', print, codec=codec)
    with pytest.raises((TypeError, ValueError)):
        ObjectStore(js=js, bucket='b', codec=codec)


@pytest.mark.parametrize(
    'options',
    [
        {'keys': {}},
        {'keys': {'a': b'short'}},
        {'keys': {'a': 'k' * 32}},
        {'keys': {1: KEY}},
        {'keys': {'': KEY}},
        {'keys': {'a': KEY, 'b': KEY}},
        {'keys': {'a': KEY}, 'key_id': 'b'},
        {'keys': {'a': KEY}, 'cipher': 'rot13'},
    ],
)
def test_keys_that_cannot_be(options):
    with pytest.raises((TypeError, ValueError)) as raised:
        Encryption(**options)
    assert 'kkk' not in str(raised.value)


def test_the_class_of_each_name():
    assert isinstance(chain_of('zstd').codecs[0], Zstd)
    assert chain_of(['zlib', CODECS['aes']]).name == 'zlib,aes-256-gcm'


@each_codec
@pytest.mark.parametrize('size', [100_000, 3_000_000])
def test_encoding_leaves_the_loop_its_turns(run, store, coded, monkeypatch, codec, size):
    """Of bytes that compress well one chunk may take very many."""
    monkeypatch.setattr('natsev.objectstore.codecs.coded._LONG', 0.0)
    turns = []
    wake = Put.wake
    monkeypatch.setattr(Put, 'wake', lambda put: turns.append(put) or wake(put))
    data = b'\0' * size
    put(run, coded(codec), 'a', data)
    assert len(turns) >= size // 131_072
    assert run.call(coded(codec).get, 'a')[:2] == (data, None)
    assert run.call(coded(codec).put, 'a', data, skip_same=True)[1] is None
    writer = coded(codec).put_stream('b', lambda *results: run.done(results))
    for at in range(0, size, 1000):
        writer.write(data[at : at + 1000])
    writer.end()
    assert run()[1] is None
    assert run.call(coded(codec).get, 'b')[:2] == (data, None)


def test_an_object_that_says_it_is_encoded_very_often(run, store, inside):
    """Each codec of a hundred thousand would have its memory."""
    inside.write_chunks('na', b'x')
    metadata = {'natsev.codec': ','.join(['zlib'] * 100_000), 'natsev.size': '1'}
    inside.write_meta('a', size=1, chunks=1, metadata=metadata)
    for options in ({}, {'offset': 0, 'length': 1}):
        assert isinstance(run.call(store.get, 'a', **options)[1], CodecError)
    with pytest.raises(ValueError, match='at most'):
        store.put('a', b'x', print, codec=['zlib'] * 17)


@pytest.fixture
def decoding_slowly(monkeypatch):
    """Each piece that is decoded takes a turn of the loop; the list of these turns."""
    monkeypatch.setattr('natsev.objectstore.codecs.coded._LONG', 0.0)
    turns = []
    decode_on = Get._decode_on
    monkeypatch.setattr(Get, '_decode_on', lambda get: turns.append(get) or decode_on(get))
    return turns


@each_codec
@pytest.mark.parametrize('size', [1, 300_000, 3_000_000])
def test_decoding_leaves_the_loop_its_turns(run, coded, decoding_slowly, tmp_path, codec, size):
    """Of few bytes very many may come."""
    store, data = coded(codec), bytes(range(256)) * (size // 256) + b'\0' * (size % 256)
    put(run, store, 'a', data)
    assert run.call(store.get, 'a')[:2] == (data, None)
    assert len(decoding_slowly) >= size // 1_048_576
    path = tmp_path / 'out'
    assert run.call(store.get, 'a', into=path)[:2] == (size, None)
    assert path.read_bytes() == data
    for offset, length in ((0, 1), (size // 2, size), (size - 1, 1), (size, 5)):
        part = run.call(store.get, 'a', offset=offset, length=length)[:2]
        assert part == (data[offset : offset + length], None)


@each_codec
def test_decoding_is_paused_and_cancelled(run, coded, decoding_slowly, tmp_path, codec):
    store, data = coded(codec), bytes(5_000_000)
    put(run, store, 'a', data)
    pieces = []

    def take(piece):
        pieces.append(piece)
        transfer.pause()
        store._bucket.nats.call_soon(transfer.resume)

    transfer = store.get_stream('a', take, lambda *results: run.done(results))
    assert run()[1] is None
    assert b''.join(pieces) == data

    pieces.clear()
    transfer = store.get_stream(
        'a',
        lambda piece: pieces.append(piece) or transfer.cancel(),
        lambda *results: run.done(results),
    )
    assert isinstance(run()[1], Cancelled)
    assert len(pieces) < 5


@pytest.mark.parametrize('size', [300_000, 40_000_000])
def test_the_connection_is_lost_while_it_is_decoded(
    run, server, proxy, connect, store, decoding_slowly, size
):
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket, codec='zstd')
    data = os.urandom(size // 10) * 10
    put(run, far, 'a', data)
    results = []
    far.get('a', lambda *args: results.append(args))
    run.until(lambda: len(decoding_slowly) > 1)
    between.cut()
    run.until(lambda: results)
    assert results[0][:2] == (data, None)
