"use strict";
// Asks its own server for what has changed and replaces only that. A chart is drawn aside and put in when it is whole,
// so nothing flickers and the page stays where it was scrolled to. Charts out of sight are drawn when they come in sight.
(() => {
  const { config } = JSON.parse(document.getElementById("specs").textContent);
  const root = document.documentElement;
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const every = 1000 * Number(live.dataset.every);
  const parts = new Map(); // id of a part: the HTML that it was made of
  const drawn = new WeakMap(); // box: { text of its chart, view }
  let shown = { seen: "", charts: {} };
  let ahead = 0; // milliseconds that the server's clock is ahead

  const parse = (html) => {
    const made = document.createElement("template");
    made.innerHTML = html;
    return made.content;
  };

  const draw = async (box) => {
    const text = JSON.stringify(shown.charts[box.id]);
    if (!box.isConnected || box.clientWidth === 0 || text === undefined || drawn.get(box)?.text === text) return;
    const before = drawn.get(box);
    drawn.set(box, { text, view: before?.view });
    const next = document.createElement("div");
    next.className = "chart next";
    next.style.width = box.clientWidth + "px";
    box.append(next);
    try {
      const { view } = await vegaEmbed(next, { ...JSON.parse(text), config }, {
        mode: "vega-lite", renderer: "svg", ast: true, // expressions are interpreted: the policy forbids eval
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        downloadFileName: "stratagem-" + box.getAttribute("aria-label").replace(/[^\w]+/g, "-"),
        scaleFactor: { png: 2 },
      });
      for (const old of [...box.children]) if (old !== next) old.remove();
      next.classList.remove("next");
      next.style.width = "";
      before?.view?.finalize();
      if (drawn.get(box)?.text === text) drawn.set(box, { text, view });
      root.dataset.drawn = Number(root.dataset.drawn || 0) + 1;
    } catch (error) {
      next.remove();
      root.dataset.errors = [root.dataset.errors, String(error)].filter(Boolean).join(" | ");
    }
  };

  const inSight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      entry.target.dataset.inSight = entry.isIntersecting ? "yes" : "";
      if (entry.isIntersecting) draw(entry.target);
    }
  }, { rootMargin: "400px" });

  const show = (data) => {
    shown = data;
    ahead = 1000 * data.now - Date.now();
    const fresh = parse(data.html);
    const wanted = [...fresh.children];
    for (const part of wanted) {
      const html = part.outerHTML;
      const old = document.getElementById(part.id);
      if (old && parts.get(part.id) === html) {
        part.replaceWith(old);
        continue;
      }
      parts.set(part.id, html);
      for (const box of part.querySelectorAll(".plot")) {
        const kept = old?.querySelector("#" + box.id);
        if (!kept) continue;
        kept.setAttribute("aria-label", box.getAttribute("aria-label"));
        box.replaceWith(kept); // its chart stays until the next one is drawn
      }
    }
    live.replaceChildren(...fresh.children);
    inSight.disconnect();
    for (const box of live.querySelectorAll(".plot")) {
      inSight.observe(box);
      if (box.dataset.inSight) draw(box);
    }
    tick();
  };

  const ago = (seconds) => {
    if (seconds < 2) return "just now";
    if (seconds < 120) return Math.round(seconds) + " s ago";
    if (seconds < 7200) return Math.round(seconds / 60) + " min ago";
    return seconds < 172800 ? Math.round(seconds / 3600) + " h ago" : Math.round(seconds / 86400) + " days ago";
  };
  const tick = () => {
    for (const time of live.querySelectorAll("time[data-at]")) {
      time.textContent = ago((Date.now() + ahead) / 1000 - Number(time.dataset.at));
    }
  };

  const ask = async () => {
    try {
      const answer = await fetch("data?seen=" + encodeURIComponent(shown.seen), { cache: "no-store" });
      if (answer.status === 200) show(await answer.json());
      lost.hidden = answer.ok;
      if (!answer.ok) lost.textContent = await answer.text();
    } catch {
      lost.textContent = "stratagem watch has ended: the page shows what was there last.";
      lost.hidden = false;
    }
    root.dataset.asked = Number(root.dataset.asked || 0) + 1;
    setTimeout(ask, every);
  };

  show(JSON.parse(document.getElementById("shown").textContent));
  setInterval(tick, 1000);
  setTimeout(ask, every);
})();
