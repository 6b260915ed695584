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
let params = new URLSearchParams(location.hash.slice(1));
let shown = { rows: [], pages: 1 };
let asked = 0;

// ---- words

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
