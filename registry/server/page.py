"""The page at `/` for a person who wants to see what is registered."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from aiohttp import web

from registry.server.lease import Lease

_COLUMNS = ("application", "instance", "status", "address", "vip", "zone", "registered", "last heartbeat")
# Nothing on the page comes from elsewhere, and nothing registered may run in it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Prana registry</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 2em }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .3em 1em .3em 0; border-bottom: 1px solid #ddd }}
</style></head><body>
<h1>Prana registry</h1>
<p>{count} registered. For development and tests; nothing is kept on disk. As data: <code>/eureka/apps</code></p>
{notice}
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""

_PRESERVING = (
    "<p><strong>Self-preservation is on: far fewer heartbeats arrive than should, so nothing expires.</strong></p>"
)


def render_page(leases: Iterable[Lease], *, preserving: bool) -> web.Response:
    """`preserving`: self-preservation keeps expired leases at present."""
    ordered = sorted(leases, key=lambda lease: lease.key)
    text = _PAGE.format(
        count=len(ordered),
        notice=_PRESERVING if preserving else "",
        head="".join(f"<th>{name}</th>" for name in _COLUMNS),
        rows="\n".join(_row(lease) for lease in ordered),
    )
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


def _row(lease: Lease) -> str:
    registration = lease.registration
    cells = (
        registration.app,
        registration.id,
        lease.status.value,
        f"{registration.host}:{registration.port.number}",
        registration.carried.get("vipAddress", ""),
        registration.metadata.get("zone", ""),
        _utc(lease.registered_ms),
        _utc(lease.renewed_ms),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _utc(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%H:%M:%S UTC")
