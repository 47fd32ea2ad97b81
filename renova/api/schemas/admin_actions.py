"""The body of os-resetState. Source: Nova's API reference, "Servers - run an administrative action"."""

from typing import Annotated, Literal

from pydantic import Field

from renova.api.marked import Request


class WantedState(Request):
    state: Literal["active", "error"]


class ResetState(Request):
    wanted: Annotated[WantedState, Field(alias="os-resetState")]
