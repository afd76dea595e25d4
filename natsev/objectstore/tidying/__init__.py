"""Keeping a bucket tidy: orphans, broken metadata, old objects, tombstones."""
