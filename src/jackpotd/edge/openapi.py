"""The OpenAPI 3.1 document of a listener, from its routes and the message types (contract §1).

quart-schema walks the routes; how a msgspec type becomes a schema with all the components that it refers to is ours,
because the library drops them.
"""

from types import UnionType
from typing import Any, get_args

import msgspec
from quart_schema import DataSource, OpenAPIProvider
from quart_schema.typing import Model

from jackpotd.wire.codec import IncomingAmount

_REF_TEMPLATE = "#/components/schemas/{name}"


class MsgspecProvider(OpenAPIProvider):
    """Builds the parts of the document that hold message types."""

    def build_request_body(
        self,
        model: type[Model],
        source: DataSource,  # noqa: ARG002 - every body of ours is JSON
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        schema, components = _schema(model)
        return {"content": {"application/json": {"schema": schema}}, "required": True}, components

    def build_response_object(
        self,
        model: type[Model],
        headers_model: type[Model] | None,  # noqa: ARG002 - none of ours documents headers
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        schema, components = _schema(model)
        body = {"content": {"application/json": {"schema": schema}}}
        return {"description": _description(model), **body}, components

    def build_querystring_parameters(
        self, model: type[Model]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        schema, components = _schema(model)
        definition = components[schema["$ref"].rpartition("/")[2]]
        parameters = [
            {
                "name": name,
                "in": "query",
                "required": name in definition.get("required", ()),
                "schema": field,
            }
            for name, field in definition["properties"].items()
        ]
        return parameters, {}


def _schema(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a message; of one of several where it is a union, which msgspec cannot decode but we only send."""
    kinds = get_args(model) if isinstance(model, UnionType) else (model,)
    schemas, components = msgspec.json.schema_components(
        kinds, schema_hook=_amount_schema, ref_template=_REF_TEMPLATE
    )
    return schemas[0] if len(kinds) == 1 else {"anyOf": list(schemas)}, components


def _amount_schema(kind: type) -> dict[str, Any]:
    if kind is IncomingAmount:
        # Numbers are what clients send; strings are accepted, and both are read exactly.
        return {"type": "number"}
    raise NotImplementedError(kind)


def _description(model: Any) -> str:
    text: str = getattr(model, "__doc__", None) or ""
    is_own = getattr(model, "__module__", "").startswith("jackpotd")
    return text.strip().splitlines()[0] if is_own and text.strip() else "The answer."
