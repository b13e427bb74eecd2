"""LibreTranslate's clients, as they are, against a service of the tiny bundle."""

import json
from pathlib import Path
from urllib.error import HTTPError

import httpx
import pytest
from deep_translator import LibreTranslator
from deep_translator.exceptions import ServerException
from libretranslatepy import LibreTranslateAPI

from tests.service.test_server import address, serving

TRANSLATORS = Path(__file__).parents[1] / "translators"


@pytest.fixture(scope="module")
def url():
    with serving(TRANSLATORS) as (_, lines):
        assert lines[-1].endswith("/models/words/sample | curl -s " + address(lines) + "/translate -d @-")
        yield address(lines)


def test_libretranslatepy(url):
    client = LibreTranslateAPI(url)
    assert client.languages() == [
        {"code": "en", "name": "English", "targets": ["it"]},
        {"code": "it", "name": "Italian", "targets": []},
    ]
    assert client.translate("one cat and two dog", "en", "it") == "uno gatto e due cane"
    assert client.translate("one cat.\n\n  two dog? 😀", "auto", "it") == "uno gatto.\n\n  due cane? 😀"
    assert LibreTranslateAPI(url, api_key="any").translate("", "en", "it") == ""


def test_libretranslatepy_finds_what_is_wrong_where_it_looks(url):
    with pytest.raises(HTTPError) as caught:
        LibreTranslateAPI(url).translate("one cat", "en", "es")
    with caught.value as answer:
        assert answer.code == 400
        assert json.load(answer)["error"] == 'target: "es" is not supported; served are en to it'


def test_deep_translator(url):
    client = LibreTranslator(source="English", target="Italian", api_key="any", custom_url=f"{url}/")
    assert client.translate("one cat and two dog") == "uno gatto e due cane"
    assert client.translate_batch(["one cat", "tree & #1"]) == ["uno gatto", "albero & #1"]
    with pytest.raises(ServerException):
        LibreTranslator(source="en", target="es", api_key="any", custom_url=f"{url}/").translate("one cat")


def test_a_model_that_translates_is_listed_with_a_sample(url):
    expected = {"name": "words", "version": 1, "versions": [1], "task": "translate"}
    assert httpx.get(f"{url}/models").json() == {"models": [expected]}
    assert httpx.get(f"{url}/models/words").json()["translate"]["source"] == "en"
    sample = httpx.get(f"{url}/models/words/sample").json()
    answer = httpx.post(f"{url}/translate", json=sample)
    assert answer.status_code == 200
    assert answer.json()["translatedText"] != sample["q"]


def test_all_that_can_be_asked_of_a_model_comes_from_it(url):
    body = {"q": ["one cat", "two dog ?"], "source": "en", "target": "it", "model": "words:1"}
    answer = httpx.post(f"{url}/translate", json={**body, "alternatives": 2, "scores": True, "attention": True}).json()
    assert answer["translatedText"] == ["uno gatto", "due cane ?"]
    for text, others in zip(answer["translatedText"], answer["alternatives"], strict=True):
        assert 1 <= len(set(others)) == len(others) <= 2
        assert text not in others
    for (scores,), (maps,) in zip(answer["scores"], answer["attention"], strict=True):
        assert scores["tokens"][-1] == "</s>"
        assert max(scores["log_probs"]) <= 0
        assert maps["target"] == ["<s>", *scores["tokens"][:-1]]
        s, t = len(maps["source"]), len(maps["target"])
        shapes = {"encoder": (s, s), "decoder": (t, t), "cross": (t, s)}
        for kind, (rows, columns) in shapes.items():
            for layer in maps[kind]:
                assert len(layer) == 2
                for head in layer:
                    assert [len(row) for row in head] == [columns] * rows
                    assert [sum(row) for row in head] == pytest.approx([1] * rows, abs=0.01)
