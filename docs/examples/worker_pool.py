"""A pool of workers: of those in a queue group, one gets each job."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from natsev import Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

JOBS = 300
done: Counter[str] = Counter()
boss = Nats(servers=[url], name='boss')
workers = [Nats(servers=[url], name=f'worker {number}') for number in range(1, 4)]
hired: list[Nats] = []


def hire(worker: Nats, name: str) -> None:
    """Have *worker* take its share of the jobs."""

    def work(subject: str, payload: bytes, reply: str) -> None:
        worker.publish(reply, f'{name} squared {int(payload)}: {int(payload) ** 2}')

    worker.subscribe('jobs', work, queue_group='pool')
    worker.flush(lambda err: ready(worker))


def ready(worker: Nats) -> None:
    hired.append(worker)
    if len(hired) == len(workers):  # now hand out the work
        for number in range(JOBS):
            boss.request('jobs', str(number), finished, 5000)


def finished(response: Any, err: NatsError | None) -> None:
    done[response.decode().partition(' squared')[0] if err is None else str(err)] += 1
    if done.total() == JOBS:
        for client in (boss, *workers):
            client.disconnect()


for number, worker in enumerate(workers, 1):
    hire(worker, f'worker {number}')
ev.run()

print(f'{done.total()} jobs done')
for name, jobs in sorted(done.items()):
    print(f'  {name}: about {round(jobs, -2)}')
