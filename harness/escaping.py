"""Text from the outside (names, sentences, file names) where characters have a meaning: it is shown as it is.

HTML is not here: jinja2 escapes it.
"""

import re

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "<": r"\textless{}", ">": r"\textgreater{}",
    "—": r"\textemdash{}", "*": r"\textsuperscript{*}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}",  # bare at the start of a row it would be an argument of the \\ before
}  # fmt: skip


def plain(text: str) -> str:
    """Text on one line, without control characters, which a terminal might obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def markdown(text: str) -> str:
    """Text in GitHub's Markdown, in a table's cell, too."""
    return "".join(
        f"\\{character}" if character in "\\`*_[]<>|#~" else character for character in plain(text)
    )


def latex(text: str) -> str:
    """Text in LaTeX, outside of mathematics."""
    characters = "".join(_LATEX.get(character, character) for character in plain(text))
    return re.sub("-(?=-)", "-{}", characters)  # two hyphens would be a dash
