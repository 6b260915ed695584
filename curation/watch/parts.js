// The parts of the page, each drawn out of what the server says of a job.
const STATES = {
  starting: "Its workers are starting", running: "Running", ending: "Ending", silent: "No sign of life",
  done: "Done", "broken off": "Broken off", unreadable: "Its status cannot be read",
};
const UNITS = [
  // state → how its part of the bar is filled, its mark in the legend, its words
  ["done", "fill-keep", "k", "done"], ["failed", "fill-lose", "l", "failed"],
  ["finished", "fill-finished", "f", "wait for their commit"], ["in_work", "fill-work", "g", "in work"],
  ["left", "fill-wait", "w", "left to the next run"], ["waiting", "", "o", "not begun"],
];

const plural = (count, one) => `${whole(count)} ${one}${count === 1 ? "" : "s"}`;
const clock = (unix) => new Date(unix * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

function share(part, all) {
  if (!all) return "–";
  const percent = (100 * part) / all;
  // What is not all done must not look so.
  return `${percent > 99 && part < all ? 99 : percent > 0 && percent < 9.95 ? Number(percent.toFixed(1)) : Math.round(percent)} %`;
}

function rough(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${(minutes / 1440).toFixed(1)} days`;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let power = 0;
  while (count >= 1000 && power < units.length - 1) { count /= 1000; power += 1; }
  return `${power && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[power]}`;
}

function bar(parts, all, attributes = {}) {
  const drawing = draw("svg", { class: "bar", ...attributes });
  let left = 0;
  for (const [fill, count] of parts) {
    const width = all ? (100 * count) / all : 0;
    if (fill && width) drawing.append(draw("rect", { class: fill, x: `${left}%`, y: 0, width: `${width}%`, height: "100%" }));
    left += width;
  }
  return drawing;
}

function table(heads, rows) {
  const head = (text, index) => make("th", { scope: "col", class: index && rows.every((row) => typeof row[index] !== "object") ? "n" : "" }, text);
  return make("table", {}, make("thead", {}, make("tr", {}, heads.map(head))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map((value, index) =>
      value instanceof Node ? make("td", {}, value) : make("td", { class: index ? "n" : "path" }, value))))));
}

function drawState(job) {
  const told = job.state === "silent" ? `${STATES.silent} for ${rough(job.silent_s)}` : STATES[job.state];
  const notice = {
    silent: () => `The run has told nothing since ${clock(job.written)}, and has not said that it ended. Its driver may have been killed, or its machine is gone. The same command goes on from what is committed.`,
    ending: () => `It begins nothing more: ${job.ending}. What is in work is committed; the same command goes on with the rest.`,
    "broken off": () => `It ended early: ${job.reason}. The same command goes on from what is committed.`,
    unreadable: () => `Another version may have written its file: ${job.problem}.`,
  }[job.state];
  return [
    make("p", {}, make("i", { class: job.state.split(" ")[0], "aria-hidden": "true" }), make("span", {}, make("b", {}, told), make("span", { class: "soft" }, ` · ${job.id}`))),
    notice && make("div", { class: "notice" }, notice()),
  ];
}

function drawProgress(job) {
  const has = UNITS.filter(([name]) => job.units[name]);
  const bar_ = bar(UNITS.map(([name, fill]) => [fill, job.units[name]]), job.planned, {
    role: "progressbar", "aria-label": "Units that are done", "aria-valuemin": 0, "aria-valuemax": job.planned, "aria-valuenow": job.done,
  });
  const left = job.left_s == null ? "" : `about ${rough(job.left_s)} left`;
  const waits = job.state === "running" && job.left_s == null && job.units.waiting + job.units.in_work > 0 ? "too little is known to say how long it will take" : "";
  const earlier = job.earlier ? `; ${whole(job.earlier)} more were done by earlier runs` : "";
  return [
    make("div", { class: "top" },
      make("b", {}, job.planned ? share(job.done, job.planned) : "–"),
      make("span", {}, job.planned ? `${whole(job.done)} of ${plural(job.planned, "unit")}` : "there was nothing to do", make("span", { class: "soft" }, earlier)),
      make("span", { class: "end" }, left || make("span", { class: "soft" }, waits))),
    bar_,
    make("div", { class: "legend" }, has.map(([name, , mark, text]) =>
      make("span", {}, make("i", { class: mark, "aria-hidden": "true" }), make("b", {}, whole(job.units[name])), ` ${text}`))),
  ];
}

function drawTiles(job) {
  const tile = (value, text, kind = "") => make("div", { class: `tile ${kind}` }, make("b", {}, value), make("span", {}, text));
  const inWork = job.clips_in_work ? `, ${whole(job.clips_in_work)} more in work` : "";
  return [
    tile(rough(job.elapsed_s), job.state === "silent" ? "until it was last heard of" : job.reason == null ? "so far" : "it took"),
    tile(whole(job.clips), `clips${inWork}`),
    tile(whole(job.kept), job.clips ? `kept, ${share(job.kept, job.clips)} of the clips` : "kept", "keep"),
    job.video_s ? tile(span(job.kept_video_s), `of clips kept, out of ${span(job.video_s)} of video`, "keep") : null,
    job.commits ? tile(bytes(job.num_bytes), `in ${plural(job.commits, "shard")}`) : null,
    tile(whole(job.units.failed), job.units.failed === 1 ? "unit failed" : "units failed", job.units.failed ? "lose" : ""),
  ];
}

function drawSpeed(job) {
  return job.rates.map((rate) => {
    const shown = rate.now ?? rate.mean;
    const parts = [
      make("h3", {}, `${rate.name} an hour`),
      make("p", {}, make("b", {}, number(shown)), rate.now == null ? " on average" : ` now, ${number(rate.mean)} on average`),
    ];
    if (rate.points.length < 2) return make("div", { class: "panel speed" }, ...parts, make("p", { class: "none" }, "the line begins with the third commit"));
    const most = Math.max(...rate.points.map(([, value]) => value), rate.mean) || 1, end = rate.points.at(-1)[0] || 1;
    const x = (at) => (at / end) * 300, y = (value) => 80 - (value / most) * 74;
    const line = [[0, rate.points[0][1]], ...rate.points].map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    const drawing = draw("svg", { viewBox: "0 0 300 80", preserveAspectRatio: "none", role: "img", "aria-label": `${rate.name} an hour over the run: ${number(rate.points[0][1])} at first, ${number(most)} at most, ${number(rate.points.at(-1)[1])} at last` });
    drawing.append(
      draw("polygon", { class: "area", points: `0,80 ${line.join(" ")} 300,80` }),
      draw("line", { class: "mean", x1: 0, x2: 300, y1: y(rate.mean), y2: y(rate.mean) }),
      draw("polyline", { class: "line", points: line.join(" ") }));
    return make("div", { class: "panel speed" }, ...parts, drawing, make("div", { class: "ends" }, make("span", {}, "began"), make("span", {}, `at most ${number(most)}`), make("span", {}, rough(end))));
  });
}

function drawFunnel(job) {
  const widest = ({ count, steps }) => Math.max(count, ...steps.map((step) => step.in));
  const rows = (what, { count, steps }) => {
    const most = widest({ count, steps });
    const first = make("li", { class: "total" }, make("span", {}, what), bar([["fill-keep", count]], most, { class: "bar flow", "aria-hidden": "true" }), make("span", { class: "count" }, whole(count)));
    return [first, ...steps.map((step) => make("li", {},
      make("span", { class: "stage" }, words(step.stage)),
      bar([["fill-keep", step.in - step.lost], ["fill-lose", step.lost]], most, { class: "bar flow", "aria-hidden": "true" }),
      make("span", { class: "count" }, step.new ? make("span", { class: "keep" }, `+${whole(step.new)} `) : null, step.lost ? make("span", { class: "lost" }, `−${whole(step.lost)}`) : null, ` → ${whole(step.in - step.lost)}`),
      make("ul", { class: "rules soft" }, step.new ? make("li", {}, "cropped out ", make("span", { class: "keep" }, whole(step.new))) : null, step.rules.map(([rule, lost]) => make("li", {}, `${rule} `, make("span", { class: "lost" }, whole(lost)))))))];
  };
  const { units, clips } = job.funnel;
  const kept = make("li", { class: "total" }, make("span", { class: "keep" }, "kept"),
    bar([["fill-keep", clips.kept]], widest(clips), { class: "bar flow", "aria-hidden": "true" }),
    make("span", { class: "count keep" }, whole(clips.kept), make("small", {}, share(clips.kept, clips.all))));
  const whole_ = clips.whole ? make("p", { class: "soft" }, `${plural(clips.whole, "unit")} without clips, such as one that failed in a late stage, ${clips.whole === 1 ? "counts" : "count"} among the clips here.`) : null;
  return [
    units && make("h3", {}, "Units of work, before they have clips"), units && make("ul", { class: "funnel" }, rows("units", units)),
    units && make("h3", {}, "Clips"), make("ul", { class: "funnel" }, rows("clips", clips), kept), whole_,
  ];
}

function drawStages(job) {
  const most = Math.max(...job.stages.map((stage) => stage.seconds));
  return [
    make("h3", {}, "Stages"),
    make("dl", { class: "costs" }, job.stages.flatMap((stage) => [
      make("dt", {}, words(stage.stage)), make("dd", {}, bar([["fill-keep", stage.seconds]], most, { "aria-hidden": "true" })),
      make("dd", { class: "n" }, span(stage.seconds)), make("dd", { class: "n soft" }, share(stage.share, 1)),
    ])),
  ];
}

function drawPools(job) {
  const rows = job.pools.map((pool) => [
    make("span", {}, pool.name, pool.loads ? make("small", { class: "soft" }, make("br"), `loads in ${span(pool.loading_s / pool.loads)}`) : null),
    `${whole(pool.ready)} of ${whole(pool.most)}${pool.starting ? `, ${whole(pool.starting)} starting` : ""}`,
    make("span", {}, `${whole(pool.in_hand)} of ${whole(pool.places)}`, bar([["fill-keep", Math.min(pool.in_hand, pool.places)]], pool.places, { "aria-hidden": "true" })),
    whole(pool.waiting),
  ]);
  return [make("h3", {}, "Pools of actors"), make("div", { class: "scroll" }, table(["pool", "actors ready", "units in hand", "waiting"], rows))];
}

function drawServers(job) {
  const ended = (server) => server.outcomes.map(([outcome, count]) => `${whole(count)} ${words(outcome)}`).join(", ");
  return [
    job.servers.length ? make("div", { class: "scroll" }, table(["server", "requests", "ended", "each took"], job.servers.map((server) =>
      [server.server, whole(server.requests), ended(server), server.seconds_each == null ? "–" : span(server.seconds_each)]))) : null,
    job.models.length ? make("div", { class: "scroll" }, table(["model", "tokens read", "tokens written"], job.models.map((model) => [model.model, whole(Math.round(model.read)), whole(Math.round(model.written))]))) : null,
  ];
}

function drawProblems(job) {
  const counts = (title, what, pairs) => pairs.length ? [make("h3", {}, title), make("div", { class: "scroll counts" }, table([what, "number"], pairs.map(([text, count]) => [text, whole(count)])))] : [];
  const parts = [];
  if (job.failures.length) {
    const rest = job.failed - job.failures.length;
    parts.push(make("h3", {}, `Units that failed, in quarantine`),
      make("div", { class: "scroll" }, table(["unit", "why"], job.failures.map(([unit, why]) => [make("code", { class: "path" }, unit), make("span", {}, why)]))));
    if (rest > 0) parts.push(make("p", { class: "soft" }, `${whole(rest)} that failed earlier are in the report.`));
  }
  parts.push(...counts("Units left to the next run", "because", job.waiting));
  parts.push(...counts("Units that had to begin anew", "their worker was lost to", job.lost));
  parts.push(...counts("Tries that a fault of the machine broke off", "kind", job.faults));
  if (job.notes.length) parts.push(make("h3", {}, "Notes of the workers"), make("ul", {}, job.notes.map((note) => make("li", {}, note))));
  return parts.length ? parts : [make("p", { class: "soft none" }, job.state === "done" ? "There were none." : "None so far.")];
}

function drawMore(job) {
  const row = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)];
  const command = (text) => make("code", {}, text);
  return [make("dl", {},
    row("began", clock(job.began)),
    job.reason == null ? row("last told of", clock(job.written)) : row("ended", clock(job.written)),
    row("nodes", whole(job.nodes)),
    job.attempts ? row("attempts", `a worker was given a unit ${whole(job.attempts)} times`) : null,
    job.oldest ? row("longest in work", make("code", { class: "path" }, job.oldest), ` for ${rough(job.oldest_s)}`, job.unit_timeout_s ? `; it is ended after ${rough(job.unit_timeout_s)} without a sign of life` : "") : null,
    job.idle_s == null ? null : row("last unit ended", `${rough(job.idle_s)} ago`),
    job.settings ? row("settings", command(job.settings)) : null,
    row("report", command(job.hints.report), job.reason === "" ? "" : " once the run is done"),
    row("the clips", command(job.hints.browse)),
    row("log of a unit", command(job.hints.logs)),
  )];
}
