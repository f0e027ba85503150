"""The HTTP/1.1 data plane: our own protocols and parser over uvloop."""
