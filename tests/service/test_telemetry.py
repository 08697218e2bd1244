"""Metrics of several nodes as one text, read with the parser of those who scrape it."""

from prometheus_client.parser import text_string_to_metric_families

from jackpotd.service.telemetry import Telemetry, merged


def used(worker: str) -> Telemetry:
    telemetry = Telemetry(worker)
    for _ in range(int(worker) + 1):
        telemetry.observe_request("gateway", "/v2/jackpots/contribute", 200, "", 0.002)
    telemetry.observe_request("gateway", "-", 404, "NOT_FOUND", 0.0)
    telemetry.observe_commit(3, 0.001)
    return telemetry


def test_merged_metrics_hold_every_series_of_every_node_once() -> None:
    """Families stand together, as the format asks for, and nothing is added up or lost."""
    texts = [used(str(worker)).text() for worker in range(3)]
    families = list(text_string_to_metric_families(merged(texts).decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))

    found = [
        (sample.name, sample.labels, sample.value)
        for family in families
        for sample in family.samples
    ]
    alone = [
        (sample.name, sample.labels, sample.value)
        for text in texts
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]
    assert sorted(map(str, alone)) == sorted(map(str, found))
    assert all("worker" in labels for _, labels, _ in found)
    requests = {
        labels["worker"]: value
        for name, labels, value in found
        if name == "jackpotd_request_seconds_count" and labels["status"] == "200"
    }
    assert {"0": 1.0, "1": 2.0, "2": 3.0} == requests


def test_metrics_of_one_node_are_the_same_merged() -> None:
    """One worker's text is not touched."""
    text = used("0").text()
    assert text == merged([text])
