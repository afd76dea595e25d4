"""A bucket as one file: its layout, writing it, reading it."""
