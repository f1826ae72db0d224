"""The API's description for people, made from its OpenAPI document: Markdown, and one HTML page."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

__all__ = ["docs_page", "markdown_page"]

Document = Mapping[str, Any]

CODE = re.compile(r"`([^`]+)`")

_PAGE = """# REST API

Made from the API's own OpenAPI document, which the running API has at `/openapi.json`; `/docs` shows
it. How to start it and to get a token: [Use the REST API](../how-to/use-the-rest-api.md). Every
problem is `application/problem+json` with `type`, `title`, `status`, `detail` and `request_id`.

| endpoint | what it does |
| --- | --- |
{table}

{operations}
## Problems

`type` is `urn:astrid-training:problem:` and the code.

| status | code | title |
| --- | --- | --- |
{problems}
"""

_HTML = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1d24 }}
h2 {{ font-size: 1.05rem; margin: 2.5rem 0 .3rem; border-top: 1px solid #d5d9e0; padding-top: 1rem }}
code, pre {{ font: 14px/1.45 ui-monospace, monospace }}
pre {{ background: #f4f5f8; padding: .8rem; overflow: auto; border-radius: 4px }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e6e8ee }}
b {{ display: inline-block; min-width: 3.5rem; color: #0b5fa5 }}
</style>
<h1>{title}</h1>
<p>{about}</p>
<p>The same for machines: <a href="openapi.json">openapi.json</a>.</p>
{operations}
</html>
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def docs_page(document: Document) -> HTMLResponse:
    """Return the description as one HTML page that loads nothing from anywhere."""
    info = document["info"]
    page = _HTML.format(
        title=escape(f"{info['title']} {info['version']}"),
        about=_prose(info["description"]),
        operations="\n".join(_html(*one) for one in _operations(document)),
    )
    return HTMLResponse(page, headers=_HEADERS)


def markdown_page(document: Document) -> str:
    """Return the reference page."""
    known = list(_operations(document))
    problems = sorted({row for _, _, one in known for row in _problems(one)})
    return _PAGE.format(
        table="\n".join(f"| `{method} {path}` | {one['summary']} |" for method, path, one in known),
        operations="\n".join(_markdown(*one) for one in known),
        problems="\n".join(
            f"| {status} | `{code}` | {title} |" for status, code, title in problems
        ),
    )


def _prose(text: str) -> str:
    """Return paragraphs with words in backticks as HTML."""
    return CODE.sub(r"<code>\1</code>", escape(text)).replace("\n\n", "</p><p>")


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, _resolved(operation, document)


def _resolved(operation: Document, document: Document) -> Document:
    """Return the operation with the examples of its answer's model beside its answer."""
    content = _good(operation).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    model = document["components"]["schemas"].get(name, {})
    example = content.get("example", (model.get("examples") or [None])[0])
    return {**operation, "x-example": example}


def _good(operation: Document) -> Document:
    status = min(operation["responses"])
    return {"status": status, **operation["responses"][status]}


def _parameters(operation: Document) -> Iterator[tuple[str, str, str]]:
    for one in operation.get("parameters", []):
        told = one.get("description") or one["schema"].get("description") or _choices(one["schema"])
        yield one["name"], one["in"], " ".join(told.split())


def _choices(schema: Document) -> str:
    some = next((one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"), schema)
    return " or ".join(map(str, some.get("enum", [])))


def _problems(operation: Document) -> Iterator[tuple[int, str, str]]:
    for status, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            if media == "application/problem+json":
                for code, example in content["examples"].items():
                    yield int(status), code, example["summary"]


def _body(operation: Document) -> str | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = list(content.get("examples", {}).values())
    return json.dumps(examples[-1]["value"], indent=2) if examples else None


def _markdown(method: str, path: str, operation: Document) -> str:
    lines = [f"## {method} {path}", "", operation["description"], ""]
    told = [f"| `{name}` | {place} | {text} |" for name, place, text in _parameters(operation)]
    if told:
        lines += ["| parameter | in | meaning |", "| --- | --- | --- |", *told, ""]
    if body := _body(operation):
        lines += ["The body holds [parameters of a collection](parameters.md), such as", ""]
        lines += ["```json", body, "```", ""]
    status, example = _good(operation)["status"], operation["x-example"]
    lines += [f"Answers {status}" + (", such as" if example else "."), ""]
    if example:
        lines += ["```json", json.dumps(example, indent=2), "```", ""]
    if codes := [f"`{code}` ({status})" for status, code, _ in _problems(operation)]:
        lines += [f"Problems: {', '.join(codes)}.", ""]
    return "\n".join(lines)


def _html(method: str, path: str, operation: Document) -> str:
    told = [
        f"<tr><td><code>{escape(name)}</code><td>{escape(place)}<td>{escape(text)}"
        for name, place, text in _parameters(operation)
    ]
    example = operation["x-example"]
    parts = [
        f"<h2><b>{method}</b> <code>{escape(path)}</code></h2>",
        f"<p>{_prose(operation['description'])}</p>",
        f"<table>{''.join(told)}</table>" if told else "",
    ]
    if body := _body(operation):
        parts.append(f"<p>Body, for example</p><pre>{escape(body)}</pre>")
    parts.append(f"<p>Answers {_good(operation)['status']}</p>")
    if example:
        parts.append(f"<pre>{escape(json.dumps(example, indent=2))}</pre>")
    if codes := [f"{code} ({status})" for status, code, _ in _problems(operation)]:
        parts.append(f"<p>Problems: {', '.join(codes)}</p>")
    return "\n".join(filter(None, parts))
