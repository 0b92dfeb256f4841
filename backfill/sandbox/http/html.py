"""The sandbox's HTML: a page for people that loads nothing, and a gateway's error page.

Jinja escapes every value, because what a page shows came in a request.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy: a second lock behind the escaping."""

_TEMPLATES: Final = Environment(
    loader=PackageLoader("backfill.sandbox.http"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters["thousands"] = "{:,}".format
_TEMPLATES.filters["utc"] = lambda time_s: (
    f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S}"
)


def page(
    stats: Mapping[str, Any],
    months: Sequence[tuple[str, str, int]],
    last_events: Sequence[Mapping[str, Any]],
) -> str:
    """The page at ``/``.

    Args:
        stats: as ``views.stats`` gives them.
        months: metric, month as ``2026-11``, number of events; in order of months.
        last_events: as ``views.last_events`` gives them.
    """
    template = _TEMPLATES.get_template("page.html")
    return template.render(stats=stats, months=months, last_events=last_events)


def gateway_error(title: str) -> str:
    """A gateway's page; ``title`` is the status, as in ``502 Bad Gateway``."""
    return _TEMPLATES.get_template("gateway.html").render(title=title)
