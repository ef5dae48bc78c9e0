"""Rules that end trials and jobs early."""

from clary.tuning import criteria, stopping


def test_the_median_rule_compares_with_what_others_averaged_by_then():
    others = [[4.0, 2.0], [5.0, 3.0], [6.0, 4.0]]
    assert not stopping.lags_median([9.0], others[:2], is_maximizing=False), "two are too few"
    assert stopping.lags_median([9.0, 4.5], others, is_maximizing=False), "the median of 3, 4, 5 is 4"
    assert not stopping.lags_median([9.0, 4.0], others, is_maximizing=False)
    assert stopping.lags_median([1.0], others, is_maximizing=True)
    assert not stopping.lags_median([1.0, 1.0, 1.0], others, is_maximizing=True), "none came so far"
    assert not stopping.lags_median([], others, is_maximizing=True)


def lags(curve, others):
    return stopping.lags_rung(curve, others, is_maximizing=False, min_resource=1, max_resource=9)


def test_one_of_three_goes_on_beyond_a_rung():
    others = [[3.0], [2.0]]
    assert not lags([1.0], others)
    assert lags([2.5], others)
    assert not lags([], others)
    assert not lags([1.0, 9.0], others), "between rungs the last one counts"
    assert not lags([1.0, 1.0, 1.0], [*others, [0.5, 0.5]]), "nobody else came as far"
    assert lags([1.0] * 9, []), "the longest is over"


def test_the_only_one_and_the_best_of_few_go_on():
    assert not lags([5.0], [])
    assert lags([5.0], [[4.0]])
    assert not lags([3.0], [[4.0]])


def test_improvements_under_a_percent_do_not_count():
    assert criteria.n_not_improving([], is_maximizing=True) == 0
    assert criteria.n_not_improving([0.5, 0.504, 0.504], is_maximizing=True) == 2
    assert criteria.n_not_improving([0.5, 0.51], is_maximizing=True) == 0
    assert criteria.n_not_improving([10.0, 9.95, 9.8, 9.9], is_maximizing=False) == 1


def test_a_job_has_converged_when_half_of_it_brought_nothing():
    assert not criteria.has_converged([0.5] * 10, 2, is_maximizing=True)
    assert criteria.has_converged([0.5] * 11, 2, is_maximizing=True)
    rising = [0.5 + 0.02 * step for step in range(20)]
    assert not criteria.has_converged(rising, 2, is_maximizing=True)
