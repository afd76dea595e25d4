"""A user's program in which type checkers must find what is wrong: each line that says so."""

from __future__ import annotations

from natsev import JetStream, Nats, ObjectStore
from natsev.objectstore import BucketOptions, ObjectMeta

nats = Nats(host='127.0.0.1', port='4222')  # wrong
js = JetStream(nats=nats)
store = ObjectStore(js=nats, bucket='files')  # wrong
store.put('x', b'data')  # wrong
nats.subscribe(b'subject', print)  # wrong
nats.publish('subject', 12)  # wrong
sid: str = nats.subscribe('subject', print)  # wrong
options: BucketOptions = {'max_bytes': 'many'}  # wrong
nats.no_such_method()  # wrong


def got(data: bytes, err: None, meta: ObjectMeta) -> None:
    print(meta['no such key'])  # wrong
