// Where the page's answers come from: the server, or the rows that an export holds, of which it asks the same.

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
