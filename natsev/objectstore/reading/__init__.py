"""Reading objects: how their chunks are asked for, and where their bytes go."""
