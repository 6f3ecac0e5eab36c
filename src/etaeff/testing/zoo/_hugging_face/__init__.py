"""Models of transformers from tiny configurations; the package is loaded when one is built."""

from etaeff.testing.zoo._hugging_face import _convolutional, _decoders, _encoders, _vision

CASES = (*_convolutional.CASES, *_vision.CASES, *_decoders.CASES, *_encoders.CASES)
