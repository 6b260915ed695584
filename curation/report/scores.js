// The pipeline's rules on the rows of this page, in their order: what curation.decisions.decide does with the index.
const COMPARISONS = {
  "<": (score, threshold) => score < threshold,
  "<=": (score, threshold) => score <= threshold,
  ">": (score, threshold) => score > threshold,
  ">=": (score, threshold) => score >= threshold,
};
const KEPT = "kept";
const TO_COMPUTE = "to compute";

function decideRow(data, thresholds, row) {
  const passed = (limit, stage) => {
    const score = data.scores[limit.score][row];
    const threshold = limit.setting ? thresholds[`${stage}.${limit.setting}`] : limit.threshold;
    return score !== null && COMPARISONS[limit.beyond](score, threshold);
  };
  if (data.stands[row] && data.last[row] < 0) return data.reasons[row];
  for (const [number, step] of data.steps.entries()) {
    if (data.last[row] < number) return TO_COMPUTE;
    for (const rule of step.rules) {
      if (rule.unsettled && passed(rule.unsettled, step.stage)) return TO_COMPUTE;
      if (rule.humansOnly && data.general[row]) continue;
      if (rule.limits.every((limit) => passed(limit, step.stage))) return `${step.stage}/${rule.name}`;
    }
    if (data.stands[row] && data.last[row] === number) return data.reasons[row];
  }
  return KEPT;
}

function decideRows(data, thresholds) {
  return data.last.map((_, row) => decideRow(data, thresholds, row));
}

function ownThresholds(data) {
  const thresholds = {};
  for (const step of data.steps)
    for (const rule of step.rules)
      for (const limit of [...rule.limits, rule.unsettled])
        if (limit && limit.setting) thresholds[`${step.stage}.${limit.setting}`] = limit.threshold;
  return thresholds;
}

function countBy(outcomes) {
  const counts = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] || 0) + 1;
  return counts;
}

// Drawing.
const NUM_BINS = 28;
const WIDTH = 300;
const HEIGHT = 84;
const words = (name) => name.replaceAll("_", " ");
const scoreWords = (name) => words(name.replace(/_px$/, " (px)").replace(/(?<!_per)_s$/, " (s)"));
const count = (number) => number.toLocaleString("en-US");
const short = (number) => String(Number(number.toPrecision(4)));

function svgNamespace() {
  const template = document.createElement("template");
  template.innerHTML = "<svg></svg>";
  return template.content.firstChild.namespaceURI;
}

