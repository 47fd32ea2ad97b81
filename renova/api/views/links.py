"""Links in answers: they lead back to where the client came from, whatever stands in between."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request


def base_url(request: Request, public_endpoint: str | None) -> str:
    """What every link begins with, without a slash at the end.

    `[api] public_endpoint` if there is one, else what the proxy says that the client asked for
    (X-Forwarded-*), else the request's own Host. Of a list of proxies the first is the one that the client
    spoke to.
    """
    if public_endpoint:
        return public_endpoint.rstrip("/")

    def forwarded(name: str) -> str:
        return request.headers.get(f"x-forwarded-{name}", "").split(",")[0].strip()

    scheme = forwarded("proto") or request.scope["scheme"]
    host = forwarded("host") or request.headers.get("host") or request.url.netloc
    prefix = forwarded("prefix").strip("/")
    return f"{scheme}://{host}/{prefix}".rstrip("/")


@dataclass(frozen=True)
class Links:
    """Makes the links of one request's answer, in the form of path (`tree`, project) that the request had."""

    base: str
    tree: str  # "v2.1" or "v2"
    project_id: str | None  # Only where the path had one.

    def of(self, collection: str, identifier: str) -> list[dict[str, str]]:
        """`self` and `bookmark` of one resource: Nova's `links`."""
        identifier = quote(identifier, safe="")
        return [
            {
                "rel": "self",
                "href": self._join(self.base, self.tree, self.project_id, collection, identifier),
            },
            {"rel": "bookmark", "href": self._join(self.base, self.project_id, collection, identifier)},
        ]

    def next_page(
        self, collection: str, query: Iterable[tuple[str, str]], marker: str
    ) -> list[dict[str, str]]:
        """`<collection>_links`: the same request with its marker moved."""
        parameters = [*((name, value) for name, value in query if name != "marker"), ("marker", marker)]
        address = self._join(self.base, self.tree, self.project_id, collection)
        return [{"rel": "next", "href": f"{address}?{urlencode(parameters)}"}]

    @staticmethod
    def _join(*parts: str | None) -> str:
        return "/".join(part for part in parts if part)
