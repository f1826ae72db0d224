"""The reference page of the REST API, made from its own description."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astrid_training.settings import resolve
from deployments.api.app import create_app

__all__ = ["rest_api_page"]

_PAGE = """# REST API

Made from the API's own description, which it serves as `/openapi.json`. All routes but `/health` want a token, `Authorization: Bearer …`;
[Use the REST API](../how-to/use-the-rest-api.md) shows how. Errors are problem documents (RFC 9457,
`application/problem+json`) with `title`, `status`, `detail` and, for a refused request, `errors`.

{routes}"""


def rest_api_page() -> str:
    """Return the Markdown page of the routes."""
    settings = resolve(Path("nowhere"), database_url="postgresql://nobody@127.0.0.1/nothing")
    document = create_app(settings).openapi()
    schemas = document["components"]["schemas"]
    routes = [
        "\n".join(_route(f"{method.upper()} {path}", told, schemas))
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    return _PAGE.format(routes="\n".join(routes))


def _route(name: str, told: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f"## {told['summary']}\n\n`{name}`\n\n{' '.join(told['description'].split())}\n"
    given = told.get("parameters", [])
    if given:
        yield "| parameter | in | meaning |\n| --- | --- | --- |"
        for one in given:
            needed = ", needed" if one["required"] else ""
            meaning = one.get("description") or one["schema"].get("description", "")
            yield f"| `{one['name']}` | {one['in']}{needed} | {meaning} |"
        yield ""
    if "requestBody" in told:
        yield "The body holds [parameters](parameters.md) of a collection as JSON.\n"
    yield "| answer | what |\n| --- | --- |"
    for status, answer in told["responses"].items():
        fields = _fields(answer, schemas) if status.startswith("2") else ""
        yield f"| {status} | {answer['description']}{fields} |"
    yield ""


def _fields(answer: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Return the names of what an answer holds."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    named = schemas.get(str(schema.get("$ref", "")).rpartition("/")[2], {})
    names = ", ".join(f"`{name}`" for name in named.get("properties", {}))
    return f": {names}" if names else ""
