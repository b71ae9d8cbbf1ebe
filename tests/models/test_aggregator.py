import pytest
import torch

from workflow_scripts.lib.models.aggregator import Aggregator
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
