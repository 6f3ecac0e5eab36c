"""The radial part taken out of vectors at weights on spheres."""

from collections.abc import Sequence

from torch import Tensor

from etaeff.geometry import BlockTensors, Pair, inner_products


def remove_radial_(vectors: Sequence[tuple[BlockTensors, Sequence[Tensor]]]) -> None:
    r"""Take the radial part out of vectors, in place: v ← v − ⟨v, w⟩ w/‖w‖².

    Args:
        vectors: A block, and a vector like each of its parameters. All blocks share a collective.
    """
    pairs: list[Pair] = []
    for of, vs in vectors:
        ws = [p.to(v.dtype) for p, v in zip(of.params, vs, strict=True)]
        pairs += [(of, ws, vs), (of, ws, ws)]
    sums = inner_products(pairs)
    for i, (of, vs) in enumerate(vectors):
        share = sums[2 * i] / sums[2 * i + 1]
        for shard, w, v in zip(of.shards, pairs[2 * i][1], vs, strict=True):
            radial = shard.rows(w) * shard.spread(share, w)
            shard.rows(v).sub_(radial.to(v.dtype))
