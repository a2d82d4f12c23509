// The page: a prompt, two sides, and the server's answers.
import { element, numbers, showBars } from "./bars.js";
import { Stages } from "./stages.js";
import { sentence, speak, word } from "./words.js";

const WAIT = 120; // milliseconds after a change before the server is asked
const UNLIKELY = 8; // nats of surprise that get the full colour
const FULL = 0.55; // how opaque that is: text stays readable on it
const MODES = ["#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#d55e00", "#f0e442", "#999999"];
const find = (name, root = document) => root.querySelector(name);

let about = null;
let sides = [];
let inspecting = null;
let timer = 0;

async function ask(path, body, signal) {
  const key = find("#key").value;
  const headers = { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const options = body === undefined ? { headers, signal } : { method: "POST", headers, body: JSON.stringify(body), signal };
  const answer = await fetch(`../v1/playground/${path}`, options);
  if (answer.status === 401) find("#key-row").hidden = false;
  return answer;
}

function request() {
  return {
    prompt: find("#prompt").value,
    chat: find("#chat").checked,
    seed: Number(find("#seed").value),
  };
}

function say(text) {
  find("#announcement").textContent = text;
}

// Shows each problem at its control, at its side, at the prompt, or at the top of the page.
function complain(problems, only = sides) {
  const rest = [];
  for (const side of only) {
    const ofSide = problems.filter((problem) => problem.where === String(side.place));
    find(".side-problem", side.box).textContent = side.stages.complain(ofSide)
      .map((problem) => [problem.path, sentence(problem)].filter(Boolean).join(": ")).join("\n");
  }
  const places = new Set(only.map((side) => String(side.place)));
  for (const problem of problems) if (!places.has(problem.where)) rest.push(problem);
  const prompt = rest.filter((problem) => problem.where === "prompt" || problem.path === "prompt");
  find("#problem-prompt").textContent = prompt.map(sentence).join("\n");
  find("#problem-page").textContent = rest.filter((problem) => !prompt.includes(problem))
    .map((problem) => [problem.path, sentence(problem)].filter(Boolean).join(": ")).join("\n");
}

// The problems of an answer that isn't a success.
async function problemsOf(answer) {
  try {
    const content = await answer.json();
    return content.problems ?? [{ where: "", path: "", message: content.error?.message ?? content.error ?? answer.statusText }];
  } catch {
    return [{ where: "", path: "", message: `HTTP ${answer.status}` }];
  }
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(inspect, WAIT);
}

async function inspect() {
  inspecting?.abort();
  const current = (inspecting = new AbortController());
  document.body.dataset.state = "asking";
  try {
    const answer = await ask("inspect", { ...request(), sides: sides.map((side) => side.stages.fields()) }, current.signal);
    if (!answer.ok) {
      complain(await problemsOf(answer));
    } else {
      const inspected = await answer.json();
      complain([]);
      const notes = [];
      if (inspected.seen < 0.999999) notes.push(word("unseen", (inspected.seen * 100).toFixed(1)));
      if (inspected.inexact.length) notes.push(word("inexact", inspected.inexact.join(", ")));
      find("#note").textContent = notes.join(" ");
      // All bars of the page have one scale, so that they can be compared.
      const all = inspected.sides.flat().flatMap((way) => way.stages.flatMap((stage) => stage.probabilities));
      const scale = 1 / Math.max(...all);
      for (const side of sides) {
        const ways = inspected.sides[side.place];
        side.stages.show(inspected.tokens, ways, scale);
        find(".model-card .numbers", side.box).textContent = numbers(ways[0].stages[0]);
        showBars(find(".model-card .bars", side.box), inspected.tokens, ways[0].stages[0], scale);
      }
    }
    for (const side of sides) if (find(".copy", side.box).open) copy(side);
  } catch (error) {
    if (error.name === "AbortError") return;
    complain([{ where: "", path: "", message: word("unreachable") }]);
  }
  if (inspecting === current) document.body.dataset.state = "ready";
}

async function generate() {
  const button = find("#generate");
  button.disabled = true;
  document.body.dataset.writing = "yes";
  complain([]);
  await Promise.all(sides.map(write));
  button.disabled = false;
  document.body.dataset.writing = "no";
}

async function write(side) {
  const box = find(".text", side.box);
  box.replaceChildren();
  side.modes = [];
  showLegend(side);
  try {
    const body = { ...request(), max_tokens: Number(find("#max_tokens").value), side: side.stages.fields() };
    const answer = await ask("generate", body);
    if (!answer.ok) return troubled(side, await problemsOf(answer));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.map((text) => JSON.parse(text))) {
        if (line.problems) return troubled(side, line.problems);
        addToken(side, box, line);
      }
    }
  } catch {
    complain([{ where: "", path: "", message: word("unreachable") }], [side]);
  }
}

// Shows the problems of one side's request, in which the side has number 0.
function troubled(side, problems) {
  complain(problems.map((p) => (p.where === "0" ? { ...p, where: String(side.place) } : p)), [side]);
}

