"""The Alerts page: what fires, the rules, the history, and a rule tried out against the past.

What changes something is a POST of a form on the page; rules are made by command, file or API.
"""

from functools import partial
from typing import Any

from datasette.utils.asgi import NotFound, Response

from agenttrace_mitm import clock
from agenttrace_mitm.alerts.making import changed
from agenttrace_mitm.alerts.moments import MINUTE_US, zone_of
from agenttrace_mitm.alerts.rule_type import At
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.hosts import hosts
from agenttrace_mitm.store.alerting import AlertStore

from .. import figures
from ..asking import arguments_of
from ..page import PREFIX, Page, query_address, render, site_of
from ..site import Datasette
from .loading import DAYS, Alerts, load, using

SILENCE_MINUTES = 8 * 60
SQL = """\
select id as firing_id, started_us, resolved_us, rule_name, rule_type, subject, severity, message,
       value, resolution, acknowledged_us
from alert_firings
order by started_us desc
limit 1000
"""


async def view(datasette: Datasette, request: Any) -> Response:
    """The page."""
    site = site_of(datasette)
    arguments = arguments_of(request)
    context: dict[str, Any] = {
        "figures": figures,
        "database": site.database,
        "sql_address": partial(query_address, datasette, site.database),
        "sql": SQL,
        "days": DAYS,
        "asked_rule": arguments.get("rule", ""),
        "asked_days": arguments.get("days", "7"),
        "checked_here": bool(site.settings and site.settings.alerts),
    }
    try:
        alerts = await _load(datasette, arguments)
    except StoreError as error:
        context |= {"alerts": None, "problem": str(error)}
        return await render(datasette, request, "agenttrace_alerts.html", context, status=503)
    context["alerts"] = alerts
    return await render(datasette, request, "agenttrace_alerts.html", context)


async def data(datasette: Datasette, request: Any) -> Response:
    """What the page shows, as JSON."""
    try:
        alerts = await _load(datasette, arguments_of(request))
    except StoreError as error:
        return Response.json({"ok": False, "error": str(error)}, status=503)
    return Response.json(alerts.model_dump(mode="json"))


async def change(datasette: Datasette, request: Any) -> Response:
    """A form of the page: acknowledge a firing, silence a rule, switch it on or off."""
    if request.method != "POST":
        raise NotFound("This is for forms")
    said = await request.post_vars()
    what, id_ = request.url_vars["what"], str(said.get("id", ""))

    def run(store: AlertStore) -> None:
        now_us = clock.now_us()
        if what == "ack":
            store.acknowledge(id_, now_us)
            return
        rule = store.rule(id_)
        values: dict[str, Any] = {"enabled": not rule.enabled}
        if what == "silence":
            quiet = (rule.silenced_until_us or 0) > now_us
            until_us = now_us if quiet else now_us + SILENCE_MINUTES * MINUTE_US
            values = {"silenced_until_us": until_us}
        store.put_rule(changed(rule, now_us, **values))

    try:
        await using(datasette, run)
    except StoreError as error:
        raise NotFound(str(error)) from None
    return Response.redirect(datasette.urls.path(f"{PREFIX}/alerts"), status=303)


async def _load(datasette: Datasette, arguments: dict[str, str]) -> Alerts:
    site = site_of(datasette)
    at = At(clock.now_us())
    if told := site.settings:
        known = hosts(told.hosts_added, (), told.hosts_enabled)
        at = at._replace(zone=zone_of(told.time_zone), hosts=known)
    return await using(datasette, lambda store: load(store, arguments, at))


PAGE = Page(
    "alerts",
    "Alerts",
    view,
    data,
    more=((rf"{PREFIX}/alerts/(?P<what>ack|silence|toggle)", change),),
    filtered=False,
)
