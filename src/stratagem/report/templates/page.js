"use strict";
// Draws each chart when its box has a width: charts in what is closed or hidden wait until it is opened.
(() => {
  const { config, charts } = JSON.parse(document.getElementById("specs").textContent);
  const root = document.documentElement;
  const failed = [];
  const fail = (error) => {
    failed.push(String(error));
    root.dataset.errors = failed.join(" | ");
  };
  addEventListener("error", (event) => fail(event.message));

  const draw = async (box) => {
    if (box.dataset.drawn || box.clientWidth === 0) return;
    box.dataset.drawn = "true";
    try {
      await vegaEmbed(box, { ...charts[box.id], config }, {
        mode: "vega-lite",
        renderer: "svg",
        ast: true, // expressions are interpreted: the page's policy forbids eval
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        downloadFileName: "stratagem-" + (box.getAttribute("aria-label") || box.id).replace(/[^\w]+/g, "-"),
        scaleFactor: { png: 2 },
      });
    } catch (error) {
      box.textContent = "This chart could not be drawn.";
      fail(error);
    }
  };
  // A table that is wider than the screen says so.
  const hint = () => {
    for (const box of document.querySelectorAll(".scroll")) box.classList.toggle("wider", box.scrollWidth > box.clientWidth + 1);
  };
  addEventListener("resize", hint);
  const drawAll = async (within) => {
    hint();
    for (const box of within.querySelectorAll(".chart")) await draw(box);
  };
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => details.open && drawAll(details));
  }
  document.addEventListener("revealed", () => drawAll(document));
  drawAll(document).then(() => { root.dataset.ready = "true"; });
})();
