"""A bucket's options as the configuration of its stream."""

from __future__ import annotations

import pytest

from natsev.objectstore import config


def test_without_options_as_go_writes_it():
    assert config.new_stream('b', {}) == {
        'name': 'OBJ_b',
        'subjects': ['$O.b.C.>', '$O.b.M.>'],
        'retention': 'limits',
        'max_bytes': -1,
        'max_age': 0,
        'storage': 'file',
        'num_replicas': 1,
        'discard': 'new',
        'allow_rollup_hdrs': True,
        'allow_direct': True,
    }
    assert config.new_stream('b', None) == config.new_stream('b', {})


@pytest.mark.parametrize(
    'option, field',
    [
        ({'description': 'd'}, {'description': 'd'}),
        ({'max_bytes': 10}, {'max_bytes': 10}),
        ({'max_bytes': 0}, {'max_bytes': -1}),
        ({'max_age': 10**9}, {'max_age': 10**9}),
        ({'replicas': 3}, {'num_replicas': 3}),
        ({'storage': 'memory'}, {'storage': 'memory'}),
        ({'compression': True}, {'compression': 's2'}),
        ({'compression': 's2'}, {'compression': 's2'}),
        ({'compression': False}, {}),
        ({'placement': {'tags': ['a']}}, {'placement': {'tags': ['a']}}),
        ({'metadata': {'a': 'b'}}, {'metadata': {'a': 'b'}}),
        ({'atomic': True}, {'allow_atomic': True}),
        ({'atomic': False}, {}),
        ({'batched': True}, {'allow_batched': True}),
        ({'object_ttl': True}, {'allow_msg_ttl': True}),
        ({'duplicate_window': 10**9}, {'duplicate_window': 10**9}),
        ({'description': None}, {}),
    ],
)
def test_options(option, field):
    assert config.new_stream('b', option) == {**config.new_stream('b', {}), **field}


def test_a_mirror_takes_its_subjects_over():
    made = config.new_stream('copy', {'mirror': 'files'})
    assert 'subjects' not in made
    assert made['mirror_direct'] is True
    assert made['mirror'] == {
        'name': 'OBJ_files',
        'subject_transforms': [
            {'src': '$O.files.C.>', 'dest': '$O.copy.C.>'},
            {'src': '$O.files.M.>', 'dest': '$O.copy.M.>'},
        ],
    }


def test_a_mirror_of_the_same_name_elsewhere():
    made = config.new_stream('files', {'mirror': {'bucket': 'files', 'domain': 'hub'}})
    assert made['mirror'] == {'name': 'OBJ_files', 'external': {'api': '$JS.hub.API'}}


def test_sources():
    made = config.new_stream('all', {'sources': ['a', {'name': 'OBJ_b', 'opt_start_seq': 5}]})
    assert [source['name'] for source in made['sources']] == ['OBJ_a', 'OBJ_b']
    assert made['sources'][1]['opt_start_seq'] == 5
    assert made['subjects'] == ['$O.all.C.>', '$O.all.M.>']


@pytest.mark.parametrize(
    'options',
    [
        {'max_byte': 1},
        {'max_bytes': -2},
        {'max_age': -1},
        {'replicas': 0},
        {'storage': 'paper'},
        {'compression': 'zip'},
        {'placement': {'planet': 'x'}},
        {'mirror': 'a.b'},
        {'mirror': {'name': 'other'}},
        {'mirror': 'a', 'sources': ['b']},
        {'sources': [{}]},
    ],
)
def test_wrong_values(options):
    with pytest.raises(ValueError):  # noqa: PT011 (each has a text of its own)
        config.new_stream('b', options)


@pytest.mark.parametrize(
    'options',
    [
        7,
        [],
        {'max_bytes': '1'},
        {'max_bytes': True},
        {'description': 3},
        {'atomic': 1},
        {'metadata': {'a': 1}},
        {'metadata': 'a'},
        {'placement': 'here'},
        {'mirror': 5},
        {'sources': 'a'},
    ],
)
def test_wrong_types(options):
    with pytest.raises(TypeError):
        config.new_stream('b', options)
