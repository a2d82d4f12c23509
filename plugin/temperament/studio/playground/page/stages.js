// The stages of one side: their sliders, and their order by dragging or by arrow keys.
import { element, numbers, showBars } from "./bars.js";
import { language, sentence, word } from "./words.js";

const OPEN = new Set(["temperature", "top_k", "top_p", "min_p"]);
const GROUPS = [["movable", true], ["penalty", false], ["bias", false], ["last", false]];

export class Stages {
  // `changed` is called after every change by the user.
  constructor(box, stages, changed, say) {
    this.all = stages;
    this.changed = changed;
    this.say = say;
    this.parameters = new Map(stages.flatMap((stage) => stage.parameters.map((p) => [p.name, p])));
    this.movable = stages.filter((stage) => stage.movable).map((stage) => stage.name);
    this.order = [...this.movable];
    this.values = {}; // the fields that the user or a preset has set
    this.cards = new Map();
    this.controls = new Map();
    for (const [group, open] of GROUPS) this.#addGroup(box, group, open);
  }

  // Loads the fields of a preset.
  load(fields) {
    const { order = [], ...values } = fields;
    this.values = values;
    this.order = [...order, ...this.movable.filter((name) => !order.includes(name))];
    this.#place();
    for (const name of this.parameters.keys()) this.#showValue(name);
  }

  // The fields that are set, as a preset has them.
  fields() {
    const fields = { ...this.values };
    const used = this.order.filter((name) => this.#isSet(name));
    const standard = this.movable.filter((name) => used.includes(name));
    if (used.join() !== standard.join()) fields.order = used;
    return fields;
  }

  // Shows the distributions of this side (one for each mode) under their stages.
  show(tokens, ways, scale) {
    for (const [name, card] of this.cards) {
      const found = ways.flatMap((way) => way.stages.filter((stage) => stage.stage === name).map((stage) => [way.mode, stage]));
      card.item.classList.toggle("active", found.length > 0);
      while (card.ways.children.length > found.length) card.ways.lastElementChild.remove();
      found.forEach(([mode, stage], place) => {
        const way = card.ways.children[place] ?? card.ways.appendChild(newWay());
        const [title, line, bars] = way.children;
        title.textContent = mode ? `${word("mode")} ${mode}` : "";
        title.hidden = !mode;
        line.textContent = numbers(stage);
        showBars(bars, tokens, stage, scale);
      });
    }
  }

  // Shows the problems that belong to a control, and returns the others.
  complain(problems) {
    for (const control of this.controls.values()) control.complain("");
    return problems.filter((problem) => {
      const name = problem.path.split(".")[0];
      const control = this.controls.get(name);
      if (!control) return true;
      this.#open(this.all.find((stage) => stage.parameters.some((p) => p.name === name)).name);
      control.complain(sentence(problem));
      return false;
    });
  }

  // Shows the texts of the current language.
  translate() {
    for (const { stage, summary, handle } of this.cards.values()) {
      summary.textContent = stage.summary[language];
      handle?.setAttribute("aria-label", word("move", stage.name));
    }
  }

  #isSet(name) {
    return this.all.find((stage) => stage.name === name).parameters.some((p) => p.name in this.values);
  }

  #addGroup(box, group, open) {
    const details = element("details", "group");
    const title = element("summary", "", word(group));
    title.dataset.word = group;
    details.open = open;
    const list = element("ol", "stages");
    details.append(title, list);
    box.append(details);
    for (const stage of this.all) {
      if (stage.movable ? group === "movable" : stage.group === group) list.append(this.#card(stage));
    }
    if (group === "movable") this.list = list;
  }

  #card(stage) {
    const item = element("li", "stage");
    item.dataset.stage = stage.name;
    const head = element("div", "stage-head");
    const name = element("button", "stage-name", stage.name);
    const body = element("div", "stage-body");
    const summary = element("p", "stage-summary", stage.summary[language]);
    const values = element("span", "stage-values");
    const ways = element("div", "ways");
    let handle = null;
    name.type = "button";
    name.addEventListener("click", () => this.#toggle(stage.name));
    if (stage.movable) {
      handle = element("button", "handle", "⠿");
      handle.type = "button";
      handle.setAttribute("aria-label", word("move", stage.name));
      this.#makeMovable(handle, item, stage.name);
      head.append(handle);
    }
    head.append(name, values);
    body.append(summary);
    for (const parameter of stage.parameters) {
      const control = new Control(parameter, `${this.idPrefix ??= `s${Stages.count++}`}-${parameter.name}`, (value) => {
        if (value === undefined) delete this.values[parameter.name];
        else this.values[parameter.name] = value;
        this.#showHead(stage.name);
        this.changed();
      });
      this.controls.set(parameter.name, control);
      body.append(control.box);
    }
    item.append(head, body, ways);
    this.cards.set(stage.name, { stage, item, name, body, values, ways, summary, handle });
    this.#open(stage.name, OPEN.has(stage.name));
    return item;
  }

