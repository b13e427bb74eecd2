import asyncio
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.bundle import read_bundle
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import Client
from tests.service.test_fuzz import JSON, SCALARS, answered, places

GENERATORS = Path(__file__).parents[2] / "generators"
ALPHABET = "aeikltvé"


@pytest.fixture(scope="module")
def client():
    """Serves one bundle that generates, of words of syllables."""
    with Client(create_app(Settings(bundles=GENERATORS))) as client:
        yield client


def generated(client, **fields):
    answer = client.post("/generate", content=json.dumps(fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client, status=422, **fields):
    """Pointer -> message."""
    answer = client.post("/generate", content=json.dumps(fields))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == status, answer.text
    return {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}


def texts(answer):
    return [each["text"] for each in answer["generated"]]


def test_words_begin_with_the_prompt_and_come_with_their_log_likelihood(client):
    answer = generated(client, model="syllables", prompt="ki", count=12, seed=7)
    assert (answer["model"], answer["version"], answer["seed"]) == ("syllables", 1, 7)
    assert "scores" not in answer
    assert len(answer["generated"]) == 12
    for each in answer["generated"]:
        assert each["text"].startswith("ki")
        assert each["ended"]
        assert set(each["text"]) <= set(ALPHABET)
        assert each["log_likelihood"] < 0


def test_what_is_left_out_is_told(client):
    answer = generated(client)
    assert len(answer["generated"]) == 10
    again = generated(client, seed=answer["seed"], prompt="", temperature=1, top_k=None, model="syllables:1")
    assert again == answer
    assert texts(generated(client)) != texts(answer)  # another seed


def test_a_seed_gives_the_same_words_whatever_the_count(client):
    many = generated(client, seed=7, count=150)
    assert generated(client, seed=7, count=1)["generated"] == many["generated"][:1]
    assert generated(client, seed=7, count=40)["generated"] == many["generated"][:40]
    assert texts(generated(client, seed=8, count=40)) != texts(many)[:40]


def test_a_seed_gives_the_same_words_whatever_runs_beside_it(client):
    alone = generated(client, seed=7, count=70)

    async def together():
        bodies = [json.dumps({"seed": seed, "count": 70}) for seed in (7, 8, 7, 9, 7)]
        answers = await asyncio.gather(*(client.http.post("/generate", content=body) for body in bodies))
        return [answer.json() for answer in answers]

    answers = client.run(together())
    assert answers[0] == answers[2] == answers[4] == alone


def test_a_seed_gives_the_same_words_on_any_number_of_threads(client, serving):
    expected = generated(client, seed=7, count=50)
    for threads in (1, 3):
        assert generated(serving(GENERATORS, threads=threads), seed=7, count=50) == expected


def test_the_likeliest_character_alone(client):
    greedy = generated(client, top_k=1, count=5, prompt="k")
    assert len(set(texts(greedy))) == 1
    assert texts(generated(client, top_k=1, count=1, prompt="k", seed=99)) == texts(greedy)[:1]


def test_temperature_spreads_and_gathers(client):
    kinds = [len(set(texts(generated(client, seed=7, count=200, temperature=t)))) for t in (0.1, 1, 5)]
    assert kinds == sorted(kinds)
    assert kinds[0] < kinds[1] < kinds[2]


def test_a_word_drawn_is_scored_as_it_was(client):
    drawn = generated(client, seed=7, count=60, temperature=2, prompt="ta")["generated"]
    ended = [each for each in drawn if each["ended"]]
    scores = generated(client, score=[each["text"] for each in ended])
    assert scores["scores"] == [{"text": each["text"], "log_likelihood": each["log_likelihood"]} for each in ended]
    assert "generated" not in scores


def test_scores_do_not_depend_on_what_is_scored_beside(client):
    words = ["ta", "", "kitava", "é" * 200, "tatatata", "a", "ta"]
    together = generated(client, score=words)["scores"]
    assert [each["text"] for each in together] == words
    assert together == [generated(client, score=[word])["scores"][0] for word in words]


def test_words_come_as_often_as_they_are_likely(client):
    spec = read_bundle(GENERATORS / "syllables" / "1").manifest.generate_spec
    words = generated(client, count=10_000, seed=1)["generated"]
    for each in generated(client, score=["", *spec.alphabet, "ta", "ki"])["scores"]:
        share = sum(word["text"] == each["text"] for word in words) / len(words)
        assert share == pytest.approx(math.exp(each["log_likelihood"]), abs=4 * math.sqrt(0.25 / len(words)))


def test_composed_and_decomposed_are_one(client):
    (composed, decomposed) = generated(client, score=["té", "te\N{COMBINING ACUTE ACCENT}"])["scores"]
    assert composed["log_likelihood"] == decomposed["log_likelihood"]


def test_a_word_that_does_not_end_is_cut(client):
    spec = read_bundle(GENERATORS / "syllables" / "1").manifest.generate_spec
    prompt = "ta" * (spec.max_len // 2) + "t" * (spec.max_len % 2)
    drawn = generated(client, prompt=prompt[:-1], count=50, seed=1, temperature=10)["generated"]
    assert {len(each["text"]) for each in drawn} == {spec.max_len - 1, spec.max_len}
    assert all(each["ended"] == (len(each["text"]) < spec.max_len) for each in drawn)


def test_every_fault_is_named(client):
    spec = read_bundle(GENERATORS / "syllables" / "1").manifest.generate_spec
    assert refused(client, prompt="Kila!", count=10_001, temperature=0, top_k=99, seed=-1, more=1) == {
        "/more": "unknown field; expected one of model, prompt, count, temperature, top_k, seed, score, timeout_ms",
        "/temperature": "Input should be greater than or equal to 0.01; came 0",
        "/seed": "Input should be greater than or equal to 0; came -1",
        "/prompt": f'expected characters of {ALPHABET}, came "K", "!"',
        "/count": "expected 1 to 10000, came 10001",
        "/top_k": "expected 1 to 9, the characters and the end sign, came 99",
    }
    assert refused(client, prompt="k" * spec.max_len) == {
        "/prompt": f"expected up to {spec.max_len - 1} characters, came {spec.max_len}"
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", 0),
        ("count", "10"),
        ("count", 1.5),
        ("count", True),
        ("temperature", 11),
        ("temperature", "hot"),
        ("temperature", None),
        ("top_k", 0),
        ("top_k", 10),
        ("seed", 2**63),
        ("prompt", None),
        ("prompt", ["ta"]),
        ("score", []),
        ("score", "ta"),
        ("model", 1),
    ],
)
def test_what_is_out_of_range_or_of_another_kind_is_refused(client, field, value):
    assert list(refused(client, **{field: value})) == [f"/{field}"]


def test_every_word_to_score_is_checked(client):
    assert refused(client, score=["ta", "TA", 5, None, "k" * 257, "t.a"]) == {
        "/score/1": f'expected characters of {ALPHABET}, came "T", "A"',
        "/score/2": "expected a text, came 5",
        "/score/3": "expected a text, came null",
        "/score/4": "expected up to 256 characters, came 257",
        "/score/5": f'expected characters of {ALPHABET}, came "."',
    }


def test_words_to_score_are_bounded_in_all(serving):
    client = serving(GENERATORS, max_chars=20)
    assert len(generated(client, score=["ta" * 4] * 2 + ["ta" * 2])["scores"]) == 3
    told = refused(client, score=["ta" * 4] * 2 + ["ta" * 2, "k", "T"])
    assert told == {
        "/score": "expected up to 20 characters, came 22",
        "/score/4": f'expected characters of {ALPHABET}, came "T"',
    }


def test_nothing_is_drawn_with_scores(client):
    assert refused(client, score=["ta"], prompt="k", count=3, temperature=2.0, top_k=3, seed=1) == {
        f"/{name}": "expected none beside score, for which nothing is drawn"
        for name in ("prompt", "count", "temperature", "top_k", "seed")
    }


def test_limits_are_settings(serving):
    client = serving(GENERATORS, max_generated=3, max_text_chars=4)
    assert len(generated(client)["generated"]) == 3
    assert refused(client, count=4) == {"/count": "expected 1 to 3, came 4"}
    assert refused(client, score=["ta"] * 4) == {"/score": "expected up to 3 texts, came 4"}
    assert refused(client, score=["tatat"]) == {"/score/0": "expected up to 4 characters, came 5"}


def test_a_model_of_another_task_is_not_this_one(serving, bundles):
    folder = bundles("daily")
    client = serving(folder)
    assert client.post("/generate", content="{}").status_code == 503
    message = "expected a model that generates, came daily, made to forecast"
    assert refused(client, status=404, model="daily") == {"/model": message}


def test_no_forecast_of_a_model_that_generates(client, body):
    answer = client.post("/forecast", content=json.dumps({**body, "model": "syllables"}))
    assert answer.status_code == 404
    assert "expected a model that forecasts, came syllables, made to generate" in answer.text
    assert client.post("/forecast", content=json.dumps({"series": body["series"]})).status_code == 503


def test_which_of_several_has_to_be_said(serving, tmp_path, edit_manifest):
    for name in ("syllables", "others"):
        shutil.copytree(GENERATORS / "syllables", tmp_path / name)
    edit_manifest(tmp_path / "others" / "1", lambda manifest: manifest.update(name="others"))
    client = serving(tmp_path)
    assert refused(client, count=3) == {"/model": "required, to be one of others, syllables"}
    assert generated(client, model="others", seed=1)["model"] == "others"


@pytest.mark.parametrize("content_type", ["text/csv", "image/png"])
def test_a_body_of_another_kind_is_415(client, content_type):
    answer = client.post("/generate", content=b"{}", headers={"content-type": content_type})
    assert answer.status_code == 415
    assert answer.json()["detail"] == f"expected application/json, came {content_type}"


def test_the_model_is_listed_told_and_sampled(client):
    assert client.get("/models").json() == {
        "models": [{"name": "syllables", "version": 1, "versions": [1], "task": "generate"}]
    }
    told = client.get("/models/syllables").json()
    assert told["generate"]["alphabet"] == ALPHABET
    assert set(told["metrics"]["test"]["losses"]) == {"model", "2-grams", "3-grams", "5-grams"}
    sample = client.get("/models/syllables/sample", headers={"accept": "text/csv"}).json()
    assert len(generated(client, **sample)["generated"]) == 10


def test_words_are_counted(serving):
    client = serving(GENERATORS)
    generated(client, count=5)
    generated(client, score=["ta", "ki"])
    refused(client, count=0)
    assert 'seqcast_rows_total{model="syllables"} 7.0' in client.get("/metrics").text


def test_a_small_request_does_not_wait_for_a_large_one(client):
    async def both():
        ended = []

        async def ask(name, fields):
            answer = await client.http.post("/generate", content=json.dumps(fields))
            assert answer.status_code == 200
            ended.append(name)

        large = asyncio.create_task(ask("large", {"count": 10_000, "seed": 1}))
        await asyncio.sleep(0.02)
        for _ in range(3):
            await ask("small", {"count": 1, "seed": 1})
        await large
        return ended

    assert client.run(both()) == ["small", "small", "small", "large"]


def test_golden_vectors_are_replayed(serving, tmp_path, replace_file):
    shutil.copytree(GENERATORS / "syllables", tmp_path / "syllables")
    path = tmp_path / "syllables" / "1"
    golden = read_bundle(path).golden()
    golden["next_log_probs"] = golden["next_log_probs"] + np.float32(0.1)
    buffer = io.BytesIO()
    np.savez(buffer, **golden)
    replace_file(path, "golden.npz", buffer.getvalue())
    answer = serving(tmp_path).get("/readyz")
    assert answer.status_code == 503
    assert "WrongAnswer: step.onnx on its golden inputs" in answer.text


BOUNDED = settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])


