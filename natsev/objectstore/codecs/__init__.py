"""What is done to an object's bytes on their way: compression, encryption."""
