"""A package, so that its browser is closed behind its last test: asyncio has no other loop meanwhile."""
