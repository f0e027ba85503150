"""On a failure of the service, its configured answer instead. Where a command ends, too."""

from admin.metrics import CommandMetrics, Event
from prana.config.settings import Fallback as FallbackSettings
from prana.errors import Fault, ProxyError
from prana.filters.rescue import proxy_status
from prana.request import End, Handler, Request, Response
from prana.resilience.bulkhead import Bulkhead
from prana.wire.fields import Field
from prana.wire.headers import phrase


class Fallback:
    """Answers for the service when it cannot: on our own errors but those the caller caused, and on 5xx.

    A request keeps the place that `admit` gave it until the answer ends, whoever answers: a fallback that takes long
    must not let in more than the service may have in progress (AbstractCommand.applyHystrixSemantics).
    """

    def __init__(self, settings: FallbackSettings | None, bulkhead: Bulkhead, metrics: CommandMetrics) -> None:
        """`bulkhead` limits the fallbacks in progress: when it is full, the caller gets what went wrong."""
        self._settings = settings
        self._bulkhead = bulkhead
        self._metrics = metrics

    async def __call__(self, request: Request, next: Handler) -> Response:
        try:
            try:
                response = await next(request)
                if response.status >= 500:
                    response = self._instead_of_answer(response)
            except ProxyError as error:
                if error.fault is Fault.DOWNSTREAM:
                    raise
                response = self._instead_of_error(error)
        except BaseException:
            if request.release_place is not None:
                request.release_place(End.BROKEN)
            raise
        if request.release_place is not None:
            response.on_finish(request.release_place)
        return response

    def _instead_of_answer(self, bad: Response) -> Response:
        settings = self._settings_if_admitted()
        if settings is None:
            return bad
        bad.discard()
        return self._static(settings, f"http_{bad.status}", None)

    def _instead_of_error(self, error: ProxyError) -> Response:
        settings = self._settings_if_admitted()
        if settings is None:
            raise error
        return self._static(settings, error.cause, error)

    def _settings_if_admitted(self) -> FallbackSettings | None:
        """A place of the bulkhead is taken when it is given."""
        if self._settings is None:
            self._metrics.event(Event.FALLBACK_MISSING)
        elif self._bulkhead.try_acquire():
            return self._settings
        else:
            self._metrics.event(Event.FALLBACK_REJECTION)
        return None

    def _release(self, end: End) -> None:
        self._bulkhead.release()

    def _static(self, settings: FallbackSettings, cause: str, error: ProxyError | None) -> Response:
        headers = [
            Field(b"Content-Type", settings.media_type.encode()),
            Field(b"X-Prana-Fallback", f"static; reason={cause}".encode()),
            proxy_status(error) if error is not None else Field(b"Proxy-Status", b"prana"),
        ]
        response = Response(settings.status, phrase(settings.status), headers, settings.content)
        response.error = error
        response.fallback = "static"
        response.on_finish(self._release)
        self._metrics.fallback("static")
        return response
