from clary.gateway.edge.metrics import Metrics


def test_what_was_counted_is_told_in_prometheus_text() -> None:
    metrics = Metrics()
    metrics.count("invoke", 200, 0.003, 10, 20)
    metrics.count("invoke", 204, 0.2, 1, 2)
    metrics.count("control", 0, 90.0, 0, 0)
    text = metrics.text(3, 1)
    assert 'clary_edge_requests_total{edge="' in text
    lines = [line.partition(",")[2] for line in text.splitlines() if line.startswith("clary_edge_request")]
    assert 'kind="invoke",code="2xx"} 2' in lines
    assert 'kind="control",code="gone"} 1' in lines
    assert 'kind="invoke",code="2xx",le="0.0025"} 0' in lines
    assert 'kind="invoke",code="2xx",le="0.005"} 1' in lines
    assert 'kind="invoke",code="2xx",le="+Inf"} 2' in lines
    assert 'kind="control",code="gone",le="60.0"} 0' in lines
    assert text.endswith("\n")
