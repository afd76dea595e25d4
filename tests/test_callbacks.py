"""How many arguments a callback is given."""

from __future__ import annotations

import functools

import pytest

from natsev import callbacks, wire


@pytest.fixture(params=[callbacks, wire], ids=['python', 'wire'])
def arity(request):
    """The rules, and the wire's way to follow them."""
    return request.param.arity


class Sink:
    def method(self, a, b):
        pass

    def all(*args):
        pass

    @classmethod
    def class_method(cls, a):
        pass

    @staticmethod
    def static_method(a, b, c):
        pass

    def __call__(self, a, b):
        pass


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@decorated
def two(a, b):
    pass


@pytest.mark.parametrize(
    'callback, expected',
    [
        (lambda: None, 0),
        (lambda a: None, 1),
        (lambda a, b, c: None, 3),
        (lambda a, b=None: None, 2),
        (lambda *args: None, 3),
        (lambda a, *args: None, 3),
        (lambda a, **options: None, 1),
        (lambda a, *, b=1: None, 1),
        (Sink().method, 2),
        (Sink().all, 3),
        (Sink.all, 3),
        (Sink.class_method, 1),
        (Sink.static_method, 3),
        (Sink(), 2),
        (functools.partial(lambda a, b, c: None, 1), 2),
        (functools.partial(lambda a, b=2: None, 1), 1),
        (functools.partial(lambda a, b: None, b=1), 1),
        (functools.partial(lambda *args: None, 1), 3),
        (functools.partial(Sink().method, 1), 1),
        (two, 2),
        ([].append, 1),
        (print, 3),
        (dict, 3),
    ],
)
def test_leading_arguments(arity, callback, expected):
    assert arity(callback, 3) == expected


@pytest.mark.parametrize(
    'callback', [lambda a, b, c, d: None, lambda a, *, b: None, None, 7, 'print']
)
def test_what_can_never_be_called_raises(arity, callback):
    with pytest.raises(TypeError):
        arity(callback, 3)


def test_one_code_object_with_other_defaults(arity):
    def make(*defaults):
        def callback(a, b, c):
            pass

        callback.__defaults__ = defaults or None
        return callback

    with pytest.raises(TypeError):
        arity(make(), 2)
    assert arity(make(1), 2) == 2
    with pytest.raises(TypeError):
        arity(make(), 2)


def test_they_say_the_same_of_what_is_wrong():
    said = []
    for module in (callbacks, wire):
        with pytest.raises(TypeError) as raised:
            module.arity(two_and_no_less, 1)
        said.append(str(raised.value))
    assert said[0] == said[1]


def two_and_no_less(a, b):
    pass


def test_no_arguments_are_offered(arity):
    assert arity(lambda: None, 0) == 0
    assert arity(lambda a=1: None, 0) == 0
    with pytest.raises(TypeError):
        arity(lambda a: None, 0)
