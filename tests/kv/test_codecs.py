"""Values and keys through codecs."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from natsev import KV, CodecError
from natsev.kv import Base64Keys, KeyChain, PathKeys


class TestValues:
    @pytest.fixture
    def packed(self, kv):
        return KV(js=kv.js, bucket=kv.bucket, codec='msgpack')

    def test_values_there_and_back(self, run, packed):
        value = {'when': datetime(2026, 1, 1, tzinfo=timezone.utc), 'big': 2**80, 'list': [1, None]}
        assert run.call(packed.put, 'a', value) == (1, None)
        assert run.call(packed.get, 'a') == (value, None)
        entry, err = run.call(packed.entry, 'a')
        assert (entry['value'], err) == (value, None)
        assert run.call(packed.update, 'a', [], 1) == (2, None)
        assert run.call(packed.create, 'b', None) == (3, None)
        entries, err = run.call(packed.history, 'a')
        assert ([entry['value'] for entry in entries], err) == ([value, []], None)
        assert run.call(packed.get, 'none') == (None, None)

    def test_others_read_the_raw_value(self, run, kv, packed):
        run.call(packed.put, 'a', [1])
        assert run.call(kv.get, 'a') == (b'\x91\x01', None)

    def test_what_cannot_be_packed_raises(self, packed):
        for call, args in ((packed.put, ()), (packed.create, ()), (packed.update, (1,))):
            with pytest.raises(ValueError, match=r"^value of key 'a' cannot be packed: set$"):
                call('a', {1}, *args)

    def test_what_is_not_msgpack(self, run, kv, packed):
        run.call(kv.put, 'a', b'\xc1')
        run.call(kv.put, 'b', packed._place.encode('b', 'fine'))
        for call in (packed.get, packed.entry):
            value, err = run.call(call, 'a')
            assert value is None
            assert isinstance(err, CodecError)
            assert str(err).startswith("value of key 'a' is not msgpack: ")
        (entry,), err = run.call(packed.history, 'a')
        assert (entry['value'], entry['raw'], err) == (None, b'\xc1', None)
        assert "'a'" in str(entry['error'])

    def test_a_watch_goes_on_after_it(self, run, kv, packed):
        told, errors = [], []
        kv.js.nats.on_error(errors.append)
        run.call(kv.put, 'a', b'\xc1')
        run.call(packed.put, 'b', 'fine')
        packed.watch('>', lambda *args: told.append(args))
        run.until(lambda: len(told) == 3)
        assert [args[:3] for args in told] == [
            ('a', None, 'PUT'), ('b', 'fine', 'PUT'), (None, None, None),
        ]  # fmt: skip
        assert errors == [told[0][3]['error']]

    def test_marks_are_not_decoded(self, run, packed):
        run.call(packed.put, 'a', 1)
        run.call(packed.delete, 'a')
        assert run.call(packed.get, 'a') == (None, None)
        assert run.call(packed.keys) == ([], None)


class TestKeys:
    def test_any_text_as_a_key(self, run, kv):
        odd = KV(js=kv.js, bucket=kv.bucket, key_codec=Base64Keys())
        key = 'Acme Inc.contact'
        assert run.call(odd.put, key, b'1') == (1, None)
        assert run.call(odd.get, key) == (b'1', None)
        assert run.call(odd.keys) == ([key], None)
        assert run.call(kv.keys) == (['QWNtZSBJbmMuY29udGFjdA=='], None)
        entries, _ = run.call(odd.history, key)
        assert [entry['key'] for entry in entries] == [key]
        told = []
        odd.watch([key, 'ü'], lambda key, value: told.append(key))
        run.until(lambda: len(told) == 2)
        assert told == [key, None]
        assert run.call(odd.delete, key) == (True, None)
        assert run.call(odd.keys) == ([], None)

    def test_keys_of_others_are_told(self, run, kv):
        odd = KV(js=kv.js, bucket=kv.bucket, key_codec=Base64Keys())
        errors = []
        kv.js.nats.on_error(errors.append)
        run.call(kv.put, 'a/b', b'1')
        run.call(odd.put, 'fine', b'2')
        assert run.call(odd.keys) == (['fine'], None)
        told = []
        odd.watch('>', lambda key, value: told.append((key, value)))
        run.until(lambda: len(told) == 3)
        assert told == [('a/b', None), ('fine', b'2'), (None, None)]
        assert [str(err) for err in errors] == ["key 'a/b' is not base64url"] * 2

    def test_paths(self, run, kv):
        paths = KV(js=kv.js, bucket=kv.bucket, key_codec=PathKeys())
        for path in ('/etc/hosts', 'home/me', 'home/you'):
            run.call(paths.put, path, b'')
        assert run.call(paths.keys) == (['/etc/hosts', 'home/me', 'home/you'], None)
        assert run.call(paths.keys, filters='home/*') == (['home/me', 'home/you'], None)
        assert run.call(kv.keys, filters='_root_.>') == (['_root_.etc.hosts'], None)

    @pytest.mark.parametrize('path,stored', [
        ('a/b', 'a.b'), ('/a/b', '_root_.a.b'), ('/', '_root_'), ('a', 'a'),
    ])  # fmt: skip
    def test_path_keys(self, path, stored):
        assert PathKeys().encode(path) == stored
        assert PathKeys().decode(stored) == path

    def test_a_trailing_separator_is_dropped(self):
        assert PathKeys().encode('a/b/') == 'a.b'

    def test_a_chain(self):
        chain = KeyChain(PathKeys(':'), Base64Keys())
        stored = chain.encode('a:b')
        assert stored == Base64Keys().encode('a.b')
        assert chain.decode(stored) == 'a:b'
        assert chain.encode_filter('>') == '>'

    def test_patterns_that_a_codec_cannot_encode(self, kv):
        class Upper:
            def encode(self, key):
                return key.upper()

            def decode(self, stored):
                return stored.lower()

        upper = KV(js=kv.js, bucket=kv.bucket, key_codec=Upper())
        with pytest.raises(ValueError, match='Upper cannot encode the pattern'):
            upper.watch('a.*', print)
