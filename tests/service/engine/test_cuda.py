"""The same graphs on a real GPU."""

import asyncio
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from contract.errors import GraphFailed
from service.engine.batching import Caller
from service.engine.gathering import SHAPES, GatheringPool, warm
from service.engine.repository import load_bundle
from service.engine.session import CPU, HALF_TOLERANCE, Session, choose_device, differ, lack_of_cuda, repeated

LACK = lack_of_cuda()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(LACK is not None, reason=LACK or "")]

PRECISIONS = [
    "fp32",
    "tf32",
    pytest.param("fp16", marks=pytest.mark.skipif(find_spec("onnx") is None, reason="converting to fp16 needs onnx")),
]


@pytest.fixture(params=[False, True], ids=["bound", "captured"])
def session(request, bundle):
    """session(precision) -> a Session of the hourly forecasts, batches of which are captured or not once bound."""

    def session(precision="fp32"):
        made = Session(bundle("hourly").graph("forecast"), choose_device("cuda", precision, graphs=request.param))
        if request.param and not made.captures:
            pytest.skip(f"ONNX Runtime captures no such graph: {made.uncaptured}")
        return made

    return session


@pytest.mark.parametrize("graphs", [False, True], ids=["bound", "captured"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["hourly", "quarter-hourly", "daily", "weekly", "monthly"])
def test_bundles_replay_their_golden_vectors(bundle, name, precision, graphs):
    loaded = load_bundle(bundle(name).path, choose_device("cuda", precision, graphs=graphs))
    assert set(loaded.sessions) == set(loaded.manifest.graphs)
    for graph_name, graph in loaded.manifest.graphs.items():
        loaded.sessions[graph_name].replay(graph, loaded.golden)  # in buffers, too


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rows", [1, 3, 64, 300])
def test_every_batch_gives_what_the_cpu_gives(bundle, precision, rows):
    path, golden = bundle("hourly").graph("forecast"), bundle("hourly").golden()
    inputs = {name: np.resize(golden[name], (rows, *golden[name].shape[1:])) for name in ("history", "calendar")}
    expected = Session(path, CPU).run(inputs)
    answer = Session(path, choose_device("cuda", precision)).run(inputs)
    assert differ(answer, expected, 1e-3 if precision == "fp32" else HALF_TOLERANCE) is None


@pytest.mark.parametrize("precision", PRECISIONS)
def test_batches_in_buffers_give_what_the_cpu_gives(bundle, session, precision):
    golden, cpu, cuda = bundle("hourly").golden(), Session(bundle("hourly").graph("forecast"), CPU), session(precision)
    inputs = {name: golden[name] for name in ("history", "calendar")}
    for rows in SHAPES:
        batch = repeated(inputs, rows)
        cuda.bind(batch, cuda.run(batch))
    assert cuda.bound == [*SHAPES]
    for shift in range(3):  # a graph that is captured gives more than its first answer
        shifted = inputs | {"history": inputs["history"] + shift}
        for rows in SHAPES:
            answer, expected = cuda.run(repeated(shifted, rows)), cpu.run(repeated(shifted, rows))
            assert differ(answer, expected, 1e-3 if precision == "fp32" else HALF_TOLERANCE) is None


def test_a_pool_gives_each_caller_his_rows(bundle, session):
    path, golden, session = bundle("hourly").graph("forecast"), bundle("hourly").golden(), session()
    pool = GatheringPool(delay_s=0.01)
    shifted = [{**{n: golden[n] for n in ("history", "calendar")}, "history": golden["history"] + i} for i in range(20)]
    assert warm(session, shifted[0]) == []

    async def all_at_once():
        return await asyncio.gather(*(pool.run(Caller(), session, inputs) for inputs in shifted))

    answers = asyncio.run(all_at_once())
    pool.close()
    cpu = Session(path, CPU)
    for inputs, answer in zip(shifted, answers, strict=True):
        assert differ(answer, cpu.run(inputs)) is None


def test_memory_is_limited(bundle):
    golden = bundle("hourly").golden()
    inputs = {name: np.resize(golden[name], (65536, *golden[name].shape[1:])) for name in ("history", "calendar")}
    session = Session(bundle("hourly").graph("forecast"), replace(choose_device("cuda"), memory_mib=16))
    with pytest.raises(GraphFailed, match=r"(?i)memory|alloc"):
        session.run(inputs)
