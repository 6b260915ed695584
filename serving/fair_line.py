"""Who is next: clients take turns, and each client's own requests keep their order."""

from __future__ import annotations

from collections import deque


class FairLine:
    """Requests that wait, named by their ids."""

    def __init__(self) -> None:
        # Clients in the order of their next turn. One with nothing left leaves, and comes back at the end.
        self._of_client: dict[str, deque[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of_client.values()))

    def waiting(self, client: str) -> int:
        """How many requests of a client wait."""
        return len(self._of_client.get(client, ()))

    def join(self, client: str, name: str) -> None:
        """Put a request at the end of its client's own."""
        self._of_client.setdefault(client, deque()).append(name)

    def next(self) -> str:
        """Take the next request out.

        Raises:
            LookupError: nobody waits.
        """
        if not self._of_client:
            raise LookupError("nobody waits")
        client = next(iter(self._of_client))
        own = self._of_client.pop(client)
        name = own.popleft()
        if own:
            self._of_client[client] = own
        return name

    def leave(self, name: str) -> bool:
        """Take a request out, wherever it is; whether it was there."""
        for client, own in self._of_client.items():
            if name in own:
                own.remove(name)
                if not own:
                    del self._of_client[client]
                return True
        return False

    def order(self) -> list[str]:
        """All that wait, in the order in which they are taken if nobody else comes."""
        rounds = max(map(len, self._of_client.values()), default=0)
        return [own[turn] for turn in range(rounds) for own in self._of_client.values() if turn < len(own)]
