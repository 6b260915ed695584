const byId = Object.fromEntries(data.trials.map((trial) => [trial.id, trial]));
const WATCHED_SHARE = 0.95;
let answers = null;
let shownAt = 0;
let watched = false;

// FNV-1a, then mulberry32: the order of a rater follows from the study's seed and the rater's name alone.
function hash(text) {
  let value = 2166136261;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0), 16777619);
  return value >>> 0;
}

function chance(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, draw) {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(draw() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

function orderFor(rater) {
  const draw = chance(hash(`${data.study} ${data.seed} ${rater}`));
  const videos = shuffled(data.trials.filter((trial) => trial.check === null).map((trial) => trial.id), draw);
  const checks = data.trials.filter((trial) => trial.check !== null).map((trial) => trial.id);
  return shuffled([...videos.slice(0, data.perRater ?? videos.length), ...checks], draw);
}

function begin() {
  const rater = at("rater").value.trim();
  at("problem").textContent = rater ? "" : "A name or number is needed, so that your file can be told from others.";
  if (!rater) return;
  answers = stored(data.study, rater) || { version: 1, study: data.study, rater, started: new Date().toISOString(), finished: null, order: orderFor(rater), answers: [] };
  at("welcome").hidden = true;
  showNext();
}

function showNext() {
  const index = answers.answers.length;
  if (index >= answers.order.length) {
    answers.finished = answers.finished || new Date().toISOString();
    keep(data.study, answers.rater, answers);
    at("trial").hidden = true;
    at("end").hidden = false;
    return;
  }
  const trial = byId[answers.order[index]];
  at("trial").hidden = false;
  at("count").textContent = `${index + 1} of ${answers.order.length}`;
  at("progress").value = index / answers.order.length;
  at("questions").reset();
  at("unplayable").hidden = true;
  watched = false;
  shownAt = performance.now();
  at("video").src = trial.video;
  at("reference").hidden = trial.image === null;
  if (trial.image !== null) at("image").src = trial.image;
  const prompts = at("prompts");
  prompts.replaceChildren();
  const texts = trial.check === null ? trial.prompts : [`Attention check: whatever this video shows, answer ${trial.check} to all four questions.`];
  for (const text of texts) {
    const line = document.createElement("p");
    line.textContent = text;
    if (trial.check !== null) line.className = "check";
    prompts.append(line);
  }
  scrollTo(0, 0);
  allow();
}

function ratings() {
  const form = new FormData(at("questions"));
  return Object.fromEntries(data.questions.map((name) => [name, form.has(name) ? Number(form.get(name)) : null]));
}

function allow() {
  const isAnswered = Object.values(ratings()).every((value) => value !== null);
  at("next").disabled = !(isAnswered && watched);
  at("hint").textContent = watched ? (isAnswered ? "" : "answer all four questions") : "watch the video to its end first";
}

function answer(given) {
  const trial = answers.order[answers.answers.length];
  const seconds = Math.round((performance.now() - shownAt) / 100) / 10;
  answers.answers.push({ trial, ratings: given, seconds });
  keep(data.study, answers.rater, answers);
  showNext();
}

at("start").addEventListener("click", begin);
at("rater").addEventListener("keydown", (event) => { if (event.key === "Enter") begin(); });
at("video").addEventListener("timeupdate", () => {
  if (!watched && playedShare(at("video")) >= WATCHED_SHARE) {
    watched = true;
    allow();
  }
});
at("video").addEventListener("error", () => { at("unplayable").hidden = false; });
at("skip").addEventListener("click", () => answer(null));
at("questions").addEventListener("change", allow);
at("questions").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!at("next").disabled) answer(ratings());
});
at("download").addEventListener("click", () => download("ratings", answers.rater, answers));
