from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natsev import subjects

LEGAL = [
    'a',
    'a.b',
    'a.b.c',
    '$JS.API.INFO',
    'caf\u00e9',
    'a*b',
    'a.b>',
    '>a',
    'a-_/=+',
    'x' * 4000,
]
MALFORMED = [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a b',
    ' a',
    'a\t',
    'a\r\n',
    'a\n',
    'a\x00',
    'a\x7f',
    '\ud800',
]
NOT_TEXT = [None, 5, b'a', ['a']]


@pytest.mark.parametrize('subject', LEGAL)
def test_legal_subjects(subject):
    assert subjects.check_subject(subject) == subject
    assert subjects.check_subscription(subject) == subject


@pytest.mark.parametrize('subject', ['*', '>', 'a.*', '*.a', 'a.*.b', 'a.>', '*.*.>'])
def test_wildcards(subject):
    assert subjects.check_subscription(subject) == subject
    with pytest.raises(ValueError, match='contains a wildcard'):
        subjects.check_subject(subject)


@pytest.mark.parametrize('subject', ['>.a', 'a.>.b', '>.>', '*.>.*'])
def test_misplaced_wildcards(subject):
    with pytest.raises(ValueError, match="has a '>' that is not its last token"):
        subjects.check_subscription(subject)


@pytest.mark.parametrize('check', [subjects.check_subject, subjects.check_subscription])
@pytest.mark.parametrize('subject', MALFORMED)
def test_malformed_subjects(check, subject):
    with pytest.raises(ValueError, match=r'^subject '):
        check(subject)


CHECKS = [
    subjects.check_subject,
    subjects.check_subscription,
    subjects.check_queue_group,
    subjects.check_stream,
    subjects.check_consumer,
    subjects.check_bucket,
    subjects.check_key,
    subjects.check_key_pattern,
    subjects.encode_object_name,
    subjects.percent_encode_name,
]


@pytest.mark.parametrize('check', CHECKS)
@pytest.mark.parametrize('value', NOT_TEXT)
def test_not_text(check, value):
    with pytest.raises(TypeError, match=f'must be str, not {type(value).__name__}$'):
        check(value)


@pytest.mark.parametrize('check', CHECKS)
@pytest.mark.parametrize('value', ['', 'caf\u00e9\ud800'])
def test_illegal_everywhere(check, value):
    with pytest.raises(ValueError, match=r'^[a-z ]+ (is empty$|.*(may|is not|cannot) )'):
        check(value)


def test_long_values_are_not_shown_whole():
    with pytest.raises(ValueError, match=r"'x+'\.\.\. contains") as raised:
        subjects.check_subject('x' * 10_000 + ' ')
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize('name', ['q', 'my-group', 'a.b', 'q*', 'caf\u00e9'])
def test_queue_groups(name):
    assert subjects.check_queue_group(name) == name


@pytest.mark.parametrize('check', [subjects.check_stream, subjects.check_consumer])
def test_names_of_streams_and_consumers(check):
    for name in ('ORDERS', 'a-b_c', '$x', 'caf\u00e9', 'x' * 255):
        assert check(name) == name
    for name in ('a.b', 'a*', '>', 'a/b', 'a\\b', 'a b', 'a\x00', 'x' * 256, '\u00e9' * 128):
        with pytest.raises(ValueError, match=r'^(stream|consumer) name '):
            check(name)


def test_buckets():
    for name in ('files', 'A-b_9', '-', '_'):
        assert subjects.check_bucket(name) == name
    for name in ('a.b', 'a b', 'caf\u00e9', 'a*', 'a/b', 'a\n'):
        with pytest.raises(ValueError, match=r'^bucket name '):
            subjects.check_bucket(name)


def test_keys():
    for key in ('a', 'a.b', 'a/b=c_d-e', '9', '=', 'a_kv'):
        assert subjects.check_key(key) == key
        assert subjects.check_key_pattern(key) == key
    for key in (
        '.a',
        'a.',
        'a..b',
        'a b',
        'a*',
        '*',
        '>',
        'caf\u00e9',
        'a:b',
        '_kv',
        '_kv.x',
        'a\n',
    ):
        with pytest.raises(ValueError, match=r'^key '):
            subjects.check_key(key)


def test_key_patterns():
    for pattern in ('*', '>', 'a.*', 'a.>', '*.b', 'a.*.c'):
        assert subjects.check_key_pattern(pattern) == pattern
    for pattern in ('a*', '>.a', 'a..b', '', '.', 'a.>.b', '**', 'a b'):
        with pytest.raises(ValueError, match=r'^key pattern '):
            subjects.check_key_pattern(pattern)


# What the official clients store these names under.
NAMES = [
    ('f.txt', 'Zi50eHQ='),
    ('a', 'YQ=='),
    ('abc', 'YWJj'),
    ('a b', 'YSBi'),
    ('\u00ff\u00fe', 'w7_Dvg=='),
    ('dir/\u20ac>?', 'ZGlyL-KCrD4_'),
]


@pytest.mark.parametrize('name,token', NAMES)
def test_object_names(name, token):
    assert subjects.encode_object_name(name) == token
    assert subjects.decode_object_name(token) == name


@pytest.mark.parametrize(
    'token',
    ['Y', 'YQ', 'YQ=', 'Y!Q=', 'a b', '_w==', '\u00e9', 'w7/Dvg==', 'YR==', ' YQ==', 'YQ==YQ=='],
)
def test_tokens_of_no_object_name(token):
    assert subjects.decode_object_name(token) is None


@pytest.mark.parametrize('encode', [subjects.encode_object_name, subjects.percent_encode_name])
def test_object_names_that_cannot_be_stored(encode):
    assert encode('x' * 2900)
    for name in ('', 'x' * 2901, '\u00e9' * 1451, '\ud800'):
        with pytest.raises(ValueError, match=r'^object name '):
            encode(name)


PERCENT = [
    ('a', 'a'),
    ('a.txt', 'a.txt'),
    ('A-z_0.9', 'A-z_0.9'),
    ('a b', 'a%20b'),
    ('a/b~c', 'a%2Fb%7Ec'),
    ('100%', '100%25'),
    ('*', '%2A'),
    ('caf\u00e9', 'caf%C3%A9'),
]


@pytest.mark.parametrize('name,tokens', PERCENT)
def test_names_of_the_perl_original(name, tokens):
    assert subjects.percent_encode_name(name) == tokens
    assert subjects.percent_decode_name(tokens) == name


@pytest.mark.parametrize('name', ['.', '.a', 'a.', 'a..b'])
def test_names_that_are_no_subject_in_the_perl_original(name):
    with pytest.raises(ValueError, match='empty token'):
        subjects.percent_encode_name(name)


def test_percent_tokens_of_no_name():
    assert subjects.percent_decode_name('%FF') is None


names = st.text(st.characters(exclude_categories=['Cs']), min_size=1, max_size=500)


@given(names)
def test_object_names_there_and_back(name):
    token = subjects.encode_object_name(name)
    assert subjects.check_subject(token) == token
    assert '.' not in token
    assert subjects.decode_object_name(token) == name


@given(names.filter(lambda name: '.' not in name))
def test_percent_names_there_and_back(name):
    tokens = subjects.percent_encode_name(name)
    assert subjects.check_subject(tokens) == tokens
    assert subjects.percent_decode_name(tokens) == name


@given(st.text())
def test_any_text_is_a_subject_or_a_value_error(text):
    try:
        subjects.check_subscription(text)
    except ValueError:
        return
    assert all(token and not set(token) & set(' \t\r\n') for token in text.split('.'))
