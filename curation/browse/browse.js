// The page: the rows, what is found and in force, and what keys and controls do.
// ---- rows

const stateIn = (row, run) => (run === row.run ? row.state : row.other_state);
const isKept = (row, run) => ["kept", "sound_dropped"].includes(stateIn(row, run));
const columnOf = (name) => name.replace(/^(is|min|max)\./, "");

function usedColumns() {
  const sort = (params.get("sort") ?? FIRST_SORT).replace(/^-/, "");
  const used = [sort, ...params.getAll("show"), ...[...params.keys()].filter((name) => /^(is|min|max)\./.test(name)).map(columnOf)];
  return [...new Set(used)].filter((name) => name in about.columns && !HIDDEN.has(name));
}

function addressOf(key) {
  const next = new URLSearchParams(params);
  next.set("clip", key);
  return `#${next}`;
}

function decision(row) {
  if (row.kept) {
    const sound = row.audio_kept ? "with sound" : row.audio_reason ? `sound dropped: ${words(row.audio_reason)}` : "no sound in source";
    return ["keep", "kept", sound];
  }
  const measured = row.reject_value == null && row.reject_threshold == null ? "" : number(row.reject_value);
  const threshold = row.reject_threshold == null ? "" : `, threshold ${number(row.reject_threshold)}`;
  return ["lose", words(row.rule), measured + threshold];
}

function changeOf(row) {
  if (!compares || row.change === "same") return null;
  return `${about.changes[row.change] ?? row.change}${row.change_rule ? `: ${words(row.change_rule)}` : ""}`;
}

function picture(row, attributes = {}) {
  const address = backend.picture(row);
  const none = () => make("div", { class: "none" }, "no picture");
  if (!address) return none();
  const image = make("img", { src: address, alt: "", loading: "lazy", ...attributes });
  image.addEventListener("error", () => image.replaceWith(none()));
  return image;
}

function card(row) {
  const [side, said, more] = decision(row);
  const change = changeOf(row);
  const used = usedColumns().map((name) => `${words(name)} ${cell(name, row[name])}`);
  const length = row.state === "source" || row.seconds == null ? null : make("span", { class: "length" }, `${row.seconds.toFixed(1)} s`);
  return make("a", { class: "clip", href: addressOf(row.key), "data-key": row.key },
    make("figure", {}, picture(row), length),
    make("div", { class: "body" },
      make("p", { class: `why ${side}` }, said, more ? make("small", {}, more) : null),
      change ? make("p", { class: "change" }, change) : null,
      row.caption_brief ? make("p", { class: "caption", title: row.caption_brief }, row.caption_brief) : null,
      row.facts.length ? make("p", { class: "facts" }, row.facts.join(" · ")) : null,
      used.length ? make("p", { class: "used" }, used.join(" · ")) : null,
      make("p", { class: "from path", title: row.source }, make("code", {}, row.key))));
}

function table(rows) {
  const columns = [...new Set(["key", "state", ...(compares ? ["change", "change_rule"] : []), ...usedColumns(), ...TABLE])].filter((name) => name in about.columns);
  const sort = params.get("sort") ?? FIRST_SORT, sorted = sort.replace(/^-/, "");
  const isNumber = (name) => about.columns[name] === "number";
  const head = columns.map((name) => make("th", {
    class: isNumber(name) ? "n" : null, scope: "col",
    "aria-sort": name === sorted ? (sort.startsWith("-") ? "descending" : "ascending") : null,
  }, make("button", { type: "button", onclick: () => sortBy(name) }, words(name), name === sorted ? (sort.startsWith("-") ? " ↓" : " ↑") : "")));
  const body = rows.map((row) => make("tr", { "data-key": row.key },
    make("td", {}, make("a", { href: addressOf(row.key), tabindex: "-1", "aria-hidden": "true" }, picture(row))),
    columns.map((name) => {
      if (name === "key") return make("td", {}, make("a", { href: addressOf(row.key) }, make("code", {}, row.key)));
      if (name === "state") { const [side, said, more] = decision(row); return make("td", { class: side, title: more }, said); }
      return make("td", { class: isNumber(name) ? "n" : name === "caption_brief" ? "words" : null }, cell(name, row[name]));
    })));
  return make("div", { class: "panel scroll" }, make("table", {}, make("thead", {}, make("tr", {}, make("th", {}), head)), make("tbody", {}, body)));
}

