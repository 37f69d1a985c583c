"""What a server counts, as text for Prometheus.

Source: https://prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Upper ends of the classes of seconds and of images per batch.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Histogram:
    """Counts of values by upper ends.

    Args:
        ends: The upper ends, rising.
    """

    def __init__(self, ends: tuple[float, ...]) -> None:
        self.ends, self.counts, self.sum = ends, [0] * (len(ends) + 1), 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.ends, value)] += 1
        self.sum += value

    def lines(self, name: str) -> list[str]:
        """Return its lines of the exposition format."""
        total, lines = 0, []
        for end, count in zip((*map(str, self.ends), "+Inf"), self.counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{end}"}} {total}')
        return [*lines, f"{name}_sum {self.sum:g}", f"{name}_count {total}"]


class Metrics:
    """The counts of one server.

    Attributes:
        requests: Number of answers by path and HTTP status.
        images: Number of images by ``answered`` and ``unreadable``.
        seconds: Seconds from a request's head to its answer, of ``/predict``.
        batches: Images per pass through the network.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.images: Counter[str] = Counter(answered=0, unreadable=0)
        self.seconds = Histogram(_SECONDS)
        self.batches = Histogram(_SIZES)

    def text(self, waiting: Callable[[], int]) -> str:
        """Return all counts in the exposition format.

        Args:
            waiting: Returns the number of images that wait.
        """
        lines = [
            "# HELP cnncli_requests_total Answers by path and HTTP status.",
            "# TYPE cnncli_requests_total counter",
        ]
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'cnncli_requests_total{{path="{path}",status="{status}"}} {count}')
        lines += [
            "# HELP cnncli_images_total Images by what became of them.",
            "# TYPE cnncli_images_total counter",
        ]
        for result, count in sorted(self.images.items()):
            lines.append(f'cnncli_images_total{{result="{result}"}} {count}')
        lines += [
            "# HELP cnncli_images_waiting Images that are decoded or wait for the network.",
            "# TYPE cnncli_images_waiting gauge",
            f"cnncli_images_waiting {waiting()}",
            "# HELP cnncli_predict_seconds Seconds from a request's head to its answer.",
            "# TYPE cnncli_predict_seconds histogram",
            *self.seconds.lines("cnncli_predict_seconds"),
            "# HELP cnncli_batch_images Images per pass through the network.",
            "# TYPE cnncli_batch_images histogram",
            *self.batches.lines("cnncli_batch_images"),
        ]
        return "\n".join(lines) + "\n"
