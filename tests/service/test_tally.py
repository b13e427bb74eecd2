import asyncio

import pytest

from service.tally import Tally, open_tally, tally


def test_the_stages_add_up_to_the_time_from_body_to_answer():
    told = Tally(started=1.0, read=2.0, answered=10.0, ended=11.0)
    told.ran(handed=3.0, began=3.5, ended=5.0, jobs=[8])
    told.ran(handed=6.0, began=6.25, ended=8.0, jobs=[8, 1])
    stages = told.stages()
    assert stages == pytest.approx({"preprocess": 1.0, "queue": 0.75, "compute": 3.25, "postprocess": 3.0})
    assert sum(stages.values()) == pytest.approx(told.answered - told.read)
    assert told.jobs == [8, 8, 1]


def test_what_ran_side_by_side_makes_no_time_negative():
    told = Tally(started=1.0, answered=5.0)
    for _ in range(3):
        told.ran(handed=1.5, began=2.0, ended=4.0, jobs=[1])
    assert told.stages()["postprocess"] == 0
    assert told.stages()["preprocess"] == 0.5


def test_what_computed_nothing_has_no_stages():
    assert Tally(started=1.0, answered=2.0).stages() == {}


def test_each_request_has_its_own_in_tasks_and_threads_too():
    async def request(model):
        opened = open_tally()
        await asyncio.sleep(0)

        async def part():
            await asyncio.to_thread(lambda: setattr(tally(), "model", model))

        await asyncio.create_task(part())
        return opened

    async def both():
        return await asyncio.gather(request("a"), request("b"))

    assert [each.model for each in asyncio.run(both())] == ["a", "b"]


def test_outside_of_a_request_nothing_is_kept():
    tally().model = "a"
    assert tally().model == ""
