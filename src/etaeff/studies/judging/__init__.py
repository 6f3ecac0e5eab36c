"""Judging: the rows of a study as frames, statistics of them, and the verdicts on claims."""

__all__: list[str] = []
