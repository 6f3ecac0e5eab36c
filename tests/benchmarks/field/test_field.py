"""That the field is what it says, and that the audit says nothing false of it."""

import os
from collections import Counter

import pytest
from field import MODELS, chosen
from field.judge import Category
from field.table import run, totals


def test_models_are_many_and_of_many_kinds():
    assert len(MODELS) >= 150
    assert len({model.kind for model in MODELS.values()}) >= 25


def test_pattern_stands_for_names_and_kinds():
    assert [model.name for model in chosen("LlamaForCausalLM")] == ["LlamaForCausalLM"]
    assert len(chosen("frozen parameters")) > 5


@pytest.mark.long
def test_audit_says_nothing_false_of_the_field_and_refuses_no_model():
    verdicts = run(MODELS.values(), processes=os.cpu_count() or 1)
    how = Counter(verdict.category for verdict in verdicts)
    once = [verdict for verdict in verdicts if ", seed " not in verdict.name]
    assert not how[Category.WRONG], totals(verdicts)
    assert not how[Category.REFUSED], totals(verdicts)
    agreeing = [verdict for verdict in once if verdict.category is Category.AGREES]
    assert len(agreeing) >= 0.97 * len(once), totals(verdicts)
