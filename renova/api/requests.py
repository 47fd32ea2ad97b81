"""What a handler is given, what it answers, and which handler serves what. README.md shows one."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import procrastinate
from oslo_config import cfg
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from renova.api.errors import MalformedBody, MethodNotAllowed, NoSuchAction, NotFound, sentence
from renova.api.forms import Changed, Form, Statuses
from renova.api.marked import Query, Request
from renova.api.microversions import Span, Version
from renova.api.policies import Policy
from renova.api.schemas.types import Paged
from renova.api.views.links import Links
from renova.clients.glance import Glance
from renova.compute.caller import Caller
from renova.compute.pages import Page
from renova.db.session import Sessions
from renova.errors import Forbidden, Invalid

RequestModel = TypeVar("RequestModel", bound=Request)
QueryModel = TypeVar("QueryModel", bound=Query)


class NoParameters(Query):
    """What a GET may be asked with that takes no parameters. Up to 2.101 it ignores all."""

    closed_since: ClassVar[Version] = Version(2, 102)


@dataclass(frozen=True)
class Parts:
    """What every handler stands on, made once per process."""

    conf: cfg.ConfigOpts
    sessions: Sessions
    single: Sessions
    jobs: procrastinate.App
    glance: Glance
    policy: Policy


@dataclass(frozen=True)
class Call:
    """One request whose token, microversion and path are known to be good."""

    parts: Parts
    caller: Caller
    token: str  # The caller's own, to ask other services in their name. Never stored, never in a job.
    version: Version
    legacy: bool  # /v2: unknown fields are dropped instead of refused.
    links: Links
    path: Mapping[str, str]
    query_items: list[tuple[str, str]]
    body: Any

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """The one transaction of this request: committed when the block ends, rolled back when it raises."""
        return self.parts.sessions.begin()

    def reading(self) -> AsyncSession:
        """A session for a request that changes nothing, or for what it looks at before it does."""
        return self.parts.single()

    def parse(self, model: type[RequestModel]) -> RequestModel:
        """The body as `model`. Raises Invalid (400) with the sentence that Nova's schemas would answer."""
        try:
            return model.parse(self.body, self.version, legacy=self.legacy)
        except ValidationError as error:
            raise Invalid(sentence(error, self.body, model.json_names(), of="field/attribute")) from error

    def query(self, model: type[QueryModel]) -> QueryModel:
        """The query string as `model`. Raises Invalid (400)."""
        if any("\0" in value for _, value in self.query_items):
            raise Invalid("A query parameter has a NUL in it.")
        try:
            return model.read(self.query_items, self.version)
        except ValidationError as error:
            values = model.values(self.query_items, self.version)
            raise Invalid(sentence(error, values, model.json_names(), of="query parameters")) from error

    def can(self, rule: str, *, project_id: str | None = None, user_id: str | None = None) -> None:
        """Raises Forbidden (403) unless the caller may do this to what that project or user owns.

        The default of both is the caller's own.
        """
        if not self.may(rule, project_id=project_id, user_id=user_id):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.")

    def may(self, rule: str, *, project_id: str | None = None, user_id: str | None = None) -> bool:
        """As `can`, for what is shown or offered only to some."""
        return self.parts.policy.allows(rule, self.caller, project_id=project_id, user_id=user_id)

    def page(self, query: Paged, sort_keys: tuple[str, ...] = (), sort_dirs: tuple[str, ...] = ()) -> Page:
        """The page that the client asked for, never longer than `[api] max_limit`."""
        longest: int = self.parts.conf.api.max_limit
        limit = longest if query.limit is None else min(query.limit, longest)
        return Page(limit, query.marker, sort_keys, sort_dirs)

    def next_links(
        self, collection: str, page: Page, markers: list[str], *, name: str | None = None
    ) -> dict[str, Any]:
        """{"<noun>_links": […]} if the page is full, else {}. `markers` are those of the page's rows.

        `collection` is the rest of the path ("servers/detail"); the noun is its first part, without "os-".
        `name` is what Nova calls the links where it is something else.
        """
        if not markers or len(markers) != page.limit:
            return {}
        noun = collection.split("/", 1)[0].removeprefix("os-")
        return {name or f"{noun}_links": self.links.next_page(collection, self.query_items, markers[-1])}


