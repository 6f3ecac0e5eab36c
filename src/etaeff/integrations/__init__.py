"""Outside packages, one file each, loaded when something of it is used."""

from etaeff.integrations._transformers import transformers_model

__all__ = ["transformers_model"]