@BOUNDED
@given(data=st.data())
def test_a_sound_request_with_anything_in_any_place(client, data):
    sound = data.draw(
        st.sampled_from(
            [
                {"model": "syllables", "prompt": "ta", "count": 3, "temperature": 0.7, "top_k": 3, "seed": 7},
                {"score": ["ta", "kiva"], "model": "syllables"},
            ]
        )
    )
    body = json.loads(json.dumps(sound))
    for _ in range(data.draw(st.integers(1, 3))):
        owner, key = data.draw(st.sampled_from(list(places(body))))
        owner[key] = data.draw(JSON)
    answered(client, body, "/generate")


@BOUNDED
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "prompt": st.text() | st.text(ALPHABET, max_size=20) | SCALARS,
            "count": st.integers(1, 20) | SCALARS,
            "temperature": st.floats(0.01, 10) | SCALARS,
            "top_k": st.integers(1, 9) | SCALARS,
            "seed": st.integers(0, 2**63 - 1) | SCALARS,
            "score": st.lists(st.text() | st.text(ALPHABET) | SCALARS, max_size=5) | SCALARS,
        },
    )
)
def test_any_request_of_the_right_shape(client, body):
    answered(client, body, "/generate")


@BOUNDED
@given(content=st.binary())
def test_any_bytes(client, content):
    answered(client, content, "/generate")
