import pytest

from etaeff.records.audits import digest, merged, patterns, percent


def parameter(effect="regularises", why="no scaling of it.", shape=(4, 3), group="other"):
    return {"shape": list(shape), "group": group, "effect": effect, "why": why}


def symmetry(kind, exponents, *, proved=True, defect=1e-17, own=1e-8, degree="0"):
    return {"kind": kind, "exponents": exponents, "degree": degree, "proved": proved,
            "defect": defect, "own_defect": own}  # fmt: skip


def block(*names, axis=0, count=1):
    return {"names": list(names), "axis": axis, "count": count}


def values(parameters, symmetries=(), blocks=(), notes=()):
    return {
        "model": "Net", "rank": len(symmetries), "parameters": parameters,
        "symmetries": list(symmetries), "blocks": list(blocks), "notes": list(notes),
    }  # fmt: skip


def rate(why, shape=(4, 3)):
    return parameter("sets the effective learning rate", why, shape, "scale-invariant")


# Texts and names.


def test_equal_texts_are_told_as_they_are():
    assert merged(["conv1 has 3"] * 2) == "conv1 has 3"


def test_numbers_of_names_become_globs_and_others_ranges():
    texts = [f"it feeds BatchNorm2d `layer{i}.bn1` and {n} more" for i, n in ((1, 9), (2, 10))]
    assert merged(texts) == "it feeds BatchNorm2d `layer*.bn1` and 9 to 10 more"


def test_only_numbers_that_differ_are_replaced():
    assert merged(["h.0.norm1.w", "h.11.norm1.w"]) == "h.*.norm1.w"


def test_patterns_keep_the_order_and_count():
    found = patterns(["wte", "h.0.a", "h.0.b", "h.1.a", "head"])
    assert [str(p) for p in found] == ["wte", "h.*.a (2)", "h.0.b", "head"]
    assert found[1].whole == "h.*.a\N{NO-BREAK SPACE}(2)"


def test_shares_are_never_rounded_to_all_or_nothing():
    assert [percent(x) for x in (0.0, 1e-9, 0.5, 1 - 1e-9, 1.0)] == [
        "0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %",
    ]  # fmt: skip


# Effects.


def test_shares_add_up_and_effects_have_one_order():
    found = digest(
        values({"a": parameter(shape=(6,)), "b": rate("alone.", (2, 1)), "c": parameter(shape=())})
    )
    assert [effect.name for effect in found.effects] == [
        "sets the effective learning rate", "regularises",
    ]  # fmt: skip
    assert [effect.size for effect in found.effects] == [2, 7]
    assert sum(effect.share for effect in found.effects) == pytest.approx(1)
    assert (found.parameters, found.size) == (3, 9)


def test_an_effect_of_another_version_comes_last():
    found = digest(values({"a": parameter("amazes"), "b": parameter()}))
    assert [effect.name for effect in found.effects] == ["regularises", "amazes"]


def test_tensors_with_one_cut_and_one_reason_are_one_entry():
    names = [f"layers.{i}.conv.weight" for i in range(3)]
    found = digest(
        values(
            {n: rate(f"it feeds BatchNorm2d `layers.{i}.bn`.") for i, n in enumerate(names)},
            blocks=[block(n, count=4) for n in names],
        )
    )
    ((entry,),) = [effect.entries for effect in found.effects]
    assert entry.members == tuple(names)
    assert [str(p) for p in entry.patterns] == ["layers.*.conv.weight (3)"]
    assert entry.cut == "each of 4 slices along axis 0"
    assert entry.why == "it feeds BatchNorm2d `layers.*.bn`."
    assert (found.blocks, found.pieces) == (3, 12)


@pytest.mark.parametrize(
    ("axis", "count", "shape", "cut"),
    [
        (0, 1, (4, 3), "the whole tensor"),
        (0, 4, (4, 3), "each of 4 slices along axis 0"),
        (1, 3, (4, 3), "each of 3 slices along axis 1"),
        (0, 2, (4, 3), "each of 2 pieces along axis 0"),
        (0, 1, (), "the whole tensor"),
    ],
)
def test_how_finely_a_tensor_is_cut(axis, count, shape, cut):
    found = digest(values({"w": rate("y.", shape)}, blocks=[block("w", axis=axis, count=count)]))
    assert found.effects[0].entries[0].cut == cut