function sortBy(column) {
  const now = params.get("sort") ?? FIRST_SORT;
  // Scores are looked at from their high end first; a second press turns the order round.
  const first = about.columns[column] === "number" ? `-${column}` : column;
  put("sort", now === first ? (first.startsWith("-") ? column : `-${column}`) : first);
}

function drawRows() {
  const isTable = params.get("view") === "table";
  const rows = !shown.rows.length ? make("div", { class: "panel empty" }, shown.count ? "This page is behind the last one." : "No clip fits.")
    : isTable ? table(shown.rows) : make("div", { class: "cards" }, shown.rows.map(card));
  at("rows").replaceChildren(rows);
  const page = Number(params.get("page") ?? 1);
  const turn = (to, text, name) => make("button", { type: "button", disabled: to < 1 || to > shown.pages, onclick: () => turnTo(to), "aria-label": name }, text);
  at("pager").replaceChildren(...(shown.pages > 1 ? [turn(1, "«", "First page"), turn(page - 1, "‹ previous", "Previous page"),
    make("span", {}, `${whole(page)} of ${whole(shown.pages)}`), turn(page + 1, "next ›", "Next page"), turn(shown.pages, "»", "Last page")] : []));
}

function turnTo(page) {
  if (page < 1 || page > shown.pages) return;
  go((next) => next.delete("clip"), { page: String(page) });
  scrollTo({ top: 0 });
}

// ---- what is found, and what is in force

function chip(text, drop) {
  return make("button", { type: "button", onclick: () => go(drop), title: "Take this filter away" }, text);
}

function drawFound() {
  const rest = shown.count - shown.clips;
  const sources = rest ? ` and ${whole(rest)} source${rest === 1 ? "" : "s"} without any` : "";
  const exported = !hasServer && about.selected > about.rows.length ? `; this export holds ${whole(about.rows.length)} of ${whole(about.selected)} rows` : "";
  at("count").replaceChildren(make("b", {}, `${whole(shown.clips)} clip${shown.clips === 1 ? "" : "s"}`), sources, ` · ${span(shown.seconds)} of video${exported}`);
  const chips = [];
  const bounds = new Set();
  for (const [name, value] of params) {
    if (name === "q") chips.push(chip(`“${value}”`, (next) => next.delete("q")));
    else if (name === "state") chips.push(chip(STATES[value] ?? value, (next) => next.delete(name, value)));
    else if (name === "rule") chips.push(chip(value ? words(value) : "no rule", (next) => next.delete(name, value)));
    else if (name.startsWith("is.")) {
      const label = name === "is.change" ? about.changes[value] ?? value : `${words(columnOf(name))}: ${value === "" ? "none" : words(value)}`;
      chips.push(chip(label, (next) => next.delete(name, value)));
    } else if (/^(min|max)\./.test(name) && !bounds.has(columnOf(name))) {
      const column = columnOf(name);
      bounds.add(column);
      const low = params.get(`min.${column}`), high = params.get(`max.${column}`);
      chips.push(chip(`${low == null ? "" : `${low} ≤ `}${words(column)}${high == null ? "" : ` ≤ ${high}`}`, (next) => { next.delete(`min.${column}`); next.delete(`max.${column}`); }));
    }
  }
  if (chips.length > 1) chips.push(make("button", { type: "button", class: "all", onclick: clear }, "clear all"));
  at("chips").replaceChildren(...chips);
}

