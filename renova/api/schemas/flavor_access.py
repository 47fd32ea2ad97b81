"""The actions on a flavor. Source: Nova's API reference, "Flavors access"."""

from typing import Annotated

from pydantic import Field

from renova.api.marked import Request


class Tenant(Request):
    tenant: Annotated[str, Field(min_length=1, max_length=255)]


class AddTenantAccess(Request):
    to: Annotated[Tenant, Field(alias="addTenantAccess")]


class RemoveTenantAccess(Request):
    of: Annotated[Tenant, Field(alias="removeTenantAccess")]
