"use strict";
// Names of files and classes are only ever set as text: they may hold anything.

const FIRST = 10;   // classes that are shown at once
const KEPT = 20;    // answers that stay on the page
const SMALL = 100;  // pixels; a narrower picture is drawn with its pixels as squares
const drop = document.getElementById("drop");
const input = document.getElementById("files");
const state = document.getElementById("state");
const answers = document.getElementById("answers");
let about = null;
let queue = Promise.resolve();

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

// A number is never rounded to certainty, nor to nothing. No line ends before its sign.
function percent(value) {
  if (value >= 1) return "100\u00a0%";
  if (value > 0.9999) return ">\u00a099.99\u00a0%";
  if (value < 0.0001) return "<\u00a00.01\u00a0%";
  return (100 * value).toFixed(2) + "\u00a0%";
}

// A number that was chosen: 60 %, and not 60.00 %.
function shortPercent(value) {
  return percent(value).replace(/(\.\d*?)0+(?=\u00a0%$)/, (_, kept) => (kept === "." ? "" : kept));
}

async function ask(path, options) {
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok && answer.error === undefined) throw new Error(`status ${response.status}`);
  return answer;
}

async function showAbout() {
  const line = document.getElementById("about");
  try {
    about = await ask("about");
  } catch (error) {
    line.textContent = "The server does not answer; load the page again when it runs.";
    return;
  }
  const classes = about.class_names.length;
  const whose = about.networks > 1
    ? `the mean of ${about.networks} networks (${about.model}) of cross-validation ${about.run}`
    : `${about.model} of run ${about.run}`;
  const parts = [
    whose,
    classes === 1 ? "1 class" : `${classes} classes`,
    `images of ${about.image_size[0]}×${about.image_size[1]} pixels`,
  ];
  if (about.networks > 1) parts.push("no heat map of several networks");
  else if (about.engine !== "torch") parts.push("no heat maps, since torch alone computes them: serve the run folder with --engine torch");
  else if (about.heat_map === null) parts.push("no heat map: no layer of this network gives a map");
  if (about.files_per_image > 1) parts.push(`${about.files_per_image} files per image, dropped together in their order`);
  line.textContent = parts.join(" · ") + ".";
  const decided = describeDecision(about.decision);
  if (decided) line.after(make("p", `As stored with this network: ${decided}.`));
  document.title = `cnncli: ${about.run}`;
}

function describeDecision(decision) {
  const parts = [];
  if (decision.temperature !== null) parts.push(`probabilities after temperature ${describeTemperature(decision)}`);
  if (decision.threshold !== null) {
    const rule = decision.operating_point ? ` (${decision.operating_point} on val)` : "";
    parts.push(`“${decision.positive}” is chosen from ${shortPercent(decision.threshold)}${rule}`);
  }
  if (decision.abstain_below !== null) parts.push(`any choice below ${shortPercent(decision.abstain_below)} is shown as “abstain”`);
  return parts.join("; ");
}

function describeTemperature(decision) {
  const short = (value) => String(Number(value.toPrecision(4)));
  const ofWeights = decision.temperature_of_weights;
  const told = short(decision.temperature);
  if (ofWeights === null || ofWeights === 1) return told;
  return `${told} on top of ${short(ofWeights)} from training (${short(decision.temperature * ofWeights)} in all)`;
}

function tell(...parts) {
  state.replaceChildren(...parts);
}

function groups(files) {
  const size = about ? about.files_per_image : 1;
  const found = [];
  for (let first = 0; first < files.length; first += size) found.push(files.slice(first, first + size));
  return found;
}

function send(files) {
  for (const group of groups([...files])) queue = queue.then(() => sendOne(group));
}

async function sendOne(files) {
  const name = files.map((file) => file.name || "pasted image").join(" | ");
  tell("Asking about ", make("bdi", name), "…");
  const form = new FormData();
  for (const file of files) form.append("image", file, file.name || "pasted image");
  let answer;
  try {
    answer = await ask("predict?probabilities=1&heat_map=1", { method: "POST", body: form });
  } catch (error) {
    answer = { error: `no answer (${error.message}); is the server still running?` };
  }
  show(name, answer);
  const said = answer.error ? [answer.error] : verdictOf(answer);
  tell(make("bdi", name), ": ", ...said);
}

function show(name, answer) {
  const article = document.getElementById("answer").content.cloneNode(true).firstElementChild;
  article.querySelector("h2").textContent = name;
  const verdict = article.querySelector(".verdict");
  if (answer.error) {
    article.classList.add("failed");
    verdict.textContent = answer.error;
    article.querySelector("table").remove();
  } else {
    verdict.append(...verdictOf(answer));
    const reason = reasonOf(answer);
    if (reason) verdict.after(make("p", reason, "reason"));
    for (const remark of answer.remarks || []) article.querySelector(".remarks").append(make("li", remark));
    fillPictures(article.querySelector(".pictures"), answer);
    fillTable(article, answer.probabilities);
  }
  answers.prepend(article);
  while (answers.children.length > KEPT) answers.lastElementChild.remove();
}

