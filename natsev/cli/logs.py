"""What natsev logs, shown beside the result."""

from __future__ import annotations

import logging

from .output import note


class _Lines(logging.Handler):
    """Lines on stderr. What a callback raised ends the command anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None:
            note(record.getMessage())


def log_to_stderr(trace: bool) -> None:
    """Show warnings on stderr; with *trace* everything, each frame on the wire included."""
    logger = logging.getLogger('natsev')
    logger.propagate = False
    logger.setLevel(logging.DEBUG if trace else logging.WARNING)
    logger.addHandler(_Lines())
