"""What each model of a running service costs: CPU time a row, and memory while many come in one request.

    .venv/bin/python -m benchmarks.sizing [URL]

CPU time and memory are what /metrics says of the process; nobody else may ask it meanwhile. Rows a second, times the
milliseconds, by 1,000, are the cores that a load takes.
"""

import argparse
import threading
from collections.abc import Callable
from typing import Any

import httpx

SERIES, TEXTS, WORDS, LONG, LONGEST = 2000, 500, 2000, 100, 256
MANY: dict[str, Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]] = {
    # the sample's one row, many times; no two sentences are the same, which would be translated once
    "forecast": lambda sample: (SERIES, {**sample, "series": sample["series"] * SERIES}),
    "translate": lambda sample: (
        TEXTS,
        {**sample, "q": [sample["q"].replace(" ", f" {number} ", 1) for number in range(TEXTS)]},
    ),
    "generate": lambda sample: (WORDS, {**sample, "count": WORDS}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    with httpx.Client(base_url=parser.parse_args().url, timeout=600) as client:
        idle = process(client, "resident_memory_bytes") / 2**20
        print(f"{idle:.0f} MiB before\nmodel                 ms of CPU a row   request      most memory meanwhile")
        for model in client.get("/models").json()["models"]:
            name, task = model["name"], model["task"]
            rows, body = MANY[task]({**client.get(f"/models/{name}/sample").json(), "model": name})
            cpu, memory, answer = measured(client, f"/{task}", body)
            size = len(answer.request.content)
            print(f"{name:<22}{1000 * cpu / rows:>8.2f}{size / 2**20:>15.1f} MiB{memory / 2**20:>12.0f} MiB")
            if task == "generate":
                tell_characters(client, name)


def tell_characters(client: httpx.Client, model: str) -> None:
    """What words of a character model cost by their length, with the end sign; those at high temperature are long."""
    drawn: list[str] = []
    for temperature in (1, 10):
        body = {"model": model, "count": WORDS, "seed": 7, "temperature": temperature}
        cpu, _, answer = measured(client, "/generate", body)
        words = [each["text"] for each in answer.json()["generated"]]
        tell_length(f"{WORDS} drawn at temperature {temperature}", cpu, words)
        drawn += words
    letters = "".join(drawn)
    texts = [letters[start : start + LONGEST] for start in range(0, LONG * LONGEST, LONGEST)]
    for scored in (drawn[:WORDS], texts):
        cpu, _, _ = measured(client, "/generate", {"model": model, "score": scored})
        tell_length(f"{len(scored)} scored", cpu, scored)


def tell_length(what: str, cpu: float, words: list[str]) -> None:
    characters = sum(len(each) + 1 for each in words)
    print(
        f"  {what}: {characters / len(words):.1f} characters each, {1000 * cpu / characters:.3f} ms of CPU a character"
    )


def process(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"process_{name} "))


def measured(client: httpx.Client, path: str, body: dict[str, Any]) -> tuple[float, float, httpx.Response]:
    """CPU seconds, most bytes of memory seen, and the answer."""
    seen, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(process(client, "resident_memory_bytes"))

    before = process(client, "cpu_seconds_total")
    looking = threading.Thread(target=look)
    looking.start()
    answer = client.post(path, json=body)
    over.set()
    looking.join()
    answer.raise_for_status()
    return process(client, "cpu_seconds_total") - before, max(seen), answer


if __name__ == "__main__":
    main()
