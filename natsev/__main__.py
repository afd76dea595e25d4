"""``python -m natsev`` is the command ``natsev``."""

from __future__ import annotations

from .cli import main

if __name__ == '__main__':
    main()
