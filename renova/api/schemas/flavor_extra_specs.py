"""The bodies of the calls on extra specs. Source: Nova's API reference, "Flavors extra-specs".

What is validated from 2.86 on is in `known_extra_specs`; no extra spec means anything here.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from renova.api.errors import sentence
from renova.api.marked import Request
from renova.api.schemas.types import check_keys, wrong
from renova.errors import Invalid


def _value(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong("{value!r} is not of type 'string', 'number'", value=value)
    if len(str(value)) > 255:
        raise wrong("{value!r} is too long", value=value)
    return value


ExtraSpecs = Annotated[dict[str, Annotated[Any, AfterValidator(_value)]], AfterValidator(check_keys)]
_ONE = TypeAdapter[dict[str, Any]](Annotated[ExtraSpecs, Field(min_length=1, max_length=1)])


class AddExtraSpecs(Request):
    extra_specs: ExtraSpecs


def one_extra_spec(body: Any) -> dict[str, Any]:
    """The body of PUT …/os-extra_specs/{key}, whose one key has any name. Raises Invalid."""
    try:
        return _ONE.validate_python(body, strict=True)
    except ValidationError as error:
        raise Invalid(sentence(error, body, {}, of="field/attribute")) from error
