"""Storing objects: where their bytes come from, their chunks on the way, their metadata last."""
