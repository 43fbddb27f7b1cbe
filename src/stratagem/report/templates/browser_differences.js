  // -- two texts, and what differs between them ------------------------------------------------------------
  const MOST_CELLS = 16e6; // of the table of common subsequences: two bytes each
  const pieces = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) ?? [];
  const lines = (text) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  // Which pieces of two lists belong to a longest common subsequence, as two lists of booleans.
  const common = (a, b) => {
    const kept = [new Array(a.length).fill(false), new Array(b.length).fill(false)];
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) { kept[0][start] = kept[1][start] = true; start += 1; }
    let [endA, endB] = [a.length, b.length];
    while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA -= 1; endB -= 1; kept[0][endA] = kept[1][endB] = true; }
    const [n, m] = [endA - start, endB - start];
    if (n * m > MOST_CELLS) return null;
    const width = m + 1;
    const longest = new Uint16Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i -= 1) {
      for (let j = m - 1; j >= 0; j -= 1) {
        longest[i * width + j] = a[start + i] === b[start + j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < n && j < m;) {
      if (a[start + i] === b[start + j]) { kept[0][start + i] = kept[1][start + j] = true; i += 1; j += 1; }
      else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i += 1;
      else j += 1;
    }
    return kept;
  };
  // White space between two pieces that differ is no likeness: without it what differs reads as one.
  const joined = (list, kept) => kept.map((same, i) => same && !(/^\s+$/.test(list[i]) && kept[i - 1] === false && kept[i + 1] === false));
  // By words where that is not too long, else by lines; else all of both differs.
  const compared = (left, right) => {
    for (const split of [pieces, lines]) {
      const [a, b] = [split(left), split(right)];
      const kept = common(a, b);
      if (kept) return [[a, joined(a, kept[0])], [b, joined(b, kept[1])]];
    }
    return [[[left], [false]], [[right], [false]]];
  };
  const marked = (list, kept, tag, gap) => {
    const node = make("p", { class: "text", tabIndex: 0, role: "region", "aria-label": "Response" });
    let at = 0;
    const add = (text, same) => put(same ? node : node.appendChild(make(tag)), text);
    for (let i = 0; i < list.length;) {
      let j = i;
      let text = "";
      for (; j < list.length && kept[j] === kept[i]; j += 1) text += list[j];
      const cut = gap && gap[0] >= at && gap[0] < at + text.length ? gap[0] - at : -1;
      if (cut >= 0) { add(text.slice(0, cut), kept[i]); node.append(left_out(gap)); }
      add(cut >= 0 ? text.slice(cut) : text, kept[i]);
      at += text.length;
      i = j;
    }
    if (!list.length) node.append(make("span", { class: "cut" }, "(no text)"));
    return node;
  };
  const differences = (problem) => {
    const list = problems.get(problem);
    const both = ends(list);
    const chosen = [...(pairOf(list) ?? [both[0][0], both[1][0]])];
    const columns = make("div", { class: "columns" });
    const fill = () => {
      const [left, right] = chosen.map((i) => rows[i]);
      const sides = compared(left.text, right.text);
      columns.replaceChildren(...[left, right].map((row, s) => {
        const box = make("select", { "aria-label": "Response of " + data.sides[row.side] });
        for (const i of both[s]) {
          box.append(make("option", { value: String(i), selected: i === chosen[s] }, `${data.sides[row.side]}, sample ${rows[i].sample ?? both[s].indexOf(i)}: ${short(rows[i].outcome)} ${data.strategies[rows[i].strategy]}`));
        }
        box.addEventListener("change", () => { chosen[s] = +box.value; fill(); });
        return make("div", { class: "response" }, box, about(row, false), marked(...sides[s], s ? "ins" : "del", row.gap));
      }));
    };
    fill();
    const row = rows[chosen[0]];
    return [place(row), prompt(row), columns].filter(Boolean);
  };
