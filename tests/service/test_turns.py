"""Requests with thousands of series: answered as each alone, and others are answered meanwhile."""

import asyncio
import gc
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from service.app import create_app
from service.engine.batching import RowPool
from service.settings import Settings
from service.turns import Turns, release

BUNDLES = Path(__file__).parents[1] / "bundles"
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def many(series):
    """5,000 series, of which every tenth has a timeline of its own."""
    start = "2018-06-27T20:00"
    counted = {"start": start, "frequency": "h", "timestamps": None}
    parts = [series("hourly"), series("hourly", seed=1, **counted)]
    return {"model": "hourly", "series": [{**parts[row % 10 == 0], "id": f"s{row}"} for row in range(5000)]}


def as_arrow(many):
    """The same series in one Arrow table, all on the timeline of the second."""
    parts, ids = many["series"], [part["id"] for part in many["series"]]
    columns = {name: np.concatenate([part["values"][name] for part in parts]) for name in parts[0]["values"]}
    times = np.tile(np.array(parts[1]["timestamps"], "M8[ms]"), len(parts))
    table = pa.table({"id": np.repeat(ids, len(times) // len(parts)), "time": times, **columns})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("kind", ["json", "arrow"])
def test_single_requests_are_answered_while_thousands_of_series_are(many, series, monkeypatch, kind):
    alone = orjson.dumps({"model": "hourly", "series": [series("hourly")]})
    together, how = orjson.dumps(many), {}
    if kind == "arrow":
        together = as_arrow(many)
        how = {"params": {"id_column": "id"}, "headers": {"content-type": ARROW, "accept": ARROW}}
    app, phase = create_app(Settings(bundles=BUNDLES)), ["before the graph runs"]
    run = RowPool.run

    async def noting_phase(pool, caller, session, inputs, names, fill):
        if len(inputs["history"]) == 1:
            return await run(pool, caller, session, inputs, names, fill)
        phase.append("while it runs")
        outputs = await run(pool, caller, session, inputs, names, fill)
        phase.append("after it ran")
        return outputs

    monkeypatch.setattr(RowPool, "run", noting_phase)

    async def both():
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://seqcast", timeout=60) as http,
        ):
            large = asyncio.create_task(http.post("/forecast", content=together, **how))
            answered = Counter()
            while not large.done():
                single = await http.post("/forecast", content=alone)
                assert single.status_code == 200
                answered[phase[-1]] += not large.done()
            return answered, (await large)

    answered, told = asyncio.run(both())
    # done in one go, each phase would let one in at most; how many there are depends on the machine
    assert min(answered[phase] for phase in ("before the graph runs", "while it runs", "after it ran")) >= 3, answered
    if kind == "arrow":
        ids = pa.ipc.open_stream(told.content).read_all()["id"].to_pylist()[::24]
    else:
        ids = [forecast["id"] for forecast in told.json()["forecasts"]]
    assert ids == [f"s{row}" for row in range(5000)]


def test_series_with_timelines_of_their_own_are_answered_as_alone(client, many):
    few = many["series"][:21]
    together = client.forecast({**many, "series": few})["forecasts"]
    alone = [client.forecast({**many, "series": [each]})["forecasts"][0] for each in few]
    assert [each["timestamps"] for each in together] == [each["timestamps"] for each in alone]
    for one, other in zip(together, alone, strict=True):
        for name, column in one["values"].items():
            assert column == pytest.approx(other["values"][name], rel=1e-3, abs=1e-3)


def test_every_fault_of_many_series_is_found(client, many):
    many["series"][4321]["values"] = {}
    many["series"][17]["start"] = "2018"
    places = {pointer.split("/")[2] for pointer in client.faults(many)}
    assert places == {"17", "4321"}


def test_a_turn_that_is_over_lets_others_have_theirs(monkeypatch):
    monkeypatch.setattr("service.turns.TURN_S", 0)

    async def taking_turns():
        seen, turns = [], Turns()

        async def work(name):
            for _ in range(3):
                seen.append(name)
                await turns.pause()

        await asyncio.gather(work("a"), work("b"))
        return "".join(seen)

    assert asyncio.run(taking_turns()) == "ababab"


def test_what_is_released_is_gone():
    class Item:
        pass

    items = [Item() for _ in range(100)]
    asyncio.run(release(items))
    assert items == []
    assert not any(type(each) is Item for each in gc.get_objects())
