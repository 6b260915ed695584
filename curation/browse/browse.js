// The page's state is the part of its address behind the #: what is asked for, how it is shown, which clip is open.
const about = JSON.parse(document.getElementById("about").textContent);
const hasServer = !("rows" in about);
const compares = about.runs.length > 1;
const FIRST_SORT = about.sort ?? "key";
const STATES = { kept: "kept", sound_dropped: "sound dropped", rejected: "rejected", source: "source without clips" };
const TABLE = ["seconds", "width", "height", "shot_type", "num_people", "audio_type", "caption_brief"];
const HIDDEN = new Set(["run", "rule", "state", "change", "change_rule", "kept", "key"]);
const AS_THEY_ARE = new Set(["key", "source", "source_key", "parent_key", "caption_brief", "shard", "config_hash"]);
const PAGE_ONLY = ["view", "clip", "show", "column"];
const at = (id) => document.getElementById(id);
let params = new URLSearchParams(location.hash.slice(1));
let shown = { rows: [], pages: 1 };
let asked = 0;

// ---- words

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const words = (name) => (name ?? "").replaceAll("_", " ");
const whole = (count) => count.toLocaleString("en-US");

function number(value) {
  if (value == null) return "–";
  if (value === Math.round(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function span(seconds) {
  if (seconds >= 3600) return `${(seconds / 3600).toLocaleString("en-US", { maximumFractionDigits: 1 })} h`;
  if (seconds >= 60) return `${(seconds / 60).toFixed(1)} min`;
  return `${seconds.toFixed(1)} s`;
}

function cell(column, value) {
  if (value == null) return "–";
  if (typeof value === "number") return number(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (column === "state" || column === "other_state") return STATES[value];
  return AS_THEY_ARE.has(column) ? String(value) : words(String(value));
}

// ---- the state in the address

function queryOf(except = []) {
  const query = new URLSearchParams(params);
  for (const name of [...PAGE_ONLY, ...except]) query.delete(name);
  return query;
}

function go(change, { page = "1", replace = false } = {}) {
  const next = new URLSearchParams(params);
  change(next);
  if (page === "1") next.delete("page");
  else if (page) next.set("page", page);
  for (const [name, value] of [...next]) if (value === "" && !name.startsWith("is.")) next.delete(name, value);
  const address = `#${next}`;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  arrive();
}

function put(name, value, options) {
  go((next) => (value ? next.set(name, value) : next.delete(name)), options);
}

function toggle(name, value) {
  go((next) => {
    const values = next.getAll(name);
    next.delete(name);
    const left = values.includes(value) ? values.filter((other) => other !== value) : [...values, value];
    for (const each of left) next.append(name, each);
  });
}

function arrive() {
  const before = params;
  params = new URLSearchParams(location.hash.slice(1));
  const wanted = (all) => { const rest = new URLSearchParams(all); rest.delete("clip"); return rest.toString(); };
  if (wanted(before) === wanted(params) && shown.ready) drawOpen();
  else drawAll();
}

// ---- where answers come from: the server, or the rows that an export holds

async function ask(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new Error("the server does not answer: is the command that printed this address still running?");
  }
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const fileOf = (kind, row, run, more = {}) => `${kind}?${new URLSearchParams({ run, key: row.key, ...more })}`;

const server = {
  clips() {
    const query = queryOf();
    for (const column of params.getAll("show")) query.append("show", column);
    return ask(`api/clips?${query}`);
  },
  spread: (column) => ask(`api/columns/${encodeURIComponent(column)}?${queryOf([`min.${column}`, `max.${column}`, `is.${column}`, "page"])}`),
  record: (key) => ask(`api/record?${new URLSearchParams({ key })}`),
  picture: (row) => fileOf("thumbnail", row, row.run),
  clip: (row, run) => (isKept(row, run) ? fileOf("clip", row, run) : null),
  file: (row, run, kind) => fileOf("file", row, run, { kind }),
};

const held = {
  async clips() {
    const rows = ordered(about.rows.filter((row) => fits(row, params)));
    const page = Number(params.get("page") ?? 1);
    const clips = rows.filter((row) => row.state !== "source");
    const facets = {};
    for (const name of ["state", "rule", "audio_reason", "change", "change_rule"]) {
      const others = queryOf([name, `is.${name}`]);
      if (name in about.columns) facets[name] = counted(about.rows.filter((row) => fits(row, others)).map((row) => row[name]));
    }
    return {
      count: rows.length, clips: clips.length, seconds: covered(clips), facets,
      pages: Math.max(1, Math.ceil(rows.length / about.perPage)),
      rows: rows.slice((page - 1) * about.perPage, page * about.perPage),
    };
  },
  async spread(column) {
    const others = queryOf([`min.${column}`, `max.${column}`, `is.${column}`, "page"]);
    const values = about.rows.filter((row) => fits(row, others)).map((row) => row[column] ?? null);
    const listed = counted(values);
    const numbers = about.columns[column] === "number" ? values.filter((value) => value !== null) : [];
    const different = listed.filter(([value]) => value !== null).length;
    if (!numbers.length) return { values: listed.slice(0, 40), num_values: different, low: null, high: null, bars: [] };
    const low = Math.min(...numbers), high = Math.max(...numbers), bars = new Array(32).fill(0);
    for (const value of numbers) bars[Math.min(31, Math.floor(((value - low) / (high - low || 1)) * 32))] += 1;
    return { values: different <= 12 ? listed : [], num_values: different, low, high, bars };
  },
  record: async (key) => about.records[key] && { row: about.rows.find((row) => row.key === key), ...about.records[key] },
  picture: (row) => row.pictures[row.run],
  clip: (row, run) => row.clips[run] ?? null,
  file: () => null,
};

const backend = hasServer ? server : held;

function fits(row, query) {
  const chosen = new Map();
  for (const [name, value] of query) {
    if (name === "q") {
      const text = ["key", "caption_brief", "source"].map((column) => row[column] ?? "").join("\n").toLowerCase();
      for (const [, quoted, plain] of value.matchAll(/"([^"]+)"?|(\S+)/g)) if (!text.includes((quoted ?? plain).toLowerCase())) return false;
    } else if (name.startsWith("min.") || name.startsWith("max.")) {
      const held = row[name.slice(4)];
      if (held == null || (name.startsWith("min.") ? held < Number(value) : held > Number(value))) return false;
    } else if (name === "state" || name === "rule" || name.startsWith("is.")) {
      const column = name.replace(/^is\./, "");
      const own = row[column] == null ? "" : String(row[column]);
      const isIt = own === value || (column === "state" && value === "kept" && own === "sound_dropped");
      chosen.set(column, chosen.get(column) || isIt);
    }
  }
  return [...chosen.values()].every(Boolean);
}

function ordered(rows) {
  const sort = params.get("sort") ?? FIRST_SORT, column = sort.replace(/^-/, ""), sign = sort.startsWith("-") ? -1 : 1;
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return [...rows].sort((first, second) => {
    const a = first[column] ?? null, b = second[column] ?? null;
    if (a === null || b === null) return (a === null) - (b === null) || compare(first.key, second.key);
    return sign * compare(a, b) || compare(first.key, second.key);
  });
}

function counted(values) {
  const counts = new Map();
  for (const value of values) {
    const text = value == null ? null : String(value);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || ((a[0] ?? "") < (b[0] ?? "") ? -1 : 1));
}

function covered(clips) {
  let seconds = 0, reached = -Infinity, source = null;
  const spans = clips.filter((row) => row.start_s != null && row.end_s != null);
  spans.sort((a, b) => (a.source < b.source ? -1 : a.source > b.source ? 1 : a.start_s - b.start_s));
  for (const row of spans) {
    if (row.source !== source) { reached = -Infinity; source = row.source; }
    seconds += Math.max(0, row.end_s - Math.max(row.start_s, reached));
    reached = Math.max(reached, row.end_s);
  }
  return seconds;
}

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

// ---- one clip

async function drawOpen() {
  const key = params.get("clip"), panel = at("panel");
  for (const row of document.querySelectorAll("[data-key]")) row.setAttribute("aria-current", String(row.dataset.key === key));
  document.body.classList.toggle("open", Boolean(key));
  if (!key) { panel.hidden = true; panel.replaceChildren(); return; }
  document.querySelector('[data-key][aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  let answer;
  try {
    answer = await backend.record(key);
    if (!answer) throw new Error(`there is no clip “${key}” here`);
  } catch (error) {
    answer = { problem: error.message, records: {}, differences: [] };
  }
  if (params.get("clip") !== key) return;
  const runs = Object.keys(answer.records).map(Number);
  const row = shown.rows.find((each) => each.key === key) ?? answer.row;
  panel.replaceChildren(
    make("div", { class: "top" }, make("h2", { class: "path" }, make("code", {}, key)),
      make("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous clip" }, "‹"),
      make("button", { type: "button", onclick: () => step(1), "aria-label": "Next clip" }, "›"),
      make("button", { type: "button", onclick: close, "aria-label": "Close" }, "×")),
    answer.problem ? make("div", { class: "notice", role: "alert" }, answer.problem) : "",
    ...(row ? screen(row, runs) : []),
    ...comparison(answer.differences),
    ...runs.flatMap((run) => recordOf(row, run, answer.records[run], runs.length > 1)));
  panel.hidden = false;
  panel.scrollTop = 0;
}

function screen(row, runs) {
  const playable = runs.filter((run) => backend.clip(row, run));
  const place = make("div"), [side, said, more] = decision(row), change = changeOf(row);
  const play = (run) => {
    const video = make("video", { src: backend.clip(row, run), controls: true, autoplay: true, loop: true, playsinline: true });
    const note = make("p", {});
    video.addEventListener("error", async () => { note.textContent = await whyNot(video); });
    place.replaceChildren(
      playable.length > 1 ? make("div", { class: "which", role: "group", "aria-label": "Run" }, playable.map((each) =>
        make("button", { type: "button", "aria-pressed": each === run, onclick: () => play(each) }, about.runs[each]))) : "",
      make("div", { class: "screen" }, video), note);
  };
  if (playable.length) play(playable[0]);
  else place.append(make("div", { class: "screen none" }, picture(row)), make("p", {}, "Of what was rejected, a picture and the record are kept."));
  return [place, make("p", { class: `decision ${side}` }, said, more ? make("small", {}, ` ${more}`) : null),
    change ? make("p", {}, change) : "", row.facts.length ? make("p", { class: "soft" }, row.facts.join(" · ")) : ""];
}

async function whyNot(video) {
  try {
    const answer = await fetch(video.src);
    return answer.ok ? `this browser cannot play it (${video.error?.message || "unknown format"})` : await answer.text();
  } catch {
    return "the clip cannot be read";
  }
}

function comparison(differences) {
  if (!compares) return [];
  if (!differences.length) return [make("p", { class: "soft" }, "Both records say the same, or only one run has this clip.")];
  return [make("h3", {}, "What differs"), make("div", { class: "panel scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, make("th", {}, ""), about.runs.map((run) => make("th", { class: "path" }, run)))),
    make("tbody", {}, differences.map(([name, before, now]) => make("tr", {}, make("td", { class: "soft" }, words(name)), make("td", { class: "path" }, before), make("td", { class: "path" }, now))))))];
}

function pairs(values) {
  return make("dl", {}, values.flatMap(([name, value]) => [make("dt", {}, words(name).replaceAll(".", " ")), make("dd", {}, value)]));
}

function recordOf(row, run, record, isOneOfTwo) {
  const { caption, measured, files } = record;
  const { brief, detailed, ...claims } = caption;
  const parts = [];
  if (isOneOfTwo) parts.push(make("h2", { class: "path" }, about.runs[run]));
  if (Object.keys(caption).length || Object.keys(measured).length) {
    parts.push(make("div", { class: "beside" },
      make("div", {}, make("h3", {}, "Caption"), detailed ? make("p", {}, detailed) : make("p", { class: "soft" }, "none"), pairs(Object.entries(claims).filter(([, value]) => value !== "[]"))),
      make("div", { class: "measured" }, make("h3", {}, "Measured"), pairs(Object.entries(measured)))));
  }
  if (Object.keys(files).length) {
    const tar = Object.values(files)[0].tar;
    parts.push(make("h3", {}, "Files"), make("p", { class: "soft path" }, tar), make("div", { class: "scroll" }, make("table", {},
      make("thead", {}, make("tr", {}, make("th", {}, "file"), make("th", { class: "n" }, "at byte"), make("th", { class: "n" }, "bytes"))),
      make("tbody", {}, Object.entries(files).map(([kind, file]) => {
        const address = row && backend.file(row, run, kind);
        return make("tr", {}, make("td", { class: "path" }, address ? make("a", { href: address, download: file.name }, file.name) : file.name),
          make("td", { class: "n" }, whole(file.offset)), make("td", { class: "n" }, whole(file.size)));
      })))));
  }
  const sections = record.sections.map((section) => make("details", { open: section.title === "Scores" || section.title === "Decision" },
    make("summary", { class: "path" }, section.title), pairs(section.values)));
  return [...parts, make("h3", {}, "Whole record"), ...sections];
}

function close() {
  go((next) => next.delete("clip"), { page: params.get("page") ?? "1" });
}

async function step(by) {
  const keys = shown.rows.map((row) => row.key), now = keys.indexOf(params.get("clip"));
  const page = Number(params.get("page") ?? 1), next = now + by;
  if (next >= 0 && next < keys.length) return go((to) => to.set("clip", keys[now < 0 ? 0 : next]), { page: String(page), replace: params.has("clip") });
  if (page + by < 1 || page + by > shown.pages) return;
  go((to) => to.delete("clip"), { page: String(page + by), replace: true });
  await drawing;
  go((to) => to.set("clip", shown.rows.at(by > 0 ? 0 : -1).key), { page: String(page + by), replace: true });
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
