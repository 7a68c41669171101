"""Sentences of a notebook's text that say what the code below does, as a docstring says it."""

import re

from modelwright.notebooks import headings

_WIDTH = 90
_FEWEST_WORDS = 3
# What a plain sentence has none of: formulas, links, images, tags, code, tables, lists, quotes and escapes.
_MARKUP = re.compile(r"[$<>|\\\[\]{}=#]|https?:|\"\"\"|^\s*(?:[-*+>]\s|\d+[.)]\s)", re.MULTILINE)
_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bDr)[.!?:;](?=\s|$)")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s.*$|^.*\n\s{0,3}(?:={3,}|-{3,})\s*$", re.MULTILINE)
# How authors begin before they come to the verb.
_OPENING = re.compile(
    r"^(?:(?:now|next|first|firstly|then|finally|here|so|lastly|secondly)\b,?\s+)*"
    r"(?:let's|let\u2019s|lets|let us|we will|we'll|we\u2019ll|we can|we need to|we|i will|i'll|i)?\s*"
    r"(?:now|first|then|also|next)?\s*",
    re.IGNORECASE,
)
# A text that begins otherwise tells as often of what was seen above as of what is done below.
_VERBS = frozenset(
    """
    add apply assign balance bin build calculate categorize choose clean combine compare compute concatenate convert
    create define determine discard drop encode engineer estimate evaluate export extract fill filter fit fix
    generate get group handle impute initialize join label limit list load make map measure merge normalize optimize
    predict prepare preprocess put read reduce remove rename replace resample rescale reshape sample save scale score
    scrape search select separate set shuffle simulate split standardize store test tokenize train transform tune
    turn use vectorize write
""".split()  # noqa: SIM905 - read as words
)
# What these point to stands in a sentence before.
_POINTING = frozenset({"it", "that", "them", "these", "this", "those"})


def purpose(text: str) -> str:
    """Return the first sentence below a text's last heading, as an order, if it is one; nothing where it is not."""
    below = _HEADING.split(text)[-1].strip()
    if headings.headings(below) or _MARKUP.search(below.split("\n\n")[0]):
        return ""
    paragraph = " ".join(_EMPHASIS.sub(r"\2", below.split("\n\n")[0]).split())
    end = _END.search(paragraph)
    sentence = paragraph[: end.start()] if end else paragraph
    words = _OPENING.sub("", sentence, count=1).split()
    is_question = end is not None and end.group() == "?"
    if is_question or len(words) < _FEWEST_WORDS or words[0].lower() not in _VERBS or words[1].lower() in _POINTING:
        return ""
    found = " ".join([words[0].capitalize(), *words[1:]]) + "."
    return found if len(found) <= _WIDTH and '"' not in found[-2:] else ""
