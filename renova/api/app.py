"""The Compute API as an ASGI app: `granian --factory renova.api.app:create`.

What happens to a request, in Nova's order: its size, its token, its path and method, its microversion, the
type of its body, the body's JSON, the project in its path, the handler. Whatever fails on the way becomes
Nova's envelope.
"""

import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from oslo_config import cfg
from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from renova import conf as configuration
from renova import jobs
from renova.api import (
    admin_actions,
    errors,
    extensions,
    flavor_access,
    flavor_extra_specs,
    flavors,
    images,
    instance_actions,
    keypairs,
    limits,
    microversions,
    networks,
    openapi,
    quota_sets,
    server_actions,
    server_create,
    server_groups,
    server_interfaces,
    server_list,
    server_metadata,
    server_rebuild,
    server_resize,
    server_snapshot,
    server_ssh_host_keys,
    server_tags,
    server_topology,
    server_undo,
    server_volumes,
    servers,
    services,
    versions,
)
from renova.api.auth import KeystoneTokens, Tokens
from renova.api.marked import rendered
from renova.api.microversions import MINIMUM, Version
from renova.api.policies import Policy
from renova.api.request_ids import headers_of, log_answer, new_request_id
from renova.api.requests import Answer, Call, Parts, Route, Routes
from renova.api.views.links import Links, base_url
from renova.clients.glance import Glance
from renova.clients.keystone import Identity
from renova.compute.caller import Caller
from renova.db.session import make_engine, make_sessions, make_single
from renova.errors import Invalid

NOUNS = (
    *(extensions, flavors, instance_actions, keypairs, limits),
    *(flavor_access, flavor_extra_specs),
    *(admin_actions, images, networks, quota_sets),
    *(server_groups, server_interfaces, server_volumes, services),
    *(servers, server_actions, server_create, server_list, server_metadata, server_rebuild),
    *(server_resize, server_snapshot, server_ssh_host_keys, server_tags, server_topology, server_undo),
)
# The first part of a path is a project if it could be an id of Keystone's, as in Nova.
PATH = re.compile(r"/(?P<tree>v2(?:\.1)?)(?:/(?P<project>[0-9a-f-]+))?(?P<rest>/.*)?")
JSON_TYPES = {"", "text/plain", "application/json", "application/vnd.openstack.compute+json"}
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
STANDARD, LEGACY = "OpenStack-API-Version", "X-OpenStack-Nova-API-Version"