def test_axes_are_not_mixed():
    found = digest(
        values(
            {f"l.{i}.w": rate("y.") for i in range(2)},
            blocks=[block("l.0.w", axis=0, count=1), block("l.1.w", axis=1, count=3)],
        )
    )
    assert len(found.effects[0].entries) == 2


def test_blocks_of_several_tensors_are_told_together():
    names = [f"l.{i}.{p}" for i in range(2) for p in ("weight", "bias")]
    found = digest(
        values(
            {n: rate("scaled together with `…`.") for n in names},
            blocks=[block(*names[:2]), block(*names[2:], count=2)],
        )
    )
    cuts = {entry.cut: entry.members for entry in found.effects[0].entries}
    assert cuts == {
        "one block of 2 tensors together": tuple(names[:2]),
        "one block of 2 tensors together, in 2 pieces along axis 0": tuple(names[2:]),
    }


def test_alike_blocks_of_several_tensors_are_counted():
    names = [f"l.{i}.{p}" for i in range(3) for p in ("weight", "bias")]
    found = digest(
        values(
            {n: rate("together.") for n in names},
            blocks=[block(*names[i : i + 2]) for i in (0, 2, 4)],
        )
    )
    (entry,) = found.effects[0].entries
    assert entry.cut == "3 blocks of 2 tensors together"
    assert [str(p) for p in entry.patterns] == ["l.*.weight (3)", "l.*.bias (3)"]


def test_every_parameter_is_told_once():
    names = [f"l.{i}.{p}" for i in range(3) for p in "abc"]
    found = digest(
        values({n: parameter(why=f"why {n[-1]}.") for n in names}, blocks=[block("l.0.a", "l.1.c")])
    )
    told = [m for effect in found.effects for entry in effect.entries for m in entry.members]
    assert sorted(told) == sorted(names)


# Symmetries.


def test_kinds_have_their_numbers_and_largest_defects():
    found = digest(
        values(
            {"a": parameter(), "b": parameter()},
            [
                symmetry("rescaling", {"a": "1", "b": "-1"}, defect=3e-18, own=None),
                symmetry("rescaling", {"a": "2", "b": "-1"}, defect=5e-18, proved=False),
                symmetry("inert", {"a": "1"}, defect=None, own=None),
            ],
        )
    )
    first, second = found.kinds
    assert (first.name, first.count, first.proved) == ("rescaling", 2, 1)
    assert (first.defect, first.own_defect) == (5e-18, 1e-8)
    assert (second.name, second.defect, second.own_defect) == ("inert", None, None)


def test_alike_symmetries_are_told_once_with_their_powers():
    found = digest(
        values(
            {},
            [
                symmetry("rescaling", {f"h.{i}.v": "1", f"h.{i}.k": "-2", f"h.{i}.q": "-1/2"})
                for i in range(2)
            ],
        )
    )
    (alike,) = found.symmetries
    assert alike.text == "h.*.v against h.*.q¹ᐟ², h.*.k²"
    assert (alike.count, alike.proved, len(alike.members)) == (2, True, 2)


def test_proved_ones_and_others_are_apart():
    pair = [symmetry("rescaling", {"h.0": "1", "x": "-1"}, proved=p) for p in (True, False)]
    assert [alike.proved for alike in digest(values({}, pair)).symmetries] == [True, False]


def test_long_symmetries_are_cut_short_with_their_length():
    exponents = {f"h.{i}.{p}": "1" for i in range(2) for p in "abcdef"}
    (alike,) = digest(values({}, [symmetry("scale-invariant", exponents)])).symmetries
    assert alike.text == "h.*.a, h.*.b, h.*.c, h.*.d, 2 more patterns (12 tensors)"
    assert alike.members == (exponents,)


def test_those_of_one_tensor_are_left_to_the_parameters():
    single = [symmetry("scale-invariant", {"w": "1"}), symmetry("inert", {"b": "1"})]
    assert digest(values({}, single)).symmetries == ()


def test_homogeneous_ones_have_their_power():
    (alike,) = digest(
        values({}, [symmetry("homogeneous", {"w": "1"}, degree="1/2", defect=None)])
    ).symmetries
    assert alike.text == "w: the outputs scale with power 1/2"


def test_a_model_without_parameters_has_a_digest():
    found = digest(values({}))
    assert (found.parameters, found.size, found.effects, found.kinds) == (0, 0, (), ())
