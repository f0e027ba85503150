"""Whom we believe that a server is who it says, and how we say who we are."""

import ssl
from pathlib import Path


class TlsProblem(ValueError):
    """A file that cannot be used; `key` is the setting that names it. The text says what is wrong and allowed."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


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


def upstream_context(ca_file: str, cert_file: str, key_file: str, *, verify: bool) -> ssl.SSLContext:
    """What connections to instances are secured with; each file may be "", as `prana.config.settings.Tls` says.

    Reads the files. Loading the system's authorities takes some 25 ms and 2 MiB. Raises TlsProblem.
    """
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = _verifying(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if cert_file:
        _show_certificate(context, cert_file, key_file)
    elif key_file:
        raise TlsProblem("key_file", "is given without cert_file; allowed are both, or cert_file with the key in it")
    return context


def _verifying(ca_file: str) -> ssl.SSLContext:
    try:
        return authorities(ca_file) or ssl.create_default_context()
    except ValueError as error:
        raise TlsProblem("ca_file", str(error)) from None


def _show_certificate(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """To an instance that asks for one."""
    if b"-----BEGIN CERTIFICATE-----" not in _read("cert_file", cert_file):
        raise TlsProblem("cert_file", f"{cert_file} holds no certificate; allowed is a PEM file with one")
    key, file = ("key_file", key_file) if key_file else ("cert_file", cert_file)
    content = _read(key, file)
    if b"PRIVATE KEY-----" not in content:
        allowed = "allowed is a PEM file with one" if key_file else "give key_file, or a PEM file with both"
        raise TlsProblem(key, f"{file} holds no private key; {allowed}")
    if b"ENCRYPTED" in content:
        raise TlsProblem(
            key, f"{file} holds an encrypted key; allowed is one without a password, readable to Prana only"
        )
    try:
        context.load_cert_chain(cert_file, key_file or None, password="")  # never asked for on the terminal
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise TlsProblem(key, f"{file} holds the key of another certificate than {cert_file}") from None
        raise TlsProblem(key, f"{cert_file} with the key of {file} cannot be used ({error})") from None


def _read(key: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TlsProblem(key, f"{file} cannot be read ({error.strerror or error}); allowed is a PEM file") from None
