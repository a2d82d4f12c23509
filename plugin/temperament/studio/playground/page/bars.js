// A distribution as bars, one for each token.
import { word } from "./words.js";

export function element(name, classes = "", text = "") {
  const node = document.createElement(name);
  if (classes) node.className = classes;
  if (text) node.textContent = text;
  return node;
}

// Shows a stage's distribution in `box` and reuses its bars. A share of 1 / scale fills a bar.
export function showBars(box, tokens, stage, scale) {
  while (box.children.length > tokens.length) box.lastElementChild.remove();
  tokens.forEach((token, place) => {
    const bar = box.children[place] ?? box.appendChild(newBar());
    const share = stage.probabilities[place];
    const [text, track, number] = bar.children;
    bar.classList.toggle("removed", share === null);
    bar.dataset.token = token.id;
    text.textContent = text.title = token.text;
    track.firstElementChild.style.width = `${(share ?? 0) * scale * 100}%`;
    number.textContent = share === null ? word("removed") : share.toFixed(4);
  });
}

function newBar() {
  const bar = element("div", "bar");
  const track = element("span", "track");
  track.append(element("div", "filled"));
  bar.append(element("span", "token-text"), track, element("span", "share"));
  return bar;
}

// The numbers of a stage, in one line.
export function numbers(stage) {
  const parts = [`${word("kept")} ${stage.kept}`, `${word("entropy")} ${stage.entropy.toFixed(3)} ${word("nats")}`];
  if (stage.stage) {
    parts.push(`${word("removed")} ${stage.removed}`);
    parts.push(`${word("gone")} ${stage.removed_mass.toFixed(4)}`);
    parts.push(`${word("moved")} ${stage.moved.toFixed(4)}`);
  }
  return parts.join(" · ");
}
