// The threshold slider: counts, cost and the marks on the curves follow it; so do the costs in the form.
const field = (name) => document.querySelector(`[name=${name}]`);

function nearest(thresholds, wanted) {
  return thresholds.reduce((best, each, n) => (Math.abs(each - wanted) < Math.abs(thresholds[best] - wanted) ? n : best), 0);
}

function mark(svg, x, y, { left, top, width, height }) {
  let circle = svg.querySelector("circle.best");
  if (!circle) {
    circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    circle.setAttribute("class", "best");
    circle.setAttribute("r", "6");
    svg.append(circle);
  }
  circle.setAttribute("cx", left + x * width);
  circle.setAttribute("cy", top + (1 - y) * height);
}

function follow(section) {
  const { curve, geometry } = JSON.parse(section.querySelector("script").textContent);
  const slider = section.querySelector("input[type=range]");
  const [roc, pr] = section.querySelectorAll(".picture svg");
  const share = (part, whole) => (whole > 0 ? part / whole : 0);
  const show = () => {
    const n = Number(slider.value);
    const [tp, fp, fn, tn] = ["tp", "fp", "fn", "tn"].map((name) => curve[name][n]);
    const recall = share(tp, tp + fn);
    const precision = share(tp, tp + fp);
    const cost = fn * Number(field("missed").value) + fp * Number(field("alarm").value);
    const values = { tp, fp, fn, tn, cost, recall, precision, accuracy: share(tp + tn, tp + fp + fn + tn) };
    for (const cell of section.querySelectorAll("[data-cell]")) {
      cell.textContent = values[cell.dataset.cell].toLocaleString("en", { maximumFractionDigits: 4 });
    }
    const text = curve.thresholds[n].toLocaleString("en", { maximumFractionDigits: 4 });
    section.querySelector("output").textContent = text;
    slider.setAttribute("aria-valuetext", `threshold ${text}, cost ${values.cost}`);
    mark(roc, share(fp, fp + tn), recall, geometry);
    mark(pr, recall, precision, geometry);
  };
  slider.value = nearest(curve.thresholds, Number(section.dataset.best));
  slider.addEventListener("input", show);
  for (const name of ["missed", "alarm"]) field(name).addEventListener("input", show);
  show();
}

document.querySelectorAll(".judged").forEach(follow);