function element(name, attributes, ...children) {
  const isSvg = ["svg", "rect", "line", "title"].includes(name);
  const made = isSvg ? document.createElementNS(svgNamespace(), name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// From the lowest to the highest score, with room for the threshold, in steps that are round numbers.
function scale(values, threshold, whole) {
  const low = values.reduce((a, b) => Math.min(a, b), threshold);
  const high = values.reduce((a, b) => Math.max(a, b), threshold);
  const span = high - low || Math.abs(high) || 1;
  let step = 10 ** Math.floor(Math.log10(span / 100));
  step *= [1, 2, 5, 10].find((factor) => span / (step * factor) <= 220);
  if (whole) step = Math.max(1, Math.round(step));
  const floor = low >= 0 ? 0 : -Infinity;
  const room = whole ? 1 : 4;
  return { low: Math.max(floor, Math.floor(low / step - room) * step), high: Math.ceil(high / step + room) * step, step };
}

function bars(values, kinds, names, range) {
  const bins = Array.from({ length: NUM_BINS }, () => ({}));
  values.forEach((value, index) => {
    const place = Math.floor((NUM_BINS * (value - range.low)) / (range.high - range.low));
    const bin = bins[Math.min(NUM_BINS - 1, Math.max(0, place))];
    bin[kinds[index]] = (bin[kinds[index]] || 0) + 1;
  });
  const totals = bins.map((bin) => Object.values(bin).reduce((a, b) => a + b, 0));
  const tallest = Math.max(1, ...totals);
  const drawn = [];
  bins.forEach((bin, index) => {
    let y = HEIGHT;
    for (const name of names) {
      if (!bin[name]) continue;
      const height = Math.max(1.5, (HEIGHT * bin[name]) / tallest);
      y -= height;
      const from = short(range.low + ((range.high - range.low) * index) / NUM_BINS);
      const rect = element("rect", {
        class: `fill-${name}`, x: (WIDTH * index) / NUM_BINS + 0.5, y: Math.max(0, y), width: WIDTH / NUM_BINS - 1, height,
      });
      rect.append(element("title", {}, `from ${from}: ${count(bin[name])}`));
      drawn.push(rect);
    }
  });
  return drawn;
}

function thresholdLine(threshold, range) {
  const x = (WIDTH * (threshold - range.low)) / (range.high - range.low);
  return element("line", { class: "threshold", x1: x, x2: x, y1: 0, y2: HEIGHT });
}

class Chart {
  constructor(data, chart, thresholds, changed) {
    Object.assign(this, { data, chart, thresholds, changed, name: `${chart.stage}.${chart.setting}` });
    const rule = data.steps[chart.step].rules.find((each) => each.name === chart.rule);
    this.rows = [...data.last.keys()].filter(
      (row) => data.scores[chart.score][row] !== null && data.last[row] >= chart.step && !(rule.humansOnly && data.general[row]),
    );
    this.values = this.rows.map((row) => data.scores[chart.score][row]);
    this.range = scale(this.values, chart.threshold, chart.whole);
    this.svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    const limits = { min: this.range.low, max: this.range.high };
    this.slider = element("input", { type: "range", ...limits, step: "any", "aria-label": `threshold of ${this.name}` });
    this.number = element("input", { type: "number", step: this.range.step, "aria-label": `${this.name} as a number` });
    this.told = element("p", { class: "told" });
    this.slider.addEventListener("input", () => this.set(Math.round(this.slider.value / this.range.step) * this.range.step));
    this.number.addEventListener("change", () => this.number.value !== "" && this.set(Number(this.number.value)));
    this.svg.addEventListener("pointerdown", (event) => this.drag(event));
    this.svg.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    const sides = { "<": "rejected below", "<=": "rejected up to", ">": "rejected above", ">=": "rejected from" };
    this.figure = element(
      "figure", { class: "panel score" },
      element("figcaption", {}, element("b", {}, `${words(chart.stage)}: ${words(chart.rule)}`), element("span", {}, scoreWords(chart.score))),
      this.svg,
      element("div", { class: "ends" }, element("span", {}, short(this.range.low)), element("span", {}, short(this.range.high))),
      this.slider,
      element("div", { class: "set" }, element("label", {}, `${sides[chart.beyond]} `, this.number), element("code", {}, chart.setting)),
      this.told,
    );
  }

  drag(event) {
    event.preventDefault();
    const box = this.svg.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const { low, high, step } = this.range;
    this.set(Math.round((low + share * (high - low)) / step) * step);
  }

  set(threshold) {
    this.thresholds[this.name] = Number(threshold.toPrecision(10));
    this.changed();
  }

  draw(outcomes) {
    const threshold = this.thresholds[this.name];
    const own = `${this.chart.stage}/${this.chart.rule}`;
    const kinds = this.rows.map((row) => {
      const outcome = outcomes[row];
      if (outcome === KEPT) return "keep";
      if (outcome === own) return "lose";
      return outcome === TO_COMPUTE ? "wait" : "none";
    });
    const counts = { keep: 0, lose: 0, wait: 0, none: 0, ...countBy(kinds) };
    this.svg.replaceChildren(...bars(this.values, kinds, ["keep", "lose", "wait", "none"], this.range), thresholdLine(threshold, this.range));
    this.svg.setAttribute("aria-label", `${this.name}: ${count(counts.keep)} kept, ${count(counts.lose)} rejected by this rule`);
    this.slider.value = threshold;
    this.slider.setAttribute("aria-valuetext", short(threshold));
    if (document.activeElement !== this.number) this.number.value = short(threshold);
    this.figure.classList.toggle("moved", threshold !== this.chart.threshold);
    const was = threshold === this.chart.threshold ? "" : ` (was ${short(this.chart.threshold)})`;
    this.told.textContent = `${count(counts.lose)} of ${count(this.rows.length)} rejected here${was}`;
  }
}

function soundChart(chart) {
  const range = scale(chart.values, chart.threshold, false);
  const kinds = chart.dropped.map((dropped) => (dropped ? "lose" : "keep"));
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const dropped = kinds.filter((kind) => kind === "lose").length;
  svg.setAttribute("aria-label", `${chart.label}: sound of ${count(dropped)} of ${count(kinds.length)} clips dropped`);
  svg.append(...bars(chart.values, kinds, ["keep", "lose"], range), thresholdLine(chart.threshold, range));
  return element(
    "figure", { class: "panel score fixed" },
    element("figcaption", {}, element("b", {}, `sound: ${words(chart.setting)}`), element("span", {}, chart.label)),
    svg,
    element("div", { class: "ends" }, element("span", {}, short(range.low)), element("span", {}, short(range.high))),
    element("p", { class: "told" }, `threshold ${short(chart.threshold)}; sound of ${count(dropped)} of ${count(kinds.length)} clips dropped`),
  );
}

function showScores(data) {
  const own = ownThresholds(data);
  const thresholds = { ...own };
  const before = decideRows(data, own);
  const charts = data.charts.map((chart) => new Chart(data, chart, thresholds, update));
  const [totals, moves, command] = ["totals", "moves", "command"].map((name) => document.querySelector(`#scores .${name}`));
  const hours = (outcomes) => outcomes.reduce((sum, outcome, row) => sum + (outcome === KEPT ? data.seconds[row] : 0), 0) / 3600;
  const signed = (change) => (change > 0 ? `+${count(change)}` : change < 0 ? `−${count(-change)}` : "±0");

  function update() {
    const outcomes = decideRows(data, thresholds);
    for (const chart of charts) chart.draw(outcomes);
    const [was, is] = [countBy(before), countBy(outcomes)];
    const [kept, wait] = [is[KEPT] || 0, is[TO_COMPUTE] || 0];
    const change = kept - (was[KEPT] || 0);
    totals.textContent =
      `${count(kept)} clips kept (${signed(change)}), ${hours(outcomes).toFixed(3)} h; ` +
      `${count(outcomes.length - kept - wait)} clips and whole sources rejected; ${count(wait)} to compute`;
    const rules = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter(
      (rule) => rule !== KEPT && rule !== TO_COMPUTE && was[rule] !== is[rule],
    );
    moves.textContent = rules.map((rule) => `${words(rule)} ${count(was[rule] || 0)} → ${count(is[rule] || 0)}`).join(" · ");
    const set = Object.keys(thresholds).filter((name) => thresholds[name] !== own[name]);
    command.textContent = data.command + set.map((name) => ` --set stages.${name}=${thresholds[name]}`).join("");
    document.querySelector("#scores .reset").disabled = !set.length;
  }

  document.querySelector("#scores .rules-charts").append(...charts.map((chart) => chart.figure));
  document.querySelector("#scores .sound-charts").append(...data.sound.map(soundChart));
  document.querySelector("#scores .reset").addEventListener("click", () => {
    Object.assign(thresholds, own);
    update();
  });
  update();
}

const held = typeof document === "undefined" ? null : document.getElementById("scores-data");
if (held) showScores(JSON.parse(held.textContent));