function clear() {
  go((next) => { for (const name of [...next.keys()]) if (name === "q" || name === "state" || name === "rule" || /^(is|min|max)\./.test(name)) next.delete(name); });
  at("search").value = "";
}

function choice(name, value, label, count, inner = false) {
  const isOn = params.getAll(name).includes(value ?? "");
  return make("li", { class: inner ? "inner" : null }, make("button", { type: "button", class: "choice", "aria-pressed": isOn, onclick: () => toggle(name, value ?? "") },
    make("em", {}, label), make("span", {}, whole(count))));
}

function facet(title, choices) {
  if (!choices.length) return null;
  const rest = choices.slice(14);
  return make("section", { class: "facet" }, make("h3", {}, title), make("ul", {}, choices.slice(0, 14)),
    rest.length ? make("details", {}, make("summary", {}, `${rest.length} more`), make("ul", {}, rest)) : null);
}

function drawFacets() {
  const facets = shown.facets, states = Object.fromEntries(facets.state);
  if (states.sound_dropped) states.kept = (states.kept ?? 0) + states.sound_dropped;
  const opened = [...document.querySelectorAll("#facets details[open]")].length > 0;
  const drawn = [
    compares ? facet("From the first run to the second", Object.entries(about.changes).flatMap(([name, label]) => {
      const count = (facets.change.find(([value]) => value === name) ?? [null, 0])[1];
      return count || params.getAll("is.change").includes(name) ? [choice("is.change", name, label, count)] : [];
    })) : null,
    compares ? facet("By rule", facets.change_rule.filter(([value]) => value !== null).map(([value, count]) => choice("is.change_rule", value, words(value), count))) : null,
    facet("State", Object.entries(STATES).filter(([name]) => states[name] || params.getAll("state").includes(name))
      .map(([name, label]) => choice("state", name, label, states[name] ?? 0, name === "sound_dropped"))),
    facet("Rejected by", facets.rule.filter(([value]) => value !== null).map(([value, count]) => choice("rule", value, words(value), count))),
    facet("Sound dropped by", facets.audio_reason.filter(([value]) => value !== null).map(([value, count]) => choice("is.audio_reason", value, words(value), count))),
  ];
  at("facets").replaceChildren(...drawn.filter(Boolean));
  if (opened) for (const details of document.querySelectorAll("#facets details")) details.open = true;
}

async function drawSpread() {
  const column = params.get("column");
  at("column").value = column ?? "";
  if (!(column in about.columns)) return at("spread").replaceChildren();
  const found = await backend.spread(column);
  if (column !== params.get("column")) return;
  const parts = [];
  if (found.bars.length) {
    const most = Math.max(...found.bars), width = 320 / found.bars.length;
    const label = `${words(column)}: ${found.bars.join(", ")} rows in equal parts from ${number(found.low)} to ${number(found.high)}`;
    const chart = draw("svg", { viewBox: "0 0 320 54", preserveAspectRatio: "none", role: "img", "aria-label": label });
    found.bars.forEach((count, index) => {
      const height = count ? Math.max(1.5, (52 * count) / most) : 0;
      chart.append(draw("rect", { x: index * width + 0.5, width: width - 1, y: 54 - height, height, class: "fill-keep" }));
    });
    const bound = (kind, label) => make("input", {
      type: "number", step: "any", placeholder: label, "aria-label": `${words(column)}, ${label}`, value: params.get(`${kind}.${column}`) ?? "",
      onchange: (event) => put(`${kind}.${column}`, event.target.value),
    });
    parts.push(chart, make("div", { class: "ends" }, make("span", {}, number(found.low)), make("span", {}, number(found.high))),
      make("div", { class: "bounds" }, bound("min", "at least"), bound("max", "at most")));
  }
  if (found.values.length) parts.push(make("ul", {}, found.values.map(([value, count]) => choice(`is.${column}`, value, value === null ? "none" : words(value), count))));
  if (found.num_values > found.values.length && found.values.length) parts.push(make("p", { class: "note" }, `the ${found.values.length} most frequent of ${whole(found.num_values)} values`));
  if (!HIDDEN.has(column)) {
    const isOn = params.getAll("show").includes(column);
    parts.push(make("p", { class: "note" }, make("button", { type: "button", "aria-pressed": isOn, onclick: () => toggle("show", column) }, isOn ? "shown on every clip" : "show on every clip")));
  }
  at("spread").replaceChildren(...parts);
}

