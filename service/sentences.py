"""A text as sentences that put together are the text, to the last space."""

from collections.abc import Iterator

from sentencex import segment

WINDOW = 2048
"""Characters looked at together: the time that sentencex takes may grow with their square."""


def sentences(text: str, language: str) -> Iterator[str]:
    """The sentences of a text in `language` (ISO 639-1), each with the white space behind it. None spans two lines."""
    for line in text.splitlines(keepends=True):
        start = 0
        while start < len(line):
            window = line[start : start + WINDOW]
            found = segment(language, window)
            if "".join(found) != window:
                found = [window]
            if start + WINDOW < len(line):
                found = _whole(found)
            yield from found
            start += sum(map(len, found))


def _whole(found: list[str]) -> list[str]:
    """Without the last sentence, which the window may have cut; if it is the only one, up to a space in it."""
    if len(found) > 1:
        return found[:-1]
    (only,) = found
    return [only[: only.rfind(" ") + 1] or only]
