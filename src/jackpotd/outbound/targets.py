"""Where results may be sent: URLs by their prefix, and the addresses that may be connected to for them (contract §3).

A prefix that names a host permits the public addresses that the host has. An address of ours, or of the machine's own
network, is permitted only where a prefix names that very address: no answer of a resolver opens what nobody listed.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

from jackpotd.outbound.addresses import is_public
from jackpotd.wire.catalog_records import Webhooks
from jackpotd.wire.webhook_urls import Unusable, WebhookUrl, parse

_LOCALHOST = "localhost"

Prefixes = tuple[WebhookUrl, ...]


def check_prefix(text: str) -> str | None:
    """Why a text cannot be an entry of an allow-list; None where it can."""
    prefix = parse(text)
    if isinstance(prefix, Unusable):
        return prefix.why
    if prefix.query:
        return "it has a query"
    return None


class Targets:
    """What is allowed to whom, as it stands at each question.

    Args:
        allow: prefixes that every operator's webhooks may have.
        catalog_webhooks: an operator's own, by the operator's id; None where there are none.
    """

    def __init__(
        self, allow: Sequence[str], catalog_webhooks: Callable[[str], Webhooks | None]
    ) -> None:
        self._global = _parsed(allow)
        self._catalog_webhooks = catalog_webhooks
        self._of: dict[str, tuple[Webhooks, Prefixes]] = {}

    def refusal(self, operator: str, url: str) -> str | None:
        """Why an operator's results may not be sent to a URL; None where they may."""
        parsed = parse(url)
        if isinstance(parsed, Unusable):
            return f"the webhook's URL cannot be used: {parsed.why}"
        if any(_permits(prefix, parsed, parsed.host) for prefix in self._prefixes(operator)):
            return None
        return f"the webhook's URL is not on the allow-list of operator {operator}"

    def may_connect(self, operator: str, url: str, address: str) -> bool:
        """Whether an allowed URL may be sent to at an address that its host was resolved to."""
        parsed = parse(url)
        if isinstance(parsed, Unusable):
            return False
        try:
            # A zone says which link of this machine; the address is the same.
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if is_public(found):
            return True
        names = {str(found), _LOCALHOST} if found.is_loopback else {str(found)}
        return any(
            _permits(prefix, parsed, prefix.host)
            for prefix in self._prefixes(operator)
            if prefix.host in names
        )

    def _prefixes(self, operator: str) -> Prefixes:
        webhooks = self._catalog_webhooks(operator)
        if webhooks is None:
            self._of.pop(operator, None)
            return self._global
        known = self._of.get(operator)
        if known is None or known[0] is not webhooks:
            known = self._of[operator] = webhooks, self._global + _parsed(webhooks.allow)
        return known[1]


def _parsed(allow: Sequence[str]) -> Prefixes:
    """Entries are checked where they are set; one that cannot be read any more permits nothing."""
    prefixes = map(parse, (text for text in allow if check_prefix(text) is None))
    return tuple(prefix for prefix in prefixes if isinstance(prefix, WebhookUrl))


def _permits(prefix: WebhookUrl, url: WebhookUrl, host: str) -> bool:
    """Whether a URL, at a host, lies below a prefix: paths are compared up to the end of a segment."""
    if (prefix.scheme, prefix.host, prefix.port) != (url.scheme, host, url.port):
        return False
    below = prefix.path if prefix.path.endswith("/") else f"{prefix.path}/"
    return url.path == prefix.path or url.path.startswith(below)
