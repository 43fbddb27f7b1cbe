  // -- the selection in the page's address, and as a file --------------------------------------------------
  // #show?side=after&strategy=equations&outcome=right: names, so that an address says what it shows.
  const SHOW = "#show?";
  const NAMES = { side: data.sides, first: data.sides, last: data.sides, strategy: data.strategies, from: data.strategies, to: data.strategies, behaviour: data.behaviours };
  data.by.forEach((one, i) => { NAMES["by" + i] = one.values; });
  const parameter = (key) => (key.startsWith("by") ? "by." + data.by[+key.slice(2)].name : key);
  const named = (key, value) => {
    if (!(key in NAMES)) return value;
    const not = value[0] === "!" ? "!" : "";
    return not + (NAMES[key][+value.slice(not.length)] ?? "");
  };
  const numbered = (key, name) => {
    if (!(key in NAMES)) return key === "search" ? name.toLowerCase() : name;
    const not = key === "behaviour" && name[0] === "!" ? "!" : "";
    return not + NAMES[key].indexOf(name.slice(not.length));
  };
  const keep = () => {
    const words = new URLSearchParams();
    if (state.mode !== "responses") words.set("view", state.mode);
    for (const key of Object.keys(BLANK)) if (state[key] !== "") words.set(parameter(key), named(key, state[key]));
    if (at > 0) {
      const row = state.mode === "responses" ? rows[shown[at]] : null;
      words.set("problem", data.problems[row ? row.problem : shown[at]]);
      if (row && paired) words.set("of", data.sides[row.side]);
      if (row && row.sample !== null) words.set("sample", row.sample);
    }
    try { history.replaceState(null, "", SHOW + words); } catch { /* a notebook's frame has no address of its own */ }
  };
  // Shows what the address says; whether it says anything.
  const follow = () => {
    if (!location.hash.startsWith(SHOW)) return false;
    const words = new URLSearchParams(location.hash.slice(SHOW.length));
    state.mode = paired && ["pairs", "differences"].includes(words.get("view")) ? words.get("view") : "responses";
    for (const key of Object.keys(BLANK)) {
      const name = words.get(parameter(key));
      state[key] = name === null ? "" : numbered(key, name);
      if (controls[key]) controls[key].value = key === "search" ? name ?? "" : state[key];
    }
    open = words.has("problem") ? words : null;
    refresh();
    document.getElementById("rollouts-section").scrollIntoView();
    return true;
  };
  addEventListener("hashchange", follow);

  const COLUMNS = ["side", "problem", "sample", ...data.by.map((one) => one.name), "strategy", "outcome", "score", "behaviours", "finish_reason", "length", "length_unit", "prompt", "response"];
  // What a spreadsheet would take for a formula gets a quote before it: a model wrote it.
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const whole = (text, gap) => (gap ? `${text.slice(0, gap[0])} … ${gap[1]} characters left out … ${text.slice(gap[0])}` : text);
  const saveCsv = () => {
    const chosen = state.mode === "responses" ? shown : shown.flatMap((problem) => problems.get(problem));
    const line = (i) => {
      const row = rows[i];
      const prompt = row.prompt < 0 ? "" : whole(data.prompts[row.prompt][0], data.prompts[row.prompt][1]);
      return [data.sides[row.side], data.problems[row.problem], row.sample, ...row.by.map((value, b) => data.by[b].values[value]), data.strategies[row.strategy],
        row.outcome, row.score, row.behaviours.map((b) => data.behaviours[b]).join(" "), row.finish, row.length, row.unit, prompt, whole(row.text, row.gap)];
    };
    const csv = [COLUMNS, ...chosen.map(line)].map((values) => values.map(cell).join(",")).join("\r\n") + "\r\n";
    const link = make("a", { href: URL.createObjectURL(new Blob(["\ufeff" + csv], { type: "text/csv" })), download: "responses.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
