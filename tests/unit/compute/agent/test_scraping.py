"""Searching for metrics: what takes too long is left, and given up when it does so again."""

import re
import threading

import pytest

from clary.compute.agent import scraping
from clary.compute.agent.scraping import MetricScraper
from clary.toolkit.metrics import MAX_SLOW_LINES, Scraper, TooSlowError

ENDLESS = {"Name": "slow", "Regex": r"(a+)+b(\d)"}
GOOD = {"Name": "good", "Regex": r"good=(\S+)"}


class Sink:
    def __init__(self) -> None:
        self.metrics: list[tuple[str, int, float]] = []
        self.said: list[str] = []

    def scraper(self, *definitions: dict[str, str]) -> MetricScraper:
        return MetricScraper(definitions, lambda *metric: self.metrics.append(metric), self.said.append)


def put(scraper: MetricScraper, n_lines: int) -> None:
    for n in range(n_lines):
        scraper.put(n, f"good={n}")


def test_lines_of_another_thread_are_searched_when_drained() -> None:
    sink = Sink()
    scraper = sink.scraper(GOOD)
    thread = threading.Thread(target=put, args=(scraper, 5))
    thread.start()
    thread.join()
    assert sink.metrics == []
    assert scraper.drain() is False
    assert sink.metrics == [("good", n, float(n)) for n in range(5)]


def test_an_endless_search_is_left_then_given_up_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scraping, "LONGEST_SEARCH_S", 0.02)
    sink = Sink()
    scraper = sink.scraper(ENDLESS, GOOD)
    for n in range(6):
        scraper.put(n, f"{'a' * 80} b good={n}")
    while scraper.drain():
        pass
    assert [value for _, _, value in sink.metrics] == [0, 1, 2, 3, 4, 5]
    (text,) = sink.said
    assert 'metric "slow" is given up' in text


def test_one_slow_line_is_no_reason() -> None:
    slow = {"n": 0}

    def search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        if "slow" in text and slow["n"] < MAX_SLOW_LINES - 1:
            slow["n"] += 1
            raise TooSlowError
        return pattern.search(text)

    told: list[str] = []
    scraper = Scraper([GOOD], search=search, given_up=told.append)
    for _ in range(MAX_SLOW_LINES + 1):
        list(scraper.scrape("slow"))
    assert list(scraper.scrape("good=1")) == [("good", 1.0)]
    assert told == []


def test_a_turn_is_short_and_says_that_lines_are_left() -> None:
    sink = Sink()
    scraper = sink.scraper(GOOD)
    for n in range(10):
        scraper.put(n, "good=1")
    assert scraper.drain(for_s=-1) is True
    assert len(sink.metrics) == 1


def test_who_writes_waits_for_room_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "WAITING_LINES", 3)
    sink = Sink()
    scraper = sink.scraper(GOOD)
    thread = threading.Thread(target=put, args=(scraper, 9))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    scraper.end()
    thread.join(10)
    scraper.finish()
    assert len(sink.metrics) == 9


def test_without_metrics_no_line_is_kept() -> None:
    scraper = Sink().scraper()
    scraper.put(1, "good=1")
    assert scraper.drain() is False
