import math

import pytest
import torch

from model.attention import (
    AdditiveAttention,
    BilinearAttention,
    DotAttention,
    FullAttention,
    MultiHeadAttention,
    ProbSparseAttention,
    budget,
    count_samples,
    scaled_dot,
)


def heads(length, *, seed=0, batch=2):
    return torch.randn(3, batch, 4, length, 8, generator=torch.Generator().manual_seed(seed))


def prob_sparse(length, factor, *, causal=False, seed=1):
    return ProbSparseAttention(length, length, factor, causal=causal, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("length", "factor", "n"), [(96, 5, 25), (48, 5, 20), (72, 5, 25), (24, 5, 20), (1, 5, 1), (3, 5, 3), (96, 1, 5)]
)
def test_budget_is_factor_times_the_log_rounded_up(length, factor, n):
    assert budget(length, factor) == n


@pytest.mark.parametrize(("length", "n"), [(96, 25), (48, 20)])
def test_keeps_and_samples_as_many_as_the_paper(length, n):
    attention = prob_sparse(length, 5)
    assert attention.n_selected == n
    assert attention.sample_counts.shape == (length, length)
    assert (attention.sample_counts.sum(-1) == n).all()
    _, attention_map = attention(*heads(length), need_map=True)
    assert attention_map.selected.dtype == torch.bool
    assert (attention_map.selected.sum(-1) == n).all()


def test_counts_repeats():
    assert count_samples(torch.tensor([[2, 0, 2], [1, 1, 1]]), 3).tolist() == [[1, 0, 2], [0, 3, 0]]


@pytest.mark.parametrize("causal", [False, True])
def test_all_queries_selected_is_full_attention(causal):
    q, k, v = heads(48)
    context, attention_map = prob_sparse(48, 48, causal=causal)(q, k, v, need_map=True)
    expected, expected_map = FullAttention(causal=causal)(q, k, v, need_map=True)
    torch.testing.assert_close(context, expected)
    torch.testing.assert_close(attention_map.weights, expected_map)
    assert attention_map.selected.all()


@pytest.mark.parametrize("causal", [False, True])
def test_few_queries_selected_is_not(causal):
    q, k, v = heads(48)
    context, _ = prob_sparse(48, 1, causal=causal)(q, k, v)
    expected, _ = FullAttention(causal=causal)(q, k, v)
    assert not torch.allclose(context, expected, atol=0.01)


@pytest.mark.parametrize("causal", [False, True])
def test_unselected_queries_get_the_values_mean_or_running_sum_and_a_uniform_map(causal):
    q, k, v = heads(96)
    context, (weights, selected) = prob_sparse(96, 5, causal=causal)(q, k, v, need_map=True)
    expected, expected_map = FullAttention(causal=causal)(q, k, v, need_map=True)
    assert ((~selected).sum(-1) == 96 - 25).all()
    assert torch.equal(weights[~selected], torch.full_like(weights[~selected], 1 / 96))
    stand_in = v.cumsum(-2) if causal else v.mean(-2, keepdim=True).expand_as(v)
    torch.testing.assert_close(context[~selected], stand_in[~selected])
    torch.testing.assert_close(context[selected], expected[selected])
    torch.testing.assert_close(weights[selected], expected_map[selected])
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 96))


def test_selects_the_queries_of_the_largest_sparsity_over_their_samples():
    q, k, v = heads(48)
    attention = prob_sparse(48, 2)
    scores = scaled_dot(q, k)
    _, attention_map = attention(q, k, v, need_map=True)
    for batch, head in ((0, 0), (1, 3)):
        sparsity = []
        for query in range(48):
            drawn = scores[batch, head, query].repeat_interleave(attention.sample_counts[query].long())
            assert len(drawn) == 8
            sparsity.append(drawn.max() - drawn.sum() / 48)
        expected = set(torch.stack(sparsity).topk(8).indices.tolist())
        assert set(attention_map.selected[batch, head].nonzero().flatten().tolist()) == expected


def test_queries_alike_to_all_keys_are_selected_or_not_and_told_right():
    """Where the keys are the same, a selected query's map is uniform too: weights do not tell who was selected."""
    q, k, v = heads(48)
    _, (weights, selected) = prob_sparse(48, 2)(q, k[..., :1, :].expand_as(k), v, need_map=True)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 48))
    assert (selected.sum(-1) == 8).all()


def test_the_sample_is_the_seed_s_and_stays():
    torch.testing.assert_close(prob_sparse(96, 5).sample_counts, prob_sparse(96, 5).sample_counts)
    assert (prob_sparse(96, 5).sample_counts != prob_sparse(96, 5, seed=2).sample_counts).any()
    attention = prob_sparse(96, 5)
    q, k, v = heads(96)
    assert torch.equal(attention(q, k, v)[0], attention(q, k, v)[0])
    assert "sample_counts" in attention.state_dict()


def test_full_attention_by_hand():
    q = torch.tensor([[[[math.sqrt(2) * math.log(3), 0.0]]]])
    k = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    v = torch.tensor([[[[4.0, 0.0], [0.0, 8.0]]]])
    context, attention_map = FullAttention()(q, k, v, need_map=True)
    torch.testing.assert_close(attention_map, torch.tensor([[[[0.75, 0.25]]]]))
    torch.testing.assert_close(context, torch.tensor([[[[3.0, 2.0]]]]))


def test_causal_full_attention_sees_nothing_later():
    _, attention_map = FullAttention(causal=True)(*heads(6), need_map=True)
    assert (attention_map.triu(1) == 0).all()
    assert (attention_map.tril() > 0).sum() == 2 * 4 * 21


@pytest.mark.parametrize("attention", [FullAttention(), prob_sparse(24, 5)], ids=["full", "probsparse"])
def test_the_map_is_made_on_request_alone(attention):
    q, k, v = heads(24)
    context, nothing = attention(q, k, v)
    same_context, attention_map = attention(q, k, v, need_map=True)
    assert nothing is None
    assert getattr(attention_map, "weights", attention_map).shape == (2, 4, 24, 24)
    assert torch.equal(context, same_context)


class Copy(torch.nn.Module):
    def forward(self, queries, keys, values, *, need_map=False):
        return values, None


def identities(mix):
    attention = MultiHeadAttention(8, 2, Copy(), mix=mix)
    for layer in (attention.value, attention.out):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return attention


def test_heads_and_time_are_laid_out_right():
    x = torch.arange(48.0).view(1, 6, 8)
    assert torch.equal(identities(mix=False)(x, x)[0], x)


def test_mix_reads_heads_as_time():
    x = torch.arange(48.0).view(1, 6, 8)
    expected = torch.cat([x[..., :4].reshape(1, 3, 8), x[..., 4:].reshape(1, 3, 8)], dim=1)
    assert torch.equal(identities(mix=True)(x, x)[0], expected)


def test_scores_by_their_formulas():
    queries, keys = torch.randn(1, 1, 3, 4), torch.randn(1, 1, 5, 4)
    bilinear, additive = BilinearAttention(4), AdditiveAttention(4)
    for row, query in enumerate(queries[0, 0]):
        for column, key in enumerate(keys[0, 0]):
            expected = {
                DotAttention(): query @ key,
                FullAttention(): query @ key / 2,
                bilinear: query @ bilinear.weight.weight @ key,
                additive: additive.score.weight[0]
                @ torch.tanh(additive.query.weight @ query + additive.key.weight @ key),
            }
            for attention, score in expected.items():
                torch.testing.assert_close(attention.scores(queries, keys)[0, 0, row, column], score)