function addToken(side, box, { text, surprise, mode }) {
  if (!text) return;
  const token = element("span", "token", text);
  token.style.setProperty("--share", Math.min(surprise / UNLIKELY, 1) * FULL);
  token.title = word("token", surprise.toFixed(2)) + (mode ? `, ${word("mode")} ${mode}` : "");
  if (mode) {
    if (!side.modes.includes(mode)) {
      side.modes.push(mode);
      showLegend(side);
    }
    token.dataset.mode = mode;
    token.style.setProperty("--mode", MODES[side.modes.indexOf(mode) % MODES.length]);
  }
  box.append(token);
}

function showLegend(side) {
  const legend = find(".legend", side.box);
  legend.replaceChildren();
  for (const [name, share] of [["likely", 0.1], ["unlikely", FULL]]) {
    const entry = element("span");
    const swatch = element("span", "swatch");
    swatch.style.setProperty("--share", share);
    entry.append(swatch, ` ${word(name)}`);
    legend.append(entry);
  }
  side.modes.forEach((mode, place) => {
    const entry = element("span");
    const line = element("span", "mode");
    line.style.setProperty("--mode", MODES[place % MODES.length]);
    entry.append(line, ` ${mode}`);
    legend.append(entry);
  });
}

async function copy(side) {
  const name = find(".name", side.box).value;
  const box = find(".copied", side.box);
  const complaint = find(".name-problem", side.box);
  const body = { ...request(), max_tokens: Number(find("#max_tokens").value), side: side.stages.fields(), name };
  const answer = await ask("copy", body);
  complaint.textContent = "";
  if (!answer.ok) {
    box.value = "";
    side.forms = null;
    const problems = await problemsOf(answer);
    complaint.textContent = problems.filter((p) => p.path === "name").map(sentence).join("\n");
    return;
  }
  side.forms = await answer.json();
  box.value = side.forms[find(".form", side.box).value];
}

function save(side) {
  if (!side.forms) return;
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([side.forms.yaml], { type: "application/yaml" }));
  link.download = `${find(".name", side.box).value}.yaml`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function addSide(place, presetName) {
  const box = find("#side").content.firstElementChild.cloneNode(true);
  find("#sides").append(box);
  const side = { place, box, modes: [], forms: null };
  const select = find(".preset", box);
  side.stages = new Stages(find(".groups", box), about.stages, () => {
    select.value = "";
    showSummary(side);
    later();
  }, say);
  select.append(new Option(word("custom"), ""));
  for (const preset of about.presets) {
    let group = [...select.querySelectorAll("optgroup")].find(({ dataset }) => dataset.en === preset.group.en);
    if (!group) {
      group = element("optgroup");
      Object.assign(group.dataset, preset.group);
      select.append(group);
    }
    const option = new Option(preset.name, preset.name);
    option.disabled = preset.unbound !== "";
    group.append(option);
  }
  const load = (name) => {
    select.value = name;
    side.stages.load(about.presets.find((preset) => preset.name === name)?.values ?? {});
    showSummary(side);
    later();
  };
  select.addEventListener("change", () => load(select.value));
  find(".reset", box).addEventListener("click", () => load(""));
  find(".copy", box).addEventListener("toggle", () => find(".copy", box).open && copy(side));
  find(".name", box).addEventListener("input", () => copy(side));
  find(".form", box).addEventListener("change", () => copy(side));
  find(".save", box).addEventListener("click", () => save(side));
  find(".to-clipboard", box).addEventListener("click", async () => {
    const text = find(".copied", box);
    text.select();
    await navigator.clipboard.writeText(text.value);
    say(word("copied"));
  });
  sides.push(side);
  load(presetName);
}

function showSummary(side) {
  const preset = about.presets.find(({ name }) => name === find(".preset", side.box).value);
  const texts = [preset?.summary[document.documentElement.lang.slice(0, 2)], preset?.drawn];
  find(".summary", side.box).textContent = texts.filter(Boolean).join(" ");
}

function translate(chosen) {
  speak(chosen);
  for (const side of sides) {
    find("h2", side.box).textContent = word("side", "AB"[side.place]);
    find(".preset", side.box).options[0].textContent = word("custom");
    for (const group of side.box.querySelectorAll(".preset optgroup")) {
      group.label = group.dataset[chosen];
    }
    side.stages.translate();
    showSummary(side);
    showLegend(side);
  }
}

async function start() {
  const answer = await ask("about").catch(() => null);
  if (!answer?.ok) {
    complain(answer ? await problemsOf(answer) : [{ where: "", path: "", message: word("unreachable") }]);
    return;
  }
  about = await answer.json();
  complain([]);
  find("#model").textContent = about.model;
  const names = about.presets.map((preset) => preset.name);
  addSide(0, names.includes("chat") ? "chat" : "");
  addSide(1, names.includes("creative") ? "creative" : "");
  translate(find("#language").value);
}

find("#language").value = navigator.language.startsWith("zh") ? "zh" : "en";
find("#language").addEventListener("change", (event) => {
  translate(event.target.value);
  if (sides.length) inspect();
});
find("#key-row").addEventListener("submit", (event) => event.preventDefault());
find("#key").addEventListener("change", () => (about ? later() : start()));
find("#generate").addEventListener("click", generate);
for (const name of ["#prompt", "#seed", "#max_tokens"]) find(name).addEventListener("input", later);
find("#chat").addEventListener("change", later);
speak(find("#language").value);
start();
