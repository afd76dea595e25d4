"""Compares natsev with other clients: ``python -m bench --help``.

Every figure comes from a program of its own (``bench/clients``) that uses one client in its fastest
sensible documented way, against one server for all, the clients taking turns. Only ratios within
one run mean anything.
"""

from __future__ import annotations
