"""How object names become subjects."""

from __future__ import annotations

import pytest

from natsev.objectstore.names import Subjects, is_nuid, name_of, stream


def test_a_bucket_is_a_stream():
    assert stream('files') == 'OBJ_files'


@pytest.mark.parametrize(
    'name, token',
    [
        ('a', 'YQ=='),
        ('photo~1?.jpg', 'cGhvdG9-MT8uanBn'),
        ('näme', 'bsOkbWU='),
        ('with space/and.dots', 'd2l0aCBzcGFjZS9hbmQuZG90cw=='),
    ],
)
def test_official_subject(name, token):
    subject = Subjects('b').meta(name)
    assert subject == f'$O.b.M.{token}'
    assert name_of(subject) == name


@pytest.mark.parametrize(
    'name, token',
    [('a.b', 'a.b'), ('with space', 'with%20space'), ('~', '%7E'), ('ä', '%C3%A4')],
)
def test_subject_of_the_original(name, token):
    assert Subjects('b', 'ev-nats').meta(name) == f'$O.b.M.{token}'
    assert name_of(f'$O.b.M.{token}') == name


@pytest.mark.parametrize('name', ['.', 'a..b', '.hidden', 'end.'])
def test_what_the_original_cannot_name(name):
    with pytest.raises(ValueError, match='empty token'):
        Subjects('b', 'ev-nats').meta(name)
    assert Subjects('b').meta(name)


@pytest.mark.parametrize('name', ['', 'x' * 2901, '\ud800'])
def test_illegal_names(name):
    with pytest.raises(ValueError, match='object name'):
        Subjects('b').meta(name)


@pytest.mark.parametrize('name', [None, 1, b'bytes'])
def test_names_are_text(name):
    with pytest.raises(TypeError, match='object name must be str'):
        Subjects('b').meta(name)


def test_a_name_that_only_a_short_bucket_can_hold():
    name = 'x' * 2900
    assert Subjects('b').meta(name)
    with pytest.raises(ValueError, match='too long for this bucket'):
        Subjects('b' * 200).meta(name)


def test_other_spellings():
    others = Subjects('b').other_metas('ä~?.b')
    assert '$O.b.M.%C3%A4%7E%3F.b' in others  # the original's
    assert '$O.b.M.w6R-Py5i' not in others  # our own
    assert '$O.b.M.w6R+Py5i' in others  # standard base64
    assert '$O.b.M.5H4_LmI=' in others  # Latin-1, as the JavaScript client has it
    assert '$O.b.M.YQ' in Subjects('b').other_metas('a')  # without padding
    assert '$O.b.M.YQ==' in Subjects('b', 'ev-nats').other_metas('a')


def test_no_spelling_twice():
    others = Subjects('b').other_metas('abc')
    assert len(set(others)) == len(others)
    assert '$O.b.M.YWJj' not in others


def test_name_of_what_nobody_encoded():
    assert name_of('$O.b.M.%FF') == '%FF'
    assert name_of('$O.b.M.YQ') == 'a'


@pytest.mark.parametrize('nuid', ['a', 'A-_=9', 'x' * 128])
def test_nuids(nuid):
    assert is_nuid(nuid)


@pytest.mark.parametrize('nuid', ['', 'a.b', '*', '>', 'a b', 'x' * 129, None, 3, 'a\n'])
def test_not_nuids(nuid):
    assert not is_nuid(nuid)
