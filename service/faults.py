"""What is wrong with a request's content."""

from collections.abc import Awaitable, Callable

from contract.errors import Fault, FaultyInput, NotReady, UnknownModel

MOST_FAULTS = 1000
"""After so many no more are looked for: a hostile body could hold millions."""


async def faults_of(check: Callable[[], Awaitable[object]]) -> list[Fault]:
    """What `check`, which chooses a model and tries the request on it, finds; nothing where no model is ready."""
    try:
        await check()
    except FaultyInput as error:
        return list(error.faults)
    except UnknownModel as error:
        return [Fault("/model", str(error))]
    except NotReady:
        pass
    return []
