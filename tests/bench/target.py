"""Where requests are sent, and the proof that the right thing answers there."""

import http.client
from dataclasses import dataclass

from tests.bench.process import Server
from tests.bench.scenarios import Kind

_TIMEOUT_S = 10.0
_SHOWN_BYTES = 200


class AnswerError(Exception):
    """A peer did not answer with what the backend sends."""


@dataclass(frozen=True)
class Target:
    """One running peer, or, without a server, a node of the backend itself."""

    name: str
    port: int
    server: Server | None = None

    def path(self, kind: Kind, service: str = "bench") -> str:
        """Proxies route by the first segment and remove it."""
        return f"/{service}{kind.path}" if self.server else kind.path

    def check(self, kind: Kind, service: str = "bench") -> None:
        """One request of this kind must be answered with 200 and the backend's own body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            connection.request(kind.method, self.path(kind, service), kind.body or None)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise AnswerError(f"{self.name} did not answer {kind.title}: {error!r}") from None
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK or body != kind.answer:
            raise AnswerError(f"{self.name} answered {kind.title} with {response.status} {body[:_SHOWN_BYTES]!r}")
