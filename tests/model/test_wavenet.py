import pytest
import torch

from model.wavenet import WaveNet, WaveNetConfig, before

SIZE = 27
CONFIGS = {
    "tree": WaveNetConfig(embedding=6, hidden=10),
    "gated": WaveNetConfig(embedding=6, hidden=10, kernels=(2, 2, 2, 2), skip=8),
    "mixed": WaveNetConfig(embedding=5, hidden=7, kernels=(3, 2), skip=4),
    "mlp": WaveNetConfig(embedding=4, hidden=9, kernels=(3,)),
}


@pytest.fixture(params=CONFIGS)
def model(request):
    """In evaluation mode, batch norm with statistics of its own."""
    torch.manual_seed(1)
    model = WaveNet(CONFIGS[request.param], SIZE)
    for _ in range(5):
        model(*packed(words(20, 9)))
    return model.eval()


def words(count, length):
    """Ids (count, length) of made-up words, with the end sign in front."""
    ids = torch.randint(1, SIZE, (count, length))
    ids[:, 0] = 0
    return ids


def packed(rows):
    """Words one behind the other, and each position's place."""
    return torch.cat([*rows]), torch.cat([torch.arange(len(row)) for row in rows])


def windows(row, context):
    """What stands before each position's next character, end signs in front: (T, context)."""
    padded = torch.cat([torch.zeros(context - 1, dtype=torch.int64), row])
    return padded.unfold(0, context, 1)


@pytest.mark.parametrize("length", [1, 2, 9, 40])
def test_tree_and_dilated_convolutions_give_the_same_logits_at_every_position(model, length):
    (row,) = words(1, length)
    with torch.no_grad():
        dilated = model(*packed([row]))
        tree = model.tree(windows(row, model.config.context))
    torch.testing.assert_close(dilated, tree, rtol=0, atol=1e-5)


def test_words_behind_each_other_do_not_see_each_other(model):
    rows = [words(1, length)[0] for length in (5, 1, 12, 3)]
    with torch.no_grad():
        together = model(*packed(rows)).split([len(row) for row in rows])
        for row, found in zip(rows, together, strict=True):
            torch.testing.assert_close(found, model(*packed([row])), rtol=0, atol=1e-5)


def test_it_looks_back_on_its_context_and_no_further(model):
    context = model.config.context
    (row,) = words(1, context + 6)
    with torch.no_grad():
        plain = model(*packed([row]))
        for place in range(1, len(row)):
            other = row.clone()
            other[place] = other[place] % (SIZE - 1) + 1
            moved = (model(*packed([other])) - plain).abs().amax(1) > 1e-6
            seen = torch.arange(len(row))
            assert torch.equal(moved, (place <= seen) & (seen < place + context))


def test_steps_from_any_beginning_go_on_as_the_whole(model):
    rows = words(4, 21)
    with torch.no_grad():
        whole, at_end = model.begin(rows)
        for start in (1, 2, 7, 20):
            logits, caches = model.begin(rows[:, :start])
            torch.testing.assert_close(logits, whole[:, :start], rtol=0, atol=1e-5)
            for place in range(start, rows.shape[1]):
                logits, caches = model.step(rows[:, place], caches)
                torch.testing.assert_close(logits, whole[:, place], rtol=0, atol=1e-5)
            for cache, expected in zip(caches, at_end, strict=True):
                torch.testing.assert_close(cache, expected, rtol=0, atol=1e-5)


def test_a_step_costs_its_layers(model):
    """What is cached is one activation a layer for each character that it looks back over."""
    _, caches = model.begin(words(1, 1))
    assert sum(cache.shape[1] for cache in caches) == model.config.context - 1


def test_folded_gives_the_same_logits_without_batch_norm(model):
    rows = words(6, 11)
    folded = model.folded()
    assert not any(isinstance(each, torch.nn.BatchNorm1d | torch.nn.Linear) for each in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded.begin(rows)[0], model.begin(rows)[0], rtol=0, atol=1e-5)
    assert any(isinstance(each, torch.nn.BatchNorm1d) for each in model.modules())


def test_folded_rows_are_the_same_bits_in_any_batch(model):
    folded = model.folded()
    rows = words(33, 9)
    with torch.no_grad():
        whole, _ = folded.begin(rows)
        assert torch.equal(whole[:1], folded.begin(rows[:1])[0])
        assert torch.equal(whole[5:12, :4], folded.begin(rows[5:12, :4])[0])


def test_batch_norm_is_over_batch_and_time():
    torch.manual_seed(1)
    model = WaveNet(WaveNetConfig(embedding=4, hidden=6, kernels=(2,)), SIZE)
    rows = words(30, 8)
    x = model.embedding(rows)
    taps = torch.cat([x[:, [0, *range(7)]], x], dim=-1)
    before_norm = model.layers[0].linear(taps).flatten(0, 1)
    model(*packed(rows))
    torch.testing.assert_close(model.layers[0].norm.running_mean, 0.1 * before_norm.mean(0))


def test_parameter_counts_are_the_published_ones():
    """makemore's notebook, part 5: 12,097, 22,097 and 76,579."""
    configs = {
        12_097: WaveNetConfig(embedding=10, hidden=200, kernels=(3,)),
        22_097: WaveNetConfig(embedding=10, hidden=200, kernels=(8,)),
        76_579: WaveNetConfig(),
    }
    for count, config in configs.items():
        assert sum(weight.numel() for weight in WaveNet(config, SIZE).parameters()) == count


def test_places_before_a_word_are_its_first():
    place = torch.tensor([0, 1, 2, 0, 1, 2, 3])
    assert before(place, 1).tolist() == [0, 0, 1, 3, 3, 4, 5]
    assert before(place, 3).tolist() == [0, 0, 0, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"embedding": 0}, "expected embedding from 1 on, came 0"),
        ({"kernels": ()}, "expected kernels from 2 on, at least one"),
        ({"kernels": (2, 1)}, "expected kernels from 2 on"),
        ({"kernels": (2,) * 11}, "expected kernels of product 1024 at most, came 2048"),
        ({"skip": -1}, "expected skip from 0 on, came -1"),
        ({"dropout": 1.0}, "expected 0 <= dropout < 1, came 1.0"),
    ],
)
def test_a_config_is_checked(given, message):
    with pytest.raises(ValueError, match=message):
        WaveNetConfig(**given)