// The class that an image is given; where none is said, the one that would have been.
function classOf(answer) {
  return answer.suggested === undefined ? answer.label : answer.suggested;
}

function isWithheld(answer) {
  return answer.suggested !== undefined && answer.label === "abstain";
}

function verdictOf(answer) {
  const said = [make("bdi", classOf(answer)), `: ${percent(answer.probability)}`];
  if (!isWithheld(answer)) return said;
  return [make("strong", "abstain"), ": a person should judge. Suggested: ", ...said];
}

// Why the class that is said is not the likeliest one, or why none is said.
function reasonOf(answer) {
  const decision = about ? about.decision : null;
  if (!decision) return "";
  if (isWithheld(answer)) return `Its probability is below ${shortPercent(decision.abstain_below)}. ${thresholdOf(answer, decision)}`;
  return thresholdOf(answer, decision);
}

function thresholdOf(answer, decision) {
  if (decision.threshold === null) return "";
  const positive = answer.probabilities[decision.positive];
  const side = positive >= decision.threshold ? "is at least" : "is below";
  return `The probability of “${decision.positive}”, ${percent(positive)}, ${side} the threshold of ${shortPercent(decision.threshold)}.`;
}

function fillPictures(box, answer) {
  if (!answer.picture) return;
  box.append(makeFigure(answer.picture, "The image", "the image"));
  const map = answer.heat_map;
  if (!map) return;
  const isEmpty = map.values.every((row) => row.every((value) => value === 0));
  const told = isEmpty
    ? "The heat map is zero everywhere: no area made the network choose this class."
    : `The areas that made the network choose ${classOf(answer)}: ${map.method} at layer ${map.layer}.` +
      (about && about.resize_mode === "crop" ? " Pale parts are not seen by the network." : "");
  const figure = makeFigure(map.picture, told, `heat map of ${classOf(answer)} over the image`);
  if (!isEmpty) {
    const scale = make("div", undefined, "scale");
    scale.setAttribute("role", "img");
    scale.setAttribute("aria-label", "colours from no influence, dark violet, to most influence, yellow");
    figure.append(scale, make("figcaption", "no influence … most influence"));
  }
  box.append(figure);
}

function makeFigure(source, caption, alternative) {
  const figure = make("figure");
  const image = make("img");
  image.src = source;
  image.alt = alternative;
  image.addEventListener("load", () => { if (image.naturalWidth < SMALL) image.className = "small"; });
  const line = make("figcaption", caption);
  line.dir = "auto";
  figure.append(image, line);
  return figure;
}

function fillTable(article, probabilities) {
  // By the order of about: an object would put classes that are numbers first.
  const names = about ? about.class_names : Object.keys(probabilities);
  const rows = names.map((name) => [name, probabilities[name]]).sort((a, b) => b[1] - a[1]);
  const body = article.querySelector("tbody");
  const button = article.querySelector(".more");
  article.querySelector("caption").textContent =
    rows.length > FIRST ? `The ${FIRST} likeliest of ${rows.length} classes` : "All classes";
  for (const [name, value] of rows.slice(0, FIRST)) body.append(makeRow(name, value));
  if (rows.length <= FIRST) return;
  button.hidden = false;
  button.textContent = `Show all ${rows.length} classes`;
  button.addEventListener("click", () => {
    for (const [name, value] of rows.slice(FIRST)) body.append(makeRow(name, value));
    article.querySelector("caption").textContent = "All classes";
    button.remove();
  });
}

function makeRow(name, value) {
  const row = make("tr");
  const head = make("th");
  head.scope = "row";
  head.append(make("bdi", name));
  const bar = make("progress");
  bar.max = 1;
  bar.value = value;
  const cell = make("td", undefined, "bars");
  cell.setAttribute("aria-hidden", "true");
  cell.append(bar);
  row.append(head, make("td", percent(value), "number"), cell);
  return row;
}

input.addEventListener("change", () => { send(input.files); input.value = ""; });
input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); input.click(); } });
document.addEventListener("paste", (event) => {
  if (event.clipboardData && event.clipboardData.files.length) send(event.clipboardData.files);
});
// Anywhere on the page: a file dropped beside the field would otherwise replace the page.
document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer && event.dataTransfer.files.length) send(event.dataTransfer.files);
});
queue = showAbout();