def create() -> "Compute":
    """The app as the file that RENOVA_CONFIG names says; the configuration is read here and nowhere else."""
    conf = configuration.load([Path(os.environ["RENOVA_CONFIG"])])
    _log(conf)
    engine = make_engine(conf.database.connection)
    identity = Identity(conf)
    http = identity.http()
    parts = Parts(
        conf=conf,
        sessions=make_sessions(engine),
        single=make_single(engine),
        jobs=jobs.make_app(conf.database.connection),
        glance=Glance(identity, http),
        policy=Policy(conf),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await http.aclose()
        await engine.dispose()

    return build(parts, KeystoneTokens(conf), every_route(), lifespan=lifespan)


def _log(conf: cfg.ConfigOpts) -> None:
    """To standard error, in the form that the agent's lines have."""
    logging.basicConfig(
        level=logging.DEBUG if conf.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    if not conf.debug:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # It tells of every request to Glance.


def every_route() -> Routes:
    """What every noun serves. A new file of handlers is named here."""
    routes = Routes()
    for noun in NOUNS:
        routes.include(noun.routes)
    return routes


def build(parts: Parts, tokens: Tokens, routes: Routes, *, lifespan: Any = None) -> "Compute":
    """The app over ready parts: what tests call."""
    return Compute(parts, tokens, routes, Starlette(lifespan=lifespan))


class Compute:
    """From a request to a response. One per process. What is no request (the start and the end of the
    process) is for `beside`: a request need not go through its layers, none of which it has a use for.
    """

    def __init__(self, parts: Parts, tokens: Tokens, routes: Routes, beside: ASGIApp) -> None:
        self._parts = parts
        self._tokens = tokens
        self._routes = routes
        self._beside = beside
        self._identity_uri: str | None = parts.conf.keystone_authtoken.www_authenticate_uri

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever the method, so that those which nobody knows are answered in Nova's envelope too."""
        if scope["type"] != "http":
            await self._beside(scope, receive, send)
            return
        begun, request_id = time.monotonic(), new_request_id()
        request = Request(scope, receive)
        response = await self._serve(request, request_id)
        log_answer(request, request_id, response.status_code, time.monotonic() - begun)
        await response(scope, receive, send)

    async def _serve(self, request: Request, request_id: str) -> Response:
        headers = headers_of(request_id)
        try:
            response = await self._answer(request, request_id, headers)
        except Exception as error:
            response = errors.answer(error, request_id, self._identity_uri)
        response.headers.update(headers)
        if request.method == "HEAD":
            response.body = b""
        return response

    async def _answer(self, request: Request, request_id: str, headers: dict[str, str]) -> Response:
        """`headers` gets those that every answer has from here on, an error's too."""
        match = PATH.fullmatch(request.scope["path"])
        base = base_url(request, self._parts.conf.api.public_endpoint)
        if request.scope["path"] == "/openapi.json":
            with _wrong_versions():
                version = microversions.named(request.query_params.get("version", "latest"))
            return _document(request, openapi.document(self._routes, version))
        if match is None:
            return _root(request, base)
        tree, rest, legacy = match["tree"], match["rest"] or "", match["tree"] == "v2"
        if match["project"] is None and rest in {"", "/"}:
            _negotiate(request, headers, legacy)
            return _document(request, versions.one_version(base, tree))
        length = request.headers.get("content-length", "")
        self._check_size(int(length) if length.isdecimal() else 0)
        token = await self._tokens.check(
            request.headers.get("x-auth-token"), request.method, request.scope["path"]
        )
        method = "GET" if request.method == "HEAD" else request.method
        if "\0" in request.scope["path"]:
            raise errors.NotFound()  # PostgreSQL has no text with a NUL in it, so nothing has such a name.
        found, values = self._routes.find(method, rest)
        version = _negotiate(request, headers, legacy)
        body = await self._body(request)
        if match["project"] not in {None, token.project_id}:
            raise Invalid(
                f"Malformed request URL: URL's project_id '{match['project']}' doesn't match "
                f"Context's project_id '{token.project_id}'"
            )
        is_admin = self._parts.policy.is_admin(token.user_id, token.project_id, token.roles)
        call = Call(
            parts=self._parts,
            caller=Caller(token.user_id, token.project_id, token.roles, is_admin, request_id),
            token=request.headers["x-auth-token"].strip(),
            version=version,
            legacy=legacy,
            links=Links(base, tree, match["project"]),
            path=values,
            query_items=request.query_params.multi_items(),
            body=body,
        )
        route = found.choose(version, body)
        if method == "GET":
            call.query(route.query)
        return _response(await route.handler(call), route, version)

    def _check_size(self, size: int) -> None:
        if size > self._parts.conf.api.max_request_body_size:
            raise errors.TooLarge()

    async def _body(self, request: Request) -> Any:
        """The JSON of a POST or PUT, or None where there is none."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in JSON_TYPES:
            raise errors.UnsupportedMediaType()
        if request.method not in {"POST", "PUT"}:
            return None
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            self._check_size(len(body))
        if not body:
            return None
        try:
            # Unlike json.loads this refuses lone surrogates, which no database and no answer can hold.
            content = from_json(bytes(body), allow_inf_nan=False)
        except ValueError:
            raise errors.MalformedBody() from None
        if NUL.search(body):
            raise errors.MalformedBody()  # As in a path: nothing could store it.
        return content


def _root(request: Request, base: str) -> Response:
    if request.method not in {"GET", "HEAD"}:
        raise errors.MethodNotAllowed(request.method, ["GET", "HEAD"])
    if request.scope["path"] == "/":
        return JSONResponse(versions.every_version(base))
    return JSONResponse(versions.choices(base, request.scope["path"]), 300)


def _document(request: Request, content: dict[str, Any]) -> Response:
    if request.method not in {"GET", "HEAD"}:
        raise errors.MethodNotAllowed(request.method, ["GET", "HEAD"])
    return JSONResponse(content)


def _negotiate(request: Request, headers: dict[str, str], legacy: bool) -> Version:
    """The request's microversion, and the headers that say so. /v2 knows nothing of microversions."""
    if legacy:
        return MINIMUM
    headers["Vary"] = f"{STANDARD}, {LEGACY}"
    with _wrong_versions():
        version = microversions.requested(
            ",".join(request.headers.getlist(STANDARD)), ",".join(request.headers.getlist(LEGACY))
        )
    headers[STANDARD] = f"compute {version}"
    headers[LEGACY] = str(version)
    return version


@contextmanager
def _wrong_versions() -> Iterator[None]:
    """Errors of `microversions` become answers: 406 for a version that we do not speak, 400 for none."""
    try:
        yield
    except microversions.UnsupportedVersionError as error:
        raise errors.NotAcceptable(str(error)) from None
    except ValueError as error:
        raise Invalid(str(error)) from None


def _response(answer: Answer, route: Route, version: Version) -> Response:
    status = answer.status
    if status is None:
        (status,) = route.statuses_at(version)
    if answer.body is None:
        return Response(status_code=status, headers=answer.headers)
    content = to_json(rendered(answer.body, version))
    return Response(content, status, answer.headers, media_type="application/json")
