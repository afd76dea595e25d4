"""The context of a trace goes along with messages, with the real OpenTelemetry."""

from __future__ import annotations

import copy
import subprocess
import sys
from functools import partial

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider

from natsev import JetStream, otel

tracer = TracerProvider().get_tracer('natsev')


def trace_id():
    """The trace of the span that is current; 0: there is none."""
    return trace.get_current_span().get_span_context().trace_id


@pytest.fixture
def traced(connect):
    return otel.TracedNats(connect())


@pytest.fixture
def span():
    with tracer.start_as_current_span('work') as span:
        yield span.get_span_context()
    assert trace_id() == 0


def outside(function, *args):
    """Call *function* in an empty context."""
    token = context.attach(context.Context())
    try:
        return function(*args)
    finally:
        context.detach(token)


def test_a_message_brings_its_context(run, traced, unique, span):
    got = []

    def on_message(subject, payload, reply, headers):
        got.append((payload, reply, headers['traceparent'].split('-')[1:3], trace_id()))
        run.done(None)

    traced.subscribe(unique, on_message)
    traced.publish(unique, b'x', 'reply.to')
    outside(run)
    ids = [f'{span.trace_id:032x}', f'{span.span_id:016x}']
    assert got == [(b'x', 'reply.to', ids, span.trace_id)]


@pytest.mark.parametrize(
    'headers', [{'A': 'b'}, [('A', 'b')], b'NATS/1.0\r\nA: b\r\n\r\n'], ids=['dict', 'pairs', 'raw']
)
def test_beside_other_headers(run, traced, unique, span, headers):
    traced.subscribe(unique, lambda s, p, r, headers: run.done((headers['A'], trace_id())))
    traced.hpublish(unique, headers)
    assert outside(run) == ('b', span.trace_id)


def test_baggage_goes_along(run, traced, unique):
    traced.subscribe(unique, lambda: run.done(baggage.get_baggage('user')))
    token = context.attach(baggage.set_baggage('user', 'ada'))
    traced.publish(unique)
    context.detach(token)
    assert run() == 'ada'


def test_without_a_context_nothing_is_sent(run, traced, unique):
    traced.subscribe(unique, lambda *message: run.done((*message[2:], trace_id())))
    traced.publish(unique)
    assert run() == (None, None, 0)


def test_the_context_of_a_message_is_not_that_of_the_loop(run, traced, unique, span):
    traced.subscribe(unique, lambda: run.done(trace_id()))
    traced.nats.publish(unique)
    assert run() == 0


def test_a_request_and_its_answer(run, traced, unique, span):
    def answer(subject, payload, reply):
        traced.publish(reply, str(trace_id()))

    traced.subscribe(unique, answer)
    traced.request(unique, b'', lambda response: run.done((response, trace_id())), 5000)
    assert outside(run) == (str(span.trace_id).encode(), span.trace_id)


def test_many_answers(run, traced, unique, span):
    seen = []

    def answer(name, subject, payload, reply):
        traced.publish(reply, name)

    for name in ('one', 'two'):
        traced.subscribe(unique, partial(answer, name))
    traced.request_many(
        unique,
        b'',
        lambda replies, err: run.done((replies, err, trace_id())),
        max_msgs=2,
        on_message=lambda payload: seen.append((payload, trace_id())),
    )
    assert outside(run) == ([], None, span.trace_id)
    assert sorted(seen) == [(b'one', span.trace_id), (b'two', span.trace_id)]


def test_values(run, traced, unique, span):
    values = otel.TracedNats(traced.with_codec())
    values.subscribe(unique, lambda subject, value: run.done((value, trace_id())))
    values.publish(unique, [1, 2])
    assert outside(run) == ([1, 2], span.trace_id)


def test_a_stream(run, traced, unique, span):
    js = JetStream(nats=traced.nats)
    config = {'name': unique, 'subjects': [f'{unique}.>'], 'storage': 'memory'}
    assert run.call(js.stream_create, config)[1] is None
    js.js_publish(f'{unique}.x', b'', headers=otel.inject())

    def on_message(message):
        with otel.attached(message.headers):
            run.done(trace_id())

    consumption = js.ordered(unique, on_message)
    assert outside(run) == span.trace_id
    consumption.stop()
    run.call(js.stream_delete, unique)


def test_an_exception_leaves_the_context_in_order(run, traced, unique, span, expected_errors):
    def on_message():
        run.done(None)
        raise ValueError('of the callback')

    traced.subscribe(unique, on_message)
    traced.publish(unique)
    outside(run)
    assert trace_id() == span.trace_id
    assert len(expected_errors) == 1


def test_everything_else_is_the_connection_s(traced):
    assert traced.is_connected() == traced.nats.is_connected()
    assert copy.copy(traced).nats is traced.nats
    assert 'traced' in repr(traced)
    with pytest.raises(TypeError, match='requires 5'):
        traced.subscribe('a', lambda a, b, c, d, e: None)


def test_without_the_package_the_error_names_the_extra():
    program = (
        'import sys\n'
        'sys.modules["opentelemetry"] = None\n'
        'from natsev import MissingExtraError, otel\n'
        'try:\n'
        '    otel.inject()\n'
        'except MissingExtraError as err:\n'
        '    print(err.extra, err)\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == (
        "otel tracing with OpenTelemetry needs an extra: pip install 'natsev[otel]'\n"
    )
