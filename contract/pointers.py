"""JSON pointers (RFC 6901)."""


def escape(part: str) -> str:
    """A name as one part of a pointer (section 3)."""
    return part.replace("~", "~0").replace("/", "~1")
