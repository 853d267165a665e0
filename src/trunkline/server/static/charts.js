// Drawing: everything is made of nodes and text nodes, so that no name is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.append(text);
  return made;
}

// `recent`: [seconds ago, in time, late, refused]. Returns the most requests of one second.
export function drawMinute(svg, recent) {
  const seconds = 60;
  const most = Math.max(1, ...recent.map(([, ...counts]) => counts.reduce((a, b) => a + b, 0)));
  svg.setAttribute("viewBox", `0 0 ${seconds} ${most}`);
  const bars = [];
  for (const [ago, ...counts] of recent) {
    let top = most;
    counts.forEach((count, i) => {
      if (count === 0) return;
      top -= count;
      bars.push(shape("rect", {
        class: ["in-time", "late", "refused"][i], x: seconds - 1 - ago + 0.08, y: top, width: 0.84, height: count,
      }));
    });
  }
  svg.replaceChildren(...bars);
  return most;
}

// Two rows of spans over the last `seconds`; what began earlier is cut at the left edge.
export function drawBatches(svg, batches, seconds, describe) {
  const width = svg.clientWidth || 1000;
  const scale = width / seconds;
  svg.setAttribute("viewBox", `0 0 ${width} 68`);
  const drawn = [];
  for (const batch of batches) {
    [["loading", batch.load_ago_s, 5], ["computing", batch.compute_ago_s, 39]].forEach(([row, [begin, end], y]) => {
      if (begin <= end || end >= seconds) return;
      const x = Math.max(0, (seconds - begin) * scale);
      const w = Math.max(1, (seconds - Math.max(0, end)) * scale - x - 0.5);
      const group = shape("g", {});
      const failed = batch.error && row === "computing";
      group.append(
        shape("rect", { class: failed ? "failed" : row, x, y, width: w, height: 24, rx: Math.min(3, w / 3) }),
        shape("title", {}, describe(batch)),
      );
      const fits = Math.floor((w - 8) / 6.6);
      if (fits >= 4) {
        // Variants differ at the end of their names.
        const name = batch.model.length > fits ? "…" + batch.model.slice(1 - fits) : batch.model;
        group.append(shape("text", { x: x + 4, y: y + 16 }, name));
      }
      drawn.push(group);
    });
  }
  svg.replaceChildren(...drawn);
}

// Segments [class, share of the whole] of a bar, in place.
export function drawBar(bar, segments) {
  while (bar.children.length > segments.length) bar.lastChild.remove();
  segments.forEach(([kind, share], i) => {
    const span = bar.children[i] ?? bar.appendChild(document.createElement("span"));
    if (span.className !== kind) span.className = kind;
    span.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  });
}

// The share of each model (row) that another one (column) holds: the darker, the more.
export function drawMatrix(canvas, percent) {
  const cells = percent.length;
  const side = canvas.clientWidth || 360;
  const pixels = Math.round(side * (window.devicePixelRatio || 1));
  canvas.width = canvas.height = pixels;
  const paint = canvas.getContext("2d");
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--matrix").trim();
  const edge = (i) => Math.round((i * pixels) / cells);
  const gap = pixels / cells > 10 ? 1 : 0;
  percent.forEach((row, i) => row.forEach((value, j) => {
    if (value === 0) return;
    paint.fillStyle = `rgba(${colour}, ${0.06 + (0.94 * value) / 100})`;
    paint.fillRect(edge(j), edge(i), edge(j + 1) - edge(j) - gap, edge(i + 1) - edge(i) - gap);
  }));
}

export function cellAt(canvas, event, cells) {
  const box = canvas.getBoundingClientRect();
  const place = (at, from, size) => Math.min(cells - 1, Math.max(0, Math.floor(((at - from) / size) * cells)));
  return [place(event.clientY, box.top, box.height), place(event.clientX, box.left, box.width)];
}
