"""The HTTP/1.1 data plane: our own protocols over httptools and uvloop."""
