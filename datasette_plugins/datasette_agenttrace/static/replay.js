// Steps through a replayed session with the keyboard: prompts (j, k or n, p), errors (e, E).
(() => {
  const list = (what) => [...document.querySelectorAll(what)];
  const follow = (rel) => document.querySelector(`.at-pages a[rel=${rel}]`)?.click();
  const at = { "[data-prompt]": -1, "[data-error]": -1 };

  const show = (part) => {
    for (let above = part.closest("details"); above; above = above.parentElement.closest("details")) above.open = true;
    part.scrollIntoView({ block: "start" });
    part.focus({ preventScroll: true });
  };
  const go = (what, by) => {
    const parts = list(what);
    const next = at[what] + by;
    if (next >= 0 && next < parts.length) { at[what] = next; show(parts[next]); return; }
    if (what === "[data-prompt]") follow(by > 0 ? "next" : "prev");
    else if (parts.length) { at[what] = by > 0 ? 0 : parts.length - 1; show(parts[at[what]]); }
  };
  const folded = () => list(".at-told details");
  const keys = {
    j: () => go("[data-prompt]", 1), n: () => go("[data-prompt]", 1),
    k: () => go("[data-prompt]", -1), p: () => go("[data-prompt]", -1),
    e: () => go("[data-error]", 1), E: () => go("[data-error]", -1),
    o: () => { const open = folded().some((one) => !one.open); for (const one of folded()) one.open = open; },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]")) return;
    keys[event.key]?.();
  });
  // What a link leads to may be folded away.
  const reveal = () => {
    const part = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (part?.closest("details")) show(part);
    const place = list("[data-prompt]").indexOf(part);
    if (place >= 0) at["[data-prompt]"] = place;
  };
  addEventListener("hashchange", reveal);
  reveal();
  const help = document.querySelector(".at-keys");
  if (help) help.hidden = false;
})();
