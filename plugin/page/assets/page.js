// Keeps the page up to date, and filters it while one types. Without it the page
// is the same, and is loaded anew by its reader.
"use strict";
(() => {
  const live = document.getElementById("live");
  const said = document.getElementById("said");
  const fresh = document.getElementById("fresh");
  const asOf = document.getElementById("as-of");
  const form = document.getElementById("filter");
  const field = document.getElementById("q");
  const every = 3000, slowest = 30000;
  let tag = "", asked = "", wait = every, timer = 0, typing = 0, asking = null;
  let summary = live.firstElementChild.dataset.summary;

  // morph makes a node like another one and touches nothing that is so already:
  // what has the focus keeps it, what is open stays open.
  function morph(is, want) {
    if (is.isEqualNode(want)) return;
    if (is.nodeType !== want.nodeType || is.nodeName !== want.nodeName) {
      is.replaceWith(want);
      return;
    }
    if (is.nodeType !== Node.ELEMENT_NODE) {
      is.nodeValue = want.nodeValue;
      return;
    }
    for (const a of [...is.attributes]) {
      if (!want.hasAttribute(a.name) && !(is.nodeName === "DETAILS" && a.name === "open")) is.removeAttribute(a.name);
    }
    for (const a of want.attributes) {
      if (is.getAttribute(a.name) !== a.value) is.setAttribute(a.name, a.value);
    }
    const byKey = new Map();
    for (const c of is.children) if (c.dataset.key !== undefined) byKey.set(c.dataset.key, c);
    let at = is.firstChild;
    for (const w of [...want.childNodes]) {
      const key = w.nodeType === Node.ELEMENT_NODE ? w.dataset.key : undefined;
      const same = key === undefined ? at : byKey.get(key);
      if (same && (key !== undefined || same.nodeType !== Node.ELEMENT_NODE || same.dataset.key === undefined)) {
        if (same === at) at = at.nextSibling; else is.insertBefore(same, at);
        morph(same, w);
      } else {
        is.insertBefore(w, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function show(html) {
    const want = new DOMParser().parseFromString(html, "text/html").getElementById("content");
    if (!want) throw new Error("no content");
    morph(live.firstElementChild, want);
    if (want.dataset.summary !== summary) {
      summary = live.firstElementChild.dataset.summary;
      said.textContent = summary;
    }
  }

  async function ask() {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = asking = new AbortController();
    const search = location.search;
    const late = setTimeout(() => mine.abort(), 15000);
    try {
      const headers = tag && asked === search ? { "If-None-Match": tag } : {};
      const answer = await fetch("fragment" + search, { headers, cache: "no-store", signal: mine.signal });
      if (mine !== asking) return;
      if (answer.status === 401 || answer.status === 403) {
        location.reload();
        return;
      }
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(String(answer.status));
        show(await answer.text());
        tag = answer.headers.get("ETag") || "";
        asked = search;
      }
      wait = every;
      fresh.className = "on";
      asOf.textContent = "Live, " + new Date().toLocaleTimeString();
    } catch (err) {
      if (mine !== asking) return;
      wait = Math.min(2 * wait, slowest);
      if (fresh.className !== "off") said.textContent = "The page cannot be brought up to date just now.";
      fresh.className = "off";
    } finally {
      clearTimeout(late);
      if (mine === asking && !document.hidden) timer = setTimeout(ask, wait);
    }
  }

  function filter() {
    const q = new URLSearchParams(new FormData(form));
    for (const name of ["q", "state"]) if (!q.get(name)) q.delete(name);
    const search = q.toString();
    history.replaceState(null, "", search ? "?" + search : location.pathname);
    ask();
  }

  form.addEventListener("submit", (e) => {
    e.preventDefault();
    clearTimeout(typing);
    filter();
  });
  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filter, 250);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask();
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.nodeName)) {
      e.preventDefault();
      field.focus();
    }
  });
  timer = setTimeout(ask, every);
})();
