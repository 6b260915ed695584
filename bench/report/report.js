const data = JSON.parse(document.getElementById("data").textContent);
const chooser = document.getElementById("sample");
const sound = document.getElementById("sound");
const stage = document.getElementById("videos");
const play = document.getElementById("play");
const seek = document.getElementById("seek");
const clock = document.getElementById("clock");
const FRAME_S = 1 / 25;
// Further behind a video jumps; before that it runs faster or slower by as much a second as it is off.
const MAX_LAG_S = 0.3;
let players = [];
let isPlaying = false;

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function absent(figure, why) {
  const note = element("div", why);
  note.className = "absent";
  figure.prepend(note);
}

function addPlayer(method, sample) {
  const figure = element("figure", "", stage);
  const url = method.videos[sample];
  if (url === undefined) {
    absent(figure, "no video of this sample");
  } else {
    const video = document.createElement("video");
    video.preload = "auto";
    video.playsInline = true;
    video.src = url;
    video.dataset.method = method.name;
    video.addEventListener("error", () => {
      players = players.filter((other) => other !== video);
      video.remove();
      absent(figure, `${decodeURIComponent(url)} cannot be read from here: keep the page where it was written, beside the videos`);
      if (isPlaying && players.length === 0) pause();
    });
    video.addEventListener("loadedmetadata", () => { seek.max = String(Math.max(...players.map((one) => one.duration || 0))); });
    figure.append(video);
    players.push(video);
  }
  element("figcaption", method.name, figure);
  const scores = (data.scores[sample] || {})[method.name] || [];
  const list = element("dl", "", figure);
  scores.forEach((score, index) => {
    element("dt", data.values[index], list);
    element("dd", score === null ? "–" : String(score), list);
  });
}

function show(sample) {
  pause();
  chooser.value = sample;
  stage.replaceChildren();
  players = [];
  for (const method of data.methods) addPlayer(method, sample);
  const drawn = [...document.querySelectorAll("[data-sample]")];
  for (const part of drawn) part.hidden = part.dataset.sample !== sample;
  const none = document.getElementById("none");
  if (none) none.hidden = drawn.some((part) => !part.hidden);
  if (!play) return;
  chooseSound();
  setTime(0);
}

function chooseSound() {
  for (const video of players) video.muted = video.dataset.method !== sound.value;
}

// The video that is heard leads, for as long as it lasts: putting it right would be heard. Then the longest.
function leader() {
  const going = players.filter((video) => !video.ended);
  const longest = (best, video) => ((video.duration || 0) > (best.duration || 0) ? video : best);
  return going.find((video) => !video.muted) || (going.length > 0 ? going.reduce(longest) : undefined);
}

function tell(time) {
  seek.value = String(time);
  clock.textContent = `${time.toFixed(2)} s`;
}

function setTime(time) {
  for (const video of players) video.currentTime = Math.min(time, video.duration || time);
  tell(time);
}

function pause() {
  isPlaying = false;
  for (const video of players) video.pause();
  if (!play) return;
  play.textContent = "play";
  play.setAttribute("aria-pressed", "false");
}

function start() {
  if (players.length === 0) return;
  if (leader() === undefined) setTime(0);
  isPlaying = true;
  play.textContent = "pause";
  play.setAttribute("aria-pressed", "true");
  for (const video of players) if (!video.ended) video.play().catch(() => pause());
  requestAnimationFrame(keepInStep);
}

function keepInStep() {
  if (!isPlaying) return;
  const first = leader();
  if (first === undefined) {
    pause();
    return;
  }
  first.playbackRate = 1;
  for (const video of players) {
    const lag = first.currentTime - video.currentTime;
    if (video === first || video.seeking || video.duration <= first.currentTime) continue;
    if (Math.abs(lag) > MAX_LAG_S) video.currentTime = first.currentTime;
    else video.playbackRate = Math.abs(lag) > FRAME_S / 4 ? 1 + lag : 1;
  }
  tell(first.currentTime);
  requestAnimationFrame(keepInStep);
}

function step(frames) {
  pause();
  if (players.length > 0) setTime(Math.max(0, Math.min(Number(seek.max), Number(seek.value) + frames * FRAME_S)));
}

for (const sample of data.samples) element("option", sample, chooser).value = sample;
chooser.addEventListener("change", () => show(chooser.value));
for (const link of document.querySelectorAll("[data-show]")) {
  link.addEventListener("click", () => {
    show(link.dataset.show);
    document.getElementById("players").scrollIntoView({ behavior: "smooth" });
  });
}
if (play) {
  for (const method of data.methods) element("option", method.name, sound).value = method.name;
  play.addEventListener("click", () => (isPlaying ? pause() : start()));
  seek.addEventListener("input", () => setTime(Number(seek.value)));
  sound.addEventListener("change", chooseSound);
  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("forth").addEventListener("click", () => step(1));
  document.getElementById("stage").addEventListener("keydown", (event) => {
    if (event.key === ",") step(-1);
    if (event.key === ".") step(1);
  });
}
if (data.samples.length > 0) show(data.samples.find((sample) => data.methods.some((method) => sample in method.videos)) || data.samples[0]);
