// Keeps marked parts of a page (`data-live`) up to date, lets running calls tick, and copies.
// One browser holds one stream however many tabs are open: the tab that has the lock listens and
// tells the others.  Hidden tabs do not listen, and catch up when they are looked at: they say what
// they show is of when, and are answered if something was recorded since.
(() => {
  const parts = () => [...document.querySelectorAll("[data-live][id]")];
  // A page further back in the list does not change under the reader.
  const live = parts().length > 0 && !new URLSearchParams(location.search).has("before") && !new URLSearchParams(location.search).has("nolive");

  // Times in the reader's zone; without this, and in UTC, they stay as the server wrote them.
  const here = Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });
  const isHere = !["UTC", "Etc/UTC", "GMT"].includes(here.resolvedOptions().timeZone);
  const local = (root) => {
    if (!isHere) return;
    for (const time of root.querySelectorAll("main time[datetime]")) time.textContent = here.format(new Date(time.dateTime));
  };
  document.documentElement.classList.toggle("at-local", isHere);
  local(document);

  // As figures.duration writes them, in whole seconds.
  const span = (seconds) => {
    if (seconds < 100) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} m ${seconds % 60} s`;
    return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} m` : `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
  };
  const tick = () => {
    for (const cell of document.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, Math.floor(Date.now() / 1000 - Number(cell.dataset.since) / 1e6));
      cell.textContent = `${span(seconds)} …`.replaceAll(" ", "\u00a0");
    }
  };
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  tick();

  // In a narrow window the header's links scroll: this page's is shown.
  document.querySelector(".at-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  const bind = (root) => {
    for (const block of root.querySelectorAll("[data-copy]")) {
      const button = document.createElement("button");
      button.className = "at-copy";
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.textContent);
        button.textContent = "Copied";
      });
      block.before(button);
    }
    root.querySelectorAll("#filters select").forEach((select) => select.addEventListener("change", () => select.form.requestSubmit()));
  };
  bind(document);

  // A page that was kept whole while the reader was away: its filters are those of its address again.
  addEventListener("pageshow", (event) => { if (event.persisted) document.querySelector("#filters")?.reset(); });
  if (!live) return;

  const PAUSE_MS = 500;
  const SHORT_PAUSE_MS = 50;  // after a calm: a call that begins has often ended by then
  const LONGEST_PAUSE_MS = 30_000;
  let pause = PAUSE_MS;
  let asOf = Math.floor(performance.timeOrigin);  // what had been recorded by then is shown
  let loading = false;
  let again = false;
  let stale = false;
  const goOn = (ms) => setTimeout(() => { loading = false; if (again) { again = false; refresh(); } }, ms);
  // Not while somebody is inside it with the keyboard, which a click into a table is not, or marks text.
  const isBusy = (part) => part.querySelector(":focus-visible") !== null || (!getSelection().isCollapsed && getSelection().containsNode(part, true));
  // Nor while somebody fills in the form: what was typed would be gone.
  const form = () => document.getElementById("filters");
  const isFilledIn = () => form()?.contains(document.activeElement) || [...form()?.elements ?? []].some((field) => field.matches("input") && field.value !== field.defaultValue);
  // What was opened stays open, and what ticks is no difference.
  const open = (part, newer) => {
    for (const fold of part.querySelectorAll("details[id]")) newer.querySelector(`#${CSS.escape(fold.id)}`)?.toggleAttribute("open", fold.open);
  };
  // A new model can be chosen without loading the page anew; what is chosen stays.
  const renewChoices = (fresh) => {
    for (const select of form()?.querySelectorAll("select") ?? []) {
      const newer = fresh.querySelector(`#filters select[name="${select.name}"]`);
      const chosen = select.value;
      if (!newer || newer.innerHTML === select.innerHTML || ![...newer.options].some((one) => one.value === chosen)) continue;
      if (isFilledIn()) { stale = true; return; }
      select.replaceChildren(...newer.children);
      select.value = chosen;
    }
  };
  // Whoever looks at a page that is live no more is told so: by the stream, which one tab has for
  // all, or because this page cannot be had.
  const line = document.createElement("p");
  line.className = "at-away";
  line.setAttribute("role", "status");
  document.body.append(line);
  const away = { stream: "", page: "" };
  const say = (what, words) => {
    away[what] = words;
    const said = away.stream || away.page;
    if (line.textContent !== said) line.textContent = said;
  };
  const SILENT = "Not live: the server does not answer.";
  const REFUSED = "Not live: reload this page to see why.";
  const SILENT_TRIES = 3;  // two retries: a server that is started anew is back by then
  class Refused extends Error {}
  let missed = 0;
  const content = (part) => {
    const copy = part.cloneNode(true);
    for (const cell of copy.querySelectorAll("[data-since]")) cell.textContent = "";
    return copy.innerHTML;
  };
  const refresh = async () => {
    if (document.hidden) { stale = true; return; }
    if (loading) { again = true; return; }
    loading = true;
    stale = false;
    const asked = Date.now();
    const calm = asked - asOf > 4 * PAUSE_MS;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(LONGEST_PAUSE_MS) });
      if (!answer.ok) throw new Refused(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      local(fresh);
      // Hidden meanwhile: it is looked at anew once somebody comes back.
      if (document.hidden) { stale = true; goOn(PAUSE_MS); return; }
      const lacks = (one, other) => [...other.querySelectorAll("[data-live][id]")].some((part) => !one.getElementById(part.id));
      if (lacks(document, fresh) || lacks(fresh, document)) {
        if (isFilledIn()) stale = true;
        // Other scripts than this one would not know what came, and some pages are live while empty only.
        else if (document.scripts.length + fresh.scripts.length > 2 || !fresh.querySelector("[data-live][id]")) { location.reload(); return; }
        else {
          const newer = document.adoptNode(fresh.querySelector("main"));
          bind(newer);
          document.querySelector("main").replaceWith(newer);
        }
      }
      for (const part of parts()) {
        const newer = fresh.getElementById(part.id);
        if (!newer) continue;
        open(part, newer);
        if (content(newer) === content(part)) continue;
        if (isBusy(part)) stale = true;
        else part.replaceWith(document.adoptNode(newer));
      }
      renewChoices(fresh);
      tick();
      missed = 0;
      say("page", "");
      asOf = asked;
      pause = PAUSE_MS;
      goOn(calm ? SHORT_PAUSE_MS : PAUSE_MS);
    } catch (error) {
      // The server is away or too busy: nothing may be recorded for long that would make us look again.
      again = true;
      if (!document.hidden) missed += 1;
      if (missed >= SILENT_TRIES) say("page", error instanceof Refused ? REFUSED : SILENT);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      goOn(pause);
    }
  };

  const others = new BroadcastChannel("agenttrace-live");
  let from = null;  // leading, this tab knows what was recorded since then
  let told = 0;
  const ask = () => { if (!document.hidden) others.postMessage({ since: asOf }); };
  others.onmessage = ({ data }) => {
    if (data === "recorded") refresh();
    else if (data === "leading") ask();
    else if (data.away !== undefined) { if (!document.hidden) say("stream", data.away); }
    else if (from !== null) {
      if (away.stream) others.postMessage({ away: away.stream });
      if (data.since < from || data.since <= told) others.postMessage("recorded");
    }
  };
  const listen = () => {
    let source = null;
    let retry = 0;
    let failed = 0;
    const tell = (words) => { say("stream", words); others.postMessage({ away: words }); };
    from = asOf;
    const address = `${document.body.dataset.stream}?since=${from * 1000}`;
    const open = () => {
      source = new EventSource(address);
      source.addEventListener("recorded", () => { told = Date.now(); others.postMessage("recorded"); refresh(); });
      // A browser comes back by itself after a broken stream, but not after an answer that is none.
      source.addEventListener("error", () => {
        const refused = source.readyState === EventSource.CLOSED;
        failed += 1;
        if (failed >= SILENT_TRIES) tell(refused ? REFUSED : SILENT);
        if (refused) retry = setTimeout(open, LONGEST_PAUSE_MS / 10);
      });
      source.addEventListener("open", () => { failed = 0; tell(""); });
    };
    open();
    others.postMessage("leading");
    return () => { clearTimeout(retry); source.close(); from = null; };
  };
  let leave = null;
  const lead = () => {
    if (document.hidden || leave) return;
    const giveUp = new AbortController();
    leave = () => { giveUp.abort(); leave = null; };
    navigator.locks.request("agenttrace-live", { signal: giveUp.signal }, () => new Promise((done) => {
      const stop = listen();
      leave = () => { stop(); leave = null; done(); };
    })).catch(() => { /* hidden before its turn came */ });
  };
  const catchUp = () => { if (stale && !document.hidden) refresh(); };
  document.addEventListener("focusout", catchUp);
  document.addEventListener("selectionchange", () => { if (getSelection().isCollapsed) catchUp(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { leave?.(); return; }
    say("stream", "");  // who listens now says whether that is still so
    lead();
    if (stale) refresh(); else ask();
  });
  addEventListener("pagehide", () => leave?.());
  addEventListener("pageshow", ({ persisted }) => { if (persisted) { say("stream", ""); lead(); ask(); } });
  lead();
  ask();  // something may have been recorded while this page was on its way
})();
