"""What a tuning job tries next, and when it gives a training job up."""

import math

import pytest

from local_aws.services.sagemaker.tuning import search
from local_aws.services.sagemaker.tuning.search import BadRange, Trial, choose, space
from local_aws.services.sagemaker.tuning.trials import is_hopeless

RANGES = {
    "IntegerParameterRanges": [{"Name": "depth", "MinValue": "2", "MaxValue": "9"}],
    "ContinuousParameterRanges": [
        {"Name": "eta", "MinValue": "0.001", "MaxValue": "0.5", "ScalingType": "Logarithmic"},
        {"Name": "keep", "MinValue": "0.5", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
    ],
    "CategoricalParameterRanges": [{"Name": "booster", "Values": ["gbtree", "dart"]}],
}


def one(**numbers):
    return space({"ContinuousParameterRanges": [{"Name": "x", **numbers}]})


def test_random_values_lie_in_their_ranges_and_repeat_with_the_seed():
    wanted = space(RANGES)
    drawn = [choose(wanted, "Random", [], number=n, seed=3, maximize=True) for n in range(40)]
    assert drawn == [choose(wanted, "Random", [], number=n, seed=3, maximize=True) for n in range(40)]
    assert drawn != [choose(wanted, "Random", [], number=n, seed=4, maximize=True) for n in range(40)]
    assert {values["booster"] for values in drawn} == {"gbtree", "dart"}
    assert {int(values["depth"]) for values in drawn} == set(range(2, 10))
    assert all(0.001 <= float(values["eta"]) <= 0.5 for values in drawn)
    assert all(0.5 <= float(values["keep"]) <= 0.999 for values in drawn)


@pytest.mark.parametrize(
    ("scaling", "low", "high", "middle"),
    [
        ("Linear", 0.0, 1.0, 0.5),
        ("Logarithmic", 1e-4, 1.0, 1e-2),
        ("Auto", 1e-4, 1.0, 1e-2),
        ("Auto", 0.1, 1.0, 0.55),
        ("ReverseLogarithmic", 0.0, 0.9999, 0.99),
    ],
)
def test_half_of_the_draws_lie_below_the_middle_of_the_scale(scaling, low, high, middle):
    wanted = one(MinValue=str(low), MaxValue=str(high), ScalingType=scaling)
    drawn = [float(choose(wanted, "Random", [], number=n, seed=0, maximize=True)["x"]) for n in range(200)]
    assert sum(value < middle for value in drawn) == pytest.approx(100, abs=25)


def test_a_bayesian_search_comes_closer_to_the_best_than_a_random_one():
    wanted = one(MinValue="-10", MaxValue="10")

    def found(strategy):
        best = []
        for seed in range(5):
            trials: list[Trial] = []
            reached: list[float] = []
            for number in range(25):
                values = choose(wanted, strategy, trials, number=number, seed=seed, maximize=False)
                reached.append((float(values["x"]) - 3) ** 2)
                trials.append(Trial(values, reached[-1]))
            best.append(min(reached))
        return math.exp(sum(math.log(value) for value in best) / len(best))

    assert found("Bayesian") < found("Random") / 2


def test_running_trials_are_taken_into_account():
    wanted = one(MinValue="0", MaxValue="1")
    done = [Trial({"x": repr(x / 10)}, -((x / 10 - 0.3) ** 2)) for x in range(11)]
    running = [Trial({"x": "0.3"}, None, running=True)] * 3
    alone = choose(wanted, "Bayesian", done, number=11, seed=1, maximize=True)
    beside = choose(wanted, "Bayesian", done + running, number=11, seed=1, maximize=True)
    assert abs(float(alone["x"]) - 0.3) < 0.25
    assert beside != alone


def test_a_grid_is_walked_through_once():
    wanted = space(
        {
            "CategoricalParameterRanges": [
                {"Name": "a", "Values": ["1", "2"]},
                {"Name": "b", "Values": ["x", "y"]},
            ]
        }
    )
    assert search.grid_size(wanted) == 4
    walked = [choose(wanted, "Grid", [], number=n, seed=0, maximize=True) for n in range(4)]
    assert walked == [{"a": a, "b": b} for a in "12" for b in "xy"]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "ParameterRanges is empty"),
        (
            {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "2", "MaxValue": "1"}]},
            "range of x, 2 to 1",
        ),
        (
            {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "a", "MaxValue": "1"}]},
            "not made of numbers",
        ),
        ({"IntegerParameterRanges": [{"Name": "x", "MinValue": "1.5", "MaxValue": "2"}]}, "of whole numbers"),
        (
            {
                "ContinuousParameterRanges": [
                    {"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}
                ]
            },
            "x begins at 0: logarithmic scaling needs more than 0",
        ),
        (
            {
                "ContinuousParameterRanges": [
                    {"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "ReverseLogarithmic"}
                ]
            },
            r"continuous values in \[0, 1\)",
        ),
        ({"CategoricalParameterRanges": [{"Name": "x", "Values": ["a"]}] * 2}, "x has more than one range"),
    ],
)
def test_a_range_that_cannot_be_searched_is_named(ranges, message):
    with pytest.raises(BadRange, match=message):
        space(ranges)


def test_a_job_worse_than_the_median_of_the_others_so_far_is_hopeless():
    others = [[0.5, 0.6, 0.7], [0.6, 0.7, 0.9], [0.7, 0.8, 0.9]]  # averages of two: 0.55, 0.65, 0.75
    assert is_hopeless([0.5, 0.64], others, maximize=True)
    assert not is_hopeless([0.5, 0.66], others, maximize=True)
    assert is_hopeless([0.9, 0.66], others, maximize=False)
    assert not is_hopeless([0.5, 0.64], [[0.9]], maximize=True)
    assert not is_hopeless([], others, maximize=True)
