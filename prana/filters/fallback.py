"""On a failure of the service, its configured answer instead."""

from admin.metrics import CommandMetrics, Event
from prana.config.settings import Fallback as FallbackSettings
from prana.errors import Fault, ProxyError
from prana.filters.rescue import proxy_status
from prana.request import Handler, Request, Response
from prana.wire.fields import Field
from prana.wire.headers import phrase


class Fallback:
    """Answers for the service when it cannot: on our own errors but those the caller caused, and on 5xx."""

    def __init__(self, settings: FallbackSettings | None, metrics: CommandMetrics) -> None:
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, request: Request, next: Handler) -> Response:
        try:
            response = await next(request)
        except ProxyError as error:
            if error.fault is Fault.DOWNSTREAM:
                raise
            return self._instead_of_error(error)
        if response.status < 500:
            return response
        if self._settings is None:
            self._metrics.event(Event.FALLBACK_MISSING)
            return response
        cause = f"http_{response.status}"
        response.discard()
        return self._static(self._settings, cause, None)

    def _instead_of_error(self, error: ProxyError) -> Response:
        if self._settings is None:
            self._metrics.event(Event.FALLBACK_MISSING)
            raise error
        return self._static(self._settings, error.cause, error)

    def _static(self, settings: FallbackSettings, cause: str, error: ProxyError | None) -> Response:
        headers = [
            Field(b"Content-Type", settings.media_type.encode()),
            Field(b"X-Prana-Fallback", f"static; reason={cause}".encode()),
            proxy_status(error) if error is not None else Field(b"Proxy-Status", b"prana"),
        ]
        response = Response(settings.status, phrase(settings.status), headers, settings.content)
        response.error = error
        response.fallback = "static"
        self._metrics.fallback("static")
        return response
