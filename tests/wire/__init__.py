"""Tests of the wire: every one runs on each twin."""