  #open(name, open = true) {
    const card = this.cards.get(name);
    card.body.hidden = !open;
    card.name.setAttribute("aria-expanded", String(open));
    if (open && card.item.closest("details") && !OPEN.has(name)) card.item.closest("details").open = true;
  }

  #toggle(name) {
    this.#open(name, this.cards.get(name).body.hidden);
  }

  #showValue(name) {
    this.controls.get(name).show(this.values[name]);
    this.#showHead(this.all.find((stage) => stage.parameters.some((p) => p.name === name)).name);
  }

  #showHead(name) {
    const { stage, values } = this.cards.get(name);
    const set = stage.parameters.filter((p) => p.name in this.values);
    values.textContent = set.map((p) => `${p.name === stage.name ? "" : `${p.name} `}${JSON.stringify(this.values[p.name])}`).join(", ");
  }

  #place() {
    for (const name of this.order) this.list.append(this.cards.get(name).item);
  }

  #moveTo(name, place, silent = false) {
    const others = this.order.filter((other) => other !== name);
    const bounded = Math.max(0, Math.min(place, others.length));
    others.splice(bounded, 0, name);
    if (others.join() === this.order.join()) return;
    this.order = others;
    const handle = this.cards.get(name).handle;
    const focused = document.activeElement === handle;
    const before = this.list.children[bounded];
    const item = this.cards.get(name).item;
    if (before !== item) this.#place();
    if (focused) handle.focus();
    if (!silent) this.say(word("placed", name, bounded + 1, others.length));
    this.changed();
  }

  #makeMovable(handle, item, name) {
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.#moveTo(name, this.order.indexOf(name) + step);
    });
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      item.classList.add("dragged");
      const follow = (moved) => {
        const others = this.order.filter((other) => other !== name).map((other) => this.cards.get(other).item);
        const place = others.filter((other) => {
          const { top, height } = other.getBoundingClientRect();
          return moved.clientY > top + height / 2;
        }).length;
        this.#moveTo(name, place, true);
      };
      const end = () => {
        item.classList.remove("dragged");
        removeEventListener("pointermove", follow);
        removeEventListener("pointerup", end);
        removeEventListener("pointercancel", end);
        this.say(word("placed", name, this.order.indexOf(name) + 1, this.order.length));
      };
      addEventListener("pointermove", follow);
      addEventListener("pointerup", end);
      addEventListener("pointercancel", end);
    });
  }
}
Stages.count = 0;

function newWay() {
  const way = element("div", "way");
  way.append(element("p", "way-name"), element("p", "numbers"), element("div", "bars"));
  return way;
}

// One parameter: a slider and a number, a box to tick, or a line of JSON.
class Control {
  constructor(parameter, id, changed) {
    this.parameter = parameter;
    this.box = element("div", "control");
    this.box.dataset.parameter = parameter.name;
    this.problem = element("p", "problem");
    this.problem.id = `${id}-problem`;
    const label = element("label", "", parameter.name);
    label.htmlFor = id;
    label.title = `${parameter.summary} ${parameter.allowed}`;
    this.box.append(label);
    if (parameter.slider) this.#addNumber(id, changed);
    else if (parameter.kind === "flag") this.#addFlag(id, changed);
    else this.#addLine(id, changed);
    this.input.id = id;
    this.input.setAttribute("aria-describedby", this.problem.id);
    this.box.append(this.problem);
    this.show(undefined);
  }

  // Shows a value; undefined is off.
  show(value) {
    const shown = value === undefined ? this.parameter.unset : value;
    if (this.range) {
      const isNumber = typeof shown === "number"; // a preset may have a schedule here
      this.input.value = this.range.value = isNumber ? shown : "";
      this.input.disabled = this.range.disabled = !isNumber;
    } else if (this.parameter.kind === "flag") this.input.checked = shown === true;
    else this.input.value = value === undefined ? "" : JSON.stringify(value);
  }

  complain(text) {
    this.problem.textContent = text;
    this.input.setAttribute("aria-invalid", String(text !== ""));
  }

  #addNumber(id, changed) {
    const [low, high, step] = this.parameter.slider;
    this.range = element("input");
    Object.assign(this.range, { type: "range", min: low, max: high, step, id: `${id}-range` });
    this.range.setAttribute("aria-label", this.parameter.name);
    this.input = element("input");
    Object.assign(this.input, { type: "number", step: "any" });
    const value = (text) => (text === "" || Number(text) === this.parameter.unset ? undefined : Number(text));
    this.range.addEventListener("input", () => {
      this.input.value = this.range.value;
      changed(value(this.range.value));
    });
    this.input.addEventListener("input", () => {
      this.range.value = this.input.value;
      changed(value(this.input.value));
    });
    this.box.append(this.range, this.input);
  }

  #addFlag(id, changed) {
    this.input = element("input", "wide");
    this.input.type = "checkbox";
    this.input.addEventListener("change", () => {
      changed(this.input.checked === this.parameter.unset ? undefined : this.input.checked);
    });
    this.box.append(this.input);
  }

  #addLine(id, changed) {
    this.input = element("input", "wide");
    this.input.type = "text";
    this.input.spellcheck = false;
    this.input.placeholder = this.parameter.allowed;
    this.input.addEventListener("change", () => {
      const text = this.input.value.trim();
      if (!text) return changed(undefined);
      try {
        changed(JSON.parse(text));
      } catch {
        this.complain(word("json"));
      }
    });
    this.box.append(this.input);
  }
}
