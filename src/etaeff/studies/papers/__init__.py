"""Papers whose claims are tested: one file each."""

from etaeff.studies.papers import van_laarhoven_2017

__all__ = ["van_laarhoven_2017"]
