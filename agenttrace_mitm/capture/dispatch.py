# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""How mitmproxy's events find those who wait for them."""

import inspect
from collections.abc import Callable
from typing import Any

from mitmproxy import addonmanager, hooks, master


class DirectAddons(addonmanager.AddonManager):
    """Calls the addons that have a hook, without asking the others each time.

    mitmproxy looks through all addons twice for each of the seven hooks of a request; that was a
    sixth of its cost.
    """

    def __init__(self, master: master.Master) -> None:
        super().__init__(master)
        self._hooks: dict[str, list[Callable[..., Any]]] = {}

    def add(self, *addons: object) -> None:
        """Add addons at the end of the chain."""
        super().add(*addons)
        self._hooks.clear()

    def remove(self, addon: object) -> None:
        """Take an addon out of the chain."""
        super().remove(addon)
        self._hooks.clear()

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Trigger *event*.  Nobody here listens for `update`, which mitmproxy lets follow."""
        await self.trigger_event(event)

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Call whoever has the hook, in the order of the chain."""
        called = self._hooks.get(event.name)
        if called is None:
            called = self._hooks[event.name] = [
                hook for addon in self.chain for _, hook in self._iter_hooks(addon, event)
            ]
        if not called:
            return
        arguments = event.args()
        for hook in called:
            with addonmanager.safecall():
                answer = hook(*arguments)
                if answer is not None and inspect.isawaitable(answer):
                    await answer
