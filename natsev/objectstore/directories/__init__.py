"""A directory and a bucket made alike."""
