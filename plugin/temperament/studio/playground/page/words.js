// Every text of the page, in both languages.
const WORDS = {
  en: {
    language: "Language", prompt: "Prompt", chat: "as a user's message", seed: "Seed",
    tokens: "Tokens", key: "API key", generate: "Generate", preset: "Preset", reset: "All off",
    written: "Generated text", own: "The model's own distribution", copy: "Copy and save",
    form: "Copy as", name: "Name", clipboard: "Copy", save: "Save the file", copied: "Copied",
    custom: "custom values", penalty: "Penalties", bias: "Biases and bans", movable: "Sampling, in this order",
    last: "At the end", removed: "removed", kept: "kept", entropy: "entropy", gone: "mass removed",
    moved: "mass moved", nats: "nats", move: "Move {}: arrow keys, or drag", placed: "{} is now number {} of {}",
    likely: "expected", unlikely: "unlikely", token: "{} nats of surprise", mode: "mode",
    unseen: "The server returns tokens with {} % of the mass; the others count as impossible here.",
    inexact: "The server returns log-probabilities, not logits: the numbers of {} are near, not exact.",
    given: "given: {}", allowed: "allowed: {}", nearest: "did you mean {}?", json: "not JSON",
    unreachable: "no answer from the server", side: "Side {}", off: "off", more: "Other stages",
  },
  zh: {
    language: "语言", prompt: "提示词", chat: "作为用户消息", seed: "种子",
    tokens: "词元数", key: "API 密钥", generate: "生成", preset: "预设", reset: "全部关闭",
    written: "生成的文本", own: "模型自身的分布", copy: "复制与保存",
    form: "复制为", name: "名称", clipboard: "复制", save: "保存文件", copied: "已复制",
    custom: "自定义", penalty: "惩罚", bias: "偏置与禁用", movable: "采样，按此顺序",
    last: "最后", removed: "被移除", kept: "保留", entropy: "熵", gone: "移除的概率",
    moved: "移动的概率", nats: "nat", move: "移动 {}：方向键或拖动", placed: "{} 现在是第 {} 个，共 {} 个",
    likely: "意料之中", unlikely: "出乎意料", token: "惊异度 {} nat", mode: "模式",
    unseen: "服务器给出的词元占概率的 {} %；其余词元在此视为不可能。",
    inexact: "服务器给出的是对数概率而非 logits：{} 的数值是近似的。",
    given: "给定：{}", allowed: "允许：{}", nearest: "是否想写 {}？", json: "不是 JSON",
    unreachable: "服务器没有应答", side: "第 {} 侧", off: "关闭", more: "其他阶段",
  },
};

export let language = "en";

export function word(name, ...values) {
  return values.reduce((text, value) => text.replace("{}", value), WORDS[language][name] ?? name);
}

// Sets the texts of every element that has `data-word` or `data-label`.
export function speak(chosen, root = document) {
  language = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-word]")) {
    element.textContent = word(element.dataset.word);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
  }
}

// One problem of an answer as a sentence.
export function sentence(problem) {
  const parts = [problem.message];
  if (problem.given) parts.push(word("given", problem.given));
  if (problem.allowed) parts.push(word("allowed", problem.allowed));
  if (problem.nearest?.length) parts.push(word("nearest", problem.nearest.join(", ")));
  return parts.join("; ");
}