@dataclass(frozen=True)
class Answer:
    """What a handler returns. Views in `body` are shown at the call's microversion; None is no body.

    `status` is the route's; only where a route declares several does its handler say which.
    """

    body: dict[str, Any] | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One handler and the microversions that have it; at others the call does not exist (404).

    `query` is what a GET may be asked with; see NoParameters for one that may be asked with nothing.
    `body` is what the handler parses; `status` and `answer` are what it answers in the end (forms.py).
    """

    handler: Handler
    versions: Span
    query: type[Query] = NoParameters
    body: type[Request] | None = None
    status: Statuses = 200
    answer: Form = None

    def statuses_at(self, version: Version) -> tuple[int, ...]:
        """The statuses of success at a version: one, if the handler does not choose."""
        status = self.status.at(version) if isinstance(self.status, Changed) else self.status
        return (status,) if isinstance(status, int) else status


class Routes:
    """A table of handlers. Each noun fills one in its own file; the app joins them with `include`.

    Paths begin after the project ("/servers/{server_id}"); a part in braces matches anything but a slash and
    is found in `call.path`. Among several that match, the one with fewer such parts wins ("/servers/detail").
    """

    def __init__(self) -> None:
        self.by_path: dict[str, dict[str, Route]] = {}
        self.actions: dict[str, dict[str, Route]] = {}
        # The paths of both by their number of parts, as soon as one is looked for.
        self._by_length: dict[int, list[tuple[str, list[str]]]] | None = None

    def on(
        self,
        method: str,
        path: str,
        versions: Span | None = None,
        *,
        query: type[Query] = NoParameters,
        body: type[Request] | None = None,
        status: Statuses = 200,
        answer: Form = None,
    ) -> Callable[[Handler], Handler]:
        """Register a handler: `@routes.on("GET", "/servers", query=ListServers)`."""

        def register(handler: Handler) -> Handler:
            self.by_path.setdefault(path, {})[method] = Route(
                handler, versions or Span(), query, body, status, answer
            )
            return handler

        return register

    def action(
        self,
        path: str,
        name: str,
        versions: Span | None = None,
        *,
        body: type[Request] | None = None,
        status: Statuses = 200,
        answer: Form = None,
    ) -> Callable[[Handler], Handler]:
        """Register what serves `POST path` with a body of the one key `name`."""

        def register(handler: Handler) -> Handler:
            self.actions.setdefault(path, {})[name] = Route(
                handler, versions or Span(), body=body, status=status, answer=answer
            )
            return handler

        return register

    def include(self, other: "Routes") -> None:
        for path, methods in other.by_path.items():
            self.by_path.setdefault(path, {}).update(methods)
        for path, actions in other.actions.items():
            self.actions.setdefault(path, {}).update(actions)

    def find(self, method: str, path: str) -> tuple["Found", dict[str, str]]:
        """What serves a request, and its path's parts. Raises NotFound (404) or MethodNotAllowed (405)."""
        parts = path.split("/")
        if self._by_length is None:
            self._by_length = _by_length(self.by_path.keys() | self.actions.keys())
        matches = []
        for template, expected in self._by_length.get(len(parts), ()):
            values = _match(expected, parts)
            if values is not None:
                matches.append((len(values), template, values))
        if not matches:
            raise NotFound()
        _, template, values = min(matches, key=lambda match: match[0])
        methods, actions = self.by_path.get(template, {}), self.actions.get(template, {})
        if method == "POST" and actions:
            return Found(actions=actions), values
        if method not in methods:
            allowed = {*methods, *(("HEAD",) if "GET" in methods else ()), *(("POST",) if actions else ())}
            raise MethodNotAllowed(method, sorted(allowed))
        return Found(route=methods[method]), values


@dataclass(frozen=True)
class Found:
    """What a path and a method lead to: one route, or a table of actions of which the body names one."""

    route: Route | None = None
    actions: Mapping[str, Route] = field(default_factory=dict)

    def choose(self, version: Version, body: Any) -> Route:
        """The route. Raises MalformedBody or NoSuchAction (400), NotFound (404) if the version lacks it."""
        route = self.route
        if route is None:
            if not isinstance(body, dict) or len(body) != 1:
                raise MalformedBody()
            (name,) = body
            if name not in self.actions:
                raise NoSuchAction(name)
            route = self.actions[name]
        if version not in route.versions:
            raise NotFound()
        return route


def _by_length(templates: Iterable[str]) -> dict[int, list[tuple[str, list[str]]]]:
    """Each template and its parts, by the number of these."""
    found: dict[int, list[tuple[str, list[str]]]] = {}
    for template in templates:
        parts = template.split("/")
        found.setdefault(len(parts), []).append((template, parts))
    return found


def _match(template: list[str], parts: list[str]) -> dict[str, str] | None:
    """The values of a template's braces in a path of as many parts, or None where they differ."""
    values = {}
    for expected, part in zip(template, parts, strict=True):
        if expected.startswith("{"):
            if not part:
                return None
            values[expected[1:-1]] = part
        elif expected != part:
            return None
    return values
