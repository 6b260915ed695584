// What pages that people fill in have in common; a page's own script follows.
const at = (id) => document.getElementById(id);
const data = JSON.parse(at("data").textContent);

function stored(form, person) {
  try {
    return JSON.parse(localStorage.getItem(`${form} ${person}`));
  } catch {
    return null;
  }
}

function keep(form, person, answers) {
  try {
    localStorage.setItem(`${form} ${person}`, JSON.stringify(answers));
  } catch {
    // Private windows keep nothing; the download at the end still works.
  }
}

function download(what, person, answers) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(answers, null, 1)], { type: "application/json" }));
  link.download = `${what}-${person.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.json`;
  link.click();
}

// How much of a video or recording was really played, 0 to 1: jumping to its end does not count.
function playedShare(media) {
  let played_s = 0;
  for (let part = 0; part < media.played.length; part += 1) played_s += media.played.end(part) - media.played.start(part);
  return media.duration > 0 ? played_s / media.duration : 0;
}

