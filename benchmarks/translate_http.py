"""POST /translate beside the service's own Decoder: tokens a second of the same sentences, in turns of one run.

    .venv/bin/python -m benchmarks.translate_http --bundles DIR [--model NAME] [--sentences 32] [--turns 7]

Both compute on as many threads. Over HTTP a request has all sentences, as an array; as one text; or one of them, from
as many callers as there are cores. Tokens are those of the Decoder's translations, which all ways give.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.load import request_bytes, run_load
from benchmarks.served import Served, served
from contract.text import Vocabulary
from service.decoder import Decoder
from service.engine.admission import Passage
from service.engine.batching import RowPool, usable_cpus
from service.engine.repository import LoadedBundle, Repository
from service.engine.session import CPU

# made up here: 400 sentences of four to sixteen words
OPENINGS = ("My sister", "The old man", "Our new teacher", "The tall policeman", "Somebody")
VERBS = ("bought", "wanted to sell", "forgot", "was looking for", "gave me")
OBJECTS = ("a blue car", "the book that you read last summer", "two tickets for the train to Rome", "some bread")
LANGUAGES = {"source": "en", "target": "it"}
ENDINGS = ("yesterday.", "before it began to rain.", "because it was late.", "again!")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--model", default="tatoeba-transformer")
    parser.add_argument("--sentences", type=int, default=32)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()

    repository = Repository([arguments.bundles], CPU)
    repository.load()
    loaded = repository.served.get(arguments.model)
    cores, texts = usable_cpus(), _texts(arguments.sentences)
    with served(arguments.bundles) as service:
        ways = _ways(loaded, service, texts, cores)
        tokens = sum(len(each) + 1 for each in _decode(loaded, texts, cores)())
        for work in ways.values():
            work()  # warm
        seconds: dict[str, list[float]] = {name: [] for name in (*ways, "one by one")}
        for _ in range(arguments.turns):
            for name, work in ways.items():
                started = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - started)
            load = run_load(service.host, service.port, _requests(texts, arguments.model), cores, 3)
            seconds["one by one"].append(len(texts) / load.rate)
    print(
        f"{arguments.model}: {len(texts)} sentences, {tokens} tokens, {cores} cores; medians of {arguments.turns} turns"
    )
    for name, took in seconds.items():
        bare = seconds["decoder, one by one" if name.endswith("one by one") else "decoder"]
        share = statistics.median(own / each for own, each in zip(bare, took, strict=True))
        print(f"{name:20}{tokens / statistics.median(took):8.0f} tokens/s, {share:.2f} of the decoder's")


def _requests(texts: list[str], model: str) -> list[bytes]:
    bodies = [{"q": text, **LANGUAGES, "model": model} for text in texts]
    return [request_bytes("/translate", json.dumps(body).encode()) for body in bodies]


def _ways(loaded: LoadedBundle, service: Served, texts: list[str], cores: int) -> dict[str, Callable[[], object]]:
    url = f"http://{service.host}:{service.port}"
    client = httpx.Client(base_url=url, timeout=600)
    languages = {**LANGUAGES, "model": loaded.manifest.name}
    return {
        "decoder": _decode(loaded, texts, cores),
        "array": lambda: client.post("/translate", json={"q": texts, **languages}).raise_for_status(),
        "one text": lambda: client.post("/translate", json={"q": "\n".join(texts), **languages}).raise_for_status(),
        "decoder, one by one": _decode(loaded, texts, cores, alone=True),
    }


def _decode(
    loaded: LoadedBundle, texts: list[str], cores: int, *, alone: bool = False
) -> Callable[[], list[list[int]]]:
    """The decoder on all sentences at once, or `alone`, as many callers as there are cores with one at a time."""
    vocabularies: tuple[Vocabulary, Vocabulary] = loaded.vocabularies
    decoder = Decoder(loaded.sessions, loaded.manifest.translate_spec, vocabularies)
    sources, passage = vocabularies[0].encode(texts), Passage(RowPool(cores))
    loop = asyncio.new_event_loop()

    async def each_alone() -> list[list[int]]:
        waiting, found = iter(sources), []

        async def caller() -> None:
            for source in waiting:
                found.extend(await decoder.greedy([source], passage))

        await asyncio.gather(*(caller() for _ in range(cores)))
        return found

    return lambda: loop.run_until_complete(each_alone() if alone else decoder.greedy(sources, passage))


def _texts(count: int) -> list[str]:
    combined = [f"{a} {b} {c} {d}" for a in OPENINGS for b in VERBS for c in OBJECTS for d in ENDINGS]
    return combined[:: len(combined) // count][:count]


if __name__ == "__main__":
    main()
