"""Credentials that stand in code: found by their look or by the name they are given; never told themselves."""

import ast
import re
from collections.abc import Iterator

MASK = "•••"

# The looks that the issuers of keys document for them; the part to hide is the group "secret", or all of it.
_LOOKS = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "an API key": r"\b(?:sk|pk|rk)[-_](?:live_|test_|proj-|ant-)?[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*",
    "a storage account's key": r"AccountKey=(?P<secret>[A-Za-z0-9+/=]{20,})",
    "a URL with a password": r"\b[a-z][a-z0-9+.-]*://[^\s:/@'\"{}]+:(?P<secret>[^\s@/'\"{}]+)@",
    "a URL with a token": r"\bhttps?://(?P<secret>[A-Za-z0-9_-]{20,})@",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _LOOKS.items()}

_PASSWORD = re.compile(r"(?:^|_)(?:password|passwd|passphrase|pwd)$", re.IGNORECASE)
_KEY = re.compile(
    r"(?:^|_)(?:secret|secret_?key|api_?key|access_?key(?:_?id)?|private_?key|client_?secret|auth_?token"
    r"|access_?token|api_?token|bearer|token)$",
    re.IGNORECASE,
)
# `token` is a word of language models, too: only what looks random counts as one.
_RANDOM_LOOKING = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=_.:-]{16,}$")
_PLACEHOLDER = re.compile(
    r"your|my_?|xxx|\*\*\*|\.\.\.|<.*>|\{.*\}|change|example|dummy|fake|test|placeholder|insert|todo|none|here|secret$",
    re.IGNORECASE,
)


def kind_of(text: str, name: str = "") -> str | None:
    """Return what kind of credential a text is, given the name that it is assigned to; None if it seems to be none."""
    for kind, pattern in _PATTERNS.items():
        match = pattern.search(text)
        if match and not _PLACEHOLDER.fullmatch(match.groupdict().get("secret") or ""):
            return kind
    if not text.strip() or " " in text or _PLACEHOLDER.search(text):
        return None
    if _PASSWORD.search(name) and not set(text) & set("/\\"):
        return "a password"
    return "a key" if _KEY.search(name) and _RANDOM_LOOKING.match(text) else None


def masked(text: str) -> str:
    """Return a text without the credentials that can be told by their look or by an assignment in it."""
    for pattern in _PATTERNS.values():
        text = pattern.sub(_hidden, text)
    return re.sub(r"(?P<name>\b\w+)(?P<sign>\s*[=:]\s*)(?P<quote>['\"]?)(?P<secret>[^\s'\"]+)", _hidden_value, text)


def _hidden(match: re.Match[str]) -> str:
    secret = match.groupdict().get("secret")
    return match[0].replace(secret, MASK) if secret else MASK


def _hidden_value(match: re.Match[str]) -> str:
    kind = kind_of(match["secret"], match["name"])
    return match[0] if kind is None else f"{match['name']}{match['sign']}{match['quote']}{MASK}"


def in_code(tree: ast.AST) -> Iterator[tuple[ast.Constant, str]]:
    """Give each text in the code that seems to be a credential, with its kind."""
    named = {id(value): name for node in ast.walk(tree) for name, value in _named_values(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind = kind_of(node.value, named.get(id(node), ""))
            if kind:
                yield node, kind


def _named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Give the values that a node assigns, passes or stores under a name."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from ((name, node.value) for name in _names(target))
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield from ((name, node.value) for name in _names(node.target))
    elif isinstance(node, ast.keyword):
        yield node.arg or "", node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


def _names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Attribute):
        yield target.attr
    elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        yield str(target.slice.value)
