"""`/docs`: the OpenAPI document as a page, which needs nothing from anywhere: no script, no font, no other host."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #888; --mark: #3b6fd8; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 small, summary small { color: var(--faint); font-weight: normal; font-size: .9em; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
nav a { margin-right: .8rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .3rem .7rem; }
summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow: auto; padding: .6rem; border: 1px solid var(--line); border-radius: 6px; }
b { display: inline-block; min-width: 4.2rem; color: var(--mark); font: bold 13px ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-top: 1px solid var(--line); }
"""


def page(document: Mapping[str, Any]) -> str:
    """Return the OpenAPI document as HTML: its operations by noun, each with what it takes and answers."""
    nouns: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            nouns.setdefault(told["tags"][0], []).append("".join(_operation(method, path, told)))
    links = "".join(f'<a href="#{escape(each)}">{escape(each)}</a>' for each in nouns)
    sections = "".join(
        f'<h2 id="{escape(noun)}">{escape(noun)}</h2>{"".join(operations)}' for noun, operations in nouns.items()
    )
    schemas = "".join(_schema(name, told) for name, told in sorted(document["components"]["schemas"].items()))
    info = document["info"]
    title = f"{escape(info['title'])} <small>{escape(info['version'])}</small>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}: the HTTP API</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        "<p>Send <code>Authorization: Bearer TOKEN</code>. Every change takes <code>?why=TEXT</code>, the reason for "
        'the record. <a href="openapi.json">openapi.json</a> says the same to programs.</p>'
        f"<nav>{links}</nav>{sections}<h2>What is sent and answered</h2>{schemas}</html>"
    )


def _operation(method: str, path: str, told: Mapping[str, Any]) -> Iterator[str]:
    """Give the parts of an operation, which shows its path and opens to the rest."""
    yield f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
    yield f"<small>{escape(told['summary'])}</small></summary>"
    for line in told["description"].split("\n\n"):
        yield f"<p>{escape(line).replace('**', '')}</p>"
    parameters = told.get("parameters", ())
    if parameters:
        yield "<table>"
        for each in parameters:
            needed = " (required)" if each.get("required") else ""
            yield f"<tr><td><code>{escape(each['name'])}</code> in {each['in']}{needed}</td>"
            yield f"<td>{_kind(each['schema'])}</td><td>{escape(each.get('description', ''))}</td></tr>"
        yield "</table>"
    for kind, body in told.get("requestBody", {}).get("content", {}).items():
        yield f"<p>takes {_kind(body['schema'])} as <code>{escape(kind)}</code></p>"
    for status, answer in told["responses"].items():
        kinds = ", ".join(_kind(each["schema"]) for each in answer.get("content", {}).values())
        yield f"<p><code>{status}</code> {kinds} {escape(answer['description'])}</p>"
    yield "</details>"


def _schema(name: str, told: Mapping[str, Any]) -> str:
    text = escape(json.dumps(told, indent=1))
    about = escape(str(told.get("description", "")).partition("\n")[0])
    heading = f"<code>{escape(name)}</code> <small>{about}</small>"
    return f'<details id="schema-{escape(name)}"><summary>{heading}</summary><pre>{text}</pre></details>'


def _kind(schema: Mapping[str, Any]) -> str:
    """Return in a few words what a schema takes, with links to those that have names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(escape(str(each)) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return escape(str(schema.get("format") or schema.get("type") or "anything"))
