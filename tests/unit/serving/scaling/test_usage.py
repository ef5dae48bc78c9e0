"""What edges counted, as rates and as CloudWatch's samples."""

from clary.serving.scaling.usage import Counts, Key, Usage, samples

KEY = Key("1", "r", "e", "v")


def told(usage, *moments, n=10):
    for moment in moments:
        usage.take([(KEY, Counts(n=n, model_s=0.1, model_most_s=0.05))], moment)


def test_a_rate_is_that_of_its_window():
    usage = Usage()
    told(usage, 100.0, 100.4, 105.0, 109.0)
    assert usage.counted(KEY, 110.0, 6.0).n == 20
    assert usage.per_minute(KEY, 110.0, 10.0) == 240.0
    assert usage.last(KEY) == 109.0
    assert usage.per_minute(Key("1", "r", "e", "other"), 110.0, 10.0) == 0.0


def test_what_is_drained_is_drained_once():
    usage = Usage()
    told(usage, 1.0, 1.5)
    assert usage.drain()[KEY].n == 20
    assert usage.drain() == {}
    assert usage.counted(KEY, 2.0, 10.0).n == 20


def test_a_forgotten_endpoint_leaves_nothing():
    usage = Usage()
    told(usage, 1.0)
    usage.forget("1", "r", "e")
    assert usage.last(KEY) is None


def total(found, name):
    rows = [(value, n) for metric, value, _unit, n in found if metric == name]
    return sum(value * n for value, n in rows), sum(n for _value, n in rows)


def test_samples_have_the_sums_and_counts_of_what_was_counted():
    counts = Counts(
        n=10, n_4xx=4, n_model_4xx=1, n_model_5xx=2, n_5xx=1, model_s=0.5, model_most_s=0.2, overhead_s=0.001
    )
    found = samples(counts, 2)
    assert total(found, "Invocations") == (10, 10)
    assert total(found, "InvocationsPerInstance") == (5, 10)
    assert total(found, "Invocation4XXErrors") == (2, 10)
    assert total(found, "Invocation5XXErrors") == (3, 10)
    assert total(found, "InvocationModelErrors") == (3, 10)
    latency, n = total(found, "ModelLatency")
    assert (round(latency), n) == (500_000, 10)
    assert max(value for name, value, _unit, _n in found if name == "ModelLatency") == 200_000
    assert samples(Counts(), 1) == ()
