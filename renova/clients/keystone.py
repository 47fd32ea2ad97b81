"""The service user of `[keystone_authtoken]`: its token, and the catalogue that comes with it."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx
from keystoneauth1 import exceptions, loading
from keystoneauth1.session import Session
from oslo_config import cfg

from renova.conf import SERVICE_USER
from renova.errors import Unavailable

LOG = logging.getLogger(__name__)
_TIMEOUT = 30  # Seconds until Keystone has to answer.
# Seconds for which an address of the catalogue is not looked up again: that takes a thread.
_REMEMBERED = 60.0


class Identity:
    """keystoneauth1 for asyncio. A token is fetched once for all who ask, and anew shortly before it expires.

    Every method raises Unavailable where Keystone does not answer, or refuses the service user.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._options = conf[SERVICE_USER]
        self._session = Session(
            auth=loading.load_auth_from_conf_options(conf, SERVICE_USER),
            verify=self._options.cafile or not self._options.insecure,
            timeout=_TIMEOUT,
        )
        # keystoneauth1 would let every waiting caller hold a thread of the pool; here they wait without one.
        self._lock = asyncio.Lock()
        self._endpoints: dict[str, tuple[str, float]] = {}

    def http(self) -> httpx.AsyncClient:
        """What asks the cloud's services; it checks certificates as Keystone's is. The caller's to close."""
        if self._options.insecure:
            return httpx.AsyncClient(verify=False)  # noqa: S501
        return httpx.AsyncClient(verify=ssl.create_default_context(cafile=self._options.cafile))

    async def token(self) -> str:
        return await self._ask(self._session.get_token)

    async def renew(self) -> str:
        """A new token, for when a service refused the last one: Keystone's keys may have changed."""
        self._session.invalidate()
        return await self.token()

    async def endpoint(self, service_type: str) -> str:
        """Where the catalogue says that a service is, without a slash at the end."""
        known, until = self._endpoints.get(service_type, ("", 0.0))
        if time.monotonic() < until:
            return known
        url = await self._ask(
            self._session.get_endpoint,
            service_type=service_type,
            interface=[self._options.interface, "public"],
            region_name=self._options.region_name,
        )
        url = url.rstrip("/")
        self._endpoints[service_type] = (url, time.monotonic() + _REMEMBERED)
        return url

    async def _ask(self, question: Callable[..., str | None], **details: Any) -> str:
        try:
            async with self._lock:
                answer = await asyncio.to_thread(question, **details)
        except exceptions.CatalogException:
            answer = None
        except exceptions.ClientException as error:
            LOG.warning("Keystone has no token for the service user: %s", error)
            raise Unavailable("The identity service does not answer.") from error
        if answer is None:
            raise Unavailable(f"The catalogue names no endpoint for {details}")
        return answer
