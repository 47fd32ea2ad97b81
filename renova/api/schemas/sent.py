"""The difference between a field that is absent and one that is null.

`key: T | None = None` takes null from the client. `key: Sent[T] = None` may be absent, but null is refused
as Nova refuses it.
"""

from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

T = TypeVar("T")


class NeverNull:
    """Checks a value of `T | None` as a T, so that the mistake is told in T's own words."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(
            reduce(or_, [kind for kind in get_args(source) if kind is not type(None)])
        )


Sent = Annotated[T | None, NeverNull]
