"""Whom we believe that a server is who it says."""

import ssl


def authorities(ca_file: str) -> ssl.SSLContext | None:
    """What a server's certificate is verified with; None for the authorities of the system, as "" asks for.

    Reads the file. Raises ValueError that says what is wrong with it and what is allowed.
    """
    if not ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        reason = "holds no certificate"
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
    raise ValueError(f"{ca_file} {reason}; allowed is a PEM file with the certificates of authorities")
