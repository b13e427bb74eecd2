"""Long work on the event loop, in turns: a request with thousands of series does not hold up those with one."""

import asyncio
import time

TURN_S = 0.002
"""How long a turn lasts: a request with a single series, which takes some ten turns itself, is then hardly slower."""


class Turns:
    """Gives the loop back once a turn is over.

    A thread would not do for such work: it needs the interpreter's lock as the loop does, and lets go of it every 5 ms.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def pause(self) -> None:
        """To be awaited between any two small pieces of work."""
        if time.perf_counter() - self._began > TURN_S:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


async def release(*lists: list[object]) -> None:
    """Empty the lists, which hold their items alone: millions of numbers at once are a tenth of a second to free."""
    turns = Turns()
    for items in lists:
        while items:
            items.pop()
            await turns.pause()
