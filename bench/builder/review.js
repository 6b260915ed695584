const HEARD_SHARE = 0.95;
const samples = data.samples;
let answers = null;
let index = 0;
let heard = false;

function given(sample) {
  return answers.answers.find((answer) => answer.sample === sample.id && answer.content === sample.content);
}

function begin() {
  const reviewer = at("reviewer").value.trim();
  at("problem").textContent = reviewer ? "" : "A name is needed, so that your file can be told from others.";
  if (!reviewer) return;
  answers = stored(data.form, reviewer) || { version: 1, form: data.form, reviewer, started: new Date().toISOString(), answers: [] };
  at("welcome").hidden = true;
  at("sample").hidden = false;
  go(Math.max(0, samples.findIndex((sample) => !given(sample))));
}

function go(to) {
  index = (to + samples.length) % samples.length;
  const sample = samples[index];
  const before = given(sample);
  at("count").textContent = `${index + 1} of ${samples.length}`;
  at("id").textContent = sample.id;
  at("image").src = sample.image;
  at("full").href = sample.image;
  at("unplayable").hidden = true;
  at("sound").src = sample.sound;
  at("facts").textContent = sample.facts;
  const lines = sample.texts.flatMap(([name, text, lang]) => [["dt", name, "en"], ["dd", text, lang]]);
  at("texts").replaceChildren(...lines.map(([tag, text, lang]) => Object.assign(document.createElement(tag), { textContent: text, lang })));
  const form = at("checks");
  form.reset();
  heard = before !== undefined;
  if (before) {
    for (const name of data.checks) form.elements[name].value = before.checks[name] ? "yes" : "no";
    form.elements.notes.value = before.notes;
  }
  scrollTo(0, 0);
  show();
}

function show() {
  const decided = samples.filter(given).length;
  at("decided").textContent = decided === samples.length ? "all decided: download and hand back" : `${decided} decided`;
  at("progress").value = decided / samples.length;
  at("download").disabled = decided === 0;
  at("download").className = decided === samples.length ? "" : "quiet";
  const isAnswered = data.checks.every((name) => at("checks").elements[name].value);
  at("next").disabled = !(isAnswered && heard);
  at("hint").textContent = heard ? (isAnswered ? "" : "approve or reject all three") : "listen to the end first";
}

function decide() {
  const sample = samples[index];
  const form = at("checks").elements;
  const checks = Object.fromEntries(data.checks.map((name) => [name, form[name].value === "yes"]));
  const others = answers.answers.filter((answer) => answer.sample !== sample.id);
  answers.answers = [...others, { sample: sample.id, content: sample.content, checks, notes: form.notes.value.trim(), decided: new Date().toISOString() }];
  keep(data.form, answers.reviewer, answers);
  const next = samples.findIndex((other, place) => place > index && !given(other));
  const left = next >= 0 ? next : samples.findIndex((other) => !given(other));
  go(left >= 0 ? left : index);
}

function listened() {
  heard = true;
  show();
}

at("start").addEventListener("click", begin);
at("reviewer").addEventListener("keydown", (event) => { if (event.key === "Enter") begin(); });
at("sound").addEventListener("timeupdate", () => { if (!heard && playedShare(at("sound")) >= HEARD_SHARE) listened(); });
at("sound").addEventListener("error", () => { at("unplayable").hidden = false; listened(); });
at("checks").addEventListener("change", show);
at("checks").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!at("next").disabled) decide();
});
at("back").addEventListener("click", () => go(index - 1));
at("later").addEventListener("click", () => go(index + 1));
at("download").addEventListener("click", () => download("sign-off", answers.reviewer, answers));
