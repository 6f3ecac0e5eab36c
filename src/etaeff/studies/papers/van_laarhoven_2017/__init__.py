"""van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017.

arXiv:1706.05350
"""

from etaeff.studies.papers.van_laarhoven_2017._claims import claims

__all__ = ["claims"]
