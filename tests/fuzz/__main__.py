"""Fuzz one target with atheris, guided by the coverage of natsev's Python code.

    python -m tests.fuzz wire -max_total_time=60
    python -m tests.fuzz wire .cache/fuzz/crash-...      plays one input again

What was found interesting is kept in ``.cache/fuzz``, and an input that fails is written there.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=['natsev']):
    from tests.fuzz.targets import SEEDS, TARGETS

CACHE = Path('.cache/fuzz')
# Every byte is parsed on its own as well: longer inputs teach little and take long.
LONGEST = 1024


def corpus(name: str) -> Path:
    """Return the directory of *name*'s inputs, with the seeds in it."""
    found = CACHE / name
    found.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]:
        (found / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    return found


def main() -> None:
    name, *options = sys.argv[1:]
    if all(option.startswith('-') for option in options):
        options.append(str(corpus(name)))
    fixed = [f'-artifact_prefix={CACHE}/', f'-max_len={LONGEST}', '-print_final_stats=1']
    atheris.Setup([sys.argv[0], *fixed, *options], TARGETS[name])
    atheris.Fuzz()


main()