// ---- all of it

let drawing = Promise.resolve();

function drawAll() {
  drawing = redraw();
  return drawing;
}

async function redraw() {
  const number_ = (asked += 1), list = document.querySelector(".list");
  list.classList.add("busy");
  drawControls();
  try {
    const found = await backend.clips();
    if (number_ !== asked) return;
    shown = { ...found, ready: true };
    drawFound();
    drawFacets();
    drawRows();
    at("problem").hidden = true;
    await Promise.all([drawSpread(), drawOpen()]);
  } catch (error) {
    if (number_ !== asked) return;
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  } finally {
    if (number_ === asked) list.classList.remove("busy");
  }
}

function drawControls() {
  const search = at("search"), sort = params.get("sort") ?? FIRST_SORT;
  if (document.activeElement !== search) search.value = params.get("q") ?? "";
  at("sort").value = sort.replace(/^-/, "");
  at("direction").textContent = sort.startsWith("-") ? "↓" : "↑";
  at("direction").title = sort.startsWith("-") ? "descending: turn round" : "ascending: turn round";
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === (params.get("view") ?? "cards")));
}

function listColumns() {
  const names = Object.keys(about.columns).filter((name) => !name.startsWith("other_shard"));
  const groups = (first) => ["number", "text", "truth"].map((kind) => {
    const own = names.filter((name) => about.columns[name] === kind);
    return own.length ? make("optgroup", { label: { number: "numbers", text: "words", truth: "yes or no" }[kind] }, own.map((name) => make("option", { value: name }, words(name)))) : null;
  });
  at("sort").append(...groups().filter(Boolean));
  at("column").append(make("option", { value: "" }, "choose …"), ...groups().filter(Boolean));
  at("footer").replaceChildren(hasServer ? `${whole(about.total)} rows, as the index was when the command began.` : `Exported: ${whole(about.rows.length)} rows.`);
}

let typing = 0;
at("search").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => put("q", event.target.value.trim(), { replace: true }), 150);
});
at("sort").addEventListener("change", (event) => sortBy(event.target.value));
at("direction").addEventListener("click", () => {
  const sort = params.get("sort") ?? FIRST_SORT;
  put("sort", sort.startsWith("-") ? sort.slice(1) : `-${sort}`);
});
at("column").addEventListener("change", (event) => put("column", event.target.value, { page: params.get("page") ?? "1" }));
for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => put("view", button.dataset.view === "cards" ? "" : button.dataset.view, { page: params.get("page") ?? "1" }));

const KEYS = {
  "/": () => at("search").focus(),
  j: () => step(1),
  k: () => step(-1),
  n: () => turnTo(Number(params.get("page") ?? 1) + 1),
  p: () => turnTo(Number(params.get("page") ?? 1) - 1),
  t: () => put("view", params.get("view") === "table" ? "" : "table", { page: params.get("page") ?? "1" }),
};

document.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (inField) event.target.blur();
    else if (params.has("clip")) close();
  } else if (!inField && event.key in KEYS) {
    event.preventDefault();
    KEYS[event.key]();
  } else if (!inField && event.key === " " && !event.target.matches("button, a, summary, video")) {
    const video = document.querySelector("#panel video");
    if (!video) return;
    event.preventDefault();
    if (video.paused) video.play();
    else video.pause();
  }
});
addEventListener("popstate", arrive);

listColumns();
if (matchMedia("(max-width: 820px)").matches) at("sidebar").open = false;
drawAll();
