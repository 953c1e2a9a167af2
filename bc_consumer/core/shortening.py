"""Cuts texts that are too long, where a cut does no harm: between words, or between HTML tags.

Other cuts stand with what they need: ``redactor`` cuts without leaving part of a secret,
``console/formatting.py`` to one line.
"""


def cut_between_words(text: str, longest: int) -> str:
    """Return the first characters of a text that is redacted later.

    No redactor recognises part of a secret, so no word is cut.
    """
    return text if len(text) <= longest else f"{text[:longest].rpartition(' ')[0]}…"


def cut_between_tags(text: str, longest: int) -> str:
    """Return the first characters of a text, never ending inside an HTML tag."""
    if len(text) <= longest:
        return text
    text = text[:longest]
    tag = text.rfind("<")
    follows = text[tag + 1 : tag + 2]
    if tag > text.rfind(">") and (follows.isalpha() or follows == "/"):
        text = text[:tag]
    return f"{text}…"
