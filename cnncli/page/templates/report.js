"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const content = JSON.parse(byId("content").textContent);
  const classes = content.classes, count = content.targets.length;
  // Only probabilities of at least 0.01 are kept, and the two largest of each image.
  const kept = decode(content.kept, Uint16Array);
  const columns = decode(content.columns, Uint16Array);
  const values = decode(content.probabilities, Float32Array);
  const begins = [0];
  for (const number of kept) begins.push(begins[begins.length - 1] + number);

  function decode(text, kind) {
    // The numbers are little-endian, as those of every computer that runs a browser are.
    return new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }

  function probability(image, index) {
    for (let place = begins[image]; place < begins[image + 1]; place += 1) {
      if (columns[place] === index) return values[place];
    }
    return 0;
  }

  const sureness = (image) => probability(image, content.predicted[image]);
  const isRight = (image) => content.predicted[image] === content.targets[image];
  const images = Array.from({ length: count }, (_, image) => image);
  const STEP = 48;

  function element(name, text, attributes) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    Object.assign(made, attributes);
    return made;
  }

  function picture(source, alt) {
    const image = element("img", undefined, { alt, loading: "lazy" });
    image.addEventListener("load", () => {
      image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 64);
    });
    image.src = source;
    return image;
  }

  function figure(image) {
    const item = element("li"), name = content.names[image];
    const target = classes[content.targets[image]], predicted = classes[content.predicted[image]];
    const source = content.pictures[image];
    const told = `${name}: class ${target}, predicted ${predicted}`;
    item.append(source ? picture(source, told)
      : element("div", "picture not in this page", { className: "none" }));
    if (content.heat[image]) item.append(picture(content.heat[image], `Heat map of ${predicted} over ${name}`));
    const line = element("strong");
    line.append(element("bdi", target), " → ", element("bdi", predicted),
      ` ${sureness(image).toFixed(4)}`);
    item.append(line, element("bdi", name));
    if (content.groups) item.append(element("div", `group ${content.groups[image]}`));
    if (content.flags[image]) item.append(element("div", `⚑ ${content.flags[image]}`, { className: "flag" }));
    if (content.told[image]) item.append(element("div", content.told[image], { className: "soft" }));
    return item;
  }

  const ORDERS = {
    sure: (one, other) => sureness(other) - sureness(one),
    doubtful: (one, other) => sureness(one) - sureness(other),
    flagged: (one, other) => (other in content.flags) - (one in content.flags) || ORDERS.sure(one, other),
    name: (one, other) => content.names[one].localeCompare(content.names[other]),
  };

  // The images of one cell of the confusion matrix.
  let cell = null, chosen = [], drawn = 0;

  function drawMore() {
    const next = chosen.slice(drawn, drawn + STEP);
    byId("gallery").append(...next.map(figure));
    drawn += next.length;
    const left = chosen.length - drawn;
    byId("more").hidden = left === 0;
    byId("more").textContent = `Show ${Math.min(STEP, left)} more`;
  }

  function update() {
    const wanted = byId("filter").value.toLowerCase();
    const target = Number(cell.dataset.target), predicted = Number(cell.dataset.predicted);
    const all = images.filter((image) =>
      content.targets[image] === target && content.predicted[image] === predicted);
    chosen = all.filter((image) => content.names[image].toLowerCase().includes(wanted));
    chosen.sort(ORDERS[byId("order").value]);
    byId("gallery").replaceChildren();
    byId("paths").hidden = true;
    drawn = 0;
    drawMore();
    const of = Number(cell.textContent) - all.length;
    byId("told").textContent = `${chosen.length} of ${all.length} images`
      + (of > 0 ? `; ${of} more are not in this page, which has to stay small` : "");
  }

  function show(button) {
    if (cell) cell.setAttribute("aria-pressed", "false");
    cell = button;
    cell.setAttribute("aria-pressed", "true");
    const target = classes[button.dataset.target], predicted = classes[button.dataset.predicted];
    byId("shown-heading").replaceChildren("Class ", element("bdi", target), ", predicted ",
      element("bdi", predicted));
    byId("filter").value = "";
    byId("shown").hidden = false;
    update();
    byId("shown-heading").focus();
    byId("shown").scrollIntoView({ block: "nearest" });
  }

  function pathOf(image) {
    return content.root === null ? content.names[image] : `${content.root}/${content.names[image]}`;
  }

  async function copy() {
    const field = byId("paths");
    field.value = chosen.map(pathOf).join("\n");
    field.hidden = false;
    field.select();
    let done = true;
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      done = document.execCommand("copy");
    }
    byId("told").textContent = done ? `${chosen.length} paths copied`
      : "The browser did not allow copying; the paths are selected below";
  }

  function connectCells() {
    for (const button of document.querySelectorAll("button.cell")) {
      button.addEventListener("click", () => show(button));
    }
    byId("filter").addEventListener("input", update);
    byId("order").addEventListener("change", update);
    byId("more").addEventListener("click", drawMore);
    byId("copy").addEventListener("click", copy);
    byId("back").addEventListener("click", () => cell.focus());
    byId("shown").addEventListener("keydown", (event) => {
      if (event.key === "Escape") cell.focus();
    });
  }

  // What another threshold would do. A stored one may lie between the steps of the slider.
  let exact = {};

  function ratio(part, whole, why) {
    return whole === 0 ? ["undefined", why] : [(part / whole).toFixed(4), `${part} of ${whole}`];
  }

  function written(value) {
    return value.toFixed(value * 100 === Math.round(value * 100) ? 2 : 4);
  }

  // The class that an image is called, and its probability. Without a threshold it is the largest.
  function answer(image, positive, threshold) {
    if (threshold === null) return [content.predicted[image], sureness(image)];
    const score = probability(image, positive);
    if (score >= threshold) return [positive, score];
    let best = -1, most = -1;  // of the other classes
    for (let place = begins[image]; place < begins[image + 1]; place += 1) {
      if (columns[place] === positive || values[place] <= most) continue;
      best = columns[place];
      most = values[place];
    }
    return [best, most];
  }

  // Of more than two classes the network takes the likeliest, which few thresholds do: begin at the
  // one of the slider at which about as many images are called the class.
  function begin() {
    const positive = Number(byId("positive").value);
    exact = {};
    byId("threshold-value").value = 0.5;
    if (classes.length > 2) {
      const wanted = images.filter((image) => content.predicted[image] === positive).length;
      const scores = images.map((image) => probability(image, positive));
      let best = Infinity;
      for (let step = 100; step > 0; step -= 1) {
        const gap = Math.abs(scores.filter((score) => score >= step / 100).length - wanted);
        if (gap >= best) continue;
        best = gap;
        byId("threshold-value").value = step / 100;
      }
    }
    judge();
  }

  function setStored(stored) {
    exact.threshold = null;
    if (stored.threshold !== "") {
      byId("positive").value = stored.positive;
      byId("threshold-value").value = stored.threshold;
      exact.threshold = Number(stored.threshold);
    }
    byId("abstain-value").value = stored.abstain;
    exact.abstain = Number(stored.abstain);
    judge();
  }

  function judge() {
    const positive = Number(byId("positive").value);
    const threshold = "threshold" in exact ? exact.threshold : Number(byId("threshold-value").value);
    const least = exact.abstain ?? Number(byId("abstain-value").value);
    let tp = 0, fp = 0, fn = 0, tn = 0, right = 0, own = 0;
    for (const image of images) {
      const [label, said] = answer(image, positive, threshold);
      if (said < least) continue;
      const called = label === positive;
      const is = content.targets[image] === positive;
      if (called && is) tp += 1; else if (called) fp += 1; else if (is) fn += 1; else tn += 1;
      if (label === content.targets[image]) right += 1;
      if (isRight(image)) own += 1;
    }
    const answered = tp + fp + fn + tn, name = classes[positive];
    const none = `no image answered is of class ${name}`, all = `every image answered is of class ${name}`;
    const f1 = tp + fn === 0 ? ["undefined", none]
      : [(2 * tp / (2 * tp + fp + fn)).toFixed(4), "harmonic mean of sensitivity and PPV"];
    const rows = [
      ["sensitivity (recall)", ...ratio(tp, tp + fn, none)],
      ["specificity", ...ratio(tn, tn + fp, all)],
      ["PPV (precision)", ...ratio(tp, tp + fp, `no image is called ${name}`)],
      ["NPV", ...ratio(tn, tn + fn, `every image is called ${name}`)],
      ["F1", ...f1],
      ["abstained share", ...ratio(count - answered, count, "no image")],
      ["accuracy of these answers", ...ratio(right, answered, "no image is answered")],
      ["accuracy of the network's own answers", ...ratio(own, answered, "no image is answered")],
    ];
    byId("threshold-told").textContent = threshold === null ? "none: the largest probability" : written(threshold);
    byId("abstain-told").textContent = written(least);
    byId("threshold-figures").tBodies[0].replaceChildren(...rows.map(([figureName, value, of]) => {
      const row = element("tr");
      row.append(element("th", figureName, { scope: "row" }),
        element("td", value, { className: "number" }), element("td", of, { className: "soft" }));
      return row;
    }));
  }

  function connectThreshold() {
    if (!byId("positive")) return;
    for (const id of ["threshold-value", "abstain-value"]) {
      byId(id).addEventListener("input", () => { exact = {}; judge(); });
    }
    byId("positive").addEventListener("input", begin);
    const stored = byId("stored");
    if (stored) stored.addEventListener("click", () => setStored(stored.dataset));
    if (stored) setStored(stored.dataset);
    else begin();
  }

  function feature(id, keep, order, otherwise) {
    const found = images.filter(keep).sort(order).slice(0, content.featured);
    if (found.length) byId(id).append(...found.map(figure));
    else byId(id).replaceWith(element("p", otherwise));
  }

  if (byId("shown")) connectCells();
  connectThreshold();
  feature("surest-mistakes", (image) => !isRight(image), ORDERS.sure, "There is no mistake.");
  feature("least-sure", isRight, ORDERS.doubtful, "No answer is right.");
})();
