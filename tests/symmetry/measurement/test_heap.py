"""Memory that is given back to the system."""

import ctypes

from etaeff.symmetry._measurement import _heap
from etaeff.symmetry._measurement._heap import give_back


def test_where_the_library_of_c_has_no_such_function_nothing_is_done(monkeypatch):
    class Other:
        def __init__(self, _):
            pass

    give_back()
    _heap._trim.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", Other)
    give_back()
    _heap._trim.cache_clear()
