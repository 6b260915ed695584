// One clip: its player, what was decided, the caption beside what was measured, and the whole record.

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
