// The request that SillyTavern sends with a preset: `node sillytavern.mjs PACKAGE SERVER`, one JSON
// preset a line in, one JSON body a line out.
//
// The code that makes the request is the package's own. What it imports (the interface, mostly) is
// replaced by stand-ins that do nothing, but for the functions below, which this code needs.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

const [folder, server] = process.argv.slice(2);
const scripts = path.join(folder, 'public', 'scripts');

const nothing = new Proxy(() => {}, {
    get: (_, name) => (name === Symbol.toPrimitive ? () => '' : nothing),
    apply: () => nothing,
});
globalThis.console.log = () => {};
globalThis.$ = nothing;
globalThis.document = nothing;
globalThis.localStorage = { getItem: () => null };

// A module of the package, with what it imports from `given`.
function load(name, given) {
    const imports = /^import\s*\{([^}]*)\}\s*from\s*'[^']*';/gm;
    const source = readFileSync(path.join(scripts, name), 'utf8')
        .replace(imports, (_, names) => `const {${names}} = globalThis.given;`);
    globalThis.given = new Proxy(given, { get: (all, each) => all[each] ?? nothing });
    return import(`data:text/javascript;base64,${Buffer.from(source).toString('base64')}`);
}

const biases = await load('logit-bias.js', {});
const textgen = await load('textgen-settings.js', {
    BIAS_CACHE: new Map(),
    getLogitBiasListResult: biases.getLogitBiasListResult,
    getStoppingStrings: () => [],
    substituteParams: (text) => text,
    isObject: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    onlyUnique: (value, index, all) => all.indexOf(value) === index,
    arraysEqual: (one, other) => JSON.stringify(one) === JSON.stringify(other),
    power_user: {},
    max_context: 2048,
});

for await (const line of createInterface({ input: process.stdin })) {
    const settings = { ...textgen.textgenerationwebui_settings, type: server };
    const preset = JSON.parse(line);
    for (const name of textgen.setting_names) {
        if (preset[name] !== undefined && preset[name] !== null) {
            settings[name] = preset[name];
        }
    }
    const body = textgen.createTextGenGenerationData(settings, 'model', 'prompt', 9);
    process.stdout.write(`${JSON.stringify(body)}\n`);
}
