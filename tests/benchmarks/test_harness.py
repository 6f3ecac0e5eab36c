import gc
import json
import sys
from collections import Counter

import pytest
from _harness import (
    Contestant,
    Run,
    as_json,
    environment,
    orders,
    parser,
    process,
    quartiles,
    race,
    repeats_for,
    report,
    rows,
    table,
)


def runs_of(*seconds, **values):
    return [Run(one, values) for one in seconds]


# ---------------------------------------------------------------------------------- who runs when


def test_every_contestant_runs_once_in_each_round():
    assert all(sorted(order) == [0, 1, 2] for order in orders(3, 7))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_contestant_has_every_place_equally_often(count):
    found = Counter(
        (place, who) for order in orders(count, 4 * count) for place, who in enumerate(order)
    )
    assert set(found.values()) == {4}


def test_race_runs_in_that_order_with_what_has_to_be_prepared():
    log = []
    contestants = [
        Contestant(name, lambda name=name: log.append(name), prepare=lambda: log.append("-"))
        for name in "ab"
    ]
    runs = race(contestants, rounds=3, warmups=1)
    assert "".join(log) == "-a-b" + "-a-b" + "-b-a" + "-a-b"
    assert {name: len(own) for name, own in runs.items()} == {"a": 3, "b": 3}


def test_warm_ups_do_not_count():
    log = []
    runs = race([Contestant("a", lambda: log.append(0))], rounds=2, warmups=5)
    assert (len(log), len(runs["a"])) == (7, 2)


def test_all_work_is_waited_for_before_the_clock_is_read():
    log = []
    race(
        [Contestant("a", lambda: log.append("work"))],
        rounds=1,
        warmups=0,
        finish=lambda: log.append("wait"),
    )
    assert log == ["wait", "work", "wait"]


def test_garbage_is_collected_before_a_run_and_not_within():
    def work():
        seen.append((gc.isenabled(), gc.get_count()[0] < before))
        raise RuntimeError

    seen, rubbish = [], [[] for _ in range(500)]
    before = gc.get_count()[0]
    assert before > 400
    with pytest.raises(RuntimeError):
        race([Contestant("a", work)], rounds=1, warmups=0)
    assert seen == [(False, True)]
    assert gc.isenabled()
    assert len(rubbish) == 500


def test_short_work_is_repeated_and_its_time_is_that_of_one():
    assert repeats_for(0.01, 0.095) == 10
    assert repeats_for(1.0, 0.5) == 1
    assert repeats_for(0.0, 0.0) == 1
    log = []
    race([Contestant("a", lambda: log.append(0))], rounds=1, warmups=0, lasting=1e-3)
    assert len(log) > 10


def test_time_is_for_an_amount_of_one_and_numbers_that_are_reported_stand_beside_it():
    own = Contestant("a", lambda: {"seconds": 6.0, "GiB": 2.5}, amount=3)
    assert race([own], rounds=1)["a"] == [Run(2.0, {"GiB": 2.5})]


def test_process_is_run_whole_and_its_numbers_are_read_if_it_reports():
    code = "print('said before'); print('{\"seconds\": 7, \"GiB\": 1}')"
    command = [sys.executable, "-c", code]
    assert race([Contestant("a", process(command, reports=True))], rounds=1, warmups=0) == {
        "a": [Run(7, {"GiB": 1})]
    }
    (run,) = race([Contestant("a", process(command))], rounds=1, warmups=0)["a"]
    assert run.seconds != 7
    assert run.values == {}


def test_process_that_fails_is_no_time():
    with pytest.raises(Exception, match="returned non-zero exit status 3"):
        process([sys.executable, "-c", "raise SystemExit(3)"])()


# ----------------------------------------------------------------------------- what comes of it


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7], (7, 7, 7)),
        ([1, 2, 3, 4, 5], (2, 3, 4)),
        ([5, 1, 4, 2, 3], (2, 3, 4)),
        ([1, 2, 3, 4], (1.75, 2.5, 3.25)),
        ([0, 10], (2.5, 5, 7.5)),
    ],
)
def test_quartiles_are_interpolated_between_the_values(values, expected):
    assert quartiles(values) == expected


def test_ratios_are_those_of_the_same_round():
    # The machine is three times as slow in the second round. The medians' ratio would be 10 / 3.
    runs = {"first": runs_of(1, 3, 3), "second": runs_of(2, 10, 12)}
    first, second = rows(runs)
    assert (first.ratio, first.ratio_low, first.ratio_high) == (1, 1, 1)
    assert (first.seconds, second.seconds) == (3, 10)
    assert second.ratio == pytest.approx(10 / 3)
    assert second.ratio_low == pytest.approx((2 + 10 / 3) / 2)
    assert second.ratio_high == pytest.approx((10 / 3 + 4) / 2)


def test_machine_that_changes_its_speed_changes_no_ratio():
    speeds = [1, 2, 5, 3, 8, 1]
    runs = {"a": runs_of(*speeds), "b": runs_of(*(1.5 * speed for speed in speeds))}
    row = rows(runs)[1]
    assert (row.ratio, row.ratio_low, row.ratio_high) == (1.5, 1.5, 1.5)


def test_table_has_a_line_for_each_in_columns():
    runs = {"torch": runs_of(0.001, GiB=1.0), "sphere, block": runs_of(0.0031, GiB=0.5)}
    lines = table(rows(runs)).splitlines()
    assert [line.split() for line in lines] == [
        ["ms", "×", "torch", "quartiles", "GiB"],
        ["torch", "1", "1", "1", "to", "1", "1"],
        ["sphere,", "block", "3.1", "3.1", "3.1", "to", "3.1", "0.5"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_json_has_every_run_by_itself():
    runs = {"a": runs_of(1, 2), "b": runs_of(2, 8, found=5)}
    read = json.loads(as_json("A step", runs, {"torch": "2.13"}))
    assert read["title"] == "A step"
    assert read["environment"] == {"torch": "2.13"}
    assert read["contestants"][1] == {
        "name": "b",
        "seconds": 5,
        "ratio": 3,
        "ratio_quartiles": [2.5, 3.5],
        "runs": [{"seconds": 2, "found": 5}, {"seconds": 8, "found": 5}],
    }


# ----------------------------------------------------------------------------- what people see


def test_environment_says_what_a_time_depends_on():
    where = environment()
    assert {"date", "etaeff", "torch", "python", "cpu", "cores", "threads", "device"} <= set(where)
    assert where["device"] == "cpu"
    assert where["cpu"]


def test_report_prints_a_table_and_writes_the_same_as_json(tmp_path, capsys):
    arguments = parser("What is timed.", rounds=9).parse_args(["--json", str(tmp_path / "a.json")])
    assert arguments.rounds == 9
    report("A step", {"a": runs_of(1, 2, 3)}, arguments.json)
    said = capsys.readouterr().out
    assert said.startswith("A step\ndate ")
    assert "medians of 3 interleaved rounds" in said
    read = json.loads((tmp_path / "a.json").read_text())
    assert [run["seconds"] for run in read["contestants"][0]["runs"]] == [1, 2, 3]
