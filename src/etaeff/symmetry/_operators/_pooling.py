"""Pooling, resampling and padding of images and sequences."""

from typing import Final

from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degree_rules import same
from etaeff.symmetry._operators._degrees import Degree
from etaeff.symmetry._operators._operator import Operator, rows


def _grid_sampler(call: Call) -> Degree:
    call.vanish(call.degree("grid"))
    return call.degree("input")


POOLING: Final = rows(
    ("""max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d
     avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
     _adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max_unpool2d
     max_unpool3d fractional_max_pool2d fractional_max_pool3d""", Operator(same)),
    ("""upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d
     upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa
     _upsample_bicubic2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
     _upsample_nearest_exact3d""", Operator(same)),
    ("""reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
     replication_pad3d""", Operator(same)),
    ("grid_sampler grid_sampler_2d grid_sampler_3d", Operator(_grid_sampler)),
)  # fmt: skip
