"""What a failure of TLS means, in words that tell what to change."""

import ssl
from typing import Final

from prana.errors import CertificateRefused, ProxyError, TlsFailed

# OpenSSL's X509_V_ERR_*, for what people meet most; its own words do for the rest.
_REFUSALS: Final = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed, and not one of those that tls.ca_file accepts",
    19: "comes from an authority that tls.ca_file, or this system, does not know",
    20: "comes from an authority that tls.ca_file, or this system, does not know",
    62: "is not for the name {name}; tls.server_name tells another to expect",
    64: "is not for the address {name}; tls.server_name tells a name to expect instead",
}


def tls_failure(error: OSError | UnicodeError, peer: str, name: str = "", *, sent: bool) -> ProxyError:
    """What the caller is told of the instance `peer`, which was expected to be `name`. `sent` is that of ProxyError: in
    TLS 1.3 a client may have spoken before the server has judged its certificate."""
    if isinstance(error, UnicodeError):
        return TlsFailed(f"{name!r} is no host name that a certificate could be for", sent=sent)
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _REFUSALS.get(error.verify_code, f"is not accepted: {error.verify_message}")
        return CertificateRefused(f"the certificate of {peer} {words.replace('{name}', name)}", sent=sent)
    if not isinstance(error, ssl.SSLError):
        return TlsFailed(f"{peer} broke off the TLS handshake: {error.strerror or str(error) or 'closed'}", sent=sent)
    reason = error.reason or ""
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")):
        return CertificateRefused(f"{peer} did not accept our certificate, tls.cert_file: {_words(reason)}", sent=sent)
    if reason == "WRONG_VERSION_NUMBER":
        return TlsFailed(f"{peer} does not speak TLS on its secure port", sent=sent)
    return TlsFailed(f"TLS with {peer} failed: {_words(reason) or error}", sent=sent)


def _words(reason: str) -> str:
    """Of OpenSSL's reasons, such as TLSV13_ALERT_CERTIFICATE_REQUIRED."""
    return reason.partition("ALERT_")[2].replace("_", " ").lower() or reason.replace("_", " ").lower()
