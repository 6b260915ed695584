// Asks for the status again and again, and draws what has changed. The job that is shown is behind the # of the address.
const INTERVAL_MS = 2000, HIDDEN_MS = 30000, AWAY_MOST_MS = 30000;
const run = JSON.parse(at("about").textContent).run;
const drawn = new Map();
let timer = 0, failures = 0, asked = 0;

// A part is drawn anew only when what it shows has changed, and of its nodes only those change that show it: a selection
// of text, or the focus, stays where it is.
function put(id, value, drawing) {
  const key = JSON.stringify(value);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  renew(at(id), drawing(value).flat(2).filter((child) => child != null && child !== false));
}

// Makes the children of a node equal to those that were drawn. What listens to events must not depend on what was drawn.
function renew(place, children) {
  const before = [...place.childNodes];
  children.forEach((child, index) => {
    const old = before[index];
    if (!old) return place.append(child);
    if (old.nodeName !== child.nodeName) return old.replaceWith(child);
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== child.data) old.data = child.data;
      return;
    }
    for (const name of old.getAttributeNames()) if (!child.hasAttribute(name)) old.removeAttribute(name);
    for (const name of child.getAttributeNames()) if (old.getAttribute(name) !== child.getAttribute(name)) old.setAttribute(name, child.getAttribute(name));
    renew(old, [...child.childNodes]);
  });
  for (const old of before.slice(children.length)) old.remove();
}

const pick = (job, ...names) => Object.fromEntries(["state", ...names].map((name) => [name, job[name]]));
const wanted = () => new URLSearchParams(location.hash.slice(1)).get("job");

function drawJobs(jobs, shown) {
  at("jobs").hidden = jobs.length < 2;
  const told = (job) => ` ${job.state}${job.share == null || job.state === "done" ? "" : `, ${share(job.share, 1)}`}`;
  put("jobs", { jobs, shown }, () => jobs.map((job) =>
    make("button", { type: "button", "data-job": job.id, "aria-pressed": String(job.id === shown), onclick: (event) => choose(event.currentTarget.dataset.job) },
      make("i", { class: job.state.split(" ")[0], "aria-hidden": "true" }), job.id, make("span", {}, told(job)))));
}

function choose(id) {
  history.replaceState(null, "", `#${new URLSearchParams({ job: id })}`);
  ask();
}

function drawNothing() {
  at("job").hidden = true;
  document.title = `Run: ${run}`;
  put("state", { state: "none" }, () => [
    make("p", {}, make("i", { "aria-hidden": "true" }), make("b", {}, "Nothing has run here yet")),
    make("p", { class: "soft" }, "The page shows a run as soon as one begins in this directory."),
  ]);
}

function drawJob(job) {
  const isKnown = job.state !== "unreadable";
  document.title = `${isKnown && job.planned ? `${share(job.done, job.planned)} · ` : ""}${job.state} · ${job.id} · ${run}`;
  // What is read out to people who do not see the page is not read out every two seconds.
  const silence = job.state === "silent" ? { written: job.written, silent_s: Math.floor(job.silent_s / 30) * 30 } : {};
  put("state", { ...pick(job, "id", "reason", "ending", "problem"), ...silence }, drawState);
  at("job").hidden = !isKnown;
  if (!isKnown) return;
  put("progress", pick(job, "units", "planned", "done", "earlier", "left_s"), drawProgress);
  put("tiles", pick(job, "elapsed_s", "reason", "clips", "clips_in_work", "kept", "video_s", "kept_video_s", "num_bytes", "commits", "units"), drawTiles);
  at("speed-section").hidden = !job.rates.length;
  put("speed", pick(job, "rates"), drawSpeed);
  at("funnel-section").hidden = !job.funnel.clips.count && !job.funnel.units;
  put("funnel", pick(job, "funnel"), drawFunnel);
  at("work-section").hidden = !job.stages.length && !job.pools.length;
  at("work-section").classList.toggle("one", !job.stages.length || !job.pools.length);
  at("stages").hidden = !job.stages.length;
  at("pools").hidden = !job.pools.length;
  at("bottleneck").textContent = job.bottleneck;
  put("stages", pick(job, "stages"), drawStages);
  put("pools", pick(job, "pools"), drawPools);
  at("servers-section").hidden = !job.servers.length && !job.models.length;
  put("servers", pick(job, "servers", "models"), drawServers);
  const { failed } = job.units;
  put("problems", { ...pick(job, "failures", "waiting", "lost", "faults", "notes"), failed }, drawProblems);
  put("more", pick(job, "began", "written", "reason", "nodes", "attempts", "oldest", "oldest_s", "idle_s", "unit_timeout_s", "settings", "hints"), drawMore);
}

function away(text) {
  at("away").hidden = !text;
  if (at("away").textContent !== text) at("away").textContent = text;
}

async function ask() {
  clearTimeout(timer);
  const own = ++asked, job = wanted();
  let pause_ms = INTERVAL_MS;
  try {
    const answer = await fetch(`api/status${job ? `?${new URLSearchParams({ job })}` : ""}`, { cache: "no-store", signal: AbortSignal.timeout(60000) });
    if (!answer.ok) throw new Error(`The run cannot be read now: ${(await answer.text()).slice(0, 300)}`);
    const { jobs, shown } = await answer.json();
    if (own !== asked) return;
    failures = 0;
    away("");
    drawJobs(jobs, shown?.id);
    if (shown) drawJob(shown);
    else drawNothing();
  } catch (error) {
    if (own !== asked) return;
    failures += 1;
    pause_ms = Math.min(AWAY_MOST_MS, INTERVAL_MS * 2 ** (failures - 1));
    const isAnswer = error.message.startsWith("The run");
    away(`${isAnswer ? error.message : "The server of this page does not answer: it may have been ended. What is shown is what it last told."} The page asks again by itself.`);
  }
  timer = setTimeout(ask, document.hidden ? Math.max(HIDDEN_MS, pause_ms) : pause_ms);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
addEventListener("hashchange", ask);
ask();
