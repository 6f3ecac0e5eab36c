from etaeff.report._summary import diverged, how_it_was_run, study_title, what_was_tested


def test_one_sentence_says_what_was_tested_on_what(make):
    frames = make.frames(make.settings(seeds=3, wd=(0.0, 0.1)) + make.settings(seeds=5, lr=(0.3,)))
    assert what_was_tested(frames) == (
        "11 training runs of perceptrons with two normalised hidden layers of 64 units on 64 "
        "examples of digits of 8 × 8 pixels, tested on 20 others, with 3 to 5 seeds per setting."
    )


def test_unknown_sizes_are_not_made_up(make):
    frames = make.frames([make.trial(network="conv", width=8)])
    frames.specification.pop("image shape")
    frames.specification.pop("test examples")
    assert what_was_tested(frames) == (
        "1 training run of networks of four convolutions, the first of 8 channels on 64 examples "
        "of digits, with 1 seed per setting."
    )


def test_title(make):
    assert study_title(make.frames([], title="What was tested")) == "What was tested"


def test_run_has_specification_and_sessions(make):
    run = how_it_was_run(make.frames([make.trial(steps=10), make.trial(steps=20)]))
    specification = dict(run.specification)
    assert specification["image shape"] == "1 × 8 × 8"
    assert specification["steps"] == "10, 20"
    assert specification["seeds per setting"] == "1 seed"
    assert ("torch", ["2.13.0"]) in run.sessions
    assert ("seconds", ["1.25"]) in run.sessions


def test_sessions_need_not_say_the_same(make):
    frames = make.frames([make.trial()])
    frames.sessions.append({"torch": "3.0", "gpu": "none"})
    sessions = dict(how_it_was_run(frames).sessions)
    assert sessions["torch"] == ["2.13.0", "3.0"]
    assert sessions["gpu"] == ["", "none"]


def test_diverged_trials_are_counted_by_arm(make):
    rows = make.trials(
        make.trial(),
        make.trial(lr=1.0, diverged=1),
        make.trial(lr=2.0, diverged=1),
        make.trial(optimizer="adam", norm="none", diverged=1),
    )
    said = diverged(rows)
    assert said.startswith("Of 4 trials, 3 diverged: 1 of adam with norm 'none'; 2 of sgd with")
    assert diverged(make.trials(make.trial())) == "None of the 1 trial diverged."
