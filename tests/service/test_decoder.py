import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contract.bundle import read_bundle
from contract.errors import MissingFile, UnusableFile, WrongAnswer, WrongHash
from service.decoder import Decoder
from service.engine.admission import Passage
from service.engine.batching import RowPool
from service.engine.repository import load_bundle
from service.engine.session import CPU

WORDS = Path(__file__).parents[1] / "translators" / "words"
TEXTS = [
    "one cat",
    "two dog and three house .",
    "tree",
    "five six ? one . two house and dog",
    "cat cat cat cat cat cat",
]
TRANSLATIONS = ["uno gatto", "due cane e tre casa .", "albero", "cinque sei ? uno . due casa e cane"]


@pytest.fixture(scope="module")
def loaded():
    return load_bundle(WORDS / "1", CPU)


@pytest.fixture(scope="module")
def decoder(loaded):
    return Decoder(loaded.sessions, loaded.manifest.translate_spec, loaded.vocabularies)


@pytest.fixture(scope="module")
def decode(decoder):
    """decode("greedy", ids) -> what it gives, on a pool of two threads."""

    def decode(name, *given, **options):
        pool = RowPool(2)
        try:
            return asyncio.run(getattr(decoder, name)(*given, Passage(pool), **options))
        finally:
            pool.close()

    return decode


@pytest.fixture(scope="module")
def sources(loaded):
    return loaded.vocabularies[0].encode(TEXTS)


def test_translates_as_it_was_trained_to(loaded, decode, sources):
    found = loaded.vocabularies[1].decode(decode("greedy", sources))
    assert found[:4] == TRANSLATIONS


def test_a_sentence_alone_among_others_and_wherever_it_stands(decode, sources):
    together = decode("greedy", sources)
    assert [decode("greedy", [each])[0] for each in sources] == together
    assert decode("greedy", (sources * 30)[::-1]) == (together * 30)[::-1]


def test_one_beam_finds_what_greedy_does(decode, sources):
    found = decode("beam", sources, n_best=1, beam_size=1)
    assert [list(each.ids) for (each,) in found] == decode("greedy", sources)


def test_hypotheses_differ_and_the_best_comes_first(decode, sources):
    for best, *others in decode("beam", sources, n_best=3, beam_size=4):
        assert len({best.ids, *(each.ids for each in others)}) == 3
        assert [best.score, *(each.score for each in others)] == sorted(
            (each.score for each in (best, *others)), reverse=True
        )


def test_nothing_in_nothing_out(decode):
    assert decode("greedy", []) == []
    assert decode("beam", [], n_best=1, beam_size=2) == []


def test_maps_are_of_each_kind_layer_and_head(decode, sources):
    (target,) = decode("greedy", sources[1:2])
    maps = decode("maps", sources[1], target)
    t, s = len(target) + 1, len(sources[1])
    assert {name: each.shape for name, each in maps.items()} == {
        "encoder": (1, 2, s, s),
        "decoder": (1, 2, t, t),
        "cross": (1, 2, t, s),
    }
    for each in maps.values():
        np.testing.assert_allclose(each.sum(-1), 1, atol=1e-5)
    assert np.triu(maps["decoder"][0, 0], 1).max() == 0


def test_scores_are_those_of_the_hypothesis(decode, sources):
    for source, (best,) in zip(sources, decode("beam", sources, n_best=1, beam_size=4), strict=True):
        scores = decode("score", source, best.ids)
        assert len(scores) == len(best.ids) + 1
        assert sum(scores) / ((5 + len(scores)) / 6) ** 0.6 == pytest.approx(best.score, rel=1e-4)


class Stuck:
    """A greedy graph that says one word until its caps."""

    def __init__(self, word):
        self.word = word

    def run(self, inputs):
        return {"target": np.full((len(inputs["source"]), inputs["caps"].max()), self.word)}


def test_endless_repetition_is_made_again(loaded, decoder, decode, sources, monkeypatch):
    expected = decode("greedy", sources)
    (word,) = expected[2]
    sessions = {**loaded.sessions, "greedy": Stuck(word)}
    stuck = Decoder(sessions, loaded.manifest.translate_spec, loaded.vocabularies)
    pool = RowPool(1)
    found = asyncio.run(stuck.greedy(sources[:4], Passage(pool)))
    pool.close()
    assert found == expected[:4]


def test_how_large_maps_are_is_known_without_them(loaded, sources):
    decoder, pool = Decoder(loaded.sessions, loaded.manifest.translate_spec, loaded.vocabularies), RowPool(1)
    maps = asyncio.run(decoder.maps(sources[0], [5, 6], Passage(pool)))
    pool.close()
    assert decoder.map_weights(len(sources[0]), 3) == sum(each.size for each in maps.values()) > 0


def test_a_graph_without_maps_has_none(loaded, sources):
    sessions = {name: each for name, each in loaded.sessions.items() if name != "attention"}
    decoder = Decoder(sessions, loaded.manifest.translate_spec, loaded.vocabularies)
    pool = RowPool(1)
    assert asyncio.run(decoder.maps(sources[0], [5], Passage(pool))) == {}
    assert decoder.map_weights(4, 4) == 0
    pool.close()


@pytest.fixture
def copy(tmp_path):
    """The bundle, to spoil."""
    shutil.copytree(WORDS, tmp_path / "words")
    return tmp_path / "words" / "1"


def test_weights_are_verified_as_graphs_are(copy):
    weights = copy / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(WrongHash, match=r"weights\.bin"):
        load_bundle(copy, CPU)
    weights.unlink()
    with pytest.raises(MissingFile, match=r"weights\.bin"):
        load_bundle(copy, CPU)


@pytest.mark.parametrize(("name", "message"), [("target", "target: expected the golden"), ("log_probs", "log_probs")])
def test_an_answer_that_is_not_golden_is_not_served(loaded, name, message):
    graph = loaded.manifest.graphs["greedy" if name == "target" else "step"]
    golden = {**loaded.golden, name: loaded.golden[name] + 1}
    with pytest.raises(WrongAnswer, match=message):
        loaded.sessions["greedy" if name == "target" else "step"].replay(graph, golden)


def test_the_tokenizer_has_as_many_tokens_as_the_model(loaded):
    spec = loaded.manifest.translate_spec
    bundle = read_bundle(WORDS / "1")
    manifest = replace(bundle.manifest, translate=replace(spec, source_size=spec.source_size + 1))
    with pytest.raises(UnusableFile, match=rf"expected {spec.source_size + 1} tokens, came {spec.source_size}"):
        replace(bundle, manifest=manifest).vocabularies()
