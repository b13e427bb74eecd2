"""Content-Encoding: gzip and deflate, of bodies that come and of answers."""

import asyncio
import zlib

from fastapi import Request, Response

from contract.errors import BodyTooLarge, Fault, FaultyRequest, UnknownMediaType
from contract.quoting import shown
from service.routes.media import weights_of

_WBITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""deflate means zlib's format (RFC 9110, section 8.4.1.2); some send what is inside of it alone."""
_LONG = 2**16
_WORTH = 1024
_LEVEL = 1
"""Numbers hardly compress better at higher ones, which take several times as long."""


async def decoded(body: bytes, request: Request, limit: int) -> bytes:
    """`body` without its Content-Encoding.

    Raises UnknownMediaType for one that is not read, BodyTooLarge if more than `limit` bytes come out of it, and
    FaultyRequest if it is not what it says.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    coding = "gzip" if coding == "x-gzip" else coding  # as RFC 9110, section 8.4.1.3, has it
    if coding in ("identity", ""):
        return body
    if coding not in _WBITS:
        raise UnknownMediaType(f"expected a Content-Encoding of gzip, deflate or identity, came {shown(coding)}")
    bare = coding == "deflate" and not _is_zlib(body)
    decoder = zlib.decompressobj(-zlib.MAX_WBITS if bare else _WBITS[coding])
    try:
        # in a thread: zlib lets go of the interpreter's lock
        plain = await asyncio.to_thread(decoder.decompress, body, limit + 1)
    except zlib.error as error:
        raise FaultyRequest([Fault("", f"expected a body in {coding}: {error}")]) from None
    if len(plain) > limit:
        raise BodyTooLarge(f"expected a body of at most {limit} bytes once decompressed, came more")
    if not decoder.eof or decoder.unused_data:
        what = "more behind its end" if decoder.eof else "a part of one"
        raise FaultyRequest([Fault("", f"expected one body in {coding}, came {what}")])
    return plain


def _is_zlib(body: bytes) -> bool:
    """By its header (RFC 1950, section 2.2)."""
    return body[:1] == b"" or (body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0)


async def encode(response: Response, request: Request) -> Response:
    """`response`, compressed in place if the request accepts that and it is worth it."""
    response.headers["vary"] = "Accept-Encoding"
    weights = weights_of(request.headers.get("accept-encoding", ""), _WBITS)
    coding = max(weights, key=lambda name: weights[name])
    if weights[coding] <= 0 or len(response.body) < _WORTH:
        return response
    plain = bytes(response.body)
    response.body = (
        await asyncio.to_thread(_compressed, plain, coding) if len(plain) > _LONG else _compressed(plain, coding)
    )
    response.headers["content-encoding"] = coding
    response.headers["content-length"] = str(len(response.body))
    return response


def _compressed(plain: bytes, coding: str) -> bytes:
    encoder = zlib.compressobj(_LEVEL, wbits=_WBITS[coding])
    return encoder.compress(plain) + encoder.flush()
