"""Bytes to events and JSON: decoders without I/O, with `feed()` and `close()`.

They take bytes however the network cut them and give back what became complete.  What the
events mean is left to `providers/`.
"""
