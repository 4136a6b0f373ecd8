"""Secrets in addresses: what is one, and what any text shows in its place.

Every text that leaves a process (a file of a study, a line on a terminal) goes through
`redacted`; only the space file keeps a password, as its author wrote it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"
"""As SQLAlchemy shows a password."""

HARMLESS = frozenset(
    {
        "application_name", "cache", "charset", "check_same_thread", "collation", "connect_timeout",
        "encoding", "host", "immutable", "isolation_level", "mode", "nolock", "options", "port",
        "schema", "ssl", "ssl_ca", "sslmode", "sslrootcert", "target_session_attrs", "timeout",
        "unix_socket", "uri", "version", "vfs",
    }
)  # fmt: skip
"""Names in the query of an address whose values say how to connect; all others may be secrets."""

SHORT = 4
"""A secret of fewer characters is looked for as a word of its own: it may be part of any other."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"<>]+")
_QUERY = re.compile(r"[?#](?=[\w.%-]+=)")
_USER = re.compile(r"([^:/?#@]*)(?::(.*))?@", re.DOTALL)
_PAIR = re.compile(r"([^=&;#]+)=([^&;#]*)")
_SUSPECT = re.compile(r"(?i)(?:pass|pwd|secret|token|key)[a-z]*=")
_ASSIGNED = re.compile(
    r"(?i)\b((?:[a-z0-9]{1,20}_){0,5}(?:[a-z]{1,20})?"
    r"(?:password|passwd|pwd|secret|token|api_?key|access_?key))=([^\s&,;)\"']+)"
)


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """Return a text without passwords and tokens of the addresses in it.

    `known` are secrets that may stand in it alone, as servers quote them, in any encoding.
    """
    for secret in sorted(set(known), key=len, reverse=True):
        pattern = re.escape(secret)
        if len(secret) < SHORT:
            pattern = rf"(?<!\w){pattern}(?!\w)"
        text = re.sub(pattern, MASK, text)
    if "://" in text:
        text = _ADDRESS.sub(lambda found: redacted_address(found[0]), text)
    return _without_assigned(text)


def redacted_address(address: str) -> str:
    """Return an address without password and tokens, as it may be shown and kept."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return _without_assigned(address)
    front, query = _parts(rest)
    if user := _USER.match(front):
        shown = _shown_user(scheme, user)
        front = f"{shown}@{front[user.end() :]}"
    query = _PAIR.sub(lambda p: f"{p[1]}={p[2] if _harmless(*p.groups()) else MASK}", query)
    return f"{scheme}{separator}{front}{query}"


def holds_secret(address: str) -> bool:
    """Return whether an address holds a password or a token."""
    return redacted_address(address) != address


def is_redacted(address: str) -> bool:
    """Return whether something was taken out of an address: it leads nowhere."""
    return MASK in address


def secrets_of(address: str) -> set[str]:
    """Return the secrets of an address in every form in which a message may have them."""
    return {form for secret in _secrets(address) for form in _forms(secret)} - {"", MASK}


def _without_assigned(text: str) -> str:
    if "=" not in text or not _SUSPECT.search(text):
        return text
    return _ASSIGNED.sub(
        lambda found: f"{found[1]}={found[2] if _is_variable(found[2]) else MASK}", text
    )


def _parts(rest: str) -> tuple[str, str]:
    query = _QUERY.search(rest)
    return (rest[: query.start()], rest[query.start() :]) if query else (rest, "")


def _shown_user(scheme: str, user: re.Match[str]) -> str:
    """Of a web address the user too may be a token; a database knows its users by name."""
    name, password = user.groups()
    if _is_variable(name if password is None else password):
        return user[0][:-1]
    if _is_web(scheme):
        return MASK
    return name if password is None else f"{name}:{MASK}"


def _is_web(scheme: str) -> bool:
    return "http" in scheme.lower()


def _is_variable(text: str) -> bool:
    """Return whether a text is of names alone: `${PASSWORD}` says nothing."""
    return re.fullmatch(r"(\$\{\w+\})*", text) is not None


def _harmless(name: str, value: str) -> bool:
    return name.lstrip("?#").lower() in HARMLESS or _is_variable(value)


def _secrets(address: str) -> Iterator[str]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        yield from (found[2] for found in _ASSIGNED.finditer(address))
        return
    front, query = _parts(rest)
    if user := _USER.match(front):
        name, password = user.groups()
        if password is not None and not _is_variable(password):
            yield password
            # As requests sends both: what a server was sent it may quote.
            yield base64.b64encode(unquote(f"{name}:{password}").encode()).decode()
        elif _is_web(scheme) and not _is_variable(name):
            yield name
    yield from (value for name, value in _PAIR.findall(query) if not _harmless(name, value))


def _forms(secret: str) -> Iterator[str]:
    for plain in {secret, unquote(secret), unquote_plus(secret)}:
        yield plain
        yield from (quote(plain), quote(plain, safe=""), quote_plus(plain))
        yield repr(plain)[1:-1]
