"""Papers whose claims are tested: one package each."""

__all__: list[str] = []
