// What all panels show of an answer.

const element = (id) => document.getElementById(id);

export function percent(share) {
  return `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`;
}

// A page without a service has no round trip to tell of.
export function fact(id, text) {
  const place = element(id);
  if (place) place.textContent = text;
}

export function compare(result) {
  const table = element("comparison");
  table.hidden = result.compared.length === 0;
  const first = {
    artifact: result.artifact,
    predictions: result.predictions,
    microseconds: result.microseconds.classify,
    agrees: null,
  };
  const rows = table.hidden ? [] : [first, ...result.compared];
  table.tBodies[0].replaceChildren(...rows.map(row));
}

function row({ artifact, predictions, microseconds, agrees }) {
  const line = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = artifact;
  const [{ answer, confidence }] = predictions;
  const verdict = agrees === null ? "answers" : agrees ? "agrees" : "differs";
  const cells = [answer, percent(confidence), `${microseconds.toFixed(0)} µs`, verdict].map((text) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    return cell;
  });
  cells[3].className = agrees === null ? "" : verdict;
  line.append(name, ...cells);
  return line;
}
