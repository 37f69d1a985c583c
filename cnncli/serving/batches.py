"""What waits together goes through the network together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from cnncli.serving.errors import RefusedError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batches(Generic[Item, Answer]):
    """Gives a function the items that wait, as many at once as it takes.

    The function runs in one thread of its own. While it works on a batch, new items gather: a
    server with little to do answers each at once, and one with much to do takes full batches.

    Args:
        function: Takes a list of items and returns an answer for each.
        most: Largest number of items at once.
        look: Is called with the number of items of each batch.
    """

    def __init__(
        self,
        function: Callable[[Sequence[Item]], Sequence[Answer]],
        most: int,
        look: Callable[[int], None],
    ) -> None:
        self._function, self._most, self._look = function, most, look
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._thread = ThreadPoolExecutor(1, "network")
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """Return the answer to an item; one whose caller is cancelled is passed over."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch: list[tuple[Item, asyncio.Future[Answer]]] = []
            while self._waiting and len(batch) < self._most:
                pair = self._waiting.popleft()
                if not pair[1].done():
                    batch.append(pair)
            if not batch:
                return
            self._look(len(batch))
            items = [item for item, _ in batch]
            try:
                answers = await loop.run_in_executor(self._thread, self._function, items)
            except Exception as error:  # each of the requests tells it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Room:
    """A count that has a bound: images that wait, or bytes that are held.

    Args:
        most: The bound.
        what: What is counted, for the refusal.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most, self.what, self.taken = most, what, 0

    def take(self, count: int) -> None:
        """Take so much of it.

        Raises:
            RefusedError: If there is not so much left; nothing is taken then.
        """
        if self.taken + count > self.most:
            raise RefusedError(
                503, f"busy: {self.what} at most {self.most:,}; try again", closes=True
            )
        self.taken += count

    def give_back(self, count: int) -> None:
        """Give back what was taken."""
        self.taken -= count
