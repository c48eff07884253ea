"""The gate before every page: who may come in, and from where.

It stands outside everything else in the ASGI stack, so that core pages, 404s, static files and
other plugins' routes are behind it too.  Only the login and logout addresses are answered here.
Without an AgentTrace database it lets everything through untouched.
"""

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from datasette.utils.asgi import Response

from agenttrace_mitm import access
from agenttrace_mitm.errors import AgentTraceError, StoreError
from agenttrace_mitm.store import tokens
from agenttrace_mitm.store.tokens import Token

from . import assets, renewal
from .site import Datasette, Site, find

type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Scope]]
type Send = Callable[[Scope], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOGIN = "/-/agenttrace/login"
LOGOUT = "/-/agenttrace/logout"
COOKIE_DAYS = 30
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_LIMIT = 4096
# Nobody may frame a page, sniff its type or embed its data, signed in or not.
ON_EVERY_ANSWER = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
)


class Headers:
    """Request headers as text, by lower-case name."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.lower().decode("latin-1"), value) for name, value in raw]

    def all(self, name: str) -> list[str]:
        """Every value sent under *name*."""
        return [value.decode("latin-1") for key, value in self._pairs if key == name]

    def get(self, name: str) -> str:
        """The value of *name*; "" when absent, and when sent twice, which nobody honest does."""
        values = self.all(name)
        return values[0].strip() if len(values) == 1 else ""


class Gate:
    """Wraps a Datasette's application: see the module."""

    def __init__(self, datasette: Datasette, app: App) -> None:
        self._datasette = datasette
        self._app = app
        self._codes: access.LoginCodes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        site = find(self._datasette) if scope["type"] in ("http", "websocket") else None
        if site is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Datasette has none; a page that adds one must authenticate here first.
            await receive()
            await send({"type": "websocket.close", "code": 4401})
        else:
            address = (self._path(scope), scope["query_string"].decode("latin-1"))
            is_kept = partial(assets.is_kept, self._datasette, *address)
            await self._answer(site, scope, receive, _guarded(send, is_kept))

    async def _answer(self, site: Site, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope["headers"])
        if not _is_known_host(headers.all("host"), scope, site.hosts):
            await _page(headers, 421, "This address is not served here", UNKNOWN_HOST).asgi_send(
                send
            )
            return
        if _is_foreign(headers) and not _is_link(scope["method"], headers):
            await _page(headers, 403, "This request came from another site", FOREIGN).asgi_send(
                send
            )
            return
        try:
            token = access.read_or_create_token(site.token_file)
        except AgentTraceError as error:
            await _page(headers, 503, error.problem, error.remedy).asgi_send(send)
            return

        match self._path(scope):
            case path if path == LOGIN:
                response = await self._login(site, scope, receive, headers, token)
                await response.asgi_send(send)
            case path if path == LOGOUT and scope["method"] == "POST":
                await self._logout(scope, token).asgi_send(send)
            case _ if not _may_know(headers, token):
                await self._sign_in(headers, scope["path"]).asgi_send(send)
            case _ if not renewal.is_there(self._datasette, site):
                await _page(headers, 503, NO_FILE, NEXT_CALL).asgi_send(send)
            case _ if _has_token(headers, token):
                await self._enter(scope, receive, send)
            case _ if named := await self._named(site, headers):
                await self._enter_as(named, scope, receive, send, headers)
            case _ if not _has_cookie(headers, token):
                await self._sign_in(headers, scope["path"]).asgi_send(send)
            case _:
                await self._enter(scope, receive, send)

    async def _named(self, site: Site, headers: Headers) -> Token | None:
        """Whose named token was sent; None without one that is in force."""
        given = _given_names(headers)
        if not given:
            return None
        path = Path(self._datasette.get_database(site.database).path)
        with contextlib.suppress(StoreError):  # of an older version, or busy for long
            return await asyncio.to_thread(tokens.find, path, given[0])
        return None

    async def _enter_as(
        self, token: Token, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        """Let a named token to the API, which knows scopes, and a reader to whatever only reads."""
        api = self._path(scope).startswith("/api/")
        reads = scope["method"] in SAFE_METHODS and {"read", "admin"} & set(token.scopes)
        if not api and not reads:
            page = _page(headers, 403, "This token is not for that", "Use another one")
            await page.asgi_send(send)
            return
        actor = {"id": "agenttrace", "name": token.name, "scopes": list(token.scopes)}
        await self._app(dict(scope, actor=actor), receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(dict(scope, actor={"id": "agenttrace"}), receive, send)

    def _path(self, scope: Scope) -> str:
        """The path below Datasette's `base_url`."""
        path: str = scope["path"]
        base = self._datasette.setting("base_url")
        return "/" + path.removeprefix(base) if base != "/" and path.startswith(base) else path

    async def _login(
        self, site: Site, scope: Scope, receive: Receive, headers: Headers, token: str
    ) -> Response:
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        home = self._datasette.urls.path("/" if site.own_server else "/-/agenttrace")
        target = _same_origin(_first(asked, "next")) or home
        form = self._form(target)
        if scope["method"] == "GET" and "code" in asked:
            if self._login_codes(site).accept(_first(asked, "code"), token):
                return self._signed_in(scope, target, token)
            if _has_cookie(headers, token):  # the link once more, in a browser that is in
                return Response.redirect(target, headers={"cache-control": "no-store"})
            return _page(headers, 401, "This login link was used or is too old", NEW_LINK)
        if scope["method"] == "POST":
            given = parse_qs((await _body(receive)).decode("utf-8", "replace"))
            if access.is_token(token, _first(given, "token").strip()):
                return self._signed_in(scope, _same_origin(_first(given, "next")) or home, token)
            return _page(headers, 401, "That is not the access token", NEW_LINK, form=form)
        return _page(headers, 401, "Sign in", NEW_LINK, form=form)

    def _login_codes(self, site: Site) -> access.LoginCodes:
        if self._codes is None:
            if site.own_server:  # else this may be any folder with a database
                with contextlib.suppress(OSError):
                    site.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._codes = access.LoginCodes(site.run_folder / "used-codes")
        return self._codes

    def _sign_in(self, headers: Headers, path: str) -> Response:
        # The path, not the query: a form would otherwise carry SQL and filters through the login.
        # The link has no address: it leads to this very page, query and all.
        form = self._form(_same_origin(quote(path)) or "/", again="")
        page = _page(headers, 401, "This is private", NEW_LINK, form=form)
        page.headers["www-authenticate"] = 'Bearer realm="AgentTrace"'
        return page

    def _form(self, target: str, again: str | None = None) -> str:
        login = escape(self._datasette.urls.path(LOGIN))
        link = target if again is None else again
        return FORM.format(login=login, target=escape(target), again=escape(link))

    def _signed_in(self, scope: Scope, target: str, token: str) -> Response:
        response = Response.redirect(target, status=303, headers={"cache-control": "no-store"})
        cookie = access.cookie_name(token), access.cookie_value(token)
        self._set_cookie(response, scope, *cookie, COOKIE_DAYS * 86_400)
        return response

    def _logout(self, scope: Scope, token: str) -> Response:
        target = self._datasette.urls.path(LOGIN)
        response = Response.redirect(target, status=303, headers={"cache-control": "no-store"})
        self._set_cookie(response, scope, access.cookie_name(token), "", 0)
        return response

    def _set_cookie(
        self, response: Response, scope: Scope, name: str, value: str, max_age: int
    ) -> None:
        secure = scope.get("scheme") == "https"
        response.set_cookie(
            name, value, max_age=max_age, httponly=True, samesite="strict", secure=secure
        )


# ------------------------------------------------------------------ what the request says


def _is_known_host(sent: list[str], scope: Scope, configured: frozenset[str]) -> bool:
    """Whether the Host header names this server, so that no foreign name can be rebound to it."""
    if len(sent) != 1:
        return False
    name = _host_name(sent[0].strip().lower())
    return name in LOOPBACK_NAMES or name in configured or _is_address_of(name, scope)


def _host_name(host: str) -> str:
    """*host* without its port; IPv6 keeps its brackets."""
    name, bracket, port = host.rpartition("]")
    if bracket:
        return name + bracket if not port or port.startswith(":") else ""
    return host.partition(":")[0]


def _is_address_of(name: str, scope: Scope) -> bool:
    # A number cannot be rebound.  uvicorn gives the address the connection really came in on,
    # so this serves `host 0.0.0.0` without opening it to names.
    server = scope.get("server")
    if not server:
        return False
    try:
        return ipaddress.ip_address(name.strip("[]")) == ipaddress.ip_address(server[0])
    except ValueError:
        return False


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site made it send this."""
    if headers.all("sec-fetch-site") and headers.get("sec-fetch-site") not in (
        "same-origin",
        "none",
    ):
        return True
    if not headers.all("origin"):
        return False
    _, _, origin_host = headers.get("origin").lower().partition("://")
    return origin_host != headers.get("host").lower()


def _is_link(method: str, headers: Headers) -> bool:
    """Whether a browser follows a link, for the whole of its window: no other page gets to read it.

    All else that another site sends is refused whatever it shows us, a token too: a page that leads
    a browser here by a name of its own, or that got hold of a token, is still not one of ours.
    """
    shown = headers.get("sec-fetch-mode") == "navigate"
    return method in SAFE_METHODS and shown and headers.get("sec-fetch-dest") in ("", "document")


def _has_token(headers: Headers, token: str) -> bool:
    return any(access.is_token(token, given) for given in _given(headers))


def _may_know(headers: Headers, token: str) -> bool:
    """Whether this may be one of ours; the tokens with names are in the database."""
    return _has_token(headers, token) or bool(_given_names(headers)) or _has_cookie(headers, token)


def _given_names(headers: Headers) -> list[str]:
    return [one for one in _given(headers) if one.startswith(tokens.PREFIX)]


def _given(headers: Headers) -> list[str]:
    scheme, _, value = headers.get("authorization").partition(" ")
    bearer = value.strip() if scheme.lower() == "bearer" else ""
    return [given for given in (bearer, headers.get("x-api-key")) if given]


def _has_cookie(headers: Headers, token: str) -> bool:
    # Not SimpleCookie: other programs on localhost share our cookie jar, and it stops at the
    # first name it finds strange.
    ours = access.cookie_name(token)
    for line in headers.all("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == ours and access.is_cookie(token, value):
                return True
    return False


def _same_origin(target: str) -> str:
    """*target* if it is a path on this site, else ""."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else ""


def _first(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


async def _body(receive: Receive) -> bytes:
    """The form sent, cut at what a token can take."""
    body = b""
    while len(body) < FORM_LIMIT:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body[:FORM_LIMIT]


# ------------------------------------------------------------------ what is answered

UNKNOWN_HOST = (
    "Use http://127.0.0.1 or http://localhost, or set the host you use: `agenttrace-mitm start "
    "--host NAME`, or `allowed_hosts` of the plugin in metadata.yml"
)
FOREIGN = "Only pages of AgentTrace itself may send it"
NO_FILE = "The database's file was moved or deleted"
NEXT_CALL = "The next call that is recorded begins a new one; or put the file back"
NEW_LINK = "Run `agenttrace-mitm open` in a terminal for a fresh login link"
TOKEN_HINT = "Send the token as `Authorization: Bearer ...` or `x-api-key`"  # noqa: S105
STYLE = (Path(__file__).parent / "static" / "gate.css").read_text("utf-8")


def _guarded(send: Send, is_kept: Callable[[], bool]) -> Send:
    """*send* with `ON_EVERY_ANSWER` added where the answer does not say otherwise.

    Where it *is_kept*, a browser may keep what it asked for, if it got it.
    """

    async def guarded(message: Scope) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            said = {name.lower() for name, _ in headers}
            headers += [pair for pair in ON_EVERY_ANSWER if pair[0] not in said]
            # Asked last: of a stranger's address nothing is looked up.
            if message["status"] == 200 and b"cache-control" not in said and is_kept():
                headers.append(assets.FOR_EVER)
            message = dict(message, headers=headers)
        await send(message)

    return guarded


def _page(headers: Headers, status: int, problem: str, remedy: str, *, form: str = "") -> Response:
    """A page for browsers, JSON for everybody else."""
    shared = {"cache-control": "no-store", "vary": "Accept, Cookie, Authorization"}
    if "text/html" not in headers.get("accept"):
        told = {"ok": False, "error": problem, "remedy": remedy}
        if status == 401:
            told["remedy"] = f"{TOKEN_HINT}. {remedy}"
        return Response(json.dumps(told), status, shared, "application/json; charset=utf-8")
    shared["content-security-policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    html = PAGE.format(style=STYLE, problem=escape(problem), remedy=_with_code(remedy), form=form)
    return Response(html, status, shared, "text/html; charset=utf-8")


def _with_code(text: str) -> str:
    """*text* with its `commands` marked as such."""
    pieces = escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces)
    )


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{problem} - AgentTrace</title>
<style>{style}</style>
</head>
<body>
<main>
<p class="brand">AgentTrace</p>
<h1>{problem}</h1>
<p>{remedy}.</p>
{form}
</main>
</body>
</html>
"""

FORM = """<p class="again">Already signed in? <a href="{again}">Try again</a></p>
<details>
<summary>Sign in with the access token</summary>
<form method="post" action="{login}">
<input type="hidden" name="next" value="{target}">
<label for="token">Token, from the file <code>token</code> in the AgentTrace home folder</label>
<div class="row"><input id="token" name="token" type="password" autocomplete="off" required>
<button>Sign in</button></div>
</form>
</details>
"""
