"""A pool of workers: of those in a queue group, one gets each job."""

from __future__ import annotations

import os
from collections import Counter

from natsev import Nats, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

JOBS = 300
done = Counter()
boss = Nats(servers=[url], name='boss')
workers = [Nats(servers=[url], name=f'worker {number}') for number in range(1, 4)]


def hire(worker, name):
    """Have *worker* take its share of the jobs."""

    def work(subject, payload, reply):
        worker.publish(reply, f'{name} squared {int(payload)}: {int(payload) ** 2}')

    worker.subscribe('jobs', work, queue_group='pool')
    worker.flush(ready)


def ready(err):
    ready.workers += 1
    if ready.workers == len(workers):  # now hand out the work
        for number in range(JOBS):
            boss.request('jobs', str(number), finished, 5000)


ready.workers = 0


def finished(response, err):
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
