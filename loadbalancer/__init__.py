"""Which instance gets this attempt: synchronous, no I/O, clock and randomness passed in."""
