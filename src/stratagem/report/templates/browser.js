"use strict";
// The chooser of comparisons and the browser of rollouts. What models wrote becomes text nodes and nothing else.
(() => {
  const chosen = document.getElementById("chosen");
  if (chosen) {
    const show = () => {
      for (const box of document.querySelectorAll(".one")) box.hidden = box.dataset.of !== chosen.value;
      document.dispatchEvent(new CustomEvent("revealed"));
    };
    chosen.addEventListener("change", show);
    show(); // a browser may keep a choice over a reload
  }

  const home = document.getElementById("browser");
  if (!home) return;
  const data = JSON.parse(document.getElementById("rollouts").textContent);
  const SIGNS = { right: "✓ right", wrong: "✗ wrong", partly: "◐ partly right", unscored: "– no score" };
  const CHANGES = {
    up: "more often right", down: "less often right", same: "as often right", alike: "the same strategy", other: "another strategy",
    "wrong>right": "wrong, then right", "right>wrong": "right, then wrong",
    "right>right": "right both times", "wrong>wrong": "wrong both times",
  };
  const AT_ONCE = 200; // items of the list
  const LONG = 240; // characters of a mark that is underlined and not coloured
  const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/g;
  const FIELDS = ["side", "problem", "prompt", "sample", "strategy", "outcome", "score", "behaviours", "text", "gap", "marks", "finish", "length", "by", "unit"];
  const rows = data.rows.map((row) => Object.fromEntries(FIELDS.map((name, i) => [name, row[i]])));

  // -- making nodes -----------------------------------------------------------------------------------------
  const make = (tag, properties = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "class") node.className = value;
      else if (name.includes("-") || name === "role") node.setAttribute(name, value);
      else node[name] = value;
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };
  const spelled = (character) => "⟨U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩";
  const visible = (text) => text.replace(UNSEEN, (c) => (c === "\r" ? "" : spelled(c)));
  const put = (node, text) => { // text with what is unseen spelled out
    let at = 0;
    for (const found of text.matchAll(UNSEEN)) {
      node.append(text.slice(at, found.index));
      if (found[0] !== "\r") node.append(make("span", { class: "unseen" }, spelled(found[0])));
      at = found.index + found[0].length;
    }
    node.append(text.slice(at));
    return node;
  };
  const number = (x) => (Number.isInteger(x) ? x.toLocaleString("en") : String(Math.round(x * 1000) / 1000));

  // -- filters ----------------------------------------------------------------------------------------------
  // What is chosen: "" is all; sides, strategies, behaviours and values of strata by their number. `first` and `last` are the
  // sides that are compared, `from` and `to` the strategies of a pair of responses.
  const BLANK = { search: "", side: "", strategy: "", outcome: "", behaviour: "", change: "", first: "", last: "", from: "", to: "" };
  data.by.forEach((one, i) => { BLANK["by" + i] = ""; });
  const state = { mode: "responses", ...BLANK };
  const controls = {};
  const counted = (values) => {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
    return counts;
  };
  const select = (title, key, options, all = "all") => {
    const box = make("select", {}, make("option", { value: "" }, all));
    for (const [value, text, count] of options) {
      box.append(make("option", { value: String(value) }, count === undefined ? text : `${text} (${count})`));
    }
    box.addEventListener("change", () => { state[key] = box.value; refresh(true); });
    controls[key] = box;
    return make("label", {}, title, box);
  };
  const options = (names, values) => {
    const counts = counted(values);
    return names.map((name, i) => [i, name, counts.get(i) || 0]).filter((option) => option[2] > 0);
  };
  const behaved = () => { // with each behaviour, and without it
    const shown = options(data.behaviours, rows.flatMap((r) => r.behaviours));
    return [...shown, ...shown.map(([i, name, n]) => ["!" + i, "without " + name, rows.length - n])];
  };
  const search = make("input", { type: "search", placeholder: "words in a prompt, a response or an id", autocomplete: "off", spellcheck: false });
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.search = search.value.trim().toLowerCase(); refresh(true); }, 150);
  });
  controls.search = search;
  const outcomes = counted(rows.map((row) => row.outcome));
  const paired = data.sides.length > 1;
  const used = options(data.strategies, rows.map((r) => r.strategy)).map(([i, name]) => [i, name]);
  const sides = data.sides.map((name, i) => [i, name]);
  const pairBoxes = [
    ...(data.sides.length > 2 ? [select("From side", "first", sides, "the first"), select("To side", "last", sides, "the last")] : []),
    select("First side to last", "change", Object.entries(CHANGES)),
    select("Strategy of the first", "from", used),
    select("Strategy of the last", "to", used),
  ];
  const filters = make("form", { class: "filters", role: "search", "aria-label": "Filter rollouts" },
    make("label", { class: "search" }, "Search", search),
    paired ? select("Side", "side", options(data.sides, rows.map((r) => r.side))) : null,
    select("Strategy", "strategy", options(data.strategies, rows.map((r) => r.strategy))),
    select("Outcome", "outcome", Object.keys(SIGNS).filter((o) => outcomes.has(o)).map((o) => [o, SIGNS[o], outcomes.get(o)])),
    data.behaviours.length ? select("Behaviour", "behaviour", behaved()) : null,
    ...data.by.map((one, i) => select(one.name, "by" + i, options(one.values, rows.map((r) => r.by[i])))),
    ...pairBoxes,
  );
  filters.addEventListener("submit", (event) => event.preventDefault());
  const clear = make("button", { type: "button" }, "Clear");
  clear.addEventListener("click", () => {
    filters.reset();
    Object.assign(state, BLANK);
    refresh(true);
  });
  const save = make("button", { type: "button" }, "Save as CSV");
  save.addEventListener("click", () => saveCsv());
  const modes = make("div", { class: "modes", role: "group", "aria-label": "Show" });
  for (const [mode, title] of [["responses", "Single responses"], ["pairs", "Side by side"], ["differences", "Differences"]]) {
    const button = make("button", { type: "button", "aria-pressed": "false" }, title);
    button.dataset.mode = mode;
    button.addEventListener("click", () => { state.mode = mode; refresh(true); });
    if (paired) modes.append(button);
  }
  modes.append(clear, save);

  const haystacks = new Array(rows.length);
  const haystack = (i) => {
    const row = rows[i];
    if (haystacks[i] === undefined) {
      const prompt = row.prompt < 0 ? "" : data.prompts[row.prompt][0];
      haystacks[i] = (row.text + "\n" + prompt + "\n" + data.problems[row.problem]).toLowerCase();
    }
    return haystacks[i];
  };
  const fits = (i) => {
    const row = rows[i];
    return (state.side === "" || row.side === +state.side)
      && (state.strategy === "" || row.strategy === +state.strategy)
      && (state.outcome === "" || row.outcome === state.outcome)
      && (state.behaviour === "" || (state.behaviour[0] === "!") !== row.behaviours.includes(+state.behaviour.replace("!", "")))
      && row.by.every((value, b) => state["by" + b] === "" || value === +state["by" + b])
      && (state.search === "" || haystack(i).includes(state.search));
  };

  // -- problems ---------------------------------------------------------------------------------------------
  const problems = new Map(); // a problem's rows, sides in order
  rows.forEach((row, i) => { if (!problems.has(row.problem)) problems.set(row.problem, []); problems.get(row.problem).push(i); });
  for (const list of problems.values()) list.sort((a, b) => rows[a].side - rows[b].side || (rows[a].sample ?? 0) - (rows[b].sample ?? 0));
  const bySide = (list) => {
    const found = new Map();
    for (const i of list) { if (!found.has(rows[i].side)) found.set(rows[i].side, []); found.get(rows[i].side).push(i); }
    return found;
  };
  const worth = (row) => row.score ?? { right: 1, wrong: 0 }[row.outcome] ?? 0;
  const mean = (list) => list.reduce((sum, i) => sum + worth(rows[i]), 0) / list.length;
  const usual = (list) => [...counted(list.map((i) => rows[i].strategy))].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0][0];
  const ends = (list) => { // a problem's responses on the two sides that are compared, or null
    const sides = bySide(list);
    const numbers = [...sides.keys()];
    const first = sides.get(state.first === "" ? numbers[0] : +state.first);
    const last = sides.get(state.last === "" ? numbers[numbers.length - 1] : +state.last);
    return first && last && first !== last ? [first, last] : null;
  };
  // The first pair of responses, one of either side, that has the strategies and the outcomes asked for.
  const pairOf = (list) => {
    const both = ends(list);
    if (!both) return null;
    const [was, is] = state.change.includes(">") ? state.change.split(">") : ["", ""];
    const ok = (i, strategy, outcome) => (strategy === "" || rows[i].strategy === +strategy) && (outcome === "" || rows[i].outcome === outcome);
    const before = both[0].find((i) => ok(i, state.from, was));
    const after = both[1].find((i) => ok(i, state.to, is));
    return before === undefined || after === undefined ? null : [before, after];
  };
  const changed = (list) => {
    const both = ends(list);
    if (!both || !pairOf(list)) return false;
    const gain = mean(both[1]) - mean(both[0]);
    switch (state.change) {
      case "up": return gain > 1e-9;
      case "down": return gain < -1e-9;
      case "same": return Math.abs(gain) <= 1e-9;
      case "alike": return usual(both[0]) === usual(both[1]);
      case "other": return usual(both[0]) !== usual(both[1]);
      default: return true;
    }
  };

  // -- list -------------------------------------------------------------------------------------------------
  const count = make("p", { class: "count", role: "status" });
  const items = make("div", { class: "items", role: "listbox", tabIndex: 0, "aria-label": "Responses" });
  const detail = make("div", { class: "detail", tabIndex: -1 });
  let shown = []; // what the list holds: rows, or problems
  let drawn = 0;
  let at = -1;
  let open = null; // what the address wants open: a problem, and of it a side and a sample
  const isOpen = (item) => {
    if (!open) return false;
    const row = state.mode === "responses" ? rows[item] : null;
    if (data.problems[row ? row.problem : item] !== open.get("problem")) return false;
    return !row || ((!open.has("of") || data.sides[row.side] === open.get("of")) && (!open.has("sample") || String(row.sample) === open.get("sample")));
  };

  const start = (row) => {
    if (row.prompt < 0) return data.problems[row.problem];
    const [text, , skip] = data.prompts[row.prompt];
    return text.slice(skip, skip + 160).replace(/\s+/g, " ").trim() || data.problems[row.problem];
  };
  const short = (outcome) => SIGNS[outcome].split(" ")[0];
  const item = (n) => {
    const node = make("div", { class: "item", role: "option", id: "item-" + n, "aria-selected": "false" });
    if (state.mode === "responses") {
      const row = rows[shown[n]];
      node.append(
        make("p", {}, paired ? make("bdi", { class: "side" }, data.sides[row.side]) : null,
          make("span", { class: row.outcome }, short(row.outcome) + " "), make("bdi", {}, data.strategies[row.strategy])),
        make("p", {}, make("bdi", {}, visible(start(row)))));
    } else {
      const list = problems.get(shown[n]);
      const line = make("p");
      for (const [side, mine] of bySide(list)) {
        if (line.childNodes.length) line.append(" → ");
        const right = mine.filter((i) => rows[i].outcome === "right").length;
        line.append(make("span", { title: data.sides[side] }, `${right}/${mine.length}`));
      }
      line.append(" right");
      node.append(line, make("p", {}, make("bdi", {}, visible(start(rows[list[0]])))));
    }
    node.addEventListener("click", () => choose(n, true));
    return node;
  };
  const more = make("button", { type: "button", class: "more" }, "Show more");
  more.addEventListener("click", () => draw());
  const draw = () => {
    more.remove();
    const to = Math.min(shown.length, drawn + AT_ONCE);
    for (; drawn < to; drawn += 1) items.append(item(drawn));
    if (drawn < shown.length) items.append(more);
  };
  const choose = (n, byHand = false) => {
    if (n < 0 || n >= shown.length) return;
    while (n >= drawn) draw();
    items.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    at = n;
    const node = document.getElementById("item-" + n);
    node.setAttribute("aria-selected", "true");
    items.setAttribute("aria-activedescendant", node.id);
    if (byHand) node.scrollIntoView({ block: "nearest" });
    const show = { responses: single, pairs: side_by_side, differences }[state.mode];
    detail.replaceChildren(...show(shown[n]));
    if (byHand) keep();
    // On a narrow screen the response stands below the list.
    if (byHand && detail.getBoundingClientRect().top > innerHeight - 80) detail.scrollIntoView({ block: "start" });
  };
  items.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (event.target !== items || !(event.key in steps || event.key === "Enter")) return;
    event.preventDefault();
    if (event.key === "Enter") { detail.focus(); return; }
    choose(Math.max(0, Math.min(shown.length - 1, at + steps[event.key])), true);
  });
  const refresh = (byHand = false) => {
    for (const button of modes.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
    for (const box of pairBoxes) box.hidden = state.mode === "responses";
    const fitting = [...rows.keys()].filter(fits);
    if (state.mode === "responses") {
      shown = fitting;
      count.textContent = `${number(shown.length)} of ${number(rows.length)} responses`;
    } else {
      shown = [...new Set(fitting.map((i) => rows[i].problem))];
      shown = shown.filter((p) => changed(problems.get(p)));
      count.textContent = `${number(shown.length)} problems with responses of several sides`;
    }
    items.setAttribute("aria-label", state.mode === "responses" ? "Responses" : "Problems");
    items.removeAttribute("aria-activedescendant");
    items.replaceChildren();
    items.scrollTop = 0;
    drawn = 0;
    at = -1;
    draw();
    const wanted = shown.findIndex(isOpen);
    open = null;
    if (shown.length) choose(Math.max(wanted, 0));
    else {
      items.append(make("p", { class: "empty" }, "Nothing fits these filters."));
      detail.replaceChildren();
    }
    if (byHand) keep();
  };

  // -- one response -----------------------------------------------------------------------------------------
  const kind = (row, [, , name, , bad]) => (bad ? "error" : name < 0 ? "read" : data.names[name] === data.strategies[row.strategy].replaceAll("_", " ") ? "strategy" : "behaviour");
  const left_out = (gap) => make("span", { class: "cut" }, ` … ${number(gap[1])} characters left out … `);
  const text = (row) => {
    const node = make("p", { class: "text", tabIndex: 0, role: "region", "aria-label": "Response" });
    const spans = row.marks.map((mark) => ({ from: mark[0], to: mark[1], mark }));
    if (state.search) {
      const low = row.text.toLowerCase();
      if (low.length === row.text.length) {
        for (let i = low.indexOf(state.search), n = 0; i >= 0 && n < 500; i = low.indexOf(state.search, i + state.search.length), n += 1) {
          spans.push({ from: i, to: i + state.search.length, mark: null });
        }
      }
    }
    const edges = new Set([0, row.text.length, ...(row.gap ? [row.gap[0]] : []), ...spans.flatMap((s) => [s.from, s.to])]);
    const places = [...edges].filter((x) => x >= 0 && x <= row.text.length).sort((a, b) => a - b);
    const named = new Set();
    spans.sort((a, b) => a.from - b.from);
    for (let p = 0; p < places.length; p += 1) {
      const [from, to] = [places[p], places[p + 1] ?? places[p]];
      if (row.gap && from === row.gap[0]) node.append(left_out(row.gap));
      if (from === to) continue;
      const over = spans.filter((s) => s.from <= from && s.to >= to);
      const marks = over.filter((s) => s.mark).map((s) => s.mark);
      let piece = put(document.createDocumentFragment(), row.text.slice(from, to));
      if (over.some((s) => !s.mark)) piece = make("span", { class: "hit" }, piece);
      if (marks.length) {
        // An error stands out, and what is short does among what is long.
        const mark = marks.find((m) => m[4]) || marks.reduce((a, b) => (b[1] - b[0] < a[1] - a[0] ? b : a));
        const names = marks.filter((m) => m[2] >= 0).map((m) => data.names[m[2]]);
        const box = make("mark", { class: "mark " + kind(row, mark) + (mark[1] - mark[0] > LONG && !mark[4] ? " long" : ""), title: names.join(", ") }, piece);
        if (mark[3] !== null && to === mark[1]) box.append(make("ins", {}, " → " + visible(mark[3])));
        const fresh = marks.filter((m) => m[2] >= 0 && !named.has(m[2])); // a rule is named once, where it begins
        if (fresh.length) {
          box.dataset.rule = [...new Set(fresh.map((m) => data.names[m[2]]))].join(", ");
          for (const m of fresh) named.add(m[2]);
        }
        piece = box;
      }
      node.append(piece);
    }
    if (!row.text) node.append(make("span", { class: "cut" }, "(no text)"));
    return node;
  };
  const evidence = (row) => {
    const list = make("p", { class: "found" });
    const seen = new Map();
    for (const mark of row.marks) if (mark[2] >= 0) seen.set(mark[2], [kind(row, mark), (seen.get(mark[2])?.[1] || 0) + 1]);
    for (const [name, [what, times]] of seen) list.append(make("span", { class: what }, make("bdi", {}, data.names[name]), times > 1 ? ` ×${times}` : ""));
    for (const behaviour of row.behaviours) {
      const name = data.behaviours[behaviour].replaceAll("_", " ");
      if (![...seen.keys()].some((n) => data.names[n] === name)) list.append(make("span", { class: "plain" }, make("bdi", {}, name)));
    }
    return list.childNodes.length ? list : null;
  };
  const about = (row, whole) => make("p", { class: "about" },
    make("span", { class: row.outcome }, SIGNS[row.outcome] + (row.outcome === "partly" ? ` (${number(row.score)})` : "")),
    make("bdi", {}, data.strategies[row.strategy]),
    ...(whole ? [make("bdi", {}, data.sides[row.side] ?? "")] : []),
    row.length === null ? null : make("span", {}, `${number(row.length)} ${row.unit}`),
    row.finish && row.finish !== "stop" ? make("span", {}, `ended by ${visible(row.finish)}`) : null,
    row.sample === null ? null : make("span", {}, `sample ${row.sample}`));
  const place = (row) => make("p", { class: "about" },
    ...data.by.map((one, b) => make("span", {}, make("bdi", {}, `${one.name} `), make("bdi", {}, one.values[row.by[b]]))),
    make("span", {}, "problem ", make("bdi", {}, data.problems[row.problem])));
  const prompt = (row) => {
    if (row.prompt < 0) return null;
    const [words, gap] = data.prompts[row.prompt];
    const node = make("p", { class: "prompt", tabIndex: 0, role: "region", "aria-label": "Prompt" });
    put(node, gap ? words.slice(0, gap[0]) : words);
    if (gap) {
      node.append(left_out(gap));
      put(node, words.slice(gap[0]));
    }
    return node;
  };
  const single = (i) => {
    const row = rows[i];
    const others = problems.get(row.problem).length - 1;
    const jump = make("button", { type: "button", class: "jump" }, `This problem's ${others} other ${others === 1 ? "response" : "responses"} side by side`);
    jump.addEventListener("click", () => { clear.click(); state.mode = "pairs"; refresh(); choose(shown.indexOf(row.problem), true); });
    return [place(row), prompt(row), make("div", { class: "response" }, about(row, true), evidence(row), text(row)),
      paired && bySide(problems.get(row.problem)).size > 1 ? jump : null].filter(Boolean);
  };
  const side_by_side = (problem) => {
    const list = problems.get(problem);
    const columns = make("div", { class: "columns", tabIndex: 0, role: "region", "aria-label": "Responses by side" });
    const prompts = new Set(list.map((i) => rows[i].prompt));
    const pair = pairOf(list) ?? [];
    for (const [side, mine] of bySide(list)) {
      const column = make("div", {}, make("h4", {}, make("bdi", {}, data.sides[side])));
      if (prompts.size > 1) column.append(prompt(rows[mine[0]]) ?? "");
      mine.forEach((i, n) => {
        const row = rows[i];
        const box = make("details", { class: "response", open: pair.includes(i) || (n === 0 && !mine.some((j) => pair.includes(j))) }, make("summary", {}, about(row, false)));
        const fill = () => { if (box.open && box.childNodes.length < 2) box.append(...[evidence(row), text(row)].filter(Boolean)); };
        box.addEventListener("toggle", fill);
        fill();
        column.append(box);
      });
      columns.append(column);
    }
    return [place(rows[list[0]]), prompts.size === 1 ? prompt(rows[list[0]]) : null, columns].filter(Boolean);
  };

  {% include "browser_differences.js" %}
  {% include "browser_address.js" %}

  if (data.given > rows.length) {
    document.getElementById("rollouts-note").append(` ${number(data.given - rows.length)} more did not fit into the page.`);
  }
  home.append(filters, modes, count, make("div", { class: "panes" }, items, detail));
  if (!follow()) refresh();
  document.documentElement.dataset.browser = "ready";
})();
