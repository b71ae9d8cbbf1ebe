import itertools

import pytest
import torch

from workflow_scripts.lib.models.aggregator import Aggregator, roll_out
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture
def aggregator():
    torch.manual_seed(3)
    return Aggregator(18, 64).eval()


@pytest.fixture
def tokens():
    return torch.randn(5, 18, 64, generator=torch.Generator().manual_seed(1))


def test_architecture_is_three_blocks_of_two_heads(aggregator):
    assert len(aggregator.blocks.layers) == 3
    assert {layer.self_attn.num_heads for layer in aggregator.blocks.layers} == {2}
    assert aggregator.encoding.shape == (18, 64)
    assert aggregator.architecture == {"name": "Aggregator", "locations": 18, "width": 64}


@torch.no_grad()
def test_order_of_tokens_does_not_matter_if_their_locations_go_along(aggregator, tokens):
    order = torch.randperm(18, generator=torch.Generator().manual_seed(2)).tolist()
    torch.testing.assert_close(aggregator(tokens[:, order], order), aggregator(tokens), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_location_does_matter(aggregator, tokens):
    swapped = [1, 0, *range(2, 18)]
    assert not torch.allclose(aggregator(tokens, swapped), aggregator(tokens), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("subset", [[0], [17], [3, 4, 11], list(range(0, 18, 2))])
def test_any_subset_is_aggregated_and_ignores_the_rest(aggregator, tokens, subset):
    vectors = aggregator(tokens[:, subset], subset)
    assert vectors.shape == (5, 64)
    changed = tokens.clone()
    changed[:, [location for location in range(18) if location not in subset]] += 100
    torch.testing.assert_close(aggregator(changed[:, subset], subset), vectors)
    assert not torch.allclose(vectors, aggregator(tokens), atol=1e-3)


@pytest.mark.parametrize("subset", [[], [0, 1, 2]])
def test_wrong_number_of_locations_is_refused(aggregator, tokens, subset):
    with pytest.raises(StudyError, match="locations"):
        aggregator(tokens[:, : max(0, len(subset) - 1)], subset)


@torch.no_grad()
def test_scale_of_an_encoder_does_not_matter(aggregator, tokens):
    factors = torch.logspace(-3, 3, 18)[None, :, None]
    aggregator.set_statistics(tokens)
    plain = aggregator(tokens)
    aggregator.set_statistics(tokens * factors + 7)
    torch.testing.assert_close(aggregator(tokens * factors + 7), plain, rtol=1e-2, atol=1e-2)


def test_a_token_that_never_varies_does_no_harm(aggregator, tokens):
    tokens[:, 4] = 1.5
    aggregator.set_statistics(tokens)
    assert torch.isfinite(aggregator(tokens)).all()


def test_odd_width_is_refused():
    with pytest.raises(StudyError, match="even"):
        Aggregator(18, 7)


@torch.no_grad()
@pytest.mark.parametrize("subset", [None, [2, 5, 6, 17]])
def test_attention_is_what_torch_uses_on_the_way_to_the_representation(aggregator, tokens, subset):
    """What nn.MultiheadAttention gives for the very inputs that reach it in a forward pass."""
    tokens = tokens if subset is None else tokens[:, subset]
    seen, hooks = [], []
    for block in aggregator.blocks.layers:
        keep = block.self_attn.register_forward_pre_hook(lambda module, given: seen.append(given))
        hooks.append(keep)
    aggregator.train()  # there is no dropout; in training mode torch takes the step that hooks can see
    expected_vectors = aggregator(tokens, subset)
    for hook in hooks:
        hook.remove()
    expected = torch.stack(
        [
            block.self_attn(*given[:3], average_attn_weights=False)[1][:, :, 0, 1:]
            for block, given in zip(aggregator.blocks.layers, seen, strict=True)
        ],
        dim=1,
    )
    aggregator.eval()
    weights, rollout = aggregator.attention(tokens, subset)
    assert weights.shape == (5, 3, 2, tokens.shape[1])
    assert rollout.shape == (5, tokens.shape[1])
    torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(aggregator(tokens, subset), expected_vectors, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_attention_is_the_softmax_of_scaled_products(aggregator, tokens):
    """The first block by the formula of Vaswani et al. 2017, equation 1, without torch's module."""
    block = aggregator.blocks.layers[0]
    standard = (tokens - aggregator.token_mean) / aggregator.token_std + aggregator.encoding
    sequence = torch.cat([aggregator.token.expand(5, 1, -1), standard], dim=1)
    seen = torch.nn.functional.layer_norm(sequence, (64,), block.norm1.weight, block.norm1.bias)
    query, key, _ = (seen @ block.self_attn.in_proj_weight.T + block.self_attn.in_proj_bias).split(64, dim=-1)
    for head in range(2):
        part = slice(32 * head, 32 * (head + 1))
        expected = torch.softmax(query[:, :1, part] @ key[:, :, part].transpose(1, 2) / 32**0.5, dim=-1)
        torch.testing.assert_close(aggregator.attention(tokens)[0][:, 0, head], expected[:, 0, 1:])


@torch.no_grad()
def test_attention_belongs_to_locations_whatever_their_order(aggregator, tokens):
    order = torch.randperm(18, generator=torch.Generator().manual_seed(2)).tolist()
    weights, rollout = aggregator.attention(tokens)
    shuffled, rolled = aggregator.attention(tokens[:, order], order)
    torch.testing.assert_close(shuffled, weights[..., order], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(rolled, rollout[:, order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_token_that_asks_nothing_attends_to_all_alike(aggregator, tokens):
    """Without queries every position gets 1/19; rolled out, (I/2 + J/38)^3 leaves 7/8 of that to each location."""
    for block in aggregator.blocks.layers:
        block.self_attn.in_proj_weight[:64] = 0
        block.self_attn.in_proj_bias[:64] = 0
    weights, rollout = aggregator.attention(tokens)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 19))
    torch.testing.assert_close(rollout, torch.full_like(rollout, 7 / 8 / 19))


def test_roll_out_sums_over_all_paths():
    maps = torch.softmax(torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(5)), dim=-1).double()
    step = (maps.mean(dim=2) + torch.eye(4)) / 2
    expected = torch.zeros(2, 4, 4, dtype=torch.float64)
    for start, first, second, end in itertools.product(range(4), repeat=4):
        expected[:, end, start] += step[:, 2, end, second] * step[:, 1, second, first] * step[:, 0, first, start]
    rolled = roll_out(maps)
    torch.testing.assert_close(rolled, expected)
    torch.testing.assert_close(rolled.sum(dim=-1), torch.ones(2, 4, dtype=torch.float64))


@pytest.mark.parametrize("subset", [[], [0, 1, 2]])
def test_attention_to_a_wrong_number_of_locations_is_refused(aggregator, tokens, subset):
    with pytest.raises(StudyError, match="locations"):
        aggregator.attention(tokens[:, : max(0, len(subset) - 1)], subset)
