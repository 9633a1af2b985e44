"""What may come in and what goes out with every answer: hosts, origins, the token, sizes, and headers.

The explorer listens on this machine, and every web page that its user visits can send requests to it. A request is answered
only if it names a host that is ours (else a foreign name could be rebound to 127.0.0.1 and read everything), and writes only
if they come from our own pages (browsers say so in Origin and Sec-Fetch-Site) as JSON, which no foreign page can send unasked.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..base import join_words
from ._page import error_page

BODY = 64 * 1024
"""The most bytes that a request may carry: parameters."""


@dataclass(frozen=True)
class Rule:
    """What a request that is no read may be.

    kinds : content types, none of which a foreign page can send without asking first; a star stands for anything
    limit : bytes
    changes : whether it changes the run, so that read-only mode refuses it
    """

    kinds: tuple[str, ...] = ("application/json",)
    limit: int = BODY
    changes: bool = True

    def takes(self, kind: str) -> bool:
        """Whether a content type is one of them.

        >>> PICTURE.takes("image/png"), PICTURE.takes("text/plain"), PICTURE.takes("image/"), PICTURE.takes("")
        (True, False, False, False)
        """
        return any(kind == each or (each.endswith("*") and kind[:-1].startswith(each[:-1])) for each in self.kinds)


PICTURE = Rule(("image/*", "application/octet-stream"), 16 * 2**20, changes=False)
RULES = (
    (re.compile(r"/api/banks/[^/]+/[^/]+/try"), PICTURE),
    (re.compile(r"/api/banks/[^/]+/[^/]+/feature|/api/jobs/[0-9]+/stop"), Rule(changes=False)),
)
"""For the paths that are not for writing into the run by a few parameters."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
READS = ("GET", "HEAD")
OPEN = ("/study/", "/assets/")
"""What is answered without the token: a study, whose address has one of its own, and what comes with the package, which says
nothing of the run."""


@dataclass(frozen=True)
class Guard:
    """Who may ask.

    host : the address that is bound
    token : what a request has to show, None on this machine
    read_only : whether writes are refused
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    read_only: bool = False

    def refusal(self, method: str, headers: Headers, rule: Rule) -> tuple[int, str] | None:
        """Status and sentence for a request that is not to be answered; the token is looked at elsewhere."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self.knows(host):
            return 421, "this explorer does not answer to that host name; use the address that monoseme explore printed"
        site = headers.get("sec-fetch-site")
        if method in READS:
            if site in ("cross-site", "same-site") and headers.get("sec-fetch-mode") not in ("navigate", None):
                return 403, "pages of other sites may not read the explorer"
            return None
        if self.read_only and rule.changes:
            return 403, "the explorer was started with --read-only and changes nothing"
        if site not in (None, "same-origin") or not _is_own(headers.get("origin"), host):
            return 403, "pages of other sites may not write to the explorer"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not rule.takes(kind):
            what = "JSON" if rule.kinds == ("application/json",) else "the picture itself"
            return 415, f"send {what}, with the content type {join_words(rule.kinds)}"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or int(length[:20]) > rule.limit:
            return 413, f"a request may carry at most {rule.limit // 1024:,} KiB"
        return None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this machine.

        >>> guard = Guard()
        >>> guard.knows("127.0.0.1:8642"), guard.knows("localhost"), guard.knows("[::1]:1"), guard.knows("evil.example")
        (True, True, True, False)
        """
        try:
            parts = urlsplit(f"//{host}")
            name = (parts.hostname or "").rstrip(".")
            _ = parts.port
        except ValueError:
            return False
        if not name or parts.username is not None or parts.path or parts.query or parts.fragment:
            return False
        if name == "localhost" or name == self.host.lower():
            return True
        address = as_address(name)
        if is_loopback(self.host):
            return address is not None and address.is_loopback
        # Bound to other addresses: a name can be rebound, an address cannot.
        return address is not None or name in {socket.gethostname().lower(), socket.getfqdn().lower()}

    def shows_token(self, cookie: str, headers: Headers) -> bool:
        """Whether a request carries the token, as a cookie or as a bearer."""
        if self.token is None:
            return True
        bearer = headers.get("authorization", "")
        given = [bearer[7:] if bearer.lower().startswith("bearer ") else ""]
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(cookie)
            given.append("" if morsel is None else morsel.value)
        except CookieError:
            pass
        return any(self.is_token(each) for each in given)

    def is_token(self, given: str) -> bool:
        """Compared in a time that does not depend on where they differ."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())


class Safety:
    """The guard before an application, and the headers on all that it answers."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        guard, headers, method = self._guard, Headers(scope=scope), scope["method"]

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out[name] = value
                out.setdefault("cache-control", "private, no-cache")
            await send(message)

        rule = rule_of(method, scope["path"])
        refused = guard.refusal(method, headers, rule)
        if refused is not None:
            await _refuse(scope, safe, *refused)
            return
        cookie = f"monoseme-{(scope.get('server') or ('', 0))[1]}"
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if guard.token is not None and method == "GET" and given and guard.is_token(given[0]):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            # The path is ours as the server read it; two slashes at its start would name another host.
            path = "/" + scope["raw_path"].decode("latin-1").lstrip("/\\")
            out = {
                "location": path + (f"?{rest}" if rest else ""),
                "set-cookie": f"{cookie}={guard.token}; HttpOnly; SameSite=Strict; Path=/",
            }
            await _answer(safe, 303, b"", out)
        elif not is_open(scope["path"]) and not guard.shows_token(cookie, headers):
            sentence = "this explorer asks for its token; open the whole address that monoseme explore printed"
            await _refuse(scope, safe, 401, sentence)
        else:
            await self._app(scope, _bounded(receive, rule.limit), safe)


def rule_of(method: str, path: str) -> Rule:
    """What a request may be, by what it is sent to."""
    found = (rule for pattern, rule in RULES if method == "POST" and pattern.fullmatch(path))
    return next(found, Rule())


def is_open(path: str) -> bool:
    """Whether a path is answered without the token.

    >>> is_open("/study/x/y"), is_open("/studies"), is_open("/api/run")
    (True, False, False)
    """
    return path.startswith(OPEN)


def is_loopback(host: str) -> bool:
    """Whether an address that is bound can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    address = as_address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def as_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host that is written as an address, None for a name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_own(origin: str | None, host: str) -> bool:
    """Whether a write comes from our own pages; programs that are no browsers name no origin."""
    if origin is None:
        return True
    parts = urlsplit(origin) if len(origin) < 300 else urlsplit("")
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _bounded(receive: Receive, limit: int) -> Receive:
    """The same body, cut off where it is longer than it may be, whatever its header said."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > limit else message

    return bounded


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["path"].startswith("/api/") or scope["method"] not in READS:
        body, kind = json.dumps({"error": sentence}).encode(), "application/json"
    else:
        page = error_page(status, sentence, alone=is_open(scope["path"]))
        body, kind = page, "text/html; charset=utf-8"
    await _answer(send, status, b"" if scope["method"] == "HEAD" else body, {"content-type": kind})


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
