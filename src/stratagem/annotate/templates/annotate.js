"use strict";
// Shows the question and sends what is pressed; texts of models are put in as text alone. One answer is on its way at a time,
// and the next question comes with the word that this one is on disk.
(() => {
  const at = (id) => document.getElementById(id);
  const root = document.documentElement;
  let view = JSON.parse(at("view").textContent);
  const key = view.key;
  let busy = false;

  const make = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const percent = (x, sign = "") => x.value === null ? "–"
    : `${(100 * x.value).toFixed(0)}${sign} (${(100 * x.low).toFixed(0)} to ${(100 * x.high).toFixed(0)})`;

  const showNames = () => {
    const guess = view.question?.guess;
    at("names").replaceChildren(...view.names.map((name) => {
      const item = make("li");
      const button = make("button", undefined, { type: "button", "data-name": name.name });
      if (name.key) button.append(make("kbd", name.key), " ");
      button.append(name.name);
      if (name.name === guess) {
        button.classList.add("guess");
        button.append(` · guess, ${view.question.chance}%`);
      }
      if (name.description) button.append(make("small", name.description));
      button.disabled = !view.question;
      button.addEventListener("click", () => label(name.name));
      item.append(button);
      return item;
    }));
  };

  const showQuestion = () => {
    const question = view.question;
    at("over").hidden = question !== null;
    for (const id of ["prompt", "response"]) at(id).scrollTop = 0;
    at("prompt").textContent = question?.prompt ?? "";
    at("response").replaceChildren(...(question?.pieces ?? []).map(([text, marked]) =>
      marked ? make("mark", text) : document.createTextNode(text)));
    at("why").textContent = !question ? "" : question.why === "random"
      ? "Asked at random: no guess is shown, since this label measures the guesses."
      : question.guess ? `Asked because the model is unsure; what speaks for ${question.guess} is marked.` : "";
    at("skip").disabled = !question;
    at("new").disabled = !question;
  };

  const showTold = () => {
    const { progress } = view;
    at("count").textContent = `${view.labels} labelled, ${view.random} of them asked at random`
      + (view.skipped ? `, ${view.skipped} skipped` : "") + `; ${view.pool.toLocaleString("en")} responses can be asked.`;
    const quality = progress.quality;
    const wait = progress.labels ? "" : "After 20 labels a model learns from them; its error shows here.";
    at("settling").textContent = progress.settling ?? progress.refused ?? wait;
    const kappa = quality?.kappa;
    at("quality").textContent = !quality ? "" : `The model, after ${progress.labels} labels: it agrees with `
      + `${percent(quality.agreement, "%")} of ${quality.random} labels asked at random`
      + (kappa.value === null ? "." : `; Cohen's kappa ${kappa.value.toFixed(2)} (${kappa.low.toFixed(2)} to ${kappa.high.toFixed(2)}).`);
    at("table").hidden = !quality;
    const labels = new Map(view.names.map((name) => [name.name, name.labels]));
    at("table").tBodies[0].replaceChildren(...(quality?.strategies ?? []).map((row) => {
      const line = make("tr");
      line.append(make("th", row.name, { scope: "row" }));
      for (const text of [labels.get(row.name) ?? 0, percent(row.precision), percent(row.recall)]) {
        line.append(make("td", text, { class: "num" }));
      }
      return line;
    }));
  };

  const show = (next) => {
    const same = view.question?.row === next.question?.row && root.dataset.ready;
    view = next;
    showNames();
    if (!same) showQuestion();
    showTold();
    at("undo").disabled = view.labels + view.skipped === 0;
    root.dataset.labels = view.labels;
    root.dataset.ready = "yes";
  };

  const say = (text) => {
    at("lost").hidden = !text;
    at("lost").textContent = text;
  };

  const send = async (what, body) => {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(what, {
        method: "POST", body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", "X-Stratagem-Key": key },
      });
      if (answer.ok) show(await answer.json());
      say(answer.ok ? "" : await answer.text());
    } catch {
      say("stratagem annotate has ended: this answer was not kept, all before it were. Start the same command again.");
    }
    busy = false;
  };
  const label = (strategy) => view.question && send("label", { row: view.question.row, strategy });

  const naming = (open) => {
    at("naming").hidden = !open;
    if (open) at("name").focus();
    else at("name").blur();
    at("name").value = "";
  };
  at("naming").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = at("name").value.trim();
    naming(false);
    if (name) label(name);
  });
  at("skip").addEventListener("click", () => label(""));
  at("undo").addEventListener("click", () => send("undo", {}));
  at("new").addEventListener("click", () => naming(true));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (!at("naming").hidden) {
      if (event.key === "Escape") naming(false);
      return;
    }
    const name = view.names.find((each) => each.key === event.key);
    if (name) label(name.name);
    else if (event.key === "s") label("");
    else if (event.key === "z") send("undo", {});
    else if (event.key === "n" && view.question) naming(true);
    else return;
    event.preventDefault();
  });

  show(view);
  const ask = async () => {
    if (view.fitting && !busy) {
      try {
        const answer = await fetch("state", { cache: "no-store" });
        if (answer.ok && !busy) show(await answer.json());
      } catch { /* the next answer will say so */ }
    }
    setTimeout(ask, 1000);
  };
  ask();
})();
